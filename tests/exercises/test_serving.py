"""Notebook 09's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from answers import *  # noqa: F403

from mnist_helpers import exercises, to_mnist
from mnist_helpers.exercises import serving as worked
from mnist_helpers.exercises import serving_endpoint

fastapi = pytest.importorskip("fastapi")


def endpoint(
    load_each_time=False,
    evaluate=True,
    gradients=False,
    route="/predict",
    field="file",
    batch=True,
    refuse=400,
    answer=lambda p: {"digit": int(p.argmax()), "confidence": float(p.detach().max())},
    normalize=lambda logits: logits.softmax(1),
    get=False,
):
    """Return an answer to exercise 09.1 with one detail of it as asked for."""

    def build(load_model):
        app, model = fastapi.FastAPI(), load_model()

        def called(file):
            network = load_model() if load_each_time else model
            network.train(not evaluate)
            try:
                image = to_mnist(file)
            except ValueError as error:
                if refuse is None:
                    raise
                if refuse == 200:
                    return {"error": str(error)}
                raise fastapi.HTTPException(refuse, str(error)) from error
            pixels = torch.tensor(image)
            with torch.set_grad_enabled(gradients):
                probabilities = normalize(network(pixels[None, None] if batch else pixels))[0]
            return answer(probabilities)

        if field == "file":

            def predict(file: bytes = fastapi.File()):
                return called(file)
        else:

            def predict(image: bytes = fastapi.File()):
                return called(image)

        (app.get if get else app.post)(route)(predict)
        return app

    return build


def with_upload_file(load_model):
    model = load_model()
    model.eval()
    app = fastapi.FastAPI()

    def predict(file: fastapi.UploadFile):
        try:
            image = to_mnist(file.file.read())
        except ValueError as error:
            raise fastapi.HTTPException(status_code=422, detail=str(error)) from error
        with torch.inference_mode():
            probabilities = model(torch.from_numpy(image)[None, None].float() / 255).softmax(1)
        confidence, digit = probabilities.max(1)
        return {"digit": digit.item(), "confidence": confidence.item(), "status": "ok"}

    predict.__annotations__ = {"file": fastapi.UploadFile}
    app.post("/predict")(predict)
    return app


def asynchronous(load_model):
    app = fastapi.FastAPI()

    async def predict(file: bytes = fastapi.File()):
        return {"digit": 6, "confidence": 0.9}

    app.post("/predict")(predict)
    return app


def exported(model, path, images=None, dynamic=True, names=("images", "logits"), evaluated=True):
    """Export a model with one detail of it as asked for."""
    images = torch.zeros(3, 1, 28, 28) if images is None else images
    model.train(not evaluated)
    warned = pytest.warns(UserWarning, match="training mode")
    with nullcontext() if evaluated else warned:
        torch.onnx.export(
            model,
            (images,),
            path,
            input_names=[names[0]],
            output_names=[names[1]],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},) if dynamic else None,
            dynamo=True,
            verbose=False,
        )


def statistics(middle=0.5, upper=0.95, scale=1000, rate=None):
    """Return an answer to exercise 09.4 with one detail of it as asked for."""

    def answer(seconds, batch_size):
        middle_value = seconds.mean() if middle == "mean" else torch.quantile(seconds, middle)
        throughput = batch_size * len(seconds) / seconds.sum()
        if rate:
            throughput = rate(seconds, batch_size)
        return scale * middle_value, scale * torch.quantile(seconds, upper), throughput

    return answer


def until_full(waiting, max_batch_size):
    return [waiting.get() for _ in range(max_batch_size)]


def without_waiting(waiting, max_batch_size):
    batch = []
    while len(batch) < max_batch_size and not waiting.empty():
        batch.append(waiting.get())
    return batch


def everything(waiting, max_batch_size):
    batch = [waiting.get()]
    while not waiting.empty():
        batch.append(waiting.get())
    return batch


def waiting_a_moment(waiting, max_batch_size):
    import queue

    batch = [waiting.get()]
    try:
        while len(batch) < max_batch_size:
            batch.append(waiting.get(timeout=0.01))
    except queue.Empty:
        pass
    return batch


def by_exception(waiting, max_batch_size):
    import queue

    batch = [waiting.get()]
    try:
        while len(batch) < max_batch_size:
            batch.append(waiting.get_nowait())
    except queue.Empty:
        pass
    return batch


CORRECT = {
    "09-1": (serving_endpoint.build_app, endpoint(), with_upload_file),
    "09-2": (worked.export, exported),
    "09-3": (
        worked.is_same,
        lambda a, b, most: a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=most),
    ),
    "09-4": (worked.summarize, statistics(), lambda s, n: torch.stack([*statistics()(s, n)])),
    "09-5": (worked.next_batch, by_exception),
    "09-6": ("bacab", "B A C A B"),
}
WRONG = [
    ("09-1", endpoint(load_each_time=True), "load it once"),
    ("09-1", endpoint(evaluate=False), "eval"),
    ("09-1", endpoint(gradients=True), "no_grad"),
    ("09-1", endpoint(route="/digit"), "no route"),
    ("09-1", endpoint(get=True), "app.post"),
    ("09-1", endpoint(field="image"), "another field"),
    ("09-1", endpoint(batch=False), r"\[1, 1, 28, 28\]"),
    ("09-1", endpoint(refuse=None), "Catch ValueError"),
    ("09-1", endpoint(refuse=200), "status is 200"),
    ("09-1", endpoint(refuse=500), "400 to 499"),
    ("09-1", endpoint(answer=lambda p: {"digit": p.argmax(), "confidence": p.max()}), "JSON"),
    (
        "09-1",
        endpoint(answer=lambda p: {"digit": p.numpy().argmax(), "confidence": 1.0}),
        "NumPy numbers",
    ),
    ("09-1", endpoint(answer=lambda p: int(p.argmax())), "keys digit and confidence"),
    (
        "09-1",
        endpoint(answer=lambda p: {"digit": str(int(p.argmax())), "confidence": 1.0}),
        "convert it",
    ),
    (
        "09-1",
        endpoint(answer=lambda p: {"digit": int(p.argmin()), "confidence": float(p.max())}),
        "argmax",
    ),
    (
        "09-1",
        endpoint(answer=lambda p: {"digit": int(p.argmax()), "confidence": 100 * float(p.max())}),
        "percentage",
    ),
    ("09-1", endpoint(normalize=lambda logits: logits), "is a logit"),
    ("09-1", endpoint(normalize=lambda logits: (2 * logits).softmax(1)), "should be"),
    ("09-1", asynchronous, "event loop"),
    ("09-1", lambda load_model: load_model(), "Return the app"),
    ("09-2", lambda m, p: exported(m, p, dynamic=False), "dynamic_shapes"),
    ("09-2", lambda m, p: exported(m, p, names=("x", "y")), "images and logits"),
    (
        "09-2",
        lambda m, p: exported(torch.nn.Sequential(m.eval(), torch.nn.Softmax(1)), p),
        "softmax",
    ),
    ("09-2", lambda m, p: None, "no file"),
    ("09-2", lambda m, p: exported(m, p, torch.ones(3, 1, 28, 28).byte()), "takes uint8"),
    ("09-2", lambda m, p: exported(m, p, evaluated=False), r"model\.eval\(\)"),
    ("09-3", lambda a, b, most: bool((a == b).all()), "1e-6 is no difference"),
    ("09-3", lambda a, b, most: bool((a.argmax(1) == b.argmax(1)).all()), "twice as large"),
    ("09-3", lambda a, b, most: a.shape == b.shape and (a - b).mean().abs() <= most, "cancel"),
    ("09-3", lambda a, b, most: a.shape == b.shape and (a - b).abs().mean() <= most, "mean hides"),
    ("09-3", lambda a, b, most: a.shape == b.shape and (a - b).max() <= most, "−0.01 is one"),
    ("09-3", lambda a, b, most: a.shape == b.shape and torch.allclose(a, b, atol=most), "rtol=0"),
    ("09-3", lambda a, b, most: a.shape == b.shape and (a - b).norm() <= most, "largest"),
    ("09-3", lambda a, b, most: not bool(((a - b).abs() > most).any()), "NaN"),
    ("09-3", lambda a, b, most: bool(((a - b).abs() <= most).all()), "shapes"),
    ("09-3", lambda a, b, most: worked.is_same(a, b, 1e-4), "tolerance that is given"),
    ("09-4", statistics(middle="mean"), "mean"),
    ("09-4", statistics(scale=1), "milliseconds"),
    ("09-4", statistics(upper=0.05), "fast ones"),
    ("09-4", statistics(upper=1.0), "slowest"),
    ("09-4", statistics(upper=0.9), "95th percentile"),
    ("09-4", statistics(rate=lambda s, n: len(s) / s.sum()), "batch of several"),
    ("09-4", statistics(rate=lambda s, n: (n / s).mean()), "mean of rates"),
    ("09-4", statistics(rate=lambda s, n: n / s.median()), "typical batch"),
    ("09-4", lambda s, n: s.median(), "three numbers"),
    ("09-5", waiting_a_moment, "only the first get"),
    ("09-5", lambda waiting, most: [waiting.get()], "One image at a time"),
    ("09-5", without_waiting, "wait for the first image"),
    ("09-5", everything, "larger than max_batch_size"),
    ("09-5", lambda waiting, most: waiting.get(), "list"),
    ("09-6", "aacab", "400 to 499"),
]


def test_a_batch_that_waits_until_it_is_full_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worked, "GIVE_UP", 0.5)
    found = exercises.hint_for("09-5", until_full)
    assert found is not None and "don't come" in found

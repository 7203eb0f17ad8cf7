"""Self-check of notebook 09's endpoint: what is wrong with a web service around a network."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..preprocess import to_mnist
from .engine import Hint, exercise, expect_function, solution


@solution("09-1")
def build_app(load_model):
    """Return an app that predicts the digit in an image that is sent to /predict."""
    from fastapi import FastAPI, File, HTTPException

    model = load_model().eval()
    app = FastAPI()

    @app.post("/predict")
    def predict(file: bytes = File()):
        try:
            image = to_mnist(file)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        with torch.no_grad():
            probabilities = model(torch.tensor(image)[None, None]).softmax(dim=1)[0]
        return {"digit": int(probabilities.argmax()), "confidence": float(probabilities.max())}

    return app


@exercise("09-1")
def _endpoint(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    probe, loads = _Probe(), []

    def load_model() -> nn.Module:
        loads.append(probe)
        return probe.train()

    app = answer(load_model)
    if not isinstance(app, FastAPI):
        return f"Return the app, a FastAPI(), not a {type(app).__name__}."
    if hint := _why_no_route(app):
        return hint
    with TestClient(app) as client:
        replies = [_post(client, _drawing(digit)) for digit in (3, 7)]
        for reply in replies:
            if hint := _why_no_answer(reply):
                return hint
        if hint := _why_another_call(probe, len(loads)) or _why_other_numbers(replies):
            return hint
        return _why_no_refusal(client)


def _why_no_route(app: Any) -> str | None:
    """Return a hint if an app has no plain function behind POST /predict."""
    routes = {route.path: route for route in app.routes}
    route = routes.get("/predict")
    if route is None:
        return "There is no route /predict: put @app.post('/predict') above the function."
    if "POST" not in route.methods:
        return "An image is sent in the body of a POST request: @app.post, not @app.get."
    if inspect.iscoroutinefunction(route.endpoint):
        return (
            "An `async def` endpoint runs in the server's event loop: while it computes, nobody "
            "else is answered. Use a plain `def`, which FastAPI runs in a thread."
        )
    return None


def _post(client: Any, content: bytes) -> Any:
    """Send a file, or raise a hint about an error that the endpoint did not handle."""
    try:
        return client.post("/predict", files={"file": content})
    except Exception as error:  # the learner's own code may raise anything
        said = f"{type(error).__name__}: {error}"
        numbers = ("not iterable", "not serializable", "vars() argument", "serialize unknown type")
        if any(words in str(error) for words in numbers):
            raise Hint(
                "The answer cannot be written as JSON, which knows no tensors and no NumPy "
                "numbers: convert them with int() and float()."
            ) from error
        if "requires grad" in str(error):
            raise Hint("No gradients are needed here: predict inside torch.no_grad().") from error
        raise Hint(f"The endpoint raised {said}") from error


def _why_no_answer(reply: Any) -> str | None:
    """Return a hint if a reply is not a digit with its confidence."""
    if reply.status_code == 422:
        return (
            "The endpoint asks for another field than `file`: its parameter is "
            f"`file: bytes = File()`. (It says: {reply.json()['detail'][0]['msg']}, "
            f"{reply.json()['detail'][0]['loc']}.)"
        )
    if reply.status_code != 200:
        return f"A drawn digit gets status {reply.status_code}: {reply.text[:200]}"
    told = reply.json()
    if not isinstance(told, dict) or not {"digit", "confidence"} <= set(told):
        return f"Return a dictionary with the keys digit and confidence, not {told!r}."
    for key, kind in (("digit", int), ("confidence", float)):
        if isinstance(told[key], (str, list, bool)) or not isinstance(told[key], (int, float)):
            return f"{key} is {told[key]!r} in the JSON: convert it with {kind.__name__}()."
    return None


def _why_another_call(probe: _Probe, loads: int) -> str | None:
    """Return a hint if the model was not loaded once, or not called as a model should be."""
    if loads > 1:
        return (
            f"For two requests the model was loaded {loads} times: load it once, when the app is "
            "built, outside the endpoint."
        )
    if not probe.modes:
        return "The model was not asked: call it with the preprocessed image."
    if set(probe.shapes) != {(1, 1, 28, 28)}:
        return (
            f"The model takes a batch, [1, 1, 28, 28], but got {list(probe.shapes[0])}: "
            "torch.tensor(image)[None, None]."
        )
    if any(probe.modes):
        return "The model was in training mode, with dropout at work: call eval() once."
    if any(probe.gradients):
        return "No gradients are needed here: predict inside torch.no_grad()."
    return None


def _why_other_numbers(replies: Sequence[Any]) -> str | None:
    """Return a hint if the replies are not the probe's digit with its probability."""
    logits = _Probe.LOGITS
    expected = float(logits.softmax(0).max())
    for told in (reply.json() for reply in replies):
        if told["digit"] != int(logits.argmax()):
            return (
                f"The largest logit was that of {int(logits.argmax())}, you return "
                f"{told['digit']}: argmax over the ten classes."
            )
        if abs(told["confidence"] - float(logits.max())) < 1e-4:
            return "That confidence is a logit: softmax makes a probability of it."
        if abs(told["confidence"] - 100 * expected) < 1e-2:
            return "The confidence is a probability from 0 to 1, not a percentage."
        if abs(told["confidence"] - expected) > 1e-3:
            return f"The confidence should be {expected:.4f}, it is {told['confidence']:.4f}."
    return None


def _why_no_refusal(client: Any) -> str | None:
    """Return a hint if the app does not refuse what is no image with a 400 and a sentence."""
    for name, content in (("a text file", b"seven"), ("a blank sheet", _drawing(None))):
        try:
            reply = client.post("/predict", files={"file": content})
        except Exception as error:  # the learner's own code may raise anything
            return (
                f"For {name} the endpoint raises {type(error).__name__}, and the client gets a "
                "500, as if the server were broken. Catch ValueError, raise HTTPException(400, …)."
            )
        if reply.status_code == 200:
            return f"For {name} the status is 200, as if it had worked: raise HTTPException(400)."
        if not 400 <= reply.status_code < 500:
            return (
                f"For {name} the status is {reply.status_code}; the client's errors are 400 to 499."
            )
        if not reply.json().get("detail"):
            return "Tell the client what is wrong: HTTPException(400, str(error))."
    return None


class _Probe(nn.Module):
    """A model with known logits that notes how it is called."""

    LOGITS = torch.tensor([0.0, 1, -1, 2, 0, -2, 5, 1, 0, 3])

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.modes: list[bool] = []
        self.gradients: list[bool] = []
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.gradients.append(torch.is_grad_enabled())
        self.shapes.append(tuple(images.shape))
        if images.ndim != 4:
            raise ValueError(
                f"the model takes a batch, [1, 1, 28, 28], not {list(images.shape)}: "
                "torch.tensor(image)[None, None]"
            )
        return self.weight * self.LOGITS.expand(len(images), 10)


def _drawing(digit: int | None) -> bytes:
    """Return the PNG file of a drawn digit, or of a blank sheet."""
    from ..strokes import draw_strokes, pen_strokes

    file = io.BytesIO()
    draw_strokes([] if digit is None else pen_strokes(digit)).save(file, "PNG")
    return file.getvalue()

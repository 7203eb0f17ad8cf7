"""Self-checks of notebook 09, serving: export, latency, dynamic batching; worked solutions."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .engine import Hint, exercise, expect_function, number, recall_hint, solution
from .torch_checks import compare_tensors

GIVE_UP = 10.0  # seconds: an answer that waits forever is ended then


@solution("09-2")
def export(model, path):
    """Write a model as ONNX, for any number of images at a time."""
    model.eval()
    torch.onnx.export(
        model,
        (torch.zeros(2, 1, 28, 28),),
        path,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("count")},),
        dynamo=True,
        verbose=False,
    )


@solution("09-3")
def is_same(ours, theirs, tolerance):
    """Return whether two engines gave the same logits, but for rounding."""
    return ours.shape == theirs.shape and bool(((ours - theirs).abs() <= tolerance).all())


@solution("09-4")
def summarize(seconds, batch_size):
    """Return the median and the 95th percentile in milliseconds, and images per second."""
    median, slow = 1000 * torch.quantile(seconds, torch.tensor([0.5, 0.95]))
    return median.item(), slow.item(), batch_size * len(seconds) / seconds.sum().item()


@solution("09-5")
def next_batch(waiting, max_batch_size):
    """Wait for an image, and return it with those that wait as well."""
    batch = [waiting.get()]
    while len(batch) < max_batch_size and not waiting.empty():
        batch.append(waiting.get())
    return batch


@exercise("09-2")
def _export(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    import onnxruntime

    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Dropout(0.5))
        model.append(nn.Linear(8, 10))
        path, images = Path(folder) / "model.onnx", torch.rand(5, 1, 28, 28)
        try:
            answer(model.train(), path)
        except Hint as error:
            if "returns nothing" not in str(error):  # it writes a file, and returns nothing
                raise
        if not path.is_file():
            return "There is no file: give torch.onnx.export the path as well."
        try:
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has a class for each reason
            if "uint8" in str(error):
                return "The file takes uint8 images: export it with float32 ones as the example."
            raise
        (given, *_), (taken, *_) = session.get_inputs(), session.get_outputs()
        if given.type != "tensor(float)":
            return f"The file takes {given.type}: export it with float32 images as the example."
        if isinstance(given.shape[0], int):
            return (
                f"The file takes {given.shape[0]} images at a time and no other number: name "
                "dimension 0 in dynamic_shapes, and export with an example of two images or more "
                "(a size of 1 may be treated as fixed)."
            )
        if model.training:
            return "The model was exported in training mode, with dropout: call model.eval() first."
        with torch.no_grad():
            expected = model.eval()(images)
        got = torch.tensor(session.run(None, {given.name: images.numpy()})[0])
        if (given.name, taken.name) != ("images", "logits"):
            return f"Call them images and logits, not {given.name} and {taken.name}: input_names=…"
        wrong = {"There is a softmax at the end; export the logits.": expected.softmax(1)}
        return compare_tensors(got, expected, wrong, atol=1e-4)


@exercise("09-3")
def _same(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(50, 10, generator=generator)
    rounded = logits + 1e-6 * torch.randn(50, 10, generator=generator)
    shifted, spiked, unknown = logits.clone(), logits.clone(), logits.clone()
    shifted[:, 0] += 0.01
    shifted[:, 1] -= 0.01
    spiked[7, 3] -= 0.01
    unknown[3] = torch.nan
    large = torch.full((50, 10), 1000.0)
    same = "Two engines round differently, and 1e-6 is no difference: compare the largest absolute "
    one = logits[:1].expand(50, 10)
    cases = (
        (logits, rounded, True, same + "difference with the tolerance, not with ==."),
        (logits, 2 * logits, False, "Logits that are twice as large give the same digits and "
         "other confidences: compare the logits, not only the argmax."),
        (logits, shifted, False, "Differences of +0.01 and −0.01 must not cancel out: take "
         "absolute values."),
        (logits, spiked, False, "One logit of one image is off by 0.01, and the mean hides it: "
         "every difference has to be within the tolerance."),
        (spiked, logits, False, "A difference of −0.01 is one as well: take absolute values."),
        (large, large + 0.005, False, "0.005 is more than a tolerance of 0.0001. torch.allclose "
         "adds a relative one by default: pass rtol=0 as well as atol."),
        (logits, logits + 8e-5, True, "Here each logit is off by 0.00008, and the tolerance is "
         "0.0001: ask for the largest difference, not for all of them together."),
        (logits, logits.softmax(1), False, "Those are probabilities, no logits: they differ."),
        (logits, unknown, False, "Where one of the two is NaN they are not the same. NaN compares "
         "as False with everything: ask whether all differences are small, not whether any is "
         "large."),
        (one, logits[:1], False, "One row is not the same as fifty, but PyTorch repeats it when "
         "it compares: compare the shapes first."),
    )  # fmt: skip
    for ours, theirs, expected, hint in cases:
        if bool(answer(ours, theirs, 1e-4)) != expected:
            return hint
    return None if answer(logits, spiked, 1.0) else "The tolerance that is given counts: here 1.0."


@exercise("09-4")
def _summary(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    seconds = (torch.arange(1.0, 102.0) ** 2 / 1e4)[torch.randperm(101, generator=generator)]
    got = answer(seconds, 8)
    got = list(got) if isinstance(got, (tuple, list)) or np.ndim(got) == 1 else []
    if len(got) != 3:
        return "Return three numbers: median, 95th percentile, images per second."
    median, slow, throughput = (number(one) for one in got)
    rate = 8 * 101 / seconds.sum().item()
    mean = 1000 * seconds.mean().item()
    wrong = (
        (median, 260.1 / 1000, "The latencies were asked for in milliseconds."),
        (median, mean, "That is the mean; half of the answers came sooner than the median."),
        (slow, 1000 * torch.quantile(seconds, 0.05).item(), "That is the fifth percentile, that "
         "of the fast ones: torch.quantile takes 0.95."),
        (slow, 1000 * seconds.max().item(), "That is the slowest; one outlier decides it."),
        (throughput, rate / 8, "Each measurement is a batch of several images: count them all."),
        (throughput, (8 / seconds).mean().item(), "The mean of rates counts fast batches too "
         "often: divide all images by all seconds."),
        (throughput, 8000 / median if median else 0.0, "That is the rate of a typical batch; "
         "slow batches take time as well: divide all images by all seconds."),
        (throughput, rate / 1000, "Images per second were asked for, not per millisecond."),
    )  # fmt: skip
    for value, known, hint in wrong:
        if abs(value - known) <= 1e-3 * abs(known):
            return hint
    for name, value, expected in (
        ("median", median, 260.1),
        ("95th percentile", slow, 921.6),
        ("number of images per second", throughput, rate),
    ):
        if abs(value - expected) > 1e-3 * expected:
            return f"In a trial the {name} is {expected:.4g}, yours gives {value:.4g}."
    return None


# -------------------------------------------------------------------------------- dynamic batching


@exercise("09-5")
def _next_batch(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    waiting = _NotedQueue()
    for one in range(5):
        waiting.put(one)
    first = _within_time(answer, waiting, 3)
    if not isinstance(first, list):
        return "Return a list with the images of the batch."
    if len(first) > 3:
        return f"A batch of {len(first)} is larger than max_batch_size, 3."
    got = [first, _within_time(answer, waiting, 3)]
    if got == [[0], [1]]:
        return "One image at a time: take along what waits already, up to max_batch_size."
    if got != [[0, 1, 2], [3, 4]]:
        return f"The batches of 0, 1, 2, 3, 4 are [0, 1, 2] and [3, 4], not {got[0]} and {got[1]}."
    if waiting.waited:
        return "Nothing is there any more, and yours waits for it: only the first get() may wait."
    later = threading.Timer(0.1, waiting.put, [5])
    later.start()
    try:
        got_later = _within_time(answer, waiting, 3)
    except Hint as error:
        raise Hint(
            f"{error} With an empty queue, wait for the first image: `waiting.get()` does."
        ) from error
    finally:
        later.join()
    if got_later == [5]:
        return None
    return f"With an empty queue, wait for the first image: yours returned {got_later} at once."


class _NotedQueue(queue.Queue):
    """A queue that notes whether somebody waited for an item, however short."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        self.waited = self.waited or (block and self.empty())
        return super().get(block, timeout)


def _within_time(answer: Callable, waiting: queue.Queue, size: int) -> Any:
    """Call an answer in a thread, and raise a hint if it waits forever."""
    results: list[Any] = []

    def call() -> None:
        try:
            results.append(answer(waiting, size))
        except Hint as hint:
            results.append(hint)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(GIVE_UP)
    if not results:
        for _ in range(size):  # lets the thread end
            waiting.put(-1)
        raise Hint(
            "It waits for images that don't come: only the first get() may wait. After that, take "
            "what is there (`while … and not waiting.empty()`), even if the batch is not full."
        )
    if isinstance(results[0], Hint):
        raise results[0]
    return results[0]


@exercise("09-6")
def _recall(answer: Sequence[str]) -> str | None:
    hints = (
        "1: 400 to 499 says that the client can correct something, 500 that the server has to.",
        "2: loading takes far longer than predicting, and nothing about the model changes.",
        "3: rounding differs between engines; anything larger is a different model.",
        "4: one request in twenty is slower than the 95th percentile.",
        "5: a batch costs less than its images one by one; nothing waits to fill it.",
    )
    return recall_hint(answer, "bacab", hints)

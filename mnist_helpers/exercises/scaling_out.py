"""Self-checks of notebook 10, scaling_out, and the worked solutions behind `use`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from .engine import Hint, exercise, expect_function, number, recall_hint, solution

WORKERS = 3  # of a rehearsal: a division by 2 shows


@solution("10-1")
def flat_gradient(model, images, labels):
    """Return the gradient of a batch's mean loss as one tensor [parameters]."""
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


@solution("10-2")
def average(gradients, counts):
    """Return the gradient of the whole batch, from one gradient and one count per worker."""
    shares = torch.tensor(counts) / sum(counts)
    return (shares[:, None] * torch.stack(gradients)).sum(dim=0)


@solution("10-3")
def average_gradients(model):
    """Replace each gradient with its mean over all workers."""
    for weight in model.parameters():
        dist.all_reduce(weight.grad)
        weight.grad /= dist.get_world_size()


@solution("10-4")
def megabytes_sent(parameters, workers):
    """Return what each worker sends in a step, in megabytes, if they form a ring."""
    return 2 * (workers - 1) / workers * 4 * parameters / 1e6


@exercise("10-1")
def _gradient_as_one_vector(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _toy_network()
        first, second = _toy_batch(4), _toy_batch(6)
        start = copy.deepcopy(model.state_dict())
        expected = [flat_gradient(model, *batch) for batch in (first, second)]
        sums = len(second[1]) * expected[1]
        model.zero_grad()
        got = []
        for batch in (first, second):
            got.append(_as_vector(answer(model, *batch), expected[0]))
        if any(not torch.equal(value, start[key]) for key, value in model.state_dict().items()):
            return "The weights have changed: only the gradient was asked for, not a step."
    if torch.allclose(got[0], expected[0], atol=1e-6) and torch.allclose(
        got[1], expected[0] + expected[1], atol=1e-6
    ):
        return "A second call gives the sum of both gradients: call model.zero_grad() first."
    wrong = {
        "That is the gradient of the sum of the losses; the loss of a batch is their mean.": sums,
        "Those are the weights; their gradients are in weight.grad.": torch.cat(
            [weight.detach().flatten() for weight in model.parameters()]
        ),
        "The sign is reversed.": -expected[1],
        "F.cross_entropy has its own softmax: pass the logits.": _with_softmax(model, *second),
    }
    if hint := _why_another(got[1], expected[1], wrong):
        return hint
    return None


def _with_softmax(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the loss of probabilities, which is a usual mistake."""
    loss = F.cross_entropy(model(images).softmax(1), labels)
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, [*model.parameters()])])


@exercise("10-2")
def _shards_of_different_size(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    gradients, counts = [torch.tensor([1.0, 0.0]), torch.tensor([4.0, 3.0])], [2, 1]
    given = [gradient.clone() for gradient in gradients]
    got = torch.as_tensor(answer(given, list(counts)))
    if not all(map(torch.equal, given, gradients)):
        return "The workers' gradients have changed: build a new tensor, with * in place of *=."
    if got.shape != (2,):
        return (
            f"It is one gradient, of the shape that each worker's has: [2] in a trial, not "
            f"{list(got.shape)}. Sum over the workers, dim=0."
        )
    wrong = {
        "That is the plain mean: a worker with more images has to count more.": [2.5, 1.5],
        "Divide by the number of all images, or the step grows with the batch.": [6.0, 3.0],
        "Divide by the number of all images, not by the number of workers.": [3.0, 1.5],
        "That is the sum: each gradient is a mean already, and so is the answer.": [5.0, 3.0],
        "The weights are swapped: the worker with more images counts more.": [3.0, 2.0],
    }
    known = {hint: torch.tensor(value) for hint, value in wrong.items()}
    return _why_another(got.float(), torch.tensor([2.0, 1.0]), known)


@exercise("10-3")
def _all_reduce(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _toy_network()
        gradients = [flat_gradient(model, *_toy_batch(4)).clone() for _ in range(WORKERS)]
    start = copy.deepcopy(model.state_dict())
    brought = [_rehearse(answer, model, gradients, rank) for rank in range(WORKERS)]
    if not any(brought):
        return "The workers exchange nothing: call dist.all_reduce(weight.grad) for each weight."
    if len({len(tensors) for tensors in brought}) > 1:
        numbers = ", ".join(str(len(tensors)) for tensors in brought)
        return (
            f"The workers call dist.all_reduce {numbers} times. Each must call it equally often: "
            "the others wait for one that doesn't, forever."
        )
    _rehearse(answer, model, gradients, 0, brought[1:])
    if any(not torch.equal(value, start[key]) for key, value in model.state_dict().items()):
        return "The weights have changed: average their gradients, weight.grad, not the weights."
    return _why_not_averaged(model, gradients)


def _why_not_averaged(model: nn.Module, gradients: list[Tensor]) -> str | None:
    """Return a hint if a network's gradients aren't the mean over all workers."""
    if any(weight.grad is None for weight in model.parameters()):
        return "A gradient is None now: the mean belongs into weight.grad."
    got = [weight.grad for weight in model.parameters() if weight.grad is not None]
    sizes = [gradient.numel() for gradient in got]
    total = torch.stack(gradients).sum(0)

    def same(expected: Tensor) -> list[bool]:
        pairs = zip(got, expected.split(sizes), strict=True)
        return [torch.allclose(gradient.flatten(), part, atol=1e-6) for gradient, part in pairs]

    if all(same(total / WORKERS)):
        return None
    if any(same(total / WORKERS)):
        return "Some parameters have the mean, others don't: average the bias as well."
    if all(same(total)):
        return "all_reduce adds up over all workers: divide by dist.get_world_size()."
    if all(same(total / 2)):
        return "You divide by 2, but there may be any number of workers: dist.get_world_size()."
    if all(same(gradients[0])) or all(same(gradients[0] / WORKERS)):
        return (
            "The network's gradients don't hold the mean: all_reduce changes the tensor that it is "
            "given, so give it weight.grad itself, and divide in place: weight.grad /= …"
        )
    return "The gradients aren't the mean over the workers: sum with all_reduce, divide once."


def _rehearse(
    answer: Callable,
    model: nn.Module,
    gradients: list[Tensor],
    rank: int,
    others: Sequence[list[Tensor]] | None = None,
) -> list[Tensor]:
    """Call `answer` as one of several workers would; return what it brings to each all-reduce.

    The workers run one after the other in this process. So a first pass only notes what each
    brings, and a second one, with that of the `others`, adds it up.
    """
    brought: list[Tensor] = []

    def all_reduce(
        tensor: Any, op: Any = dist.ReduceOp.SUM, group: Any = None, async_op: bool = False
    ) -> Any:
        if not torch.is_tensor(tensor):
            raise Hint(f"dist.all_reduce takes a tensor such as weight.grad, not {type(tensor)}.")
        brought.append(tensor.detach().clone())
        if others is not None:
            with torch.no_grad():
                tensor += sum(tensors[len(brought) - 1] for tensors in others)
                if op == dist.ReduceOp.AVG:
                    tensor /= WORKERS
        return SimpleNamespace(wait=lambda: None) if async_op else None

    sizes = [weight.numel() for weight in model.parameters()]
    for weight, part in zip(model.parameters(), gradients[rank].split(sizes), strict=True):
        weight.grad = part.clone().reshape(weight.shape)
    with patch.multiple(
        dist,
        all_reduce=all_reduce,
        get_world_size=lambda group=None: WORKERS,
        get_rank=lambda group=None: rank,
        is_initialized=lambda: True,
    ):
        _call_for_its_effect(answer, model)
    return brought


def _call_for_its_effect(answer: Callable, model: nn.Module) -> None:
    """Call the learner's function, which may return nothing, and turn its errors into hints."""
    try:
        getattr(answer, "__wrapped__", answer)(model)
    except Hint:
        raise
    except NotImplementedError as error:
        raise Hint("not written yet.") from error
    except ValueError as error:
        if "process group has not been initialized" not in str(error):
            raise Hint(f"Your answer raised ValueError: {error}") from error
        raise Hint(
            "One call does it all: dist.all_reduce(weight.grad). (Call it by this name.)"
        ) from error
    except Exception as error:  # the learner's own code may raise anything
        said = f"Your answer raised {type(error).__name__}: {error}"
        if "'NoneType'" in said:
            said += ". dist.all_reduce returns nothing: it changes the tensor that it is given."
        raise Hint(said) from error


@exercise("10-4")
def _megabytes(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    two, four = number(answer(1_000_000, 2)), number(answer(1_000_000, 4))
    if np.allclose([two, four], [4, 6]):
        return None
    wrong = {
        (8, 8): "With two workers each sends its gradients once, not twice: 2(n − 1)/n is 1.",
        (2, 3): "That is one of the two passes: the sums are collected, and then distributed.",
        (4, 12): "That is for sending everything to each of the others; in a ring it is less.",
        (1, 1.5): "Those are million numbers: a float32 has 4 bytes.",
        (8, 24): "That is what all workers send together; each sends an n-th of it.",
        (4, 4): "Only with two workers is it exactly the size of the gradients.",
        (8, 12): "A float32 has 4 bytes, not 8.",
        (32, 48): "Those are megabits: a byte has 8 bits.",
        (4e6, 6e6): "Those are bytes: a megabyte has a million.",
    }
    for values, hint in wrong.items():
        if np.allclose([two, four], values):
            return hint
    return (
        "A million parameters are 4 MB of gradients. Of these, two workers send 4 MB each and four "
        f"send 6 MB each; yours gives {two:g} and {four:g}."
    )


@exercise("10-5")
def _amdahl(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    got = number(answer(10, 0.1))
    if np.isclose(got, 1 / 0.19):
        other = number(answer(4, 0.5))
        if np.isclose(other, 1.6):
            return None
        return f"With 4 workers and a serial fraction of a half it is 1.6, yours gives {other:g}."
    if np.isclose(got, 5) and np.isclose(number(answer(4, 0.5)), 4 / 3):
        return "Only the rest is divided by the workers: the job without its serial part."
    if np.isclose(got, 1 / 0.19, atol=0.3):
        return "Correct, but don't round."
    if np.isclose(got, 10):
        return "Only a part of the job can be divided: what happens to the rest?"
    if np.isclose(got, 0.19):
        return "That is the time that is left, as a fraction: how many times faster is it then?"
    if np.isclose(got, 9) or np.isclose(got, 9.1):
        return "Add up times, not speeds: the serial part, and the rest divided by the workers."
    return f"With 10 workers and a serial fraction of 0.1 it is 5.26, yours gives {got:.3g}."


@exercise("10-6")
def _how_many_cores(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    got, exact = number(answer(1_000_000, 200, 3600)), number(answer(720_000, 200, 3600))
    if got == 2 and exact == 1:
        minute = number(answer(1_000_000, 200, 60))
        return None if minute == 84 else f"Within 60 seconds it takes 84 cores, not {minute:g}."
    if not got.is_integer():
        return "A whole number of cores was asked for: round up."
    if got == 1:
        return "A core predicts 720,000 in an hour, so one is too few: round up."
    if got == 2:
        return "For 720,000 images one core is just enough."
    if got == 5000:
        return "That is for one second: each core has an hour."
    return f"With 200 images per second and an hour it takes 2 cores, yours gives {got:g}."


@exercise("10-7")
def _recall(answer: Sequence[str]) -> str | None:
    return recall_hint(
        answer,
        "bacab",
        (
            "1: shards of different size need a weighted mean, and BatchNorm sees only its shard.",
            "2: all_reduce changes the tensor in place, on every worker, and adds up by default.",
            "3: an all-reduce is complete only when every worker has called it.",
            "4: an overhead stays the same, so its share of a long run is small; a serial fraction "
            "grows with the run.",
            "5: each worker sends 2(n − 1)/n times the gradients, and for n = 2 that is once.",
        ),
    )


def _toy_network() -> nn.Module:
    """Return a small network, with biases, for images ``[N, 1, 4, 4]``."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 10))


def _toy_batch(count: int) -> tuple[Tensor, Tensor]:
    """Return random images ``[N, 1, 4, 4]`` and labels, from the current random numbers."""
    return torch.rand(count, 1, 4, 4), torch.randint(10, (count,))


def _as_vector(value: Any, expected: Tensor) -> Tensor:
    """Return a copy of one tensor of the expected shape, or raise a hint."""
    if not torch.is_tensor(value):
        raise Hint(
            f"One tensor was asked for, not {type(value).__name__}: flatten each weight.grad, and "
            "join them with torch.cat."
        )
    if value.shape == expected.shape:
        return value.detach().clone()
    if value.ndim == 1:
        raise Hint(
            f"In a trial the network has {len(expected)} parameters, yours gives {len(value)} "
            "numbers: loop over all of model.parameters(), biases too."
        )
    raise Hint(f"The tensor must be flat, [{len(expected)}] in a trial, not {list(value.shape)}.")


def _why_another(got: Tensor, expected: Tensor, wrong: dict[str, Tensor]) -> str | None:
    """Return None for the expected tensor, the hint of a known wrong one, or both in a sentence."""
    if torch.allclose(got, expected, rtol=1e-4, atol=1e-6):
        return None
    for hint, value in wrong.items():
        if torch.allclose(got, value, rtol=1e-4, atol=1e-6):
            return hint
    if torch.allclose(got.sort().values, expected.sort().values, rtol=1e-4, atol=1e-6):
        return "The numbers are right, in another order: use that of model.parameters()."
    worst = int((got - expected).abs().nan_to_num(torch.inf).argmax())
    return f"Number {worst} of the gradient is {expected[worst]:.3g}, yours {got[worst]:.3g}."

"""Notebook 10's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from answers import *  # noqa: F403
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from mnist_helpers import exercises
from mnist_helpers.exercises import scaling_out
from mnist_helpers.exercises.scaling_out import average_gradients, flat_gradient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "10_scaling_out.ipynb"


def by_autograd(model, images, labels):
    loss = nn.CrossEntropyLoss()(model(images), labels)
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, model.parameters())])


def by_parameters_to_vector(model, images, labels):
    for weight in model.parameters():
        weight.grad = None
    F.cross_entropy(model(images), labels).backward()
    return parameters_to_vector([weight.grad for weight in model.parameters()])


def without_zero_grad(model, images, labels):
    F.cross_entropy(model(images), labels).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def of_the_sum(model, images, labels):
    model.zero_grad()
    F.cross_entropy(model(images), labels, reduction="sum").backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def with_a_step(model, images, labels):
    gradient = flat_gradient(model, images, labels)
    vector_to_parameters(parameters_to_vector(model.parameters()) - gradient, model.parameters())
    return gradient


def backwards(model, images, labels):
    flat_gradient(model, images, labels)
    return torch.cat([weight.grad.flatten() for weight in reversed(list(model.parameters()))])


def in_one_call(model):
    gradients = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    dist.all_reduce(gradients, op=dist.ReduceOp.SUM)
    gradients /= dist.get_world_size()
    at = 0
    for weight in model.parameters():
        weight.grad = gradients[at : at + weight.numel()].view_as(weight)
        at += weight.numel()


def by_average(model):
    for weight in model.parameters():
        dist.all_reduce(weight.grad, dist.ReduceOp.AVG)


def divided_before(model):
    for weight in model.parameters():
        weight.grad.div_(dist.get_world_size())
        dist.all_reduce(weight.grad)
    return model


def asynchronous(model):
    handles = [dist.all_reduce(w.grad, async_op=True) for w in model.parameters()]
    for handle, weight in zip(handles, model.parameters(), strict=True):
        handle.wait()
        weight.grad = weight.grad / dist.get_world_size()


def summed(model):
    for weight in model.parameters():
        dist.all_reduce(weight.grad)


def halved(model):
    for weight in model.parameters():
        dist.all_reduce(weight.grad)
        weight.grad /= 2


def of_weights(model):
    for weight in model.parameters():
        dist.all_reduce(weight.data)
        weight.data /= dist.get_world_size()


def lost(model):
    for weight in model.parameters():
        gradient = weight.grad.clone()
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()


def divided_alone(model):
    for weight in model.parameters():
        weight.grad /= dist.get_world_size()


def not_the_bias(model):
    for weight in model.parameters():
        if weight.ndim == 2:
            dist.all_reduce(weight.grad)
            weight.grad /= dist.get_world_size()


def on_the_first(model):
    if dist.get_rank() == 0:
        average_gradients(model)


def by_gathering(model):
    for weight in model.parameters():
        parts = [torch.empty_like(weight) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, weight.grad)
        weight.grad = torch.stack(parts).mean(0)


def of_parameters(model):
    dist.all_reduce(model.parameters())


def typo(model):
    dist.all_reduse(model)


def gap(*arguments):
    raise NotImplementedError


def average_in_place(gradients, counts):
    for gradient, count in zip(gradients, counts, strict=True):
        gradient *= count
    return sum(gradients) / sum(counts)


def reassign(model):
    for weight in model.parameters():
        weight.grad = dist.all_reduce(weight.grad) / dist.get_world_size()


CORRECT = {
    "10-1": (flat_gradient, by_autograd, by_parameters_to_vector),
    "10-2": (
        scaling_out.average,
        lambda g, counts: np.average(np.stack(g), axis=0, weights=counts),
        lambda g, counts: sum(n * x for n, x in zip(counts, g, strict=True)) / sum(counts),
        lambda g, counts: torch.tensor(counts, dtype=torch.float) @ torch.stack(g) / sum(counts),
    ),
    "10-3": (average_gradients, in_one_call, by_average, divided_before, asynchronous),
    "10-4": (
        scaling_out.megabytes_sent,
        lambda parameters, n: 8e-6 * parameters * (1 - 1 / n),
    ),
    "10-5": (lambda n, serial: 1 / (serial + (1 - serial) / n),),
    "10-6": (lambda n, rate, seconds: -(-n // (rate * seconds)),),
    "10-7": ("bacab", "B, A, C, A, B", list("bacab")),
}
WRONG = [
    ("10-1", without_zero_grad, "zero_grad"),
    ("10-1", of_the_sum, "their mean"),
    ("10-1", with_a_step, "not a step"),
    ("10-1", backwards, "another order"),
    ("10-1", lambda m, x, y: -flat_gradient(m, x, y), "sign"),
    ("10-1", lambda m, x, y: parameters_to_vector(m.parameters()), "Those are the weights"),
    ("10-1", lambda m, x, y: [1.0], "not list"),
    ("10-1", lambda m, x, y: flat_gradient(m, x, y)[:80], "biases"),
    ("10-1", lambda m, x, y: flat_gradient(m, x, y)[None], "flat"),
    ("10-1", lambda m, x, y: flat_gradient(m, x, y) ** 2, "^Number .* yours"),
    ("10-1", lambda m, x, y: flat_gradient(nn.Sequential(m, nn.Softmax(1)), x, y), "own softmax"),
    ("10-1", lambda m, x, y: None, "return"),
    ("10-1", gap, "not written"),
    ("10-1", 3, "function"),
    ("10-2", lambda g, counts: torch.stack(g).mean(0), "plain mean"),
    ("10-2", lambda g, counts: sum(n * x for n, x in zip(counts, g, strict=True)), "number of all"),
    (
        "10-2",
        lambda g, counts: sum(n * x for n, x in zip(counts, g, strict=True)) / len(g),
        "not by the number of workers",
    ),
    ("10-2", lambda g, counts: sum(g), "a mean already"),
    ("10-2", lambda g, counts: scaling_out.average(g, counts[::-1]), "swapped"),
    ("10-2", lambda g, counts: torch.stack(g), "dim=0"),
    ("10-2", average_in_place, "have changed"),
    ("10-2", gap, "not written"),
    ("10-3", summed, r"get_world_size\(\)"),
    ("10-3", halved, "divide by 2"),
    ("10-3", of_weights, "weights have changed"),
    ("10-3", lost, "in place"),
    ("10-3", reassign, "returns nothing: it changes"),
    ("10-3", divided_alone, "exchange nothing"),
    ("10-3", not_the_bias, "bias"),
    ("10-3", on_the_first, "4, 0, 0 times"),
    ("10-3", by_gathering, r"dist\.all_reduce\(weight\.grad\)"),
    ("10-3", of_parameters, "takes a tensor"),
    ("10-3", typo, "AttributeError"),
    ("10-3", gap, "not written"),
    ("10-4", lambda p, n: 8e-6 * p, "once, not twice"),
    ("10-4", lambda p, n: 4e-6 * p * (n - 1) / n, "two passes"),
    ("10-4", lambda p, n: 4e-6 * p * (n - 1), "to each of the others"),
    ("10-4", lambda p, n: 2e-6 * p * (n - 1) / n, "4 bytes"),
    ("10-4", lambda p, n: 8e-6 * p * (n - 1), "together"),
    ("10-4", lambda p, n: 4e-6 * p, "Only with two"),
    ("10-4", lambda p, n: 8 * p * (n - 1) / n, "a megabyte has a million"),
    ("10-4", lambda p, n: 17.0, "yours gives 17 and 17"),
    ("10-5", lambda n, serial: n, "the rest"),
    ("10-5", lambda n, serial: 1 / (serial + 1 / n), "without its serial part"),
    ("10-5", lambda n, serial: serial + (1 - serial) / n, "how many times faster"),
    ("10-5", lambda n, serial: n * (1 - serial), "not speeds"),
    ("10-5", lambda n, serial: 100 / (10 + 90 / n), "serial fraction of a half"),
    ("10-5", lambda n, serial: round(1 / (serial + (1 - serial) / n), 1), "round"),
    ("10-6", lambda n, rate, seconds: n // (rate * seconds), "round up"),
    ("10-6", lambda n, rate, seconds: n // (rate * seconds) + 1, "just enough"),
    ("10-6", lambda n, rate, seconds: n / rate, "for one second"),
    ("10-6", lambda n, rate, seconds: n / (rate * seconds), "A whole number"),
    ("10-6", lambda n, rate, seconds: math.ceil(n / (rate * 3600)), "60 seconds"),
    ("10-7", "aacab", "weighted"),
    ("10-7", "bacaa", "once"),
    ("10-7", "baca", "5 letters"),
]


def test_a_check_leaves_random_numbers_and_torch_distributed_as_they_were() -> None:
    before = dist.all_reduce, dist.get_world_size
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for name, answers in CORRECT.items():
        exercises.hint_for(name, answers[0])
    for name, answer, _ in WRONG:
        exercises.hint_for(name, answer)
    assert torch.equal(torch.rand(3), expected)
    assert (dist.all_reduce, dist.get_world_size) == before and not dist.is_initialized()


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("10-1", "flat_gradient"),
        ("10-2", "average"),
        ("10-3", "average_gradients"),
        ("10-4", "megabytes_sent"),
    ],
)
def test_the_notebook_folds_the_worked_solution_that_it_continues_with(name, function) -> None:
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
    at = next(i for i, cell in enumerate(cells) if f'exercises.use("{name}", {function})' in cell)
    worked = inspect.getsource(getattr(scaling_out, function)).partition("\n")[2].strip()
    assert worked in cells[at + 1]
    assert exercises.use(name, gap) is getattr(scaling_out, function)


def test_mean_of_equal_shards_is_the_gradient_of_the_batch_and_of_others_the_weighted_mean() -> (
    None
):
    torch.manual_seed(0)
    model = scaling_out._toy_network()
    images, labels = scaling_out._toy_batch(12)
    whole = flat_gradient(model, images, labels)
    for sizes in ([6, 6], [9, 2, 1]):
        shards = zip(images.split(sizes), labels.split(sizes), strict=True)
        parts = [flat_gradient(model, *shard) for shard in shards]
        assert torch.allclose(scaling_out.average(parts, sizes), whole, atol=1e-6)

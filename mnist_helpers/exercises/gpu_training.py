"""Self-checks of notebook 04, gpu_training, and the worked solutions behind `use`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from .engine import Hint, exercise, expect_function, number, recall_hint, solution
from .torch_checks import tensors_agree, train_with_bugs


@solution("04-1")
def one_cycle(step, steps, peak):
    """Return the learning rate of a step, counted from 1 to steps."""
    warmup = steps / 4
    if step <= warmup:
        return peak * step / warmup
    fallen = (step - warmup) / (steps - warmup)
    return peak * (1 + math.cos(math.pi * fallen)) / 2


@solution("04-2")
class SGD:
    """Gradient descent with weight decay."""

    def __init__(self, parameters, lr, weight_decay):
        self.parameters = list(parameters)
        self.lr = lr
        self.weight_decay = weight_decay

    def zero_grad(self):
        """Forget all gradients."""
        for weight in self.parameters:
            weight.grad = None

    @torch.no_grad()
    def step(self):
        """Move each weight against its gradient, and toward zero."""
        for weight in self.parameters:
            weight -= self.lr * (weight.grad + self.weight_decay * weight)


@solution("04-4")
def train_and_validate(model, train_loader, val_loader, optimizer, epochs):
    """Train, and return the validation accuracy after each epoch."""
    accuracies = []
    for _ in range(epochs):
        model.train()
        for images, labels in train_loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in val_loader:
                correct += (model(images).argmax(dim=1) == labels).sum().item()
        accuracies.append(correct / len(val_loader.dataset))
    return accuracies


@exercise("04-1")
def _one_cycle(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    rates = np.array([number(answer(step, 100, 0.5)) for step in range(1, 101)])
    expected = np.array([one_cycle(step, 100, 0.5) for step in range(1, 101)])
    if hint := _why_another_shape(rates, expected):
        return hint
    for step in (6, 7, 16):  # of 25 steps, with the peak at 6.25
        got, right = number(answer(step, 25, 1.0)), one_cycle(step, 25, 1.0)
        if not np.isclose(got, right):
            return (
                f"Right for 100 steps; but step {step} of 25 should have {right:.3f} of the peak, "
                f"not {got:.3f}. A quarter of 25 steps is 6.25: don't round it."
            )
    return None


def _why_another_shape(rates: np.ndarray, expected: np.ndarray) -> str | None:
    """Return a hint if the rates of 100 steps are not those of a cycle with the peak 0.5."""
    if rates.min() < -1e-9:
        return "A rate is negative: a cosine goes from 1 down to −1, so add 1 to it and halve it."
    if np.isclose(rates.max(), 1.0):
        return "The highest rate is twice the peak: 1 + cos(…) goes from 2 to 0, so halve it."
    if np.allclose(rates[:25], expected[:25] / 4):
        return "The rise ends at step `steps / 4`: divide the step by that, not by `steps`."
    if not np.isclose(rates.max(), 0.5):
        return f"The highest rate should be the peak, 0.5 in a trial; yours is {rates.max():.3g}."
    if (peak := int(rates.argmax()) + 1) != 25:
        return f"The peak belongs at a quarter of the steps, 25 of 100; yours is at step {peak}."
    if not np.allclose(rates[:25], expected[:25]):
        return f"The rise should be a straight line to step 25: 0.02 at step 1, not {rates[0]:.3g}."
    if not np.isclose(rates[-1], 0, atol=1e-9):
        return (
            f"The rate should end at 0; yours ends at {rates[-1]:.3g}. Over the fall the cosine's "
            "argument goes from 0 to π (math.pi)."
        )
    if np.allclose(np.diff(rates[25:], 2), 0, atol=1e-9):
        return "The fall is a straight line; half a cosine wave was asked for."
    if not np.allclose(rates, expected):
        return (
            f"Halfway down the fall, at step 62, the rate should be {expected[61]:.3f}, not "
            f"{rates[61]:.3f}."
        )
    return None


@exercise("04-2")
def _optimizer(answer: Callable) -> str | None:
    if not callable(answer):
        return "The class was asked for, this is an optimizer: pass SGD, not SGD(…)."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    images, labels = torch.linspace(-1, 1, 30).reshape(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    start = copy.deepcopy(model.state_dict())

    def run(optimizer: Any, steps: int) -> list[Tensor]:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        after = [value.detach().clone() for value in model.parameters()]
        model.load_state_dict(start)
        model.zero_grad()
        return after

    def reference(weight_decay: float, steps: int) -> list[Tensor]:
        return run(SGD(model.parameters(), 0.1, weight_decay), steps)

    def mine(steps: int) -> list[Tensor]:
        optimizer = answer(model.parameters(), 0.1, 0.5)
        try:
            return run(optimizer, steps)
        except Exception as error:  # the learner's own code may raise anything
            raise Hint(_why_raised(error)) from error

    one = mine(1)
    if all(torch.equal(a, b) for a, b in zip(one, model.parameters(), strict=True)):
        return (
            "No weight has changed. Either `weight = weight - …` made new tensors: change each "
            "in place, with `weight -= …`. Or model.parameters(), a generator, was used up by "
            "zero_grad(): keep list(parameters)."
        )
    wrong = {
        "That is plain gradient descent: the weight decay is missing.": reference(0.0, 1),
        "The sign of the decay is reversed: weights must shrink.": reference(-0.5, 1),
        "The decay must be multiplied by the learning rate too.": reference(5.0, 1),
    }
    if not tensors_agree(one, reference(0.5, 1)):
        known = [hint for hint, weights in wrong.items() if tensors_agree(one, weights)]
        return known[0] if known else _why_another_step(one, reference(0.5, 1))
    if tensors_agree(three := mine(3), one):
        return (
            "Only the first step changes anything: model.parameters() is a generator, used up "
            "after one pass. Keep list(parameters)."
        )
    if not tensors_agree(three, reference(0.5, 3)):
        return "The first step is right, the others aren't: does zero_grad() clear every gradient?"
    return None


def _why_raised(error: Exception) -> str:
    """Return a hint about an error in the learner's `zero_grad` or `step`."""
    if isinstance(error, NotImplementedError):
        return "not written yet."
    if "leaf Variable" in str(error):
        return (
            "Autograd forbids changing a weight in place while it records: put the step inside "
            "`with torch.no_grad():`."
        )
    if "'NoneType' object has no attribute 'zero_'" in str(error):
        return "Before the first backward() each .grad is None: set it to None in zero_grad()."
    return f"Your optimizer raised {type(error).__name__}: {error}"


def _why_another_step(got: list[Tensor], expected: list[Tensor]) -> str:
    """Return a hint that compares one weight after a step."""
    return (
        f"After one step the first weight should be {expected[0].flatten()[0]:.4f}, yours is "
        f"{got[0].flatten()[0]:.4f}. Each weight changes by −lr · (gradient + weight_decay · "
        "weight)."
    )


@exercise("04-4")
def _three_bugs(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images, labels = torch.rand(48, 1, 4, 4), torch.randint(10, (48,))
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU())
        model.append(nn.Linear(12, 10))
        start = copy.deepcopy(model.state_dict())
        train = DataLoader(TensorDataset(images, labels), batch_size=16)
        val = DataLoader(TensorDataset(images[:20], labels[:20]), batch_size=16)

        def run(function: Callable) -> tuple[list[float], list[Tensor], list[bool]]:
            model.load_state_dict(start)
            model.zero_grad()
            modes: list[bool] = []
            handle = model.register_forward_pre_hook(
                lambda module, _: modes.append(module.training) if torch.is_grad_enabled() else None
            )
            accuracies = function(model, train, val, torch.optim.SGD(model.parameters(), 0.3), 3)
            handle.remove()
            weights = [value.detach().clone() for value in model.parameters()]
            return accuracies, weights, modes

        accuracies, weights, modes = run(answer)
        if not all(modes):
            return (
                "eval() holds until you call train() again: from the second epoch on, this "
                "network trains with BatchNorm's running averages, and without dropout."
            )
        expected, right, _ = run(train_and_validate)
        if tensors_agree(weights, right):
            same = [*map(float, accuracies)] == expected
            return None if same else "The weights are right; the accuracies are not: undo that."
        wrong = {
            "Right about the rest, but gradients still add up from step to step.": (True, False),
            "Right about the rest, but F.cross_entropy has its own softmax: pass the logits.": (
                False,
                True,
            ),
            "Two bugs are left, both in the training step. Compare it with yours of notebook 02.": (
                False,
                False,
            ),
        }
        for hint, (logits, zero) in wrong.items():
            buggy = partial(_without_validation, logits=logits, zero=zero)
            if tensors_agree(weights, run(buggy)[1]):
                return hint
    return "The weights are not those of plain training steps. Change nothing besides the bugs."


def _without_validation(
    model: nn.Module, train: DataLoader, _val: Any, optimizer: Any, epochs: int, **bugs: bool
) -> list[float]:
    """Train with bugs, and return no accuracies."""
    train_with_bugs(model, train, optimizer, epochs, **bugs)
    return []


@exercise("04-6")
def _recall(answer: Sequence[str]) -> str | None:
    return recall_hint(
        answer,
        "bcabc",
        (
            "1: training accuracy is measured during the epoch, on augmented images, while the "
            "weights still change.",
            "2: more confident in wrong predictions too: the loss sees that, the accuracy doesn't.",
            "3: weight decay shrinks weights in each step; dropout sets activations to zero.",
            "4: Adam's running means and the number of epochs done are part of a run's state.",
            "5: workers pay when images must be decoded, or streamed because they don't fit into "
            "memory; an index into a tensor needs neither.",
        ),
    )

"""Self-checks of notebook 08, tuning, and the worked solutions behind `use`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
import torch
import torch.nn.functional as F
from scipy.stats import binom, binomtest
from torch import Tensor, nn

from ..data import Digits
from ..recipes import RECIPES
from ..synthetic import synthetic_digits
from ..training import train
from .engine import Hint, exercise, expect_function, number, recall_hint, solution
from .torch_checks import tensors_agree

default = replace(RECIPES["tiny"], epochs=3, augment="shift")


@solution("08-1")
def shift(images, down, right):
    """Shift images [N, 1, H, W]; black comes in at the edges."""
    return F.pad(images, (right, -right, down, -down))


@solution("08-2")
def range_test(model, optimizer, batches, rates):
    """Take a training step at each learning rate; return the losses before the steps."""
    losses = []
    for rate, (images, labels) in zip(rates, batches, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@solution("08-3")
def objective(trial, train_digits, val_digits):
    """Train with the trial's settings; return the validation accuracy."""
    recipe = replace(
        default,
        lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        batch_size=trial.suggest_categorical("batch_size", [64, 128, 256]),
        label_smoothing=trial.suggest_float("label_smoothing", 0.0, 0.2),
        weight_decay=trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
        augment=trial.suggest_categorical("augment", [None, "shift", "warp", "handwriting"]),
    )

    def report(history):
        trial.report(history[-1]["val_accuracy"], step=len(history))
        if trial.should_prune():
            raise optuna.TrialPruned

    history = train("tiny", train_digits, val_digits, recipe, callbacks=[report], progress=False)
    return history[-1]["val_accuracy"]


@solution("08-4")
def p_value(only_first, only_second):
    """Return the two-sided p-value of McNemar's test."""
    fewer = min(only_first, only_second)
    return min(1.0, 2 * binom.cdf(fewer, only_first + only_second, 0.5))


@exercise("08-1")
def _shift(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (3, 1, 28, 28), generator=generator, dtype=torch.uint8)
    for down, right in ((2, 3), (-1, 4), (0, -2), (0, 0)):
        given = images.clone()
        got = torch.as_tensor(answer(given, down, right))
        if hint := _why_not_shifted(got, images, down, right):
            return hint
        if not torch.equal(given, images):
            return "The images that were passed in have changed: shift a copy."
    return None


def _why_not_shifted(got: Tensor, images: Tensor, down: int, right: int) -> str | None:
    """Return a hint if `got` is not `images`, shifted down and to the right."""
    if got.shape != images.shape:
        return (
            f"For down={down} and right={right} the result has shape {list(got.shape)}, not "
            f"{list(images.shape)}. (A slice [:-0] is empty.)"
        )
    if got.dtype != images.dtype:
        return f"The dtype has changed to {got.dtype}: uint8 in, uint8 out."
    if torch.equal(got, shift(images, down, right)):
        return None
    rolled = torch.roll(images, (down, right), (2, 3))
    wrong = {
        "What leaves on one side comes in again on the other, as torch.roll does: black should.": (
            rolled
        ),
        "The two directions are swapped: the third dimension is the rows, the fourth the "
        "columns.": shift(images, right, down),
        "The sign is reversed: down=2 moves the ink to rows with a higher number.": (
            shift(images, -down, -right)
        ),
        "Nothing has moved.": images,
    }
    known = [hint for hint, value in wrong.items() if torch.equal(got, value)]
    if known:
        return known[0]
    return (
        f"For down={down} and right={right} the pixel in row {4 + down}, column {4 + right} should "
        "be the one that was in row 4, column 4, and black comes in at the edges."
    )


@exercise("08-2")
def _range_test(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
        batches = [(torch.rand(8, 1, 4, 4), torch.randint(10, (8,))) for _ in range(7)]
    start, rates = copy.deepcopy(model.state_dict()), [0.01, 0.1, 1.0, 3.0, 9.0]

    def run(function: Callable) -> tuple[Any, list[Tensor]]:
        model.load_state_dict(start)
        model.zero_grad()
        weight, bias = model.parameters()
        groups = [{"params": [weight]}, {"params": [bias]}]
        losses = function(model, torch.optim.SGD(groups, 0.5, 0.5), batches, rates)
        return losses, [value.detach().clone() for value in model.parameters()]

    losses, weights = run(answer)
    if not isinstance(losses, Sequence) or len(losses) != 5:
        return "Return a list with one loss for each rate: 5 rates (and 7 batches), 5 numbers."
    if any(torch.is_tensor(loss) and loss.requires_grad for loss in losses):
        return "A loss kept with its graph keeps all memory of its step: append loss.item()."
    expected, right = run(range_test)
    if not tensors_agree(weights, right):
        wrong = {hint: run(function)[1] for hint, function in _WRONG_RANGE_TESTS.items()}
        known = [hint for hint, value in wrong.items() if tensors_agree(weights, value)]
        return known[0] if known else _NO_RANGE_TEST
    if not np.allclose([number(loss) for loss in losses], expected, atol=1e-4):
        return "The steps are right; the losses are not those before each step, in their order."
    return None


def _range_test_with(
    rate: str = "before",
    all_groups: bool = True,
    zero: bool = True,
    steps: bool = True,
    logits: bool = True,
    next_batch: bool = True,
) -> Callable:
    """Return a range test that lacks what is False, and sets the rate elsewhere or "never"."""

    def run(model: nn.Module, optimizer: Any, batches: Iterable, rates: Sequence[float]) -> list:
        groups = optimizer.param_groups if all_groups else optimizer.param_groups[:1]
        first = next(iter(batches))
        for value, following in zip(rates, batches, strict=False):
            images, labels = following if next_batch else first
            for group in groups if rate == "before" else ():
                group["lr"] = value
            if zero:
                optimizer.zero_grad()
            output = model(images)
            F.cross_entropy(output if logits else output.softmax(1), labels).backward()
            if steps:
                optimizer.step()
            for group in groups if rate == "after" else ():
                group["lr"] = value
        return []

    return run


_NO_RANGE_TEST = "The weights are not those of one step of the given optimizer at each rate."
_WRONG_RANGE_TESTS = {
    "Gradients add up from step to step: where is zero_grad()?": _range_test_with(zero=False),
    "Set the rate before the step, not after it.": _range_test_with(rate="after"),
    'The rates are never set: group["lr"] = rate, for each group of optimizer.param_groups '
    "(optimizer.lr is an attribute that nobody looks at).": _range_test_with(rate="never"),
    "An optimizer can have several groups of parameters: set the rate in all of "
    "optimizer.param_groups.": _range_test_with(all_groups=False),
    "No weight has changed: backward(), then step().": _range_test_with(steps=False),
    "F.cross_entropy has its own softmax: pass the logits.": _range_test_with(logits=False),
    "Each step takes the next batch; yours are all on the first.": _range_test_with(
        next_batch=False
    ),
}


_TRAINED, _VALIDATED = 101, 37  # primes: k / 37 is an accuracy on the validation split alone


@exercise("08-3")
def _objective(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    splits = _few_digits()
    trial = _RecordedTrial(0.3)
    try:
        value = number(answer(trial, *splits))
    except Hint:  # a rate from too high a range may have ended the run
        if trial.asked and (hint := _why_not_asked(trial)):
            return hint
        raise
    return (
        _why_not_asked(trial)
        or _why_no_accuracy(value, "Return")
        or _why_not_reported(trial)
        or _why_not_the_last(value, trial)
        or _why_not_pruned(answer, splits)
        or _why_without_effect(answer, splits, trial)
    )


@cache
def _few_digits() -> tuple[Digits, Digits]:
    """Return synthetic digits to train and to validate on, rendered once."""
    digits = synthetic_digits(_TRAINED + _VALIDATED)
    return digits[:_TRAINED], digits[_TRAINED:]


class _RecordedTrial:
    """Answers like an Optuna trial, at a fixed place in each range, and notes what it is asked."""

    def __init__(self, share: float, prune: bool = False) -> None:
        self.share, self.prune, self.number = share, prune, 0
        self.asked: dict[str, tuple[float, float, bool] | None] = {}
        self.reports: list[tuple[float, int]] = []

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.asked[name] = low, high, log
        return low * (high / low) ** self.share if log else low + (high - low) * self.share

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return round(self.suggest_float(name, low, high, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.asked[name] = None
        return choices[round(self.share * (len(choices) - 1))]

    def report(self, value: float, step: int) -> None:
        self.reports.append((number(value), step))

    def should_prune(self) -> bool:
        return self.prune and bool(self.reports)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Take a note, as a trial does."""


def _why_not_asked(trial: _RecordedTrial) -> str | None:
    """Return a hint if the trial was not asked for a learning rate and something else."""
    if not trial.asked:
        return 'The trial was asked for nothing: trial.suggest_float("lr", …) and others.'
    if (asked := trial.asked.get("lr")) is None:
        return (
            f'Ask for a learning rate with trial.suggest_float("lr", …), not only for '
            f"{', '.join(trial.asked)}."
        )
    low, high, log = asked
    if not log:
        return (
            "Learning rates differ by factors: with log=True as many trials lie between 0.001 and "
            "0.01 as between 0.01 and 0.1. Without it nine of ten lie in the upper tenth."
        )
    if high / low < 10:
        return f"From {low:g} to {high:g} is a narrow range: span a factor of ten or more."
    fields = set(asdict(default))
    if unknown := set(trial.asked) - fields:
        return (
            f"A recipe has no entry {', '.join(sorted(unknown))}: ask for each setting under the "
            "name that it has there, so that the best ones can be put into a recipe."
        )
    if len(trial.asked) < 2:
        return "Ask for at least one more setting, such as batch_size or augment."
    return None


def _why_no_accuracy(value: float, do: str) -> str | None:
    """Return a hint if a value is no accuracy on 37 images."""
    if value > 1:
        return f"{do} the validation accuracy as a share from 0 to 1; this was {value:.3g}."
    if abs(value * _VALIDATED - round(value * _VALIDATED)) < 1e-6:
        return None
    if abs(value * _TRAINED - round(value * _TRAINED)) < 1e-6:
        return (
            f"{do} the accuracy on the validation split. This is the training accuracy, which is "
            "highest for what memorizes best."
        )
    return (
        f"{do} the accuracy on val_digits: {value:.4f} is no number of correct predictions out of "
        f"{_VALIDATED} images. Is it a loss, or measured on other digits than the arguments?"
    )


def _why_not_reported(trial: _RecordedTrial) -> str | None:
    """Return a hint if the epochs' accuracies were not reported, one after the other."""
    if not trial.reports:
        return (
            "Without reports nothing can be pruned: call trial.report(accuracy, step) after each "
            "epoch, in a callback."
        )
    steps = [step for _, step in trial.reports]
    if any(later <= earlier for earlier, later in pairwise(steps)):
        return "Report each epoch under its own number: step=len(history)."
    return _why_no_accuracy(max(value for value, _ in trial.reports), "Report")


def _why_not_the_last(value: float, trial: _RecordedTrial) -> str | None:
    """Return a hint if another value is returned than the last that was reported."""
    if np.isclose(value, last := trial.reports[-1][0]):
        return None
    return f"Return the last epoch's accuracy: {last:.3f} in a trial, not {value:.3f}."


def _why_not_pruned(answer: Callable, splits: tuple[Digits, Digits]) -> str | None:
    """Return a hint if a trial that should be pruned continues."""
    trial = _RecordedTrial(0.3, prune=True)
    try:
        answer(trial, *splits)
    except Hint as hint:
        if not isinstance(hint.__cause__, optuna.TrialPruned):
            raise
        if len(trial.reports) == 1:
            return None
    return (
        "trial.should_prune() was True after the first epoch, and the run went on: raise "
        "optuna.TrialPruned then."
    )


def _why_without_effect(
    answer: Callable, splits: tuple[Digits, Digits], first: _RecordedTrial
) -> str | None:
    """Return a hint if other settings give the same run."""
    for share in (0.0, 0.6):
        trial = _RecordedTrial(share)
        try:
            answer(trial, *splits)
        except Hint as hint:
            if isinstance(hint.__cause__, FloatingPointError):  # diverged: it has an effect
                return None
            raise
        if trial.reports != first.reports:
            return None
    return "Whatever the trial suggests, the run is the same: does the recipe use it?"


@exercise("08-4")
def _mcnemar_by_hand(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    got, expected = number(answer(2, 8)), binomtest(2, 10).pvalue
    if np.isclose(got, expected / 2):
        return "That is one side only: a lead of the other network would be as remarkable."
    if not np.isclose(got, expected):
        return f"For 2 and 8 it is {expected:.3f}, yours gives {got:.3f}."
    if not np.isclose(number(answer(8, 2)), expected):
        return "Which network comes first should not matter: 8 and 2 is as uneven as 2 and 8."
    if number(answer(5, 5)) > 1:
        return "For 5 and 5 yours is above 1, which is no probability: the middle counts twice."
    return None


@exercise("08-5")
def _recall(answer: Sequence[str]) -> str | None:
    return recall_hint(
        answer,
        "bcabc",
        (
            "1: a search selects by the validation score, so it is no longer independent of it; "
            "the test split is.",
            "2: rates differ by factors, so their logarithm is sampled evenly.",
            "3: the best of many is partly lucky, and luck does not repeat.",
            "4: both models see the same images: only those on which they disagree tell anything.",
            "5: a large p means that this test split can't distinguish the two, not that they "
            "are equal.",
        ),
    )

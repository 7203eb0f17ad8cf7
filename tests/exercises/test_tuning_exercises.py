"""Notebook 08's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
import torch
import torch.nn.functional as F
from answers import *  # noqa: F403
from scipy.stats import binom, binomtest

from mnist_helpers import RECIPES, train
from mnist_helpers.exercises import tuning


def shift_by_slices(images, down, right):
    shifted = torch.zeros_like(images)
    height, width = images.shape[2:]
    rows = slice(max(down, 0), height + min(down, 0))
    columns = slice(max(right, 0), width + min(right, 0))
    from_rows = slice(max(-down, 0), height - max(down, 0))
    from_columns = slice(max(-right, 0), width - max(right, 0))
    shifted[:, :, rows, columns] = images[:, :, from_rows, from_columns]
    return shifted


def shift_in_place(images, down, right):
    images.copy_(tuning.shift(images, down, right))
    return images


def shift_down_and_right_only(images, down, right):
    padded = F.pad(images, (abs(right), 0, abs(down), 0))
    return padded[:, :, : -abs(down), : -abs(right)]


def with_its_own_optimizer(model, optimizer, batches, rates):
    return range_test(model, torch.optim.SGD(model.parameters(), 0.1), batches, rates)


def range_test(
    model, optimizer, batches, rates, zero=True, before=True, groups=True, step=True, plain=True
):
    losses = []
    batches = iter(batches)
    for rate in rates:
        images, labels = next(batches)
        changed = optimizer.param_groups if groups else [optimizer.param_groups[0]]
        if before:
            for group in changed:
                group["lr"] = rate
        if zero:
            optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        if step:
            optimizer.step()
        for group in () if before else changed:
            group["lr"] = rate
        losses.append(float(loss.detach()) if plain else loss)
    return losses


def losses_after_the_steps(model, optimizer, batches, rates):
    losses = []
    for rate, (images, labels) in zip(rates, batches, strict=False):
        range_test(model, optimizer, [(images, labels)], [rate])
        losses.append(F.cross_entropy(model(images), labels).item())
    return losses


def objective(
    trial,
    train_digits,
    val_digits,
    log=True,
    lowest=1e-4,
    others=True,
    use=True,
    value="val_accuracy",
    report="val_accuracy",
    prune=True,
    step=len,
    name="batch_size",
):
    lr = trial.suggest_float("lr", lowest, 1e-1, log=log)
    size = trial.suggest_int(name, 16, 64) if others else 32
    recipe = replace(RECIPES["tiny"], epochs=2)
    if use:
        recipe = replace(recipe, lr=lr, batch_size=size)

    def callback(history):
        if report:
            trial.report(history[-1][report], step(history))
        if prune and trial.should_prune():
            raise optuna.exceptions.TrialPruned()

    history = train("tiny", train_digits, val_digits, recipe, callbacks=[callback], progress=False)
    return history[-1][value] if isinstance(value, str) else value(history)


def p_value(only_first, only_second):
    return binomtest(only_first, only_first + only_second).pvalue


def gap(*arguments):
    raise NotImplementedError


def changed(function, **options):
    """Return the function with other options, called by position as checks do."""
    return lambda *arguments: function(*arguments, **options)


CORRECT = {
    "08-1": (tuning.shift, shift_by_slices),
    "08-2": (tuning.range_test, range_test),
    "08-3": (
        tuning.objective,
        objective,
        changed(objective, value=lambda h: max(row["val_accuracy"] for row in h)),
    ),
    "08-4": (
        tuning.p_value,
        p_value,
        lambda a, b: min(1.0, 2 * binom.cdf(min(a, b), a + b, 0.5)),
    ),
    "08-5": ("bcabc", ["B", "C", "A", "B", "C"]),
}
WRONG = [
    ("08-1", lambda x, down, right: torch.roll(x, (down, right), (2, 3)), "other side|comes in"),
    ("08-1", lambda x, down, right: tuning.shift(x, right, down), "swapped"),
    ("08-1", lambda x, down, right: tuning.shift(x, -down, -right), "sign"),
    ("08-1", lambda x, down, right: x, "Nothing has moved"),
    ("08-1", lambda x, down, right: tuning.shift(x, down, right).float(), "dtype"),
    ("08-1", lambda x, down, right: tuning.shift(x, down, right)[:, 0], "shape"),
    ("08-1", lambda x, down, right: tuning.shift(x, down, right) + 1, "row 4, column 4"),
    ("08-1", shift_down_and_right_only, "down=-1"),
    ("08-1", shift_in_place, "copy"),
    ("08-1", gap, "not written"),
    ("08-2", changed(range_test, zero=False), "zero_grad"),
    ("08-2", changed(range_test, before=False), "before the step"),
    ("08-2", changed(range_test, groups=False), "param_groups"),
    ("08-2", changed(range_test, step=False), "No weight"),
    ("08-2", changed(range_test, plain=False), "item"),
    ("08-2", losses_after_the_steps, "before each step"),
    ("08-2", lambda m, o, b, r: range_test(m, o, b, [o.defaults["lr"]] * 5), "never set"),
    ("08-2", with_its_own_optimizer, "given optimizer"),
    ("08-2", lambda m, *rest: range_test(lambda x: m(x).softmax(1), *rest), "softmax"),
    ("08-2", lambda m, o, b, r: range_test(m, o, b[:1] * 5, r), "next batch"),
    ("08-2", lambda *arguments: range_test(*arguments)[:2], "5 numbers"),
    ("08-2", lambda m, o, b, r: range_test(m, o, b, np.array(r) / 10), "given optimizer"),
    ("08-3", gap, "not written"),
    ("08-3", lambda trial, train_digits, val_digits: 0.5, "asked for nothing"),
    ("08-3", changed(objective, log=False), "log=True"),
    ("08-3", changed(objective, lowest=5e-2), "narrow"),
    ("08-3", changed(objective, others=False), "one more"),
    ("08-3", changed(objective, name="size"), "no entry size"),
    ("08-3", changed(objective, use=False), "the run is the same"),
    ("08-3", changed(objective, value="train_accuracy"), "training accuracy"),
    ("08-3", changed(objective, value="val_loss"), "share|loss"),
    ("08-3", changed(objective, value=lambda h: h[0]["val_accuracy"]), "last epoch's"),
    ("08-3", changed(objective, value=lambda h: 100 * h[-1]["val_accuracy"]), "share"),
    ("08-3", changed(objective, value=lambda h: h), "One number"),
    ("08-3", changed(objective, report=None), "trial.report"),
    ("08-3", changed(objective, report="train_accuracy"), "Report"),
    ("08-3", changed(objective, step=lambda h: 1), "own number"),
    ("08-3", changed(objective, prune=False), "TrialPruned"),
    ("08-4", lambda a, b: binom.cdf(min(a, b), a + b, 0.5), "one side only"),
    ("08-4", lambda a, b: 2 * binom.cdf(a, a + b, 0.5), "should not matter"),
    ("08-4", lambda a, b: 2 * binom.cdf(min(a, b), a + b, 0.5), "counts twice"),
    ("08-4", lambda a, b: 0.5, "For 2 and 8"),
    ("08-5", "bcab", "5 letters"),
    ("08-5", "bcaba", "equal"),
]


def test_the_objective_works_in_a_study() -> None:
    digits = tuning.synthetic_digits(60)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    study.optimize(lambda trial: tuning.objective(trial, digits[:40], digits[40:]), n_trials=2)
    assert set(study.best_params) >= {"lr", "augment"} and 0 <= study.best_value <= 1
    assert all(len(trial.intermediate_values) == 3 for trial in study.trials)

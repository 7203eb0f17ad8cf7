"""Finding a better recipe, and telling whether it is better: range test, seeds, McNemar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from .augment import AUGMENTATIONS
from .data import Batches, Digits
from .device import choose_device
from .progress import progress_bar
from .recipes import Recipe
from .training import make_optimizer, train, train_step
from .wrapping import fresh_model, to_device


def lr_range_test(
    model: str | nn.Module | Callable[[], nn.Module],
    digits: Digits,
    recipe: Recipe,
    lowest: float = 1e-5,
    highest: float = 1.0,
    steps: int = 150,
    device: str | torch.device = "auto",
) -> pd.DataFrame:
    """Train a fresh network while the learning rate grows from step to step, and watch the loss.

    Too low a rate leaves the loss where it is, too high a rate makes it rise again: good peak rates
    lie somewhat below the lowest point. (L. N. Smith, "Cyclical learning rates for training neural
    networks", 2017, arXiv:1506.01186, section 3.3.)

    Parameters
    ----------
    model : str, class or nn.Module
        One of `list_models`; or the class of a network of your own, ``MyNet``; or a network, of
        which copies with new random weights are trained.
    digits : Digits
        The training split.
    recipe : Recipe
        Its optimizer, batch size, augmentation, label smoothing, precision and seed are used.
    lowest, highest : float, default=1e-05, 1.0
        The learning rate of the first and of the last step; in between it grows by a constant
        factor.
    steps : int, default=150
        At least 2. The test ends early when the loss is four times its lowest.
    device : str or torch.device, default="auto"
        See `choose_device`.

    Returns
    -------
    DataFrame
        One row per step: ``lr``, ``loss``, and ``smooth``, a running mean of the loss.

    Raises
    ------
    ValueError
        If the range is empty or goes down, or `steps` is below 2.

    Examples
    --------
    >>> from mnist_helpers.synthetic import synthetic_digits
    >>> table = lr_range_test("tiny", synthetic_digits(64), Recipe(), steps=3, device="cpu")
    >>> list(table)
    ['lr', 'loss', 'smooth']
    """
    if not 0 < lowest < highest or steps < 2:
        raise ValueError(f"expected 0 < lowest < highest and steps >= 2, not {lowest}, {highest}")
    device, _ = choose_device(device)
    rows: list[dict[str, float]] = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        network = to_device(fresh_model(model, recipe.seed), device).train()
        optimizer = make_optimizer(network, recipe)
        augment = AUGMENTATIONS[recipe.augment] if recipe.augment else None
        batches = cycle(Batches(digits.to(device), recipe.batch_size, augment=augment))
        smooth = 0.0
        for step, lr in enumerate(np.geomspace(lowest, highest, steps), 1):
            loss, _ = train_step(network, *next(batches), optimizer, recipe, float(lr))
            smooth = 0.9 * smooth + 0.1 * loss.item()
            rows.append({"lr": lr, "loss": loss.item(), "smooth": smooth / (1 - 0.9**step)})
            if not rows[-1]["smooth"] <= 4 * min(row["smooth"] for row in rows):
                break
    return pd.DataFrame(rows)


def cycle(batches: Batches) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches forever, pass after pass."""
    while True:
        yield from batches


def train_seeds(
    model: str | nn.Module | Callable[[], nn.Module],
    digits: Digits,
    recipe: Recipe,
    seeds: Sequence[int],
) -> list[nn.Module]:
    """Train a fresh network with each seed.

    They differ only by chance: the initial weights, the order of images, augmentation
    and dropout.

    Parameters
    ----------
    model : str, class or nn.Module
        One of `list_models`; or the class of a network of your own, ``MyNet``; or a network, of
        which copies with new random weights are trained.
    digits : Digits
        The training split.
    recipe : Recipe
        Its own seed is not used.
    seeds : sequence of int

    Returns
    -------
    list of nn.Module
        One network for each seed, in evaluation mode.

    Examples
    --------
    >>> from mnist_helpers.synthetic import synthetic_digits
    >>> len(train_seeds("tiny", synthetic_digits(64), Recipe(epochs=1), seeds=(0, 1)))
    2
    """
    networks = []
    name = model if isinstance(model, str) else getattr(model, "__name__", type(model).__name__)
    for seed in progress_bar(seeds, desc=f"training {name}", unit="run"):
        network = fresh_model(model, seed)
        train(network, digits, recipe=replace(recipe, seed=seed), progress=False)
        networks.append(network)
    return networks


def mean_confidence_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of the mean of the distribution that `values` come from.

    Student's t, for roughly normally distributed values, as accuracies over seeds are.

    Parameters
    ----------
    values : sequence of float
        At least two.
    level : float, default=0.95
        Confidence, in (0, 1).

    Returns
    -------
    low, high : float

    Raises
    ------
    ValueError
        If there are fewer than two values: one has no variance.

    Examples
    --------
    >>> low, high = mean_confidence_interval([0.990, 0.992, 0.991])
    >>> round(low, 4), round(high, 4)
    (0.9885, 0.9935)
    """
    from scipy import stats

    if len(values) < 2:
        raise ValueError("an interval needs at least two values: train with more seeds")
    mean = float(np.mean(values))
    half = float(stats.sem(values) * stats.t.ppf((1 + level) / 2, len(values) - 1))
    return mean - half, mean + half


@dataclass(frozen=True)
class McNemarResult:
    """How two networks differ on the same images.

    Attributes
    ----------
    both, only_first, only_second, neither : int
        Images by which network classifies them correctly.
    p : float
        The probability of a split as uneven as that of `only_first` and `only_second` if both
        networks were equally good.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p: float


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemarResult:
    """Compare two networks by the images that only one of them classifies correctly.

    McNemar's test, exact: images that both classify correctly, or both wrongly, say nothing about
    the difference; the rest should split evenly. (Q. McNemar, Psychometrika 12, 1947, pages 153 to
    157; for classifiers T. Dietterich, Neural Computation 10, 1998, pages 1895 to 1923.)

    Parameters
    ----------
    first, second : sequences of bool of equal length
        Whether each network classified each image correctly, as in `Evaluation.correct`.

    Returns
    -------
    McNemarResult

    Raises
    ------
    ValueError
        If the lengths differ, or there are no images.

    Examples
    --------
    >>> result = mcnemar([True] * 8 + [False] * 2, [True] * 5 + [False] * 5)
    >>> result.only_first, result.only_second, result.p
    (3, 0, 0.25)
    """
    from scipy.stats import binomtest

    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"expected two answers for the same images, not {a.shape} and {b.shape}")
    only_first, only_second = int((a & ~b).sum()), int((~a & b).sum())
    differ = only_first + only_second
    p = float(binomtest(only_first, differ).pvalue) if differ else 1.0
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    return McNemarResult(both, only_first, only_second, neither, p)

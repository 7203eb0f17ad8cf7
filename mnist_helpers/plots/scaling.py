"""Figures of notebook 10: gradients of shards, seconds by workers, trials, hours by cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from .base import BLUE, GRAY, ORANGE, axes_or_new, tick_rates

if TYPE_CHECKING:
    import pandas as pd


def plot_gradient_agreement(
    whole: np.ndarray, estimates: Mapping[str, np.ndarray], most: int = 4000
) -> np.ndarray:
    """Draw each parameter's gradient from a part of a batch over that from the whole batch.

    Parameters
    ----------
    whole : array of shape [parameters]
    estimates : mapping of str to array of shape [parameters]
        One panel each, by title.
    most : int, default=4000
        Parameters that are drawn, a random sample of all.

    Returns
    -------
    ndarray of Axes
    """
    whole = np.asarray(whole)
    size = min(most, len(whole))
    some = np.random.default_rng(0).choice(len(whole), size, replace=False)
    _, axes = plt.subplots(
        1, len(estimates), figsize=(4.5 * len(estimates), 4.2), layout="constrained", sharey=True
    )
    for ax, (title, gradient) in zip(np.ravel(axes), estimates.items(), strict=True):
        ax.axline((0, 0), slope=1, color=GRAY, zorder=0)
        ax.plot(whole[some], np.asarray(gradient)[some], ".", color=BLUE, markersize=3)
        ax.set(title=title, xlabel="gradient of the whole batch")
        ax.locator_params(nbins=5)
    np.ravel(axes)[0].set_ylabel("gradient computed by the workers")
    return np.ravel(axes)


def plot_overhead(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how long runs took, their epochs apart from everything else.

    Parameters
    ----------
    table : DataFrame
        Columns ``workers``, ``epochs`` and ``total``, the last two in seconds.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 7, 2.2)
    rest = table["total"] - table["epochs"]
    names = table["workers"].astype(str)
    ax.barh(names, table["epochs"], color=BLUE, label="epochs")
    ax.barh(names, rest, left=table["epochs"], color=ORANGE, label="start, checkpoints, end")
    ax.set(xlabel="seconds", ylabel="workers")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_trials(trials: pd.DataFrame, epochs: int, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each trial over its learning rate; those ended early are hollow.

    Parameters
    ----------
    trials : DataFrame
        As `mnist_helpers.tune` returns it, with columns ``lr`` and ``batch_size``.
    epochs : int
        Of a trial that was not ended early.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 7, 3.4)
    styles = zip(sorted(set(trials["batch_size"])), ("o", "s", "^", "D"), strict=False)
    for color, (size, marker) in zip((BLUE, ORANGE, GRAY, "black"), styles, strict=False):
        for full in (True, False):
            part = trials[(trials["batch_size"] == size) & ((trials["epochs"] == epochs) == full)]
            name = f"batch {size}, {'trained to the end' if full else 'ended early'}"
            face = color if full else "none"
            ax.plot(part["lr"], part["val_accuracy"], marker, color=color, mfc=face, label=name)
    ax.set(xscale="log", xlabel="peak learning rate", ylabel="validation accuracy when it ended")
    tick_rates(ax)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_hours(cores: Sequence[int], hours: Sequence[float], ax: Axes | None = None) -> Axes:
    """Draw the hours of a job over the number of cores, both on logarithmic scales.

    Parameters
    ----------
    cores : sequence of int
    hours : sequence of float
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 7, 3.2)
    ax.loglog(cores, hours, "o-", color=BLUE)
    for x, y in zip(cores, hours, strict=True):
        ax.annotate(f"{y:,.1f} h", (x, y), textcoords="offset points", xytext=(6, 6), fontsize=9)
    ax.set(xlabel="CPU cores", ylabel="hours", xticks=cores, xticklabels=[str(n) for n in cores])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.margins(0.12)
    return ax

"""Figures of an evaluation: confusion matrix, per-class metrics, calibration, risk and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .base import BLUE, GRAY, GREEN, ORANGE, axes_or_new, tick_accuracies

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluation import Calibration


def plot_confusion(
    confusion: np.ndarray, hide_diagonal: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw a confusion matrix ``[10, 10]`` of counts: rows are true digits, columns predictions.

    With `hide_diagonal` correct predictions are left white, so that the errors stand out.

    Parameters
    ----------
    confusion : array of shape [10, 10]
        As `Evaluation.confusion`.
    hide_diagonal : bool, default=False
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    import seaborn as sns

    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"expected a square matrix, not {list(confusion.shape)}")
    ax = axes_or_new(ax, 6.6, 5.6)
    off = confusion - np.diag(np.diag(confusion))
    sns.heatmap(
        confusion,
        mask=np.eye(len(confusion), dtype=bool) if hide_diagonal else None,
        vmax=max(1, int(off.max())) if hide_diagonal else None,
        annot=True,
        fmt="d",
        cmap="Blues",
        linewidths=0.5,
        linecolor="#dddddd",
        cbar_kws={"label": "images"},
        annot_kws={"fontsize": 9},
        ax=ax,
    )
    if hide_diagonal:
        for digit, count in enumerate(np.diag(confusion)):
            ax.text(
                digit + 0.5, digit + 0.5, count, ha="center", va="center", fontsize=8, color=GRAY
            )
    ax.set(xlabel="predicted digit", ylabel="true digit", aspect="equal")
    ax.tick_params(axis="y", rotation=0)
    return ax


def plot_per_class(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw precision and recall of each digit, from `Evaluation.per_class`.

    Parameters
    ----------
    table : DataFrame
        As `Evaluation.per_class`.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 8, 3.4)
    for shift, column, color in ((-0.2, "precision", BLUE), (0.2, "recall", ORANGE)):
        ax.bar(table.index + shift, table[column], 0.38, label=column, color=color)
    lowest = float(table[["precision", "recall"]].to_numpy().min())
    ax.set(xticks=list(table.index), xlabel="digit", ylim=(max(0, lowest - 0.01), 1.0))
    tick_accuracies(ax)
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return ax


def plot_calibration(calibration: Calibration, ax: Axes | None = None) -> Axes:
    """Draw accuracy against confidence with 95% intervals, and below it each bin's count.

    Parameters
    ----------
    calibration : Calibration
        As `mnist_helpers.calibration` returns it.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    from ..evaluation import accuracy_interval

    ax = axes_or_new(ax, 5.4, 5)
    table = calibration.table[calibration.table["count"] > 0]
    right = (table["accuracy"] * table["count"]).round().astype(int)
    bounds = [accuracy_interval(*pair) for pair in zip(right, table["count"], strict=True)]
    low, high = np.array(bounds).T
    errors = np.maximum(0, (table["accuracy"] - low, high - table["accuracy"]))
    ax.plot([0, 1], [0, 1], ":", color=GRAY, label="confidence = accuracy")
    ax.errorbar(
        table["confidence"], table["accuracy"], errors, fmt="o", capsize=3, color=BLUE,
        label="measured, 95% interval",
    )  # fmt: skip
    ax.set(ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.04))
    ax.set_title(f"Expected calibration error {calibration.ece:.2%}")
    ax.tick_params(labelbottom=False)
    ax.legend(loc="lower right")
    below = ax.inset_axes((0, -0.42, 1, 0.25), sharex=ax)
    width = table["high"] - table["low"]
    below.bar(table["low"], table["count"], width, align="edge", color=BLUE, edgecolor="white")
    below.set(xlabel="confidence", ylabel="images", yscale="log")
    return ax


def plot_risk_coverage(confidence: np.ndarray, correct: np.ndarray, ax: Axes | None = None) -> Axes:
    """Plot the error rate among the most confident predictions against their share.

    Parameters
    ----------
    confidence : ndarray of shape [N], in [0, 1]
    correct : ndarray of shape [N], bool

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 6, 3.6)
    if np.shape(confidence) != np.shape(correct):
        raise ValueError(f"{len(confidence)} confidences, but {len(correct)} predictions")
    right = np.asarray(correct, dtype=bool)[np.argsort(-np.asarray(confidence), kind="stable")]
    read = np.arange(1, len(right) + 1)
    ax.plot(read / len(right), np.cumsum(~right) / read, color=BLUE)
    ax.set(xlabel="coverage: share not referred", ylabel="risk: error rate among those")
    for axis in (ax.xaxis, ax.yaxis):  # as many decimals as the ticks need: 98% twice tells nothing
        axis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))  # few, for half a figure
        axis.set_major_formatter(PercentFormatter(1))
    first_error = int(np.argmin(right)) if not right.all() else 0
    ax.set_xlim(max(0.0, 2 * first_error / len(right) - 1.02), 1.005)
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    return ax


def plot_accuracies(table: pd.DataFrame, x: str, log: bool = False, ax: Axes | None = None) -> Axes:
    """Draw accuracies with their intervals over a number, a line for each method.

    Parameters
    ----------
    table : DataFrame
        With columns ``method``, ``accuracy``, ``low``, ``high``, and the one named by `x`.
    x : str
        The column to draw to the right, with a tick for each value; also the axis's label.
    log : bool, default=False
        With a logarithmic scale to the right.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 6.4, 3.8)
    for number, (method, rows) in enumerate(table.groupby("method", sort=False)):
        errors = (rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"])
        style, color = (("o-", BLUE), ("s--", ORANGE), ("^:", GREEN), ("D-.", GRAY))[number % 4]
        ax.errorbar(
            rows[x], rows["accuracy"], errors, fmt=style, color=color, ms=5, capsize=3, label=method
        )
    ax.set(xlabel=x, ylabel="accuracy")
    ax.set_xscale("log" if log else "linear")
    ax.set_xticks(table[x].unique(), [f"{value:,}" for value in table[x].unique()])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def plot_seed_accuracies(accuracies: Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Draw a row for each network: a dot for each training run, a line at their mean.

    Parameters
    ----------
    accuracies : mapping of str to sequence of float in [0, 1]
        One accuracy for each seed, by the network's name.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 6, 0.8 + 0.4 * len(accuracies))
    for row, values in enumerate(accuracies.values()):
        ax.plot(values, [row] * len(values), "o", color=BLUE, alpha=0.7)
        ax.plot(np.mean(values), row, "|", color="black", markersize=16)
    ax.set_yticks(range(len(accuracies)), list(accuracies), parse_math=False)
    ax.set(xlabel="validation accuracy", ylim=(len(accuracies) - 0.4, -0.6))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    ax.grid(alpha=0.3, axis="x")
    return ax

"""Figures of a training run: curves, learning rates, descent paths, augmentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from .base import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    RED,
    as_images,
    axes_or_new,
    image_grid,
    show_image,
    tick_accuracies,
    tick_rates,
)

if TYPE_CHECKING:
    import optuna

    from .base import Images


def plot_history(history: Sequence[dict] | Mapping[str, Sequence[dict]]) -> np.ndarray:
    """Draw loss and accuracy over the epochs; the best epoch is marked.

    Parameters
    ----------
    history : History, or dict of name to History
        Several runs are distinguished by color and line style, and only their validation
        is shown.

    Returns
    -------
    ndarray of two Axes
        Loss, accuracy.
    """
    _, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    return _draw_history(axes, history)


def _draw_history(axes: np.ndarray, history: Sequence[dict] | Mapping) -> np.ndarray:
    """Draw a history, or several, into two axes."""
    import pandas as pd

    several = isinstance(history, Mapping)
    runs: Mapping[str, Sequence[dict]] = history if isinstance(history, Mapping) else {"": history}
    styles = ["-", "--", ":", "-."]
    for number, (name, rows) in enumerate(runs.items()):
        table = pd.DataFrame(list(rows))
        if table.empty:
            raise ValueError("the history is empty: nothing has been trained yet")
        for ax, what in zip(axes, ("loss", "accuracy"), strict=True):
            validated = f"val_{what}" in table
            if not (several and validated):
                ax.plot(
                    table["epoch"], table[f"train_{what}"], "--o", ms=4, color=ORANGE,
                    label=f"{name} training".strip(),
                )  # fmt: skip
            if validated:
                ax.plot(
                    table["epoch"],
                    table[f"val_{what}"],
                    styles[number % 4] if several else "-",
                    marker="s",
                    ms=4,
                    color=(BLUE, GREEN, RED, GRAY, ORANGE)[number % 5] if several else BLUE,
                    label=f"{name} validation".strip(),
                )
                best = table[f"val_{what}"].agg("idxmin" if what == "loss" else "idxmax")
                ax.plot(*table.loc[best, ["epoch", f"val_{what}"]], "k*", ms=11, zorder=5)
    for ax, what in zip(axes, ("loss", "accuracy"), strict=True):
        ax.set(xlabel="epoch", ylabel=what, title=f"{what.capitalize()} (★ best epoch)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend()
    tick_accuracies(axes[1])
    return axes


class LiveHistory:
    """A callback for `train` that redraws the curves after each epoch, in the same place."""

    def __init__(self) -> None:
        self.figure: Figure | None = None
        self.handle: Any = None

    def __call__(self, history: Sequence[dict]) -> None:
        """Draw the history as it is now."""
        from IPython.display import display

        if self.figure is None:
            self.figure, _ = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
            plt.close(self.figure)  # shown through the handle, not once more at the cell's end
        axes = np.array(self.figure.axes)
        for ax in axes:
            ax.clear()
        _draw_history(axes, history)
        if self.handle is None:
            self.handle = display(self.figure, display_id=True)
        else:
            self.handle.update(self.figure)


def plot_learning_rates(rates: Sequence[float], ax: Axes | None = None) -> Axes:
    """Draw the learning rate of each step.

    Parameters
    ----------
    rates : sequence of float
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 6, 2.8)
    ax.plot(range(1, len(rates) + 1), rates, color=BLUE)
    ax.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    ax.grid(alpha=0.3)
    return ax


def plot_augmentations(originals: Images, changed: Images) -> np.ndarray:
    """Draw digits in the first column, and changed versions of each beside it.

    Parameters
    ----------
    originals : array or tensor of shape [N, 1, 28, 28]
    changed : array or tensor of shape [N, K, 1, 28, 28]

    Returns
    -------
    ndarray of Axes
    """
    first = as_images(originals)
    others: np.ndarray = np.asarray(changed)
    axes = image_grid(len(first) * (others.shape[1] + 1), others.shape[1] + 1, (1.1, 1.15))
    for row, image, versions in zip(axes, first, others, strict=True):
        for ax, version in zip(row, [image, *versions[:, 0]], strict=True):
            show_image(ax, version)
    axes[0, 0].set_title("as it is", fontsize=9)
    axes[0, 1].set_title("changed", fontsize=9)
    return axes


def plot_validation_losses(runs: Mapping[str, Sequence[dict]], ax: Axes | None = None) -> Axes:
    """Draw the validation loss of several runs over the epochs; each one's minimum is marked.

    Parameters
    ----------
    runs : mapping of str to History
        By the name of the run; in the legend the highest last loss comes first.
    ax : Axes, default=None
        Default: of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 9, 4.2)
    colors, styles = (RED, BLUE, GREEN, ORANGE, GRAY, "black"), ("-", "--", "-.", ":")
    for number, (name, history) in enumerate(runs.items()):
        losses = [row["val_loss"] for row in history]
        epochs = range(1, len(losses) + 1)
        color, style = colors[number % len(colors)], styles[number % len(styles)]
        ax.plot(epochs, losses, style, color=color, lw=2, label=name)
        best = int(np.argmin(losses))
        ax.plot(epochs[best], losses[best], "*", color=color, ms=12, zorder=5)
    handles, names = ax.get_legend_handles_labels()
    last = [runs[name][-1]["val_loss"] for name in names]
    order = np.argsort(last)[::-1]
    ax.legend(
        [handles[place] for place in order],
        [names[place] for place in order],
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
    )
    ax.set(xlabel="epoch", ylabel="validation loss (★ lowest)", yscale="log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(alpha=0.3)
    return ax


def plot_study(study: optuna.Study) -> np.ndarray:
    """Draw the trials of a search: their errors epoch by epoch, and the finished ones by rate.

    Parameters
    ----------
    study : optuna.Study
        Each trial reported its validation accuracies, and was asked for ``lr``; the points of the
        right panel are marked by ``augment``, if trials were asked for that.

    Returns
    -------
    ndarray of two Axes
        Errors over epochs (pruned trials in gray), accuracies over learning rates.
    """
    _, axes = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
    left, right = axes
    finished: dict[str, list[tuple[float, float]]] = {}
    for trial in study.trials:
        done = trial.state.name == "COMPLETE"
        steps = trial.intermediate_values
        errors = [1 - accuracy for accuracy in steps.values()]
        left.semilogy(list(steps), errors, "o-", ms=3, lw=1, color=BLUE if done else GRAY)
        if done:
            name = str(trial.params.get("augment") or "none")
            finished.setdefault(name, []).append((trial.params["lr"], float(trial.values[0])))
    left.set(xlabel="epoch", ylabel="validation errors", title="all trials (gray: ended early)")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter(PercentFormatter(1))
    left.yaxis.set_minor_formatter(NullFormatter())
    colors = (BLUE, ORANGE, GREEN, RED)
    for number, (name, points) in enumerate(sorted(finished.items())):
        marker, color = "osD^"[number % 4], colors[number % 4]
        right.semilogx(*zip(*points, strict=True), marker, color=color, label=name)
    right.set(xlabel="learning rate", ylabel="validation accuracy", title="the finished trials")
    tick_rates(right)
    right.yaxis.set_major_formatter(PercentFormatter(1))
    right.legend(title="augment", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def plot_descent_paths(
    loss: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    paths: Mapping[str, np.ndarray],
    ax: Axes | None = None,
) -> Axes:
    """Draw a loss over two weights as contour lines, and paths of gradient descent on it.

    Parameters
    ----------
    loss : array of shape [len(second), len(first)]
    first, second : arrays of shape [M], [N]
        The weights at which the loss was computed.
    paths : mapping of str to array of shape [steps + 1, 2]
        The two weights before each step and after the last one, by the name of the run.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 6, 4.6)
    ax.contour(first, second, loss, levels=18, colors=GRAY, linewidths=0.7)
    lowest = np.unravel_index(np.argmin(loss), loss.shape)
    ax.plot(first[lowest[1]], second[lowest[0]], "*", color=RED, ms=13, label="lowest loss")
    for (name, path), color, style in zip(
        paths.items(), (BLUE, ORANGE, GREEN), ("o-", "s-", "^-"), strict=False
    ):
        ax.plot(*np.asarray(path).T, style, color=color, lw=1, ms=3, label=name)
    ax.set(xlabel="first weight", ylabel="second weight")
    ax.legend()
    return ax

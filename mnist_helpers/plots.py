"""Every figure of the series: arrays and tables in, matplotlib axes out.

Functions that draw one panel take ``ax=None`` and return the `Axes`; those that draw a grid return
an array of them. Nothing calls ``plt.show()`` or changes matplotlib's settings. Colours can be told
apart with any kind of colour vision, and no message is carried by colour alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    EngFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from .paths import replacing

if TYPE_CHECKING:
    from typing import TypeAlias

    import pandas as pd
    import torch

    from .evaluation import Calibration

    Images: TypeAlias = np.ndarray | torch.Tensor

BLUE, ORANGE, GREEN, RED, GREY = "#0173b2", "#de8f05", "#029e73", "#d55e00", "#949494"


def save_figure(
    drawn: Axes | np.ndarray | Figure, path: str | Path, dpi: int = 120, title: str | None = None
) -> None:
    """Write the figure that `drawn` belongs to as PNG, atomically, and close it.

    A `title`, such as the data's source, is written over the whole figure.
    """
    figure = drawn if isinstance(drawn, Figure) else np.ravel(np.asarray(drawn))[0].figure
    if title:
        title = textwrap.fill(title, round(12 * figure.get_figwidth()))
        figure.suptitle(title, fontsize=9, parse_math=False)  # a folder's name may hold dollars
    with replacing(path) as part:
        figure.savefig(part, dpi=dpi, format="png")
    plt.close(figure)


def _axes(ax: Axes | None, width: float = 6, height: float = 4) -> Axes:
    """Return `ax`, or the axes of a new figure of so many inches."""
    return ax if ax is not None else plt.subplots(figsize=(width, height), layout="constrained")[1]


def _pictures(images: Images) -> np.ndarray:
    """Return images as an array ``[N, 28, 28]``.

    Raises
    ------
    ValueError
        If they have another shape.
    """
    array: np.ndarray = np.asarray(images)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or not len(array):
        raise ValueError(f"expected images [N, 28, 28] or [N, 1, 28, 28], not {list(array.shape)}")
    return array


def _percent(share: float) -> str:
    """Return a probability as per cent, and never 100 % for what is less."""
    return f"{min(share, 0.994):.0%}" if share < 1 else "100%"


def _show(ax: Axes, image: np.ndarray, **options: Any) -> None:
    """Draw a picture without ticks; grey ones on the full scale of their dtype."""
    if image.ndim == 2:
        top = 255 if image.dtype == np.uint8 else 1 if image.dtype == bool else None
        options = {"cmap": "gray", "vmin": 0, "vmax": top or max(1.0, float(image.max()))} | options
    ax.imshow(image, **options)
    ax.set_xticks([])
    ax.set_yticks([])


def _grid(count: int, columns: int, cell: tuple[float, float]) -> np.ndarray:
    """Make axes for `count` cells of so many inches; those beyond are hidden."""
    rows = -(-count // columns)
    _, axes = plt.subplots(
        rows,
        columns,
        figsize=(cell[0] * columns, cell[1] * rows),
        squeeze=False,
        layout="constrained",
    )
    for ax in axes.flat[count:]:
        ax.axis("off")
    return axes


# --------------------------------------------------------------------------------------- digits


def plot_digits(
    images: Images,
    labels: Sequence[int] | np.ndarray | None = None,
    predictions: Sequence[int] | np.ndarray | None = None,
    confidences: Sequence[float] | np.ndarray | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 10,
) -> np.ndarray:
    """Draw digits in a grid, with what they are and what they were predicted to be.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
        uint8, or float in [0, 1].
    labels, predictions : sequences of N ints, optional
        Where both are given, wrong predictions are framed and say "4, not 9".
    confidences : sequence of N floats in [0, 1], optional
        Shown as per cent.
    titles : sequence of N strings, optional
        Instead of the above.
    columns : int

    Returns
    -------
    ndarray of Axes, shape [rows, columns]
    """
    pictures = _pictures(images)
    for name, given in (
        ("labels", labels),
        ("predictions", predictions),
        ("confidences", confidences),
        ("titles", titles),
    ):
        if given is not None and len(given) != len(pictures):
            raise ValueError(f"there are {len(pictures)} images, but {len(given)} {name}")
    axes = _grid(len(pictures), min(columns, len(pictures)), (1.15, 1.4))
    for i, (ax, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
        _show(ax, picture)
        label = labels[i] if labels is not None else -1
        wrong = label >= 0 and predictions is not None and label != predictions[i]
        text = titles[i] if titles is not None else ""
        if titles is None and predictions is not None:
            text = f"{predictions[i]}, not {label}" if wrong else f"{predictions[i]}"
        elif titles is None and labels is not None:
            text = f"{label}"
        if titles is None and confidences is not None:
            text += f"  {_percent(confidences[i])}"
        ax.set_title(text, fontsize=9, color=RED if wrong else "black")
        for spine in ax.spines.values():
            spine.set(visible=wrong, color=RED, linewidth=2)
    return axes


def plot_misclassified(images: Images, errors: pd.DataFrame, columns: int = 8) -> np.ndarray:
    """Draw errors as `mnist_helpers.misclassified` lists them.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
        The whole split.
    errors : DataFrame
        With columns ``index``, ``label``, ``predicted``, ``confidence``.
    """
    if not len(errors):
        raise ValueError("there are no errors to draw")
    titles = [
        f"label {row.label}\nread {row.predicted}, {_percent(row.confidence)}"
        for row in errors.itertuples()
    ]
    pictures = _pictures(images)[errors["index"].to_numpy()]
    axes = _grid(len(pictures), min(columns, len(pictures)), (1.3, 1.75))
    for ax, picture, title in zip(axes.flat, pictures, titles, strict=False):
        _show(ax, picture)
        ax.set_title(title, fontsize=9)
    return axes


def plot_pixel_values(image: Images, ax: Axes | None = None) -> Axes:
    """Draw one digit with each pixel's value written in it."""
    pixels: np.ndarray = np.asarray(image).reshape(28, 28)
    ax = _axes(ax, 9, 9)
    _show(ax, pixels)
    for (row, column), value in np.ndenumerate(pixels):
        if value:
            colour = "black" if value > 127 else "white"
            ax.text(column, row, value, ha="center", va="center", fontsize=6.5, color=colour)
    return ax


def plot_class_counts(labels: Mapping[str, Sequence[int]], ax: Axes | None = None) -> Axes:
    """Draw how often each digit occurs, as bars beside each other for each named split."""
    ax = _axes(ax, 8, 3.2)
    width = 0.8 / len(labels)
    for number, (name, values) in enumerate(labels.items()):
        shares = np.bincount(np.asarray(values), minlength=10) / len(values)
        places = np.arange(10) + (number - (len(labels) - 1) / 2) * width
        colour = (BLUE, ORANGE, GREEN, GREY)[number % 4]
        ax.bar(places, shares, width, label=f"{name} ({len(values):,})", color=colour)
    ax.set(xticks=range(10), xlabel="digit", ylabel="share of images")
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(ncols=len(labels), loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return ax


def plot_class_means(images: Images, labels: Sequence[int] | np.ndarray) -> np.ndarray:
    """Draw the mean image of each digit in one row."""
    pictures, known = _pictures(images), np.asarray(labels)
    means = [pictures[known == digit].mean(0) / 255 for digit in range(10)]
    return plot_digits(np.stack(means), labels=range(10))


def plot_embedding(
    points: np.ndarray, labels: Sequence[int] | np.ndarray, ax: Axes | None = None
) -> Axes:
    """Draw points ``[N, 2]`` as the digits that they stand for."""
    ax = _axes(ax, 8, 7)
    colours = plt.get_cmap("tab10")
    points, known = np.asarray(points), np.asarray(labels)
    if points.shape != (len(known), 2):
        raise ValueError(f"expected points [{len(known)}, 2], not {list(points.shape)}")
    for digit in range(10):
        x, y = points[known == digit].T
        ax.scatter(x, y, marker=f"${digit}$", s=28, color=colours(digit), linewidths=0.3)
    ax.set(xticks=[], yticks=[])
    return ax


# -------------------------------------------------------------------------------------- training


def plot_history(history: Sequence[dict] | Mapping[str, Sequence[dict]]) -> np.ndarray:
    """Draw loss and accuracy over the epochs; the best epoch is marked.

    Parameters
    ----------
    history : History, or dict of name to History
        Several runs are told apart by colour and line style, and only validated.

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
                    color=(BLUE, GREEN, RED, GREY, ORANGE)[number % 5] if several else BLUE,
                    label=f"{name} validation".strip(),
                )
                best = table[f"val_{what}"].agg("idxmin" if what == "loss" else "idxmax")
                ax.plot(*table.loc[best, ["epoch", f"val_{what}"]], "k*", ms=11, zorder=5)
    for ax, what in zip(axes, ("loss", "accuracy"), strict=True):
        ax.set(xlabel="epoch", ylabel=what, title=f"{what.capitalize()} (★ best epoch)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend()
    _tick_accuracies(axes[1])
    return axes


def _tick_accuracies(ax: Axes) -> None:
    """Write upwards per cent with one decimal place, only where that is all of it: no 99.25 %."""
    ax.yaxis.set_major_locator(MaxNLocator(steps=(1, 2, 5, 10)))
    ax.yaxis.set_major_formatter("{x:.1%}")


class LiveHistory:
    """A callback for `train` that draws the curves anew after each epoch, in the same place."""

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
    """Draw the learning rate of each step."""
    ax = _axes(ax, 6, 2.8)
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
    """
    first = _pictures(originals)
    others: np.ndarray = np.asarray(changed)
    axes = _grid(len(first) * (others.shape[1] + 1), others.shape[1] + 1, (1.1, 1.15))
    for row, image, versions in zip(axes, first, others, strict=True):
        for ax, picture in zip(row, [image, *versions[:, 0]], strict=True):
            _show(ax, picture)
    axes[0, 0].set_title("as it is", fontsize=9)
    axes[0, 1].set_title("changed", fontsize=9)
    return axes


# ------------------------------------------------------------------------------------- evaluation


def plot_confusion(
    confusion: np.ndarray, hide_diagonal: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw a confusion matrix ``[10, 10]`` of counts: rows are true digits, columns readings.

    With `hide_diagonal` the right readings are left white, so that the errors show.
    """
    import seaborn as sns

    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"expected a square matrix, not {list(confusion.shape)}")
    ax = _axes(ax, 6.6, 5.6)
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
                digit + 0.5, digit + 0.5, count, ha="center", va="center", fontsize=8, color=GREY
            )
    ax.set(xlabel="predicted digit", ylabel="true digit", aspect="equal")
    ax.tick_params(axis="y", rotation=0)
    return ax


def plot_per_class(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw precision and recall of each digit, from `Evaluation.per_class`."""
    ax = _axes(ax, 8, 3.4)
    for shift, column, colour in ((-0.2, "precision", BLUE), (0.2, "recall", ORANGE)):
        ax.bar(table.index + shift, table[column], 0.38, label=column, color=colour)
    lowest = float(table[["precision", "recall"]].to_numpy().min())
    ax.set(xticks=list(table.index), xlabel="digit", ylim=(max(0, lowest - 0.01), 1.0))
    _tick_accuracies(ax)
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return ax


def plot_calibration(calibration: Calibration, ax: Axes | None = None) -> Axes:
    """Draw accuracy against confidence with 95% intervals, and below it each bin's count."""
    from .evaluation import accuracy_interval

    ax = _axes(ax, 5.4, 5)
    table = calibration.table[calibration.table["count"] > 0]
    right = (table["accuracy"] * table["count"]).round().astype(int)
    bounds = [accuracy_interval(*pair) for pair in zip(right, table["count"], strict=True)]
    low, high = np.array(bounds).T
    errors = np.maximum(0, (table["accuracy"] - low, high - table["accuracy"]))
    ax.plot([0, 1], [0, 1], ":", color=GREY, label="confidence = accuracy")
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
    """
    ax = _axes(ax, 6, 3.6)
    if np.shape(confidence) != np.shape(correct):
        raise ValueError(f"{len(confidence)} confidences, but {len(correct)} predictions")
    right = np.asarray(correct, dtype=bool)[np.argsort(-np.asarray(confidence), kind="stable")]
    read = np.arange(1, len(right) + 1)
    ax.plot(read / len(right), np.cumsum(~right) / read, color=BLUE)
    ax.set(xlabel="coverage: share not referred", ylabel="risk: error rate among those")
    for axis in (ax.xaxis, ax.yaxis):  # as many decimals as the ticks need: 98% twice tells nothing
        axis.set_major_formatter(PercentFormatter(1))
    first_error = int(np.argmin(right)) if not right.all() else 0
    ax.set_xlim(max(0.0, 2 * first_error / len(right) - 1.02), 1.005)
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    return ax


# ------------------------------------------------------------------------------------- prediction


def plot_probabilities(
    probs: np.ndarray, image: np.ndarray | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the ten probabilities as bars, the likeliest in colour; the picture beside them."""
    probs = np.asarray(probs, dtype=float)
    if probs.shape != (10,):
        raise ValueError(f"expected 10 probabilities, not an array of shape {list(probs.shape)}")
    if ax is None and image is not None:
        _, (beside, ax) = plt.subplots(
            1, 2, figsize=(7, 2.8), width_ratios=(1, 2), layout="constrained"
        )
        _show(beside, np.asarray(image).reshape(28, 28))
    ax = _axes(ax, 6, 2.8)
    colours = [BLUE if digit == probs.argmax() else GREY for digit in range(10)]
    bars = ax.bar(range(10), probs, color=colours)
    ax.bar_label(bars, [f"{p:.0%}" if p >= 0.005 else "" for p in probs], fontsize=9)
    ax.set(xticks=range(10), xlabel="digit", ylabel="probability", ylim=(0, 1.12))
    ax.yaxis.set_major_formatter("{x:.0%}")
    return ax


def plot_steps(steps: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draw the pictures that `preprocessing_steps` returns, in a row with their names."""
    if not steps:
        raise ValueError("there are no steps to draw")
    axes = _grid(len(steps), len(steps), (1.55, 1.9))
    for ax, (number, (name, picture)) in zip(axes[0], enumerate(steps.items(), 1), strict=True):
        _show(ax, np.asarray(picture))
        ax.set_title(f"{number}\n{name.replace(' ', chr(10), 1)}", fontsize=9)
        ax.set_xlabel("×".join(map(str, picture.shape[:2][::-1])), fontsize=8)
    return axes


def plot_saliency(image: Images, saliency: np.ndarray, ax: Axes | None = None) -> Axes:
    """Draw over a digit which pixels spoke for (red) and against (blue) the reading."""
    ax = _axes(ax, 3, 3)
    bound = max(float(np.abs(saliency).max()), 1e-9)
    _show(ax, np.asarray(image).reshape(28, 28), cmap="Greys", alpha=0.35)
    ax.imshow(saliency, cmap="RdBu_r", vmin=-bound, vmax=bound, alpha=0.75)
    return ax


def plot_handwriting(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the table of ``benchmark handwriting``: accuracy by set and way, with 95% intervals."""
    ax = _axes(ax, 9, 4)
    ways = (("resized", "usual way", GREY), ("inverted", "usual way, inverted", ORANGE))
    for number, (way, name, colour) in enumerate((*ways, ("ours", "MNIST's way", BLUE))):
        low, high = table[way] - table[f"{way}_low"], table[f"{way}_high"] - table[way]
        places = np.arange(len(table)) + (number - 1) * 0.27
        ax.bar(places, table[way], 0.26, yerr=(low, high), capsize=2, color=colour, label=name)
    ax.set_xticks(range(len(table)), table["set"], rotation=20, ha="right", parse_math=False)
    ax.set(ylabel="accuracy", ylim=(0, 1.05))
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return ax


def plot_timings(
    seconds: Mapping[str, Sequence[float]], label: str, ax: Axes | None = None
) -> Axes:
    """Draw how long each of several ways took: a bar to the median, a dot for each repeat."""
    ax = _axes(ax, 7, 0.6 + 0.45 * len(seconds))
    medians = [float(np.median(took)) for took in seconds.values()]
    bars = ax.barh(list(seconds), medians, color=BLUE, alpha=0.55)
    for row, took in enumerate(seconds.values()):
        ax.plot(took, [row] * len(took), ".", color="black", alpha=0.6, markersize=4)
    longest = max(max(took) for took in seconds.values())
    for bar, median, took in zip(bars, medians, seconds.values(), strict=True):
        place = (max(took) + 0.01 * longest, bar.get_y() + bar.get_height() / 2)
        ax.annotate(f"{median:.3g}", place, va="center", fontsize=9)
    ax.set(xlabel=label, xlim=(0, 1.12 * longest))
    ax.invert_yaxis()
    return ax


def plot_scaling(table: pd.DataFrame) -> np.ndarray:
    """Draw the table of ``benchmark scale``: pictures a second, and an epoch, by workers."""
    _, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    names = table["workers"].astype(str)
    first = table.iloc[0]
    ideal = table["workers"] / first["workers"]
    panels = (
        ("pictures_per_second", "images per second from a folder", "{:,.0f}", ideal),
        ("epoch", "seconds an epoch", "{:.1f}", 1 / ideal),
    )
    for ax, (column, label, form, ideal) in zip(axes, panels, strict=True):
        bars = ax.bar(names, table[column], 0.6, color=BLUE, alpha=0.7)
        ax.bar_label(bars, fmt=form, padding=3)
        ax.plot(names, first[column] * ideal, "_", color="black", markersize=60, label="ideal")
        ax.set(xlabel="workers", ylabel=label)
        ax.margins(y=0.2)
    axes[0].legend(frameon=False, loc="upper left", markerscale=0.3)
    return axes


def plot_prediction_times(one: pd.DataFrame, folder: pd.DataFrame) -> np.ndarray:
    """Draw the tables of ``benchmark predict``: one picture by way and size, a folder by way."""
    _, axes = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(3, 2), layout="constrained")
    wide = one.pivot(index="way", columns="picture", values="p50").loc[one["way"].unique()]
    upper = one.pivot(index="way", columns="picture", values="p95").loc[wide.index] - wide
    for number, (picture, colour) in enumerate(zip(wide.columns, (BLUE, ORANGE), strict=True)):
        places = np.arange(len(wide)) + (number - 0.5) * 0.38
        axes[0].barh(places, wide[picture], 0.36, color=colour, label=picture)
        axes[0].errorbar(
            wide[picture],
            places,
            xerr=(0 * upper[picture], upper[picture]),
            fmt="none",
            ecolor="black",
            capsize=2,
        )
        ends = wide[picture] + upper[picture]
        for place, p50, end in zip(places, wide[picture], ends, strict=True):
            axes[0].annotate(f" {p50:.2f}", (end, place), va="center", fontsize=8)
    axes[0].set_yticks(range(len(wide)), wide.index)
    axes[0].set(xlabel="milliseconds per image (number: median; line: to the 95th percentile)")
    axes[0].margins(x=0.12)
    axes[0].legend(title="picture", frameon=False)
    bars = axes[1].barh(folder["way"], folder["pictures_per_second"], color=BLUE, alpha=0.7)
    axes[1].bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=9)
    axes[1].set(xlabel="images per second from a folder")
    axes[1].margins(x=0.2)
    for ax in axes:
        ax.invert_yaxis()
    return axes


def plot_training_race(runs: Sequence[dict], ax: Axes | None = None) -> Axes:
    """Draw test errors over seconds of training, a line for each run of ``benchmark train``."""
    ax = _axes(ax, 8, 4.5)
    names = list(dict.fromkeys(run["name"] for run in runs))
    colours = dict(zip(names, map(plt.get_cmap("tab10"), range(10)), strict=False))
    for run in runs:
        seconds = np.cumsum([row["seconds"] for row in run["history"]])
        errors = [1 - row["test_accuracy"] for row in run["history"]]
        label = run["name"] if run["name"] in names else None
        names = [name for name in names if name != run["name"]]
        ax.plot(seconds, errors, "o-", color=colours[run["name"]], label=label, ms=3, lw=1)
    for mark in (0.01, 0.007, 0.005):
        ax.axhline(mark, color=GREY, lw=0.8, ls="--", zorder=0)
    ax.set(
        xscale="log", yscale="log", xlabel="seconds of training", ylabel="errors on the test set"
    )
    ax.set_yticks([0.003, 0.005, 0.007, 0.01, 0.02, 0.05])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    ax.yaxis.set_minor_formatter("")
    ax.set_xticks([3, 10, 30, 100, 300])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(frameon=False)
    return ax


def plot_augment_scores(table: pd.DataFrame) -> np.ndarray:
    """Draw the table of ``benchmark augment``: a dot for each training, a line at the mean."""
    _, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
    names = list(table["augment"].unique())
    for ax, column in zip(axes, ("validation", "handwriting"), strict=True):
        for place, name in enumerate(names):
            values = table.loc[table["augment"] == name, column]
            ax.plot(values, [place] * len(values), "o", color=BLUE, alpha=0.6)
            ax.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color="black", lw=2)
        ax.set(title=f"accuracy, {column}")
        ax.set_yticks(range(len(names)), names)
        ax.xaxis.set_major_formatter("{x:.2%}")
        ax.tick_params(axis="x", rotation=20)
    axes[0].invert_yaxis()
    return axes


def plot_stroke_scores(table: pd.DataFrame) -> Axes:
    """Draw the table of ``benchmark strokes``: errors over the pen's width, of each network."""
    _, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    pens = table.dropna(subset="pen")
    styles = {"as drawn": "--", "MNIST's width": "-"}
    for (network, strokes), rows in pens.groupby(["network", "strokes"], sort=False):
        colour = BLUE if network == "shipped" else ORANGE
        label = f"{network}, {strokes}"
        ax.plot(rows["pen"], rows["errors"], f"o{styles[strokes]}", color=colour, label=label)
    ax.set(xscale="log", xlabel="width of the pen, of the sheet's side", ylabel="errors")
    ax.set_ylim(bottom=0)
    widths = pens["pen"].unique()
    ax.set_xticks(widths, [f"{100 * width:g}%" for width in widths])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(fontsize=8, frameon=False)
    return ax


def plot_confidence_scores(
    table: pd.DataFrame, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Draw the table of ``benchmark confidence``, and risk over coverage for each set of digits.

    `curves` holds, by name, the confidences and which readings were correct.
    """
    _, axes = plt.subplots(1, 2, figsize=(12, 4.5), width_ratios=(3, 2), layout="constrained")
    digits = table["accuracy"].notna()
    errors = (table["flagged"] - table["low"], table["high"] - table["flagged"])
    colours = [ORANGE if is_digit else BLUE for is_digit in digits]
    places = range(len(table))
    bars = axes[0].barh(places, table["flagged"], xerr=errors, color=colours, capsize=2)
    axes[0].set_yticks(places, table["what"], parse_math=False)
    axes[0].bar_label(bars, [f"{share:.1%}" for share in table["flagged"]], padding=3, fontsize=8)
    axes[0].set(xlabel="share flagged as uncertain (orange: digits)", xlim=(0, 1.12))
    axes[0].xaxis.set_major_formatter("{x:.0%}")
    axes[0].invert_yaxis()
    for name, (confidence, correct) in curves.items():
        order = np.argsort(-confidence, kind="stable")
        coverage = np.arange(1, len(order) + 1) / len(order)
        risk = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
        axes[1].plot(coverage, risk, label=f"{name} ({len(order):,})", lw=1.5)
    axes[1].set(xlabel="share of the images that are predicted", ylabel="errors among these")
    axes[1].set_xlim(0.7, 1.005)
    axes[1].xaxis.set_major_formatter("{x:.0%}")
    axes[1].yaxis.set_major_formatter("{x:.1%}")
    for text in axes[1].legend(fontsize=8, frameon=False).get_texts():
        text.set_parse_math(False)
    return axes


# ----------------------------------------------------------------------------------- architecture


def plot_filters(weights: np.ndarray, columns: int = 8) -> np.ndarray:
    """Draw convolution kernels ``[C, 1, k, k]``: red adds ink, blue takes it away."""
    kernels = np.asarray(weights.detach().cpu() if hasattr(weights, "detach") else weights)
    if kernels.ndim != 4 or kernels.shape[1] != 1:
        raise ValueError(f"expected kernels [C, 1, k, k], not {list(kernels.shape)}")
    bound = float(np.abs(kernels).max())
    axes = _grid(len(kernels), min(columns, len(kernels)), (1.0, 1.0))
    for ax, kernel in zip(axes.flat, kernels[:, 0], strict=False):
        _show(ax, kernel, cmap="RdBu_r", vmin=-bound, vmax=bound)
    return axes


def plot_feature_maps(maps: np.ndarray, columns: int = 8) -> np.ndarray:
    """Draw what each channel of a layer makes of one picture: maps ``[C, H, W]``."""
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f"expected maps [C, H, W], not {list(maps.shape)}")
    axes = _grid(len(maps), min(columns, len(maps)), (1.0, 1.0))
    for ax, channel in zip(axes.flat, maps, strict=False):
        _show(ax, channel, cmap="viridis", vmin=float(channel.min()), vmax=float(channel.max()))
    return axes


def plot_architectures(
    table: pd.DataFrame, x: str = "macs", y: str = "parameters", ax: Axes | None = None
) -> Axes:
    """Draw networks as labelled points; `table` is indexed by name and has columns `x` and `y`."""
    ax = _axes(ax, 7, 4.5)
    ax.scatter(table[x], table[y], color=BLUE, zorder=3)
    drawn: list[tuple[float, float]] = []
    for name, row in table.sort_values(y).iterrows():
        here = (row[x], row[y])
        near = sum(np.allclose(here, other, rtol=1e-6) for other in drawn)
        ratios = table[x] / row[x], table[y] / row[y]
        above = all((ratio.gt(1.0001) & ratio.lt(1.35)).any() for ratio in ratios)
        drawn.append(here)
        place = (6, -12) if above else (6, 4 + 11 * near)
        ax.annotate(name, here, xytext=place, textcoords="offset points", fontsize=9)
    ax.set(xlabel=x, ylabel=y, xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):  # 1 M, 2 M, 5 M: labels that do not touch
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(EngFormatter())
        axis.set_minor_formatter(NullFormatter())
    ax.margins(0.15)
    ax.grid(alpha=0.3, which="both")
    return ax


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
    ax : Axes, optional
        Default: of a new figure.
    """
    ax = _axes(ax, 6, 4.6)
    ax.contour(first, second, loss, levels=18, colors=GREY, linewidths=0.7)
    lowest = np.unravel_index(np.argmin(loss), loss.shape)
    ax.plot(first[lowest[1]], second[lowest[0]], "*", color=RED, ms=13, label="lowest loss")
    for (name, path), color, style in zip(
        paths.items(), (BLUE, ORANGE, GREEN), ("o-", "s-", "^-"), strict=False
    ):
        ax.plot(*np.asarray(path).T, style, color=color, lw=1, ms=3, label=name)
    ax.set(xlabel="first weight", ylabel="second weight")
    ax.legend()
    return ax

"""Every figure of the series: arrays and tables in, matplotlib Axes out.

Functions that need one Axes take ``ax=None`` and draw into it, or into a new figure as wide as a
notebook; functions that need several return them as an array. Nothing is shown or saved here: a
notebook shows the figure at the end of its cell, `save_figure` writes it to a file.
Colours come from seaborn's "colorblind" palette, and no meaning is carried by colour alone.
Images may be numpy arrays or torch tensors, on any device.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from .paths import replacing

PALETTE = sns.color_palette("colorblind")
BLUE, ORANGE, GREEN, RED = PALETTE[:4]
INK, FAINT = "0.15", "0.75"
WIDTH = 9.0  # inches: the width of a notebook's page
HALO = [effects.withStroke(linewidth=3, foreground="white")]


def save_figure(drawing: Axes | np.ndarray | Figure, path: str | Path, dpi: int = 144) -> None:
    """Write a figure to a file, replacing it only once the new one is whole.

    Parameters
    ----------
    drawing : Axes, array of Axes or Figure
        What any function of this module returns.
    path : path
        Its suffix chooses the format (``.png``, ``.svg``, ``.pdf``). The folder is created.
    dpi : int
        Pixels an inch.
    """
    with replacing(path) as part:
        _figure_of(drawing).savefig(part, dpi=dpi, facecolor="white")


# ------------------------------------------------------------------------------- pictures of digits


def plot_digits(
    images: ArrayLike,
    labels: ArrayLike | None = None,
    predictions: ArrayLike | None = None,
    confidences: ArrayLike | None = None,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    cmap: str = "gray",
) -> np.ndarray:
    """Draw pictures in a grid; wrong predictions are framed, and say what would have been right.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
        uint8, or float: from 0 to 1, or else shown from its lowest to its highest value.
    labels, predictions : int of shape [N], optional
        True and predicted digits; a label of -1 is not known.
    confidences : float in [0, 1] of shape [N], optional
        Written below the digit.
    titles : sequence of str, optional
        Written instead of the above.
    columns : int, optional
        Pictures a row. Default: 10, or fewer if rows of equal length come out so.
    cmap : str
        Colours of the pixels.

    Returns
    -------
    ndarray of Axes, shape [N]

    Raises
    ------
    ValueError
        If there are no images, a shape does not fit, or a length differs.
    """
    pictures = _pictures(images)
    number = len(pictures)
    given = {"labels": labels, "predictions": predictions, "confidences": confidences}
    columns_of = {name: _column(values, number, name) for name, values in given.items()}
    if titles is None:
        rows = zip(*columns_of.values(), strict=True)
        titles = [_caption(*row) for row in rows]
    elif len(titles) != number:
        raise ValueError(f"expected {number} titles, one for each image, got {len(titles)}")
    axes = _grid(number, columns or _columns_for(number), max(t.count("\n") for t in titles) + 1)
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        _show(ax, picture, cmap, _limits(pictures))
        ax.set_title(title, fontsize=10, color=INK, pad=3)
    for ax, label, prediction in zip(
        axes, columns_of["labels"], columns_of["predictions"], strict=True
    ):
        if _is_wrong(label, prediction):
            _mark_wrong(ax)
    return axes


def plot_misclassified(
    images: ArrayLike, errors: pd.DataFrame, count: int = 20, columns: int = 5
) -> np.ndarray:
    """Draw the first errors of a table, with what was read, how surely, and what it cost.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
        The whole split that the column ``index`` of `errors` points into; or, without that
        column, one picture for each row.
    errors : DataFrame
        As `mnist_helpers.evaluation.misclassified` returns it: columns ``label``, ``predicted``,
        ``confidence``, ``loss``, and ``index``. Highest loss first makes these the top losses.
    count : int
        At most as many pictures.
    columns : int
        Pictures a row.

    Returns
    -------
    ndarray of Axes, shape [min(count, rows of errors)]

    Raises
    ------
    ValueError
        If a column is missing, the table is empty, or it points beyond the images.
    """
    _need_columns(errors, "label", "predicted", "confidence", "loss")
    if errors.empty or count < 1:
        raise ValueError("there are no errors to draw")
    chosen = errors.head(count)
    if "index" in errors:
        if not 0 <= chosen["index"].min() <= chosen["index"].max() < len(images):
            raise ValueError(f"errors point beyond the {len(images)} images: pass the whole split")
        pictures = _pictures(images[chosen["index"].to_numpy()])
    elif len(images) != len(errors):
        raise ValueError(f"expected {len(errors)} images, one for each error, got {len(images)}")
    else:
        pictures = _pictures(images[: len(chosen)])
    titles = [
        f"✗ {row.predicted}, not {row.label}\n{_percent(row.confidence)}, loss {row.loss:.1f}"
        for row in chosen.itertuples()
    ]
    axes = plot_digits(pictures, titles=titles, columns=min(columns, len(chosen)))
    for ax in axes:
        _mark_wrong(ax)
    return axes


def plot_class_means(images: ArrayLike, labels: ArrayLike, cmap: str = "viridis") -> np.ndarray:
    """Draw the mean picture of each class.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
    labels : int of shape [N]
    cmap : str
        Colours of the pixels.

    Returns
    -------
    ndarray of Axes, one for each class that occurs, in order
    """
    pictures = _pictures(images)
    labels = _column(labels, len(pictures), "labels")
    digits = np.unique(labels)
    means = np.stack([pictures[labels == digit].mean(0) for digit in digits])
    titles = [f"{digit}\n{(labels == digit).sum():,} pictures" for digit in digits]
    return plot_digits(means, titles=titles, columns=5 if len(digits) > 5 else None, cmap=cmap)


def plot_class_counts(
    labels: ArrayLike | Mapping[str, ArrayLike], share: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw how many pictures of each digit there are, for one split or several.

    Parameters
    ----------
    labels : int of shape [N], or dict of split's name to such
        Digits 0 to 9.
    share : bool
        Draw percentages of the split, which compares splits of different sizes.
    ax : Axes, optional
    """
    splits = labels if isinstance(labels, Mapping) else {"": labels}
    counts = {}
    for name, values in splits.items():
        digits = _numpy(values)
        if digits.ndim != 1 or not digits.size or digits.min() < 0 or digits.max() > 9:
            raise ValueError(f"expected labels {name} of shape [N] from 0 to 9")
        counts[name] = np.bincount(digits.astype(int), minlength=10)
        if share:
            counts[name] = counts[name] / len(digits)
    ax = _axes(ax, (WIDTH, 3.2))
    wide = 0.8 / len(counts)
    for i, (name, values) in enumerate(counts.items()):
        places = np.arange(10) + (i - (len(counts) - 1) / 2) * wide
        bars = ax.bar(places, values, wide * 0.95, color=PALETTE[i], label=name)
        if len(counts) == 1:
            ax.bar_label(bars, fmt="{:.1%}" if share else "{:,.0f}", fontsize=9, color=INK)
    _tidy(ax, "digit", "share of the split" if share else "pictures", grid="y")
    ax.yaxis.set_major_formatter(PercentFormatter(1) if share else "{x:,.0f}")
    ax.set_xticks(range(10))
    ax.margins(y=0.12)
    if any(counts):
        ax.legend(ncols=len(counts), frameon=False, loc="upper right")
    return ax


def plot_pixel_values(
    image: ArrayLike,
    rows: slice = slice(None),
    columns: slice = slice(None),
    ax: Axes | None = None,
) -> Axes:
    """Draw a picture as what it is for a computer: a table of numbers.

    Parameters
    ----------
    image : array or tensor of shape [28, 28] or [1, 28, 28]
        uint8, or float.
    rows, columns : slice
        The part to draw. Default: all of it.
    ax : Axes, optional
    """
    picture = _picture(image)
    low, high = _limits(picture)
    index = [range(size)[part] for size, part in zip(picture.shape, (rows, columns), strict=True)]
    table = pd.DataFrame(picture).iloc[rows, columns]
    if table.empty:
        raise ValueError(f"rows {rows} and columns {columns} leave nothing of {picture.shape}")
    ax = _axes(ax, (WIDTH, WIDTH * len(index[0]) / len(index[1]) + 0.4))
    numbers = {"size": np.clip(160 / max(table.shape), 5.5, 11)}
    whole = np.issubdtype(picture.dtype, np.integer)
    options = {"annot": True, "fmt": "d" if whole else ".1f", "annot_kws": numbers}
    sns.heatmap(table, vmin=low, vmax=high, cmap="gray", cbar=False, square=True, ax=ax, **options)
    ax.set_xticks(np.arange(len(index[1])) + 0.5, index[1], fontsize=8)
    ax.set_yticks(np.arange(len(index[0])) + 0.5, index[0], fontsize=8, rotation=0)
    ax.set(xlabel="column", ylabel="row")
    return ax


def plot_steps(
    steps: Mapping[str, ArrayLike], columns: int | None = None, title: str | None = None
) -> np.ndarray:
    """Draw the steps from a picture to MNIST's format, in reading order.

    Parameters
    ----------
    steps : dict of str to array
        As `mnist_helpers.preprocess.preprocessing_steps` returns it: each ``[H, W]``,
        ``[H, W, 3]`` or ``[H, W, 4]`` of any size; uint8, bool, or float.
    columns : int, optional
        Pictures a row. Default: all in one row up to 6, else rows of about equal length.
    title : str, optional

    Returns
    -------
    ndarray of Axes, shape [number of steps]
    """
    if not steps:
        raise ValueError("there are no steps to draw")
    pictures = {name: _numpy(picture) for name, picture in steps.items()}
    for name, picture in pictures.items():
        if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (3, 4)):
            raise ValueError(f"expected step {name!r} as [H, W] or [H, W, 3], got {picture.shape}")
    number = len(pictures)
    columns = columns or -(-number // -(-number // 6))
    captions = [
        f"{i}. " + textwrap.fill(name.replace("_", " "), max(12, 88 // columns))
        for i, name in enumerate(pictures, 1)
    ]
    axes = _grid(number, columns, max(c.count("\n") for c in captions) + 1, cell=1.9, below=0.25)
    for ax, caption, picture in zip(axes, captions, pictures.values(), strict=True):
        _show(ax, picture, "gray", _limits(picture))
        ax.set_anchor("N")
        ax.set_title(caption, fontsize=10, color=INK, pad=4)
        ax.set_xlabel(f"{picture.shape[1]} × {picture.shape[0]}", fontsize=9, color="0.4")
    if title:
        axes[0].figure.suptitle(title)
    return axes


def plot_augmentations(images: ArrayLike, versions: Mapping[str, ArrayLike]) -> np.ndarray:
    """Draw pictures, and below each what augmentation made of it.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
    versions : dict of str to images of the same shape
        One row each, for example ``{name: augment(images) for name, augment in …}``.

    Returns
    -------
    ndarray of Axes, shape [1 + number of versions, N]
    """
    rows = {"original": _pictures(images)}
    for name, version in versions.items():
        rows[name] = _pictures(version)
        if rows[name].shape != rows["original"].shape:
            wanted, got = rows["original"].shape, rows[name].shape
            raise ValueError(f"expected version {name!r} of shape {wanted}, got {got}")
    number = len(rows["original"])
    cell = min(1.1, (WIDTH - 1) / number)
    size = (number * cell + 1, len(rows) * cell + 0.1)
    _, axes = plt.subplots(len(rows), number, figsize=size, layout="constrained", squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for ax, picture in zip(line, pictures, strict=True):
            _show(ax, picture, "gray", _limits(pictures))
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11, color=INK)
    return axes


# ----------------------------------------------------------------------------------------- training


def plot_history(
    history: Any, axes: Sequence[Axes] | None = None, epochs: int | None = None
) -> np.ndarray:
    """Draw loss and accuracy over the epochs, training and validation, the best epoch marked.

    Parameters
    ----------
    history : list of dict, DataFrame, or dict of name to such
        Rows with ``epoch``, ``train_loss``, ``train_accuracy`` and, with validation data,
        ``val_loss``, ``val_accuracy``; accuracies in [0, 1]. A dict compares several runs.
    axes : two Axes, optional
        To draw into.
    epochs : int, optional
        Leave room for as many epochs.

    Returns
    -------
    ndarray of Axes, shape [2]
        Loss and accuracy.

    Notes
    -----
    The best epoch is the one with the lowest validation loss, as `train` chooses ``best.pt``.
    """
    runs = history if isinstance(history, Mapping) else {"": history}
    tables = {name: _history_table(rows, name) for name, rows in runs.items()}
    if not tables:
        raise ValueError("there is no history to draw")
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), layout="constrained")
    for ax, measure in zip(axes, ("loss", "accuracy"), strict=True):
        for i, (name, table) in enumerate(tables.items()):
            _draw_run(ax, table, measure, name, PALETTE[i % 10] if len(tables) > 1 else None)
        _tidy(ax, "epoch", measure, grid="both")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if epochs:
            ax.set_xlim(0.5, epochs + 0.5)
        handles, names = ax.get_legend_handles_labels()
        if len(tables) > 1:
            handles += [Line2D([], [], color="0.3", ls=style) for style in ("--", "-")]
            names += ["training", "validation"]
        ax.legend(handles, names, frameon=False, fontsize=9)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    return np.asarray(axes)


class LiveHistory:
    """A callback for `train` that redraws the curves in place after each epoch of training.

    Parameters
    ----------
    epochs : int, optional
        Leave room for as many epochs from the start.

    Attributes
    ----------
    figure : Figure
        The curves as they stand. It is not known to pyplot, so no second copy of it appears when
        the cell ends. Without IPython it is kept up to date, and shown nowhere.

    Examples
    --------
    >>> train(model, digits, callbacks=[LiveHistory(epochs=5)])  # doctest: +SKIP
    """

    def __init__(self, epochs: int | None = None) -> None:
        self.epochs = epochs
        self.figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        self._handle: Any = None
        self._drawn = 0

    def __call__(self, history: Sequence[Mapping[str, float]]) -> None:
        """Draw the history, which has one more row than at the last call."""
        from IPython import display, get_ipython

        self.figure.clear()
        plot_history(history, self.figure.subplots(1, 2), self.epochs)
        is_new_run, self._drawn = len(history) <= self._drawn, len(history)
        if get_ipython() is None:
            return
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=144, facecolor="white")
        picture = display.Image(buffer.getvalue(), width=int(WIDTH * 96))
        if self._handle is None or is_new_run:
            self._handle = display.display(picture, display_id=True)
        else:
            self._handle.update(picture)


def plot_learning_rates(
    rates: ArrayLike | Mapping[str, ArrayLike],
    steps_per_epoch: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a schedule: the learning rate at each step.

    Parameters
    ----------
    rates : float of shape [steps], or dict of name to such
    steps_per_epoch : int, optional
        Count epochs instead of steps on the x axis.
    ax : Axes, optional
    """
    curves = rates if isinstance(rates, Mapping) else {"": rates}
    ax = _axes(ax, (WIDTH * 0.7, 3.2))
    for i, (name, values) in enumerate(curves.items()):
        values = _numpy(values)
        if values.ndim != 1 or not values.size:
            raise ValueError(f"expected rates of shape [steps], got {values.shape}")
        steps = np.arange(len(values)) / (steps_per_epoch or 1)
        ax.plot(steps, values, color=PALETTE[i % 10], lw=2, label=name)
    _tidy(ax, "epoch" if steps_per_epoch else "step", "learning rate", grid="both")
    ax.set_ylim(bottom=0)
    if any(curves):
        ax.legend(frameon=False)
    return ax


def plot_architectures(table: pd.DataFrame, x: str = "parameters", ax: Axes | None = None) -> Axes:
    """Draw what networks cost against how well they read, each with its name beside it.

    Parameters
    ----------
    table : DataFrame
        ``name`` (or as its index), ``accuracy`` in [0, 1], and the column `x`; if it has
        ``accuracy_low`` and ``accuracy_high``, they are drawn as error bars.
    x : str
        The cost: "parameters", "macs", or any other column of positive numbers.
    ax : Axes, optional
    """
    _need_columns(table, "accuracy", x)
    names = table.get("name", table.index)
    costs, accuracies = table[x].to_numpy(float), table["accuracy"].to_numpy(float)
    if not len(table) or not (costs > 0).all():
        raise ValueError(f"expected at least one network, each with {x} above 0")
    ax = _axes(ax, (WIDTH * 0.8, 4.4))
    if "accuracy_low" in table:
        reach = np.stack([accuracies - table["accuracy_low"], table["accuracy_high"] - accuracies])
        ax.errorbar(costs, accuracies, reach, fmt="none", ecolor=FAINT, capsize=3, zorder=1)
    ax.scatter(costs, accuracies, s=60, color=BLUE, zorder=2)
    titles = {"macs": "multiply-accumulates for one picture", "seconds": "seconds of training"}
    _tidy(ax, titles.get(x, x) + " (logarithmic)", "accuracy", grid="both")
    ax.set_xscale("log")
    ax.margins(0.15, 0.15)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    _name_points(ax, costs, accuracies, [str(name) for name in names])
    return ax


# --------------------------------------------------------------------------------------- evaluation


def plot_confusion(
    confusion: ArrayLike,
    normalize: str | None = None,
    errors_only: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw a confusion matrix: which digit was taken for which. Zeros are left empty.

    Parameters
    ----------
    confusion : int of shape [10, 10]
        Counts; row = true digit, column = predicted digit.
    normalize : {None, "true", "predicted"}
        Draw counts, percentages of the true digit's pictures (rows sum to 100), or of the
        pictures read as a digit (columns sum to 100).
    errors_only : bool
        Take the diagonal out of the colour scale, so that the errors show.
    ax : Axes, optional
    """
    counts = _numpy(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"expected a square confusion matrix [10, 10], got {counts.shape}")
    if normalize not in (None, "true", "predicted"):
        raise ValueError(f"normalize must be None, 'true' or 'predicted', not {normalize!r}")
    values = counts.astype(float)
    if normalize:
        totals = counts.sum(axis=1 if normalize == "true" else 0, keepdims=True)
        values = 100 * counts / np.maximum(totals, 1)
    texts = [[f"{v:.1f}" if normalize else f"{v:.0f}" for v in row] for row in values]
    texts = np.where(counts == 0, "", texts)
    diagonal = np.eye(len(counts), dtype=bool)
    ax = _axes(ax, (7, 6.2))
    scale = f"% of the {normalize} digit's pictures" if normalize else "pictures"
    sns.heatmap(
        np.where(diagonal, 0, values) if errors_only else values,
        annot=np.where(diagonal, "", texts) if errors_only else texts,
        fmt="",
        cmap="Blues",
        square=True,
        linewidths=0.5,
        linecolor="0.92",
        annot_kws={"size": 10},
        cbar_kws={"label": scale, "shrink": 0.85},
        ax=ax,
    )
    if errors_only:
        for i in range(len(counts)):
            ax.add_patch(plt.Rectangle((i, i), 1, 1, color="0.93"))
            ax.text(i + 0.5, i + 0.5, texts[i, i], ha="center", va="center", color="0.55", size=9)
    ax.set_xlabel("predicted digit", fontsize=11)
    ax.set_ylabel("true digit", fontsize=11)
    ax.tick_params(length=0, rotation=0)
    return ax


def plot_probabilities(
    probs: ArrayLike,
    image: ArrayLike | None = None,
    label: int | None = None,
    horizontal: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the ten probabilities of one picture, the highest one standing out.

    Parameters
    ----------
    probs : float of shape [10]
        In [0, 1].
    image : array or tensor of shape [28, 28], optional
        Drawn to the left of the bars.
    label : int, optional
        The true digit; if it is not the likeliest one, its bar stands out too.
    horizontal : bool
        Lie the bars down, which leaves room for their percentages.
    ax : Axes, optional
    """
    probs = _numpy(probs).astype(float)
    if probs.shape != (10,) or not ((probs >= 0) & (probs <= 1.0001)).all():
        raise ValueError(f"expected 10 probabilities between 0 and 1, got shape {probs.shape}")
    top = int(probs.argmax())
    wrong = label is not None and label != top
    colours = [FAINT] * 10
    colours[top] = RED if wrong else BLUE
    if wrong:
        colours[label] = GREEN
    ax = _axes(ax, (6.5 if image is not None else 4.5, 3.0))
    draw, across, up = (ax.barh, ax.xaxis, "y") if horizontal else (ax.bar, ax.yaxis, "x")
    bars = draw(range(10), probs, color=colours)
    ax.bar_label(bars, [_percent(p) if p >= 0.005 else "" for p in probs], padding=3, fontsize=9)
    _tidy(ax, *(("probability", "digit") if horizontal else ("digit", "probability")))
    across.set_major_formatter(PercentFormatter(1))
    ax.set(**{f"{up}ticks": range(10), f"{'x' if horizontal else 'y'}lim": (0, 1.18)})
    across.set_ticks(np.linspace(0, 1, 5))
    if horizontal:
        ax.invert_yaxis()
    read = f"read as {top}, {_percent(probs[top])}"
    ax.set_title(f"✗ {read}; it is {label}" if wrong else read, color=RED if wrong else INK)
    if image is not None:
        beside = ax.inset_axes((-0.75, 0.0, 0.6, 1.0))
        _show(beside, picture := _picture(image), "gray", _limits(picture))
    return ax


def plot_per_class(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw precision, recall and F1 of each digit.

    Parameters
    ----------
    table : DataFrame
        Index: digits; columns ``precision``, ``recall``, ``f1``, in [0, 1].
    ax : Axes, optional
    """
    measures = ("precision", "recall", "f1")
    _need_columns(table, *measures)
    ax = _axes(ax, (WIDTH, 3.2))
    places = np.arange(len(table))
    lows, highs = table[list(measures)].min(axis=1), table[list(measures)].max(axis=1)
    ax.vlines(places, lows, highs, color=FAINT, lw=2, zorder=1)
    for measure, marker, colour in zip(measures, "^v_", (BLUE, ORANGE, INK), strict=True):
        name = "F1" if measure == "f1" else measure
        ax.scatter(places, table[measure], s=80, marker=marker, color=colour, label=name, zorder=2)
    _tidy(ax, "digit", "", grid="y")
    ax.set_xticks(places, table.index)
    ax.margins(y=0.15)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(ncols=3, frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    return ax


def plot_calibration(calibration: Any, axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Draw accuracy against confidence, and below it how many pictures each point stands for.

    Parameters
    ----------
    calibration : Calibration, DataFrame, or dict of name to such
        Table with ``low``, ``high``, ``confidence``, ``accuracy``, ``count``, one row a bin.
    axes : two Axes, optional
        To draw into.

    Returns
    -------
    ndarray of Axes, shape [2]
        The reliability diagram, and the counts on a logarithmic axis.
    """
    given = calibration if isinstance(calibration, Mapping) else {"network": calibration}
    if axes is None:
        ratios = {"height_ratios": (3, 1.2)}
        _, axes = plt.subplots(
            2, 1, figsize=(5.6, 6), sharex=True, layout="constrained", gridspec_kw=ratios
        )
    top, bottom = axes
    top.plot([0, 1], [0, 1], ls="--", color="0.5", label="confidence = accuracy")
    for i, (name, item) in enumerate(given.items()):
        table = getattr(item, "table", item)
        _need_columns(table, "low", "high", "confidence", "accuracy", "count")
        full = table[table["count"] > 0]
        gaps = (full["confidence"] - full["accuracy"]).abs()
        ece = float((gaps * full["count"]).sum() / full["count"].sum())
        style = {"color": PALETTE[i % 10], "marker": "os^Dv"[i % 5]}
        points = full["confidence"], full["accuracy"]
        top.plot(*points, lw=2, label=f"{name}: ECE {ece:.2%}", **style)
        edges = np.append(table["low"], table["high"].iloc[-1])
        filled = len(given) == 1
        bottom.stairs(table["count"], edges, color=PALETTE[i % 10], fill=filled, lw=2)
    _tidy(top, "", "accuracy", grid="both")
    _tidy(bottom, "confidence", "pictures", grid="y")
    top.set(ylim=(-0.02, 1.02), xlim=(-0.02, 1.02))
    bottom.set(yscale="log", ylim=(0.7, None), xlim=(-0.02, 1.02))
    for axis in (top.yaxis, bottom.xaxis):
        axis.set_major_formatter(PercentFormatter(1))
    bottom.yaxis.set_major_formatter("{x:,.0f}")
    top.legend(frameon=False, loc="upper left")
    return np.asarray(axes)


def plot_risk_coverage(
    confidence: ArrayLike, correct: ArrayLike, name: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the error rate that is left if only the surest pictures are answered.

    Parameters
    ----------
    confidence : float of shape [N]
    correct : bool of shape [N]
    name : str, optional
        For the legend; call again with the same `ax` to compare.
    ax : Axes, optional
    """
    confidence, correct = _numpy(confidence), _numpy(correct).astype(bool)
    if confidence.ndim != 1 or confidence.shape != correct.shape or not len(correct):
        raise ValueError(
            f"expected confidence and correct of one shape [N], got {confidence.shape} "
            f"and {correct.shape}"
        )
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    risk = np.cumsum(~correct[order]) / answered
    last = np.append(np.diff(confidence[order]) != 0, True)  # equal ones are answered together
    ax = _axes(ax, (WIDTH * 0.65, 3.6))
    ax.plot(answered[last] / len(order), risk[last], lw=2, label=name)
    _tidy(ax, "share of pictures answered, surest first", "errors among them", grid="both")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    ax.set(xlim=(0, 1.01))
    ax.set_ylim(bottom=0)
    if name:
        ax.legend(frameon=False)
    return ax


def plot_handwriting(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of several ways of reading on several sets, with their intervals.

    Parameters
    ----------
    table : DataFrame
        ``set``, ``pictures``, and for each way ``way``, ``way_low``, ``way_high`` in [0, 1].
    ax : Axes, optional
    """
    _need_columns(table, "set", "pictures")
    ways = [column[:-4] for column in table if column.endswith("_low")]
    _need_columns(table, *ways, *(f"{way}_high" for way in ways))
    ax = _axes(ax, (WIDTH, 3.8))
    wide = 0.8 / max(len(ways), 1)
    for i, way in enumerate(ways):
        value = table[way]
        reach = np.clip([value - table[f"{way}_low"], table[f"{way}_high"] - value], 0, None)
        places = np.arange(len(table)) + (i - (len(ways) - 1) / 2) * wide
        colour = BLUE if way == "ours" else ("0.8", "0.6", "0.45")[i % 3]
        bars = ax.bar(places, value, wide * 0.92, color=colour, label=way)
        ax.errorbar(places, value, reach, fmt="none", ecolor=INK, capsize=2, lw=1)
        ax.bar_label(bars, [f"{v:.0%}" for v in value], label_type="center", fontsize=8)
    _tidy(ax, "", "accuracy", grid="y")
    names = [f"{row.set}\n{row.pictures:,}" for row in table.itertuples()]
    ax.set_xticks(range(len(table)), names, fontsize=9)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(ncols=len(ways), frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    return ax


# ------------------------------------------------------------------------------- inside the network


def plot_saliency(image: ArrayLike, saliency: ArrayLike) -> np.ndarray:
    """Draw a picture, and which of its pixels speak for the digit (red) and against it (blue).

    Parameters
    ----------
    image, saliency : array or tensor of shape [28, 28]
        `saliency` as `mnist_helpers.evaluation.saliency` returns it, of either sign.

    Returns
    -------
    ndarray of Axes, shape [2]
    """
    picture, values = _picture(image), _picture(saliency)
    if picture.shape != values.shape:
        raise ValueError(f"expected saliency of shape {picture.shape}, got {values.shape}")
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.1), layout="constrained")
    _show(axes[0], picture, "gray", _limits(picture))
    drawn = _show(axes[1], values, "RdBu_r", _around_zero(values))
    axes[1].contour(picture.astype(float), [picture.max() / 2], colors="0.4", linewidths=0.8)
    bar = figure.colorbar(drawn, ax=axes[1], shrink=0.9)
    bar.set_label("against   ←   →   for", fontsize=10)
    return axes


def plot_feature_maps(maps: ArrayLike, columns: int = 8, cmap: str = "viridis") -> np.ndarray:
    """Draw what each channel of a layer sees in one picture, all on one colour scale.

    Parameters
    ----------
    maps : array or tensor of shape [C, H, W] or [1, C, H, W]
    columns : int
        Maps a row.
    cmap : str

    Returns
    -------
    ndarray of Axes, shape [C]
    """
    values = _numpy(maps)
    values = values[0] if values.ndim == 4 and len(values) == 1 else values
    if values.ndim != 3 or not values.size:
        raise ValueError(f"expected feature maps [C, H, W] of one picture, got {values.shape}")
    return _channels(values, columns, cmap, (float(values.min()), float(values.max())))


def plot_filters(weights: ArrayLike, columns: int = 8) -> np.ndarray:
    """Draw the filters of a first convolution: red adds, blue takes away, white ignores.

    Parameters
    ----------
    weights : array or tensor of shape [C, 1, k, k]
    columns : int
        Filters a row.

    Returns
    -------
    ndarray of Axes, shape [C]
    """
    values = _numpy(weights)
    if values.ndim != 4 or values.shape[1] != 1 or not values.size:
        raise ValueError(f"expected filters over one channel [C, 1, k, k], got {values.shape}")
    return _channels(values[:, 0], columns, "RdBu_r", _around_zero(values))


def plot_embedding(points: ArrayLike, labels: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw pictures as points in the plane (PCA, t-SNE, …), the digit written over each group.

    Parameters
    ----------
    points : float of shape [N, 2]
    labels : int of shape [N]
    ax : Axes, optional
    """
    points = _numpy(points)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"expected points [N, 2], got {points.shape}")
    labels = _column(labels, len(points), "labels")
    ax = _axes(ax, (6.5, 5.6))
    for digit in np.unique(labels):
        group = points[labels == digit]
        size = np.clip(20_000 / len(points), 4, 30)
        ax.scatter(*group.T, s=size, color=PALETTE[int(digit) % 10], alpha=0.6, lw=0)
    for digit in np.unique(labels):
        place = np.median(points[labels == digit], axis=0)
        ax.text(
            *place, str(digit), size=16, weight="bold", ha="center", va="center", path_effects=HALO
        )
    ax.set(xticks=[], yticks=[])
    return ax


# -------------------------------------------------------------------------------------- preparation


def _numpy(values: Any) -> np.ndarray:
    """Return an array of what may be a tensor, on any device and with gradients."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def _pictures(images: ArrayLike) -> np.ndarray:
    """Return images as [N, H, W]."""
    pictures = _numpy(images)
    if pictures.ndim == 4 and pictures.shape[1] == 1:
        pictures = pictures[:, 0]
    if pictures.ndim != 3 or not pictures.size:
        raise ValueError(
            f"expected images [N, 28, 28] or [N, 1, 28, 28], at least one, got {pictures.shape}"
        )
    return pictures


def _picture(image: ArrayLike) -> np.ndarray:
    """Return one image as [H, W]."""
    picture = _numpy(image)
    if picture.size and picture.ndim > 2 and picture.shape[:-2] == (1,) * (picture.ndim - 2):
        picture = picture.reshape(picture.shape[-2:])
    if picture.ndim != 2 or not picture.size:
        raise ValueError(f"expected one image [28, 28], got {picture.shape}")
    return picture


def _column(values: ArrayLike | None, number: int, name: str) -> np.ndarray:
    """Return one value for each of `number` images; None for each if there are none."""
    if values is None:
        return np.full(number, None)
    column = _numpy(values)
    if column.shape != (number,):
        raise ValueError(f"expected {number} {name}, one for each image, got {column.shape}")
    return column


def _need_columns(table: Any, *names: str) -> None:
    """Raise ValueError if `table` is no DataFrame with these columns."""
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"expected a DataFrame, got {type(table).__name__}")
    if missing := [name for name in names if name not in table]:
        raise ValueError(f"expected columns {', '.join(names)}; missing: {', '.join(missing)}")


def _history_table(history: Any, name: str) -> pd.DataFrame:
    """Return a history as a table of numbers that has all columns, NaN where a value is missing."""
    table = history if isinstance(history, pd.DataFrame) else pd.DataFrame(list(history))
    if table.empty:
        raise ValueError(f"the history {name} has no epochs yet: nothing to draw")
    _need_columns(table, "epoch", "train_loss", "train_accuracy")
    columns = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    return table.reindex(columns=columns).astype(float)


def _limits(pixels: np.ndarray) -> tuple[float, float]:
    """Return the values to show as black and white."""
    if pixels.dtype == np.uint8:
        return 0, 255
    low, high = float(pixels.min()), float(pixels.max())
    return (0, 1) if low >= 0 and high <= 1 else (low, high)


def _around_zero(values: np.ndarray) -> tuple[float, float]:
    """Return limits that make zero the middle colour."""
    reach = float(np.abs(values).max()) or 1.0
    return -reach, reach


def _percent(share: float) -> str:
    """Return a share as a percentage that never rounds up to certainty."""
    return ">99.9%" if 0.999 < share < 1 else f"{share:.1%}"


def _is_wrong(label: int | None, prediction: int | None) -> bool:
    return label is not None and prediction is not None and label >= 0 and label != prediction


def _caption(label: int | None, prediction: int | None, confidence: float | None) -> str:
    """Return what stands above a picture."""
    if _is_wrong(label, prediction):
        digit = f"✗ {prediction}, not {label}"
    else:
        known = prediction if prediction is not None else label
        digit = "" if known is None else "?" if known < 0 else str(known)
    return digit if confidence is None else f"{digit}\n{_percent(confidence)}".lstrip()


# ------------------------------------------------------------------------------------------ drawing


def _figure_of(drawing: Axes | Iterable[Axes] | Figure) -> Figure | SubFigure:
    """Return the figure that was drawn into."""
    if isinstance(drawing, Figure):
        return drawing
    return np.ravel(np.asarray(drawing, dtype=object))[0].get_figure(root=True)


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return `ax`, or that of a new figure of `size` in inches."""
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def _columns_for(number: int) -> int:
    """Return how many pictures to put in a row: up to 10, in rows of about equal length."""
    return -(-number // -(-number // 10))


def _grid(
    number: int, columns: int, lines: int, cell: float = 1.15, below: float = 0.0
) -> np.ndarray:
    """Return `number` Axes in rows of `columns`, with room for `lines` of text above each."""
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    cell = min(cell, WIDTH / columns)
    rows = -(-number // columns)
    size = columns * cell, rows * (cell + 0.19 * lines + 0.05 + below)
    _, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for ax in axes.flat[number:]:
        ax.remove()
    return axes.flatten()[:number]


def _channels(
    values: np.ndarray, columns: int, cmap: str, limits: tuple[float, float]
) -> np.ndarray:
    """Draw [C, H, W] as numbered pictures on one colour scale."""
    axes = _grid(len(values), min(columns, len(values)), 1)
    for i, (ax, channel) in enumerate(zip(axes, values, strict=True)):
        drawn = _show(ax, channel, cmap, limits)
        ax.set_title(str(i), fontsize=9, color="0.4", pad=2)
    axes[0].figure.colorbar(drawn, ax=list(axes), shrink=0.8, aspect=30, pad=0.02)
    return axes


def _show(ax: Axes, picture: np.ndarray, cmap: str, limits: tuple[float, float]) -> Any:
    """Draw the pixels of one picture, without ticks."""
    if picture.dtype == bool:
        picture = picture.astype(np.uint8)
    elif picture.ndim == 3 and picture.dtype != np.uint8:
        low, high = limits
        picture = (picture - low) / ((high - low) or 1)
    ax.set(xticks=[], yticks=[])
    sns.despine(ax=ax, left=True, bottom=True)
    smooth = "nearest" if max(picture.shape[:2]) <= 100 else "antialiased"
    return ax.imshow(picture, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation=smooth)


def _mark_wrong(ax: Axes) -> None:
    """Mark a picture as misread: coloured title and frame."""
    ax.title.set_color(RED)
    for spine in ax.spines.values():
        spine.set(visible=True, color=RED, linewidth=2.5)


def _tidy(ax: Axes, xlabel: str, ylabel: str, grid: str | None = None) -> None:
    """Name the axes, take away the box, and lay a faint grid behind."""
    sns.despine(ax=ax)
    ax.set_xlabel(xlabel, fontsize=11)
    ax.set_ylabel(ylabel, fontsize=11)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis=grid, color="0.9")


def _draw_run(ax: Axes, table: pd.DataFrame, measure: str, name: str, colour: Any) -> None:
    """Draw one run's training and validation curve; `colour` is its own among several runs."""
    validation, epoch = table[f"val_{measure}"], table["epoch"]
    has_validation = bool(validation.notna().any())
    marker = "o" if len(table) <= 20 else None
    style = {"marker": marker, "ms": 4, "lw": 1.8}
    alone = colour is None
    training_label = "training" if alone else (name if not has_validation else None)
    training = table[f"train_{measure}"]
    ax.plot(epoch, training, "--", color=colour or BLUE, label=training_label, **style)
    if not has_validation:
        return
    best = table["val_loss"].idxmin() if table["val_loss"].notna().any() else validation.idxmax()
    value = f"{validation[best]:.2%}" if measure == "accuracy" else f"{validation[best]:.4f}"
    at_best = f"best epoch {epoch[best]:.0f}: {value}"
    validation_label = "validation" if alone else f"{name}, {at_best}"
    ax.plot(epoch, validation, "-", color=colour or ORANGE, label=validation_label, **style)
    ax.plot(
        epoch[best],
        validation[best],
        "*",
        ms=15,
        mec="white",
        color=colour or ORANGE,
        label=at_best if alone else None,
        zorder=4,
    )


def _name_points(ax: Axes, x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> None:
    """Write a name beside each point, where it covers no other name and no point."""
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    points = ax.transData.transform(np.column_stack([x, y]))
    taken: list[Any] = []
    sides = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
    places = [(dx, dy, far) for far in (9, 20, 32, 46) for dx, dy in sides]
    align = {1: ("left", "bottom"), -1: ("right", "top"), 0: ("center", "center")}
    for name, place in zip(names, zip(x, y, strict=True), strict=True):
        for dx, dy, far in places:
            text = ax.annotate(
                name,
                place,
                (dx * far, dy * far),
                textcoords="offset points",
                ha=align[dx][0],
                va=align[dy][1],
                fontsize=10,
                arrowprops={"arrowstyle": "-", "color": FAINT, "shrinkB": 4} if far > 9 else None,
            )
            box = text.get_tightbbox(renderer) if far <= 9 else text.get_window_extent(renderer)
            box = box.padded(2)
            inside = ax.bbox.contains(*box.min) and ax.bbox.contains(*box.max)
            free = not any(box.overlaps(other) for other in taken)
            if inside and free and not box.count_contains(points):
                break
            if (dx, dy, far) != places[-1]:
                text.remove()
        taken.append(box)

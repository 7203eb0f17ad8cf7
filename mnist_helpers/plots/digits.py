"""Figures of the data: digits in a grid, their pixels, classes and embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from .base import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    RED,
    as_images,
    axes_or_new,
    image_grid,
    percent,
    show_image,
)

if TYPE_CHECKING:
    import pandas as pd

    from .base import Images


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
    labels, predictions : sequences of N ints, default=None
        Where both are given, wrong predictions are framed and say "4, not 9".
    confidences : sequence of N floats in [0, 1], default=None
        Shown as percentages.
    titles : sequence of N strings, default=None
        Instead of the above.
    columns : int, default=10

    Returns
    -------
    ndarray of Axes, shape [rows, columns]
    """
    arrays = as_images(images)
    for name, given in (
        ("labels", labels),
        ("predictions", predictions),
        ("confidences", confidences),
        ("titles", titles),
    ):
        if given is not None and len(given) != len(arrays):
            raise ValueError(f"there are {len(arrays)} images, but {len(given)} {name}")
    named = any(given is not None for given in (labels, predictions, confidences, titles))
    cell = (0.75, 0.75) if len(arrays) > 50 and not named else (1.15, 1.4)  # all on one screen
    axes = image_grid(len(arrays), min(columns, len(arrays)), cell)
    for i, (ax, image) in enumerate(zip(axes.flat, arrays, strict=False)):
        show_image(ax, image)
        label = labels[i] if labels is not None else -1
        wrong = label >= 0 and predictions is not None and label != predictions[i]
        text = titles[i] if titles is not None else ""
        if titles is None and predictions is not None:
            text = f"{predictions[i]}, not {label}" if wrong else f"{predictions[i]}"
        elif titles is None and labels is not None:
            text = f"{label}"
        if titles is None and confidences is not None:
            text += f"  {percent(confidences[i])}"
        if text:
            ax.set_title(text, fontsize=11, color=RED if wrong else "black")
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

    Returns
    -------
    ndarray of Axes, shape [rows, columns]
    """
    if not len(errors):
        raise ValueError("there are no errors to draw")
    titles = [
        f"label {row.label}\npredicted {row.predicted}, {percent(row.confidence)}"
        for row in errors.itertuples()
    ]
    arrays = as_images(images)[errors["index"].to_numpy()]
    axes = image_grid(len(arrays), min(columns, len(arrays)), (1.3, 1.75))
    for ax, image, title in zip(axes.flat, arrays, titles, strict=False):
        show_image(ax, image)
        ax.set_title(title, fontsize=9)
    return axes


def plot_pixel_values(image: Images, ax: Axes | None = None) -> Axes:
    """Draw one digit with each pixel's value written in it.

    Parameters
    ----------
    image : array or tensor of 28×28 values, uint8
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    pixels: np.ndarray = np.asarray(image).reshape(28, 28)
    ax = axes_or_new(ax, 7.6, 7.6)
    show_image(ax, pixels)
    for (row, column), value in np.ndenumerate(pixels):
        if value:
            color = "black" if value > 127 else "white"
            ax.text(column, row, value, ha="center", va="center", fontsize=6, color=color)
    return ax


def plot_class_counts(labels: Mapping[str, Sequence[int]], ax: Axes | None = None) -> Axes:
    """Draw how often each digit occurs, as bars beside each other for each named split.

    Parameters
    ----------
    labels : mapping of str to sequence of int
        The labels of each split, by its name.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 8, 3.2)
    width = 0.8 / len(labels)
    for number, (name, values) in enumerate(labels.items()):
        shares = np.bincount(np.asarray(values), minlength=10) / len(values)
        places = np.arange(10) + (number - (len(labels) - 1) / 2) * width
        color = (BLUE, ORANGE, GREEN, GRAY)[number % 4]
        ax.bar(places, shares, width, label=f"{name} ({len(values):,})", color=color)
    ax.set(xticks=range(10), xlabel="digit", ylabel="share of images")
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(ncols=len(labels), loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return ax


def plot_class_means(images: Images, labels: Sequence[int] | np.ndarray) -> np.ndarray:
    """Draw the mean image of each digit in one row.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28], dtype uint8
    labels : sequence of N ints

    Returns
    -------
    ndarray of Axes, shape [rows, columns]
    """
    arrays, known = as_images(images), np.asarray(labels)
    means = [arrays[known == digit].mean(0) / 255 for digit in range(10)]
    return plot_digits(np.stack(means), labels=range(10))


def plot_embedding(
    points: np.ndarray, labels: Sequence[int] | np.ndarray, ax: Axes | None = None
) -> Axes:
    """Draw points ``[N, 2]`` as the digits that they stand for.

    Parameters
    ----------
    points : array of shape [N, 2]
    labels : sequence of N ints
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 8, 7)
    colors = plt.get_cmap("tab10")
    points, known = np.asarray(points), np.asarray(labels)
    if points.shape != (len(known), 2):
        raise ValueError(f"expected points [{len(known)}, 2], not {list(points.shape)}")
    for digit in range(10):
        x, y = points[known == digit].T
        ax.scatter(x, y, marker=f"${digit}$", s=28, color=colors(digit), linewidths=0.3)
    ax.set(xticks=[], yticks=[])
    return ax

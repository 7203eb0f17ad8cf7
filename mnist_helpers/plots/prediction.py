"""Figures of one prediction: probabilities, preprocessing steps, saliency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from .base import BLUE, GRAY, ORANGE, RED, axes_or_new, image_grid, show_image

if TYPE_CHECKING:
    from ..prediction import NumberPrediction
    from .base import Images


def plot_probabilities(
    probs: np.ndarray, image: np.ndarray | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the ten probabilities as bars, the highest in color; the image beside them.

    Parameters
    ----------
    probs : array of shape [10]
    image : array of 28×28 values, default=None
        Drawn beside the bars, unless `ax` is given.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    probs = np.asarray(probs, dtype=float)
    if probs.shape != (10,):
        raise ValueError(f"expected 10 probabilities, not an array of shape {list(probs.shape)}")
    if ax is None and image is not None:
        _, (beside, ax) = plt.subplots(
            1, 2, figsize=(7, 2.8), width_ratios=(1, 2), layout="constrained"
        )
        show_image(beside, np.asarray(image).reshape(28, 28))
    ax = axes_or_new(ax, 6, 2.8)
    colors = [BLUE if digit == probs.argmax() else GRAY for digit in range(10)]
    bars = ax.bar(range(10), probs, color=colors)
    ax.bar_label(bars, [f"{p:.0%}" if p >= 0.005 else "" for p in probs], fontsize=9)
    ax.set(xticks=range(10), xlabel="digit", ylabel="probability", ylim=(0, 1.12))
    ax.yaxis.set_major_formatter("{x:.0%}")
    return ax


def plot_steps(steps: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draw the images that `preprocessing_steps` returns with their names, five in a row.

    Parameters
    ----------
    steps : mapping of str to array

    Returns
    -------
    ndarray of Axes, shape [rows, columns]
    """
    if not steps:
        raise ValueError("there are no steps to draw")
    axes = image_grid(len(steps), min(5, len(steps)), (1.55, 2.1))
    for ax, (number, (name, image)) in zip(axes.flat, enumerate(steps.items(), 1), strict=False):
        show_image(ax, np.asarray(image))
        ax.set_title(f"{number}\n{name.replace(' ', chr(10), 1)}", fontsize=9)
        ax.set_xlabel("×".join(map(str, image.shape[:2][::-1])), fontsize=8)
    return axes


def plot_number(image: np.ndarray, number: NumberPrediction, ax: Axes | None = None) -> Axes:
    """Draw a row of digits with the box and the prediction of each, and the number as title.

    Parameters
    ----------
    image : array of shape [H, W] or [H, W, 3], dtype uint8
        The one that was given to `MNISTPredictor.predict_number`.
    number : NumberPrediction
        What it returned.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    pixels = np.asarray(image)
    ax = axes_or_new(ax, 6, 0.8 + 6 * pixels.shape[0] / pixels.shape[1])
    show_image(ax, pixels)
    for (left, top, right, bottom), prediction in zip(
        number.boxes, number.predictions, strict=True
    ):
        ax.add_patch(
            plt.Rectangle((left, top), right - left, bottom - top, fill=False, color=ORANGE)
        )
        ax.text(left, top - 4, str(prediction.digit), color=RED, va="bottom", fontsize=12)
    ax.set_title(f"predicted {number.text}", pad=16)
    return ax


def plot_saliency(image: Images, saliency: np.ndarray, ax: Axes | None = None) -> Axes:
    """Draw a saliency map over a digit: red raises the predicted digit's logit, blue lowers it.

    Parameters
    ----------
    image : array or tensor of 28×28 values
    saliency : array of shape [28, 28]
        As `mnist_helpers.saliency` returns it.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 3, 3)
    bound = max(float(np.abs(saliency).max()), 1e-9)
    show_image(ax, np.asarray(image).reshape(28, 28), cmap="Greys", alpha=0.35)
    ax.imshow(saliency, cmap="RdBu_r", vmin=-bound, vmax=bound, alpha=0.75)
    return ax

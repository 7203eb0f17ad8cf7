"""Figures of photographed sheets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from .base import show_image

if TYPE_CHECKING:
    from ..sheet import SheetDigits


def plot_sheet(photo: Image.Image, digits: SheetDigits) -> np.ndarray:
    """Draw the photo of a sheet, and beside it one box of each digit and its MNIST image.

    Parameters
    ----------
    photo : PIL.Image.Image
    digits : SheetDigits
        What `read_sheet` found in it, at least one digit.

    Returns
    -------
    ndarray of Axes, shape [5, 4]
        Two rows of boxes and MNIST images for five digits each; the axes of the photo are left out.
    """
    labels = digits.labels.tolist()
    chosen = [labels.index(digit) for digit in sorted(set(labels))]
    figure = plt.figure(figsize=(8.5, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.25, 1))[0]
    show_image(left.subplots(), np.asarray(photo))
    axes = right.subplots(5, 4)
    for ax in axes.flat:
        ax.axis("off")
    for place, number in enumerate(chosen):
        row, column = place % 5, 2 * (place // 5)
        for ax, image in zip(
            axes[row, column : column + 2],
            (digits.crops[number], digits.images[number, 0].numpy()),
            strict=True,
        ):
            ax.axis("on")
            show_image(ax, image)
    return axes

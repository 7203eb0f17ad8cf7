"""Figures about what a network looks at and what misleads it: saliency maps, perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .base import as_images, image_grid, show_image
from .prediction import plot_saliency

if TYPE_CHECKING:
    from .base import Images


def plot_saliency_grid(images: Images, maps: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """Draw several saliency maps of each image side by side.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
    maps : mapping of str to N arrays of shape [28, 28]
        The title of each column, and its maps.

    Returns
    -------
    ndarray of Axes, shape [N, number of maps]
    """
    pixels = as_images(images)
    axes = image_grid(len(pixels) * len(maps), len(maps), (2.1, 2.1))
    for column, (title, of_images) in zip(axes.T, maps.items(), strict=True):
        column[0].set_title(title, fontsize=10)
        for ax, image, one in zip(column, pixels, of_images, strict=True):
            plot_saliency(image, np.asarray(one).reshape(28, 28), ax=ax)
    return axes


def plot_perturbations(
    images: Images, changed: Images, before: Sequence[str], after: Sequence[str]
) -> np.ndarray:
    """Draw images, what was added to each, and the sum, in three rows.

    Parameters
    ----------
    images, changed : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
        Float in [0, 1].
    before, after : sequences of N strings
        Titles of the first and the last row; between them stands the largest change.

    Returns
    -------
    ndarray of Axes, shape [3, N]
    """
    first, last = as_images(images), as_images(changed)
    axes = image_grid(3 * len(first), len(first), (1.7, 1.95))
    for column, image, other, *titles in zip(axes.T, first, last, before, after, strict=True):
        difference = other - image
        show_image(column[0], image)
        show_image(column[1], difference, vmin=-0.25, vmax=0.25)
        show_image(column[2], other)
        middle = f"± {255 * np.abs(difference).max():.0f} of 255"
        for ax, title in zip(column, (titles[0], middle, titles[1]), strict=True):
            ax.set_title(title, fontsize=10)
    return axes

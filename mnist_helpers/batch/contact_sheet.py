"""The least confident images of a folder, as the model saw them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..plots import plot_digits, save_figure
from .files import ImageFolder
from .preprocessing import preprocess


def draw_least_confident(
    folder: ImageFolder, rows: Iterable[dict[str, Any]], path: Path, count: int
) -> None:
    """Draw the `count` least confident images into a PNG.

    Raises
    ------
    ValueError
        If no image was predicted.
    """
    predicted = (row for row in rows if row["digit"] is not None)
    images, titles = [], []
    for row in heapq.nsmallest(count, predicted, key=lambda row: row["confidence"]):
        image = preprocess(folder, row["file"]).image
        if image is not None:  # else the file has gone or changed since
            name = ascii(Path(row["file"]).stem)[1:-1][-13:].replace("$", r"\$")
            images.append(image)
            titles.append(f"{row['digit']}, {row['confidence']:.0%}\n{name}")
    if not images:
        raise ValueError("no image could be predicted: there is nothing to draw")
    save_figure(plot_digits(np.stack(images), titles=titles, columns=8), path)

"""The least confident images of a folder, as the model saw them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from ..decode import decode
from ..plots import plot_digits, plot_number, save_figure
from ..prediction import MNISTPredictor
from .files import ImageFolder
from .preprocessing import preprocess, timed


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


def draw_least_confident_numbers(
    folder: ImageFolder,
    rows: Iterable[dict[str, Any]],
    path: Path,
    count: int,
    predictor: MNISTPredictor,
) -> None:
    """Draw the `count` least confident images into a PNG, each digit in its box.

    Raises
    ------
    ValueError
        If no image was predicted.
    """
    predicted = (row for row in rows if row["text"] is not None)
    found = []
    for row in heapq.nsmallest(count, predicted, key=lambda row: row["confidence"]):
        image, _, _ = timed(partial(_load, folder, row["file"]))
        if image is not None:  # else the file has gone or changed since
            found.append((row["file"], image, predictor.predict_number(image)))
    if not found:
        raise ValueError("no image could be predicted: there is nothing to draw")
    columns = min(4, len(found))
    lines = -(-len(found) // columns)
    size = (3.2 * columns, 2 * lines)
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(found) :]:
        ax.axis("off")
    for ax, (name, image, number) in zip(axes.flat, found, strict=False):
        plot_number(image, number, ax)
        title = ascii(Path(name).stem)[1:-1][-22:].replace("$", r"\$")
        ax.set_title(f"{number.text}, {number.confidence:.0%}\n{title}", fontsize=9)
    save_figure(figure, path)


def _load(folder: ImageFolder, name: str) -> np.ndarray:
    """Return an image of a folder, decoded."""
    return decode(folder.load(name))

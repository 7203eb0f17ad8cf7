"""Draw the README's figures into docs/: a number, cells and a sheet, as the package predicts them.

Nothing is needed but the package: the pen writes, and the paper is rendered.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from mnist_helpers import MNISTPredictor, plot_number, plot_sheet, read_sheet, to_mnist
from mnist_helpers.plots.base import show_image
from mnist_helpers.sheet import draw_sheet, fill_in, photograph
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.synthetic import synthetic_digits

ROOT = Path(__file__).resolve().parents[1]
COLORS = 64  # of each figure: flat colors and gray values need no more
NUMBER, STYLE, STEP = "2026", "round", 82  # step: from a digit to the next in pixels, overlapping


def on_paper(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a drawing as a camera sees it: lit from one side, slightly noisy."""
    rng = np.random.default_rng(seed)
    light = np.linspace(0.96, 0.72, pixels.shape[1])
    return (pixels * light + rng.normal(0, 2.5, pixels.shape)).clip(0, 255).astype(np.uint8)


def written_number() -> np.ndarray:
    """Return a number whose digits nearly touch, on paper."""
    strokes = [
        stroke + np.array([STEP * place, 0])
        for place, digit in enumerate(NUMBER)
        for stroke in pen_strokes(int(digit), STYLE, 140, place)
    ]
    width = STEP * (len(NUMBER) - 1) + 140
    return on_paper(np.asarray(draw_strokes(strokes, (width, 140), 8, ink=40)))


def draw_number(predictor: MNISTPredictor) -> Figure:
    """Draw a number, with a box around each digit."""
    image = written_number()
    ax = plot_number(image, predictor.predict_number(image))
    ax.figure.set_size_inches(5.2, 2.4)
    return ax.figure


def cells() -> dict[str, np.ndarray]:
    """Return a cell of a form, squared paper and ruled paper, each with a digit."""
    drawn = {
        name: np.asarray(draw_strokes(pen_strokes(digit, style, 200), 200, 11, ink=30)).copy()
        for name, digit, style in (
            ("a form's cell", 3, "round"),
            ("squared paper", 7, "continental"),
            ("ruled paper", 5, "slanted"),
        )
    }
    form, squared, ruled = drawn.values()
    form[14:18, 14:-14] = form[-18:-14, 14:-14] = form[14:-14, 14:18] = form[14:-14, -18:-14] = 60
    for line in (16, 182):
        squared[line : line + 2] = np.minimum(squared[line : line + 2], 150)
        squared[:, line : line + 2] = np.minimum(squared[:, line : line + 2], 150)
    for line in (36, 164):
        ruled[line : line + 2] = np.minimum(ruled[line : line + 2], 140)
    return {name: on_paper(pixels, seed) for seed, (name, pixels) in enumerate(drawn.items())}


def draw_cells(predictor: MNISTPredictor) -> Figure:
    """Draw digits among printed lines, and beside each what the network sees and predicts."""
    figure, axes = plt.subplots(1, 6, figsize=(9, 1.75), layout="constrained")
    for number, (name, pixels) in enumerate(cells().items()):
        before, after = axes[2 * number : 2 * number + 2]
        digit, confidence, _ = predictor.predict(pixels)
        show_image(before, pixels)
        before.set_title(name, fontsize=11)
        show_image(after, to_mnist(pixels))
        after.set_title(f"predicted {digit}, {confidence:.0%}", fontsize=11)
    return figure


def draw_photo_of_a_sheet(_: MNISTPredictor) -> Figure:
    """Draw the photo of a sheet that is filled in, and what was found in it."""
    page = fill_in(draw_sheet("Ada", dpi=150), synthetic_digits(150, seed=2))
    photo = photograph(page, (900, 1200), noise=3.0, seed=1)
    axes = plot_sheet(photo, read_sheet(photo))
    return axes.flat[0].figure.figure


FIGURES = {"number": draw_number, "cells": draw_cells, "sheet": draw_photo_of_a_sheet}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG with few colors, which makes it small."""
    figure.savefig(path, dpi=90)
    with Image.open(path) as drawn:
        small = drawn.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    predictor = MNISTPredictor(device="cpu")
    for name, draw in FIGURES.items():
        save(draw(predictor), out / f"{name}.png")
        plt.close("all")


if __name__ == "__main__":
    main()

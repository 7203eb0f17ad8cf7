"""What bringing strokes to MNIST's width does: pens from a hair to a thick marker, handwriting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from tqdm.auto import tqdm

from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.plots.base import BLUE, ORANGE
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.preprocess import ImageLike, center, fit_into_box, preprocessing_steps
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.styles import STYLES

from .common import baseline_checkpoint, publish
from .handwriting import list_labeled_images

SHEET = 400  # side in pixels
WAYS = ("as drawn", "MNIST's width")
PENS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.12, 0.16, 0.2, 0.25)  # widths, of the sheet's side
SEED = 1_000_000  # no digit of these was written for training, which counts its seeds from 0

Drawn = tuple[np.ndarray, Sequence[ImageLike]]  # labels, images


def benchmark(
    images: Path | None = None, data: Path | None = None, number: int = 1000
) -> pd.DataFrame:
    """Predict digits as `to_mnist` preprocesses them, and without its step "stroke width".

    Two networks read them: a public project's, which has learned from MNIST alone as a reader's own
    has, and the pretrained one, which was trained on pens of many widths.

    Parameters
    ----------
    images : path, default=None
        Folder of labeled images: ``[SET/]LABEL/IMAGE``.
    data : path, default=None
        Folder with MNIST, to train the first network on.
    number : int, default=1000
        Digits drawn with each of `PENS`, in all writing styles.

    Returns
    -------
    DataFrame
        ``what``, ``pen`` (width as a share of the sheet's side; NaN for images), ``images``,
        ``network``, ``strokes`` ("as drawn" or "MNIST's width") and ``errors``, a share.
    """
    networks = {
        "MNIST alone": MNISTPredictor(baseline_checkpoint(data=data)),
        "shipped": MNISTPredictor(),
    }
    rows = []
    sets = chain(_drawn(number), _written(images))
    for what, pen, (labels, digits) in tqdm(sets, desc="reading"):
        row = {"what": what, "pen": pen, "images": len(labels)}
        prepared = np.stack([with_and_without_normalized_width(digit) for digit in digits])
        for network, (number, way) in product(networks, enumerate(WAYS)):
            wrong = networks[network].predict_proba(prepared[:, number]).argmax(1) != labels
            rows.append(row | {"network": network, "strokes": way, "errors": wrong.mean()})
    table = pd.DataFrame(rows)
    publish("strokes", table, format_table(table), {"seed": SEED})
    save_figure(plot_stroke_scores(table), outputs_folder("benchmarks") / "strokes.png")
    return table


def with_and_without_normalized_width(image: ImageLike) -> tuple[np.ndarray, np.ndarray]:
    """Return what `to_mnist` would without its step "stroke width", and what it does return."""
    steps = preprocessing_steps(image)
    if "cropped" not in steps:
        return steps["already MNIST"], steps["already MNIST"]
    return center(fit_into_box(steps["cropped"])), steps["centered in 28×28"]


def _drawn(number: int) -> Iterator[tuple[str, float, Drawn]]:
    """Draw the same digits with each pen."""
    rng = np.random.default_rng(SEED)
    labels = rng.integers(0, 10, number)
    digits = [
        pen_strokes(int(digit), rng.choice(STYLES), SHEET, int(rng.integers(1 << 30)))
        for digit in labels
    ]
    for pen in PENS:
        sheets = [draw_strokes(strokes, SHEET, pen=pen * SHEET) for strokes in digits]
        yield f"pen of {100 * pen:g}%", pen, (labels, sheets)


def _written(folder: Path | None) -> Iterator[tuple[str, float, Drawn]]:
    """List the images of each set in a folder."""
    found = list_labeled_images(folder) if folder else []
    for name, files in pd.DataFrame(found, columns=("set", "label", "path")).groupby("set"):
        yield name, np.nan, (files["label"].to_numpy(), files["path"].tolist())


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each kind of digit, and the errors of each network in either way."""
    rows = table.assign(
        reader=table["network"] + ", " + table["strokes"],
        errors=table["errors"].map("{:.1%}".format),
    )
    words = rows.pivot_table("errors", ["what", "images"], "reader", "first", sort=False)
    return words.rename_axis(columns=None).reset_index()


def plot_stroke_scores(table: pd.DataFrame) -> Axes:
    """Draw the table of ``benchmark strokes``: errors over the pen's width, of each network."""
    _, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    pens = table.dropna(subset="pen")
    styles = {"as drawn": "--", "MNIST's width": "-"}
    for (network, strokes), rows in pens.groupby(["network", "strokes"], sort=False):
        color = BLUE if network == "shipped" else ORANGE
        label = f"{network}, {strokes}"
        ax.plot(rows["pen"], rows["errors"], f"o{styles[strokes]}", color=color, label=label)
    ax.set(xscale="log", xlabel="width of the pen, of the sheet's side", ylabel="errors")
    ax.set_ylim(bottom=0)
    widths = pens["pen"].unique()
    ax.set_xticks(widths, [f"{100 * width:g}%" for width in widths])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(fontsize=8, frameon=False)
    return ax

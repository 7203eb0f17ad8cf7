"""Numbers: how many are predicted correctly as a whole, and how many confidently wrong.

Numbers of our own pen, apart, close, touching, tiny, underlined, with marks and on the lines of
forms, from seeds; and a folder of images of numbers, if there is one, by set and by owner.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image
from tqdm.auto import tqdm

from mnist_helpers.evaluation import accuracy_interval
from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.plots.base import BLUE, axes_or_new
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.strokes import Strokes, draw_strokes, pen_strokes
from mnist_helpers.styles import STYLES

from .common import publish
from .forms import FORMS, scan_on_form
from .handwriting import owner_of

Rng = np.random.Generator

REPORT_SEED = 1_000_000  # what was fitted was fitted to numbers of smaller seeds
GAPS = {  # between the ink of two digits, in heights
    "apart": (0.08, 0.4),
    "close": (-0.02, 0.1),
    "touching": (-0.12, 0.0),
    "tiny": (-0.05, 0.3),
    "underlined": (0.0, 0.3),
    "with marks": (0.05, 0.3),
    "single": (0.0, 0.0),
    "dotted line": (-0.1, 0.25),
    "comb": (0.05, 0.4),
}
MARKS = {"-": [(0.0, 0.5), (0.3, 0.48)], ".": [(0.0, 0.8)], ",": [(0.05, 0.78), (0.0, 0.92)]}


def benchmark(images: Path | None = None, per_kind: int = 100) -> pd.DataFrame:
    """Predict numbers of our own pen, and those in a folder.

    Parameters
    ----------
    images : path, default=None
        Folder with a ``manifest.csv`` whose columns ``file`` and ``label`` say which number each
        image shows, named ``SET/OWNER__NAME``.
    per_kind : int, default=100
        How many numbers of each of `GAPS`.

    Returns
    -------
    DataFrame
        Columns ``set``, ``numbers``, ``accuracy``, ``low``, ``high``, ``confident``,
        ``confident_errors``.
    """
    predictor = MNISTPredictor()
    drawn = (
        ("our own pen", kind, *draw_number(kind, REPORT_SEED + number))
        for kind in GAPS
        for number in range(per_kind)
    )
    rows = [
        {"set": group, "by": by, "text": text} | _predict(predictor, image)
        for group, by, text, image in tqdm(
            [*drawn, *(labeled_numbers(images) if images else [])], desc="predicting"
        )
    ]
    numbers = pd.DataFrame(rows)
    table = score(numbers)
    publish("numbers", table, format_table(table), {"numbers": rows})
    save_figure(plot_numbers(table), outputs_folder("benchmarks") / "numbers.png")
    return table


def labeled_numbers(folder: Path) -> list[tuple[str, str, str, Path]]:
    """List the numbers of a folder with a manifest: ``(set, owner, text, path)``."""
    with open(folder / "manifest.csv", encoding="utf-8", newline="") as file:
        files = [(Path(row["file"]), row["label"]) for row in csv.DictReader(file)]
    return [
        (path.parent.name, owner_of(path), text, folder / path)
        for path, text in files
        if len(path.parts) == 2
    ]


def _predict(predictor: MNISTPredictor, image: Path | Image.Image) -> dict:
    """Return the text and whether it is confident; no text, which is an error, if refused."""
    try:
        number = predictor.predict_number(image)
    except (ValueError, OSError):
        return {"predicted": "", "confidence": 0.0, "confident": False}
    return {
        "predicted": number.text,
        "confidence": number.confidence,
        "confident": number.is_confident,
    }


def score(numbers: pd.DataFrame) -> pd.DataFrame:
    """Tabulate how many texts are correct, by set and by owner or kind, and for each set."""
    rows = []
    for group, members in numbers.groupby("set", sort=False):
        parts = list(members.groupby("by", sort=False))
        for by, some in [*parts, ("all", members)]:
            right = some["text"] == some["predicted"]
            low, high = accuracy_interval(int(right.sum()), len(some))
            rows.append(
                {"set": group, "by": by, "numbers": len(some), "accuracy": right.mean()}
                | {"low": low, "high": high, "confident": int(some["confident"].sum())}
                | {"confident_errors": int((some["confident"] & ~right).sum())}
            )
    return pd.DataFrame(rows)


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as text: percentages, with 95% intervals."""
    words = table[["set", "by", "numbers"]].copy()
    words["whole text"] = [
        f"{row.accuracy:.1%} [{row.low:.0%}, {row.high:.0%}]" for row in table.itertuples()
    ]
    return words.join(table[["confident", "confident_errors"]])


def plot_numbers(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the table of ``benchmark numbers``: the share of correct texts, with 95% intervals."""
    ax = axes_or_new(ax, 7, 0.8 + 0.3 * len(table))
    errors = (table["accuracy"] - table["low"], table["high"] - table["accuracy"])
    names = table["set"] + ", " + table["by"]
    ax.barh(range(len(table)), table["accuracy"], xerr=errors, color=BLUE, capsize=2)
    ax.set_yticks(range(len(table)), names, parse_math=False)
    ax.set(xlabel="numbers predicted correctly as a whole", xlim=(0, 1.05))
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.invert_yaxis()
    return ax


def draw_number(kind: str, seed: int) -> tuple[str, Image.Image]:
    """Draw a number with our own pen.

    Parameters
    ----------
    kind : str
        One of `GAPS`.
    seed : int
        Decides the number, the writing style, sizes, pen and position.

    Returns
    -------
    text : str
    image : PIL.Image.Image
        Mode "L", dark on light.
    """
    rng = np.random.default_rng((seed, list(GAPS).index(kind)))
    text = "".join(str(digit) for digit in rng.integers(0, 10, rng.integers(2, 6)))
    if kind == "single":
        text = text[0]
    if kind == "with marks":
        at = int(rng.integers(1, len(text)))
        text = "-" * int(rng.integers(2)) + text[:at] + str(rng.choice([".", ","])) + text[at:]
    size = float(rng.integers(60, 200))
    pen = size * rng.uniform(0.025, 0.09)
    strokes = write(text, rng, size, pen, GAPS[kind])
    if kind in FORMS:
        return text, scan_on_form(kind, strokes, size, pen, rng)
    points = np.concatenate(strokes)
    margin = size * rng.uniform(0.1, 0.6)
    strokes = [stroke - points.min(0) + margin for stroke in strokes]
    wide, high = (np.ptp(points, 0) + 2 * margin).astype(int).tolist()
    if kind == "underlined":
        line = margin + np.ptp(points[:, 1]) + size * rng.uniform(0.05, 0.2)
        ends = [margin * rng.uniform(0, 1.2), wide - margin * rng.uniform(0, 1.2)]
        strokes.append(np.array([(ends[0], line), (ends[1], line + size * rng.normal(0, 0.02))]))
        high = max(high, int(line + 2 * pen))
    paper = int(rng.integers(215, 256))
    ink = int(rng.integers(0, 90))
    image = draw_strokes(strokes, (wide, high), pen, ink, paper)
    if kind == "tiny":
        scale = rng.uniform(20, 32) / high
        image = image.resize((round(wide * scale), round(high * scale)), Image.Resampling.BOX)
    noise = rng.normal(0, rng.uniform(0, 5), image.size[::-1])
    return text, Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def write(text: str, rng: Rng, size: float, pen: float, gaps: tuple[float, float]) -> Strokes:
    """Return the strokes of digits and marks in a row that may slope, in one writing style."""
    style, slope = str(rng.choice(STYLES)), rng.normal(0, 0.05)
    written: Strokes = []
    at = 0.0
    for sign in text:
        if sign.isdigit():
            scale = size * rng.uniform(0.9, 1.1)
            own = pen_strokes(int(sign), style, scale, int(rng.integers(1 << 30)))
        else:
            own = [size * np.array(MARKS[sign])]
        points = np.concatenate(own)
        shift = np.array([at - points[:, 0].min(), slope * at + size * rng.normal(0, 0.03)])
        written += [stroke + shift for stroke in own]
        at += np.ptp(points[:, 0]) + pen + size * 0.64 * rng.uniform(*gaps)
    return written

"""What a confidence is worth: how many non-digits are flagged, and how many digits with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm.auto import tqdm

from mnist_helpers.data import load_mnist
from mnist_helpers.evaluation import accuracy_interval
from mnist_helpers.files import IMAGE_EXTENSIONS, outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.plots.base import BLUE, ORANGE
from mnist_helpers.prediction import CONFIDENCE_THRESHOLD, MNISTPredictor, is_confident
from mnist_helpers.preprocess import BlankImageError, ImageLike, to_mnist
from mnist_helpers.synthetic import KINDS, OTHER_FONTS, OTHER_SYMBOL_FONTS, letter, symbol

from .augmentation import load_handwriting
from .common import publish

SEED = 1_000_000  # none of these images was made for training, which counts its seeds from 0


def benchmark(
    folder: Path | None = None,
    checkpoint: Path | None = None,
    data: Path | None = None,
    number: int = 1000,
) -> pd.DataFrame:
    """Predict digits and non-digits, and count which are flagged as not confident.

    Digits are MNIST's test images and, where given, real handwriting. Non-digits are made here
    with seeds that training has not used: letters and symbols in fonts that it has not seen, all
    `KINDS`, and blank sheets.

    Parameters
    ----------
    folder : path, default=None
        Folder of labeled images, ``[SET/]LABEL/IMAGE``; those below a folder ``non_digits`` show
        none.
    checkpoint : path, default=None
        If None, the pretrained weights.
    data : path, default=None
        Folder with MNIST.
    number : int, default=1000
        Non-digits of each kind.

    Returns
    -------
    DataFrame
        ``what``, ``images``; ``flagged``, the share that is refused or has a confidence below
        `CONFIDENCE_THRESHOLD`, with ``low`` and ``high``, its 95% interval; for digits also
        ``accuracy``, and ``accuracy_if_confident``.
    """
    predictor = MNISTPredictor(checkpoint)
    test = load_mnist(root=data, val_size=0).test
    digits = {"MNIST's test digits": (test.images, test.labels.numpy())}
    if folder is not None:
        sets, handwriting = load_handwriting(folder)
        for name in np.unique(sets):
            images, labels = handwriting.images[sets == name], handwriting.labels.numpy()
            digits[f"digits, {name}"] = (images, labels[sets == name])
    rows, curves = [], {}
    for name, (images, labels) in digits.items():
        probs = predictor.predict_proba(images)
        correct, confidence = probs.argmax(1) == labels, probs.max(1)
        sure = np.asarray(is_confident(confidence))
        curves[name] = (confidence, correct)
        row = _row(name, ~sure) | {"accuracy": correct.mean()}
        rows.append(row | {"accuracy_if_confident": correct[sure].mean() if sure.any() else np.nan})
    sheets: dict[str, Sequence[ImageLike]] = {**non_digit_sheets(number)}
    if folder is not None and (others := list_non_digits(folder)):
        sheets["of other people"] = others
    for name, some in sheets.items():
        rows.append(_row(name, flagged(predictor, some)))
    table = pd.DataFrame(rows)
    publish(
        "confidence",
        table,
        format_table(table),
        {"threshold": CONFIDENCE_THRESHOLD, "weights": checkpoint},
    )
    axes = plot_confidence_scores(table, curves)
    save_figure(axes, outputs_folder("benchmarks") / "confidence.png")
    return table


def non_digit_sheets(number: int) -> dict[str, list[Image.Image]]:
    """Draw `number` images of each kind that is no digit."""
    rng = np.random.default_rng(SEED)
    sheets = {
        "letters, other fonts": [letter(rng, OTHER_FONTS) for _ in range(number)],
        "symbols, other fonts": [symbol(rng, OTHER_SYMBOL_FONTS) for _ in range(number)],
        **{name: [kind(rng) for _ in range(number)] for name, kind in KINDS.items()},
    }
    return sheets | {"blank": [Image.new("L", (100, 100), int(rng.integers(256)))] * 10}


def list_non_digits(folder: Path) -> list[Path]:
    """List the images below a folder ``non_digits``."""
    return [
        path
        for path in sorted(folder.rglob("non_digits/**/*"))
        if path.suffix.lower() in IMAGE_EXTENSIONS
    ]


def flagged(predictor: MNISTPredictor, sheets: Sequence[ImageLike]) -> np.ndarray:
    """Return which images are refused as empty, or not confident: bool ``[N]``."""
    images, refused = [], []
    for sheet in tqdm(sheets, desc="preprocessing"):
        try:
            images.append(to_mnist(sheet))
        except BlankImageError:
            refused.append(True)
    if not images:
        return np.array(refused)
    probs = predictor.predict_proba(torch.from_numpy(np.stack(images)))
    unsure = ~is_confident(probs.max(1))
    return np.concatenate((np.array(refused, dtype=bool), unsure))


def _row(name: str, is_flagged: np.ndarray) -> dict:
    """Return a row with the share that is flagged."""
    count = int(is_flagged.sum())
    low, high = accuracy_interval(count, len(is_flagged))
    share = count / len(is_flagged)
    return {"what": name, "images": len(is_flagged), "flagged": share, "low": low, "high": high}


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as text: percentages, with 95% intervals."""
    words = table[["what", "images"]].copy()
    words["flagged"] = [
        f"{row.flagged:.1%} [{row.low:.1%}, {row.high:.1%}]" for row in table.itertuples()
    ]
    for column in ("accuracy", "accuracy_if_confident"):
        words[column.replace("_", " ")] = [
            "" if np.isnan(value) else f"{value:.1%}" for value in table[column]
        ]
    return words


def plot_confidence_scores(
    table: pd.DataFrame, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Draw the table of ``benchmark confidence``, and risk over coverage for each set of digits.

    `curves` holds, by name, the confidences and which predictions were correct.
    """
    _, axes = plt.subplots(1, 2, figsize=(12, 4.5), width_ratios=(3, 2), layout="constrained")
    digits = table["accuracy"].notna()
    errors = (table["flagged"] - table["low"], table["high"] - table["flagged"])
    colors = [ORANGE if is_digit else BLUE for is_digit in digits]
    places = range(len(table))
    bars = axes[0].barh(places, table["flagged"], xerr=errors, color=colors, capsize=2)
    axes[0].set_yticks(places, table["what"], parse_math=False)
    axes[0].bar_label(bars, [f"{share:.1%}" for share in table["flagged"]], padding=3, fontsize=8)
    axes[0].set(xlabel="share flagged as not confident (orange: digits)", xlim=(0, 1.12))
    axes[0].xaxis.set_major_formatter("{x:.0%}")
    axes[0].invert_yaxis()
    for name, (confidence, correct) in curves.items():
        order = np.argsort(-confidence, kind="stable")
        coverage = np.arange(1, len(order) + 1) / len(order)
        risk = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
        axes[1].plot(coverage, risk, label=f"{name} ({len(order):,})", lw=1.5)
    axes[1].set(xlabel="coverage: share classified", ylabel="risk: error rate among those")
    axes[1].set_xlim(0.7, 1.005)
    axes[1].xaxis.set_major_formatter("{x:.0%}")
    axes[1].yaxis.set_major_formatter("{x:.1%}")
    for text in axes[1].legend(fontsize=8, frameon=False).get_texts():
        text.set_parse_math(False)
    return axes

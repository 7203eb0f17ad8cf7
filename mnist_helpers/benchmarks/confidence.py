"""What a confidence is worth: how many non-digits are flagged, and how many digits with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm.auto import tqdm

from ..data import load_mnist
from ..evaluation import accuracy_interval
from ..paths import outputs_folder
from ..prediction import CONFIDENT, MNISTPredictor, is_confident
from ..preprocess import EmptyPictureError, to_mnist
from ..synthetic import KINDS, OTHER_FONTS, letter
from .augmentation import read_handwriting
from .common import publish

SEED = 1_000_000  # none of these pictures was made for training, which counts its seeds from 0


def benchmark(
    pictures: Path | None = None,
    checkpoint: Path | None = None,
    data: Path | None = None,
    number: int = 1000,
) -> pd.DataFrame:
    """Read digits and non-digits, and count which are said to be certain.

    Digits are MNIST's test pictures and, where given, real handwriting. Non-digits are made here
    with seeds that training has not used: letters in fonts that it has not seen, letters in those
    that it has, scribbles, numbers of several digits, textures, noise, and blank sheets.

    Parameters
    ----------
    pictures : path, optional
        Folder of labelled pictures: ``[SET/]LABEL/PICTURE``.
    checkpoint : path, optional
        Default: the weights that ship.
    data : path, optional
        Folder with MNIST.
    number : int
        Non-digits of each kind.

    Returns
    -------
    DataFrame
        ``what``, ``pictures``; ``flagged``, the share that is refused or read with less than
        `CONFIDENT`, with ``low`` and ``high``, its 95 % interval; for digits also ``accuracy``, and
        ``accuracy_if_confident``.
    """
    predictor = MNISTPredictor(checkpoint)
    test = load_mnist(root=data, val_size=0).test
    digits = {"MNIST's test digits": (test.images, test.labels.numpy())}
    if pictures is not None:
        sets, handwriting = read_handwriting(pictures)
        for name in np.unique(sets):
            images, labels = handwriting.images[sets == name], handwriting.labels.numpy()
            digits[f"digits, {name}"] = (images, labels[sets == name])
    rows, curves = [], {}
    for name, (images, labels) in digits.items():
        probs = predictor.probabilities(images)
        correct, confidence = probs.argmax(1) == labels, probs.max(1)
        sure = np.asarray(is_confident(confidence))
        curves[name] = (confidence, correct)
        row = _row(name, ~sure) | {"accuracy": correct.mean()}
        rows.append(row | {"accuracy_if_confident": correct[sure].mean() if sure.any() else np.nan})
    for name, sheets in non_digit_sheets(number).items():
        rows.append(_row(name, flagged(predictor, sheets)))
    table = pd.DataFrame(rows)
    publish("confidence", table, in_words(table), {"threshold": CONFIDENT, "weights": checkpoint})
    from ..plots import plot_confidence_scores, save_figure

    axes = plot_confidence_scores(table, curves)
    save_figure(axes, outputs_folder("benchmarks") / "confidence.png")
    return table


def non_digit_sheets(number: int) -> dict[str, list[Image.Image]]:
    """Draw `number` pictures of each kind that is no digit."""
    rng = np.random.default_rng(SEED)
    sheets = {
        "letters, other fonts": [letter(rng, OTHER_FONTS) for _ in range(number)],
        **{name: [kind(rng) for _ in range(number)] for name, kind in KINDS.items()},
    }
    return sheets | {"blank": [Image.new("L", (100, 100), int(rng.integers(256)))] * 10}


def flagged(predictor: MNISTPredictor, sheets: list[Image.Image]) -> np.ndarray:
    """Return which pictures are refused as empty, or read without confidence: bool ``[N]``."""
    images, refused = [], []
    for sheet in tqdm(sheets, desc="preparing"):
        try:
            images.append(to_mnist(sheet))
        except EmptyPictureError:
            refused.append(True)
    if not images:
        return np.array(refused)
    probs = predictor.probabilities(torch.from_numpy(np.stack(images)))
    unsure = ~is_confident(probs.max(1))
    return np.concatenate((np.array(refused, dtype=bool), unsure))


def _row(name: str, is_flagged: np.ndarray) -> dict:
    """Return a row with the share that is flagged."""
    count = int(is_flagged.sum())
    low, high = accuracy_interval(count, len(is_flagged))
    share = count / len(is_flagged)
    return {"what": name, "pictures": len(is_flagged), "flagged": share, "low": low, "high": high}


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table for people: per cent, with 95 % intervals."""
    words = table[["what", "pictures"]].copy()
    words["flagged"] = [
        f"{row.flagged:.1%} [{row.low:.1%}, {row.high:.1%}]" for row in table.itertuples()
    ]
    for column in ("accuracy", "accuracy_if_confident"):
        words[column.replace("_", " ")] = [
            "" if np.isnan(value) else f"{value:.1%}" for value in table[column]
        ]
    return words

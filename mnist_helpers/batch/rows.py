"""The rows of the table: made from predictions, written, read back, repaired."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic_write
from ..formulas import escape_formula, unescape_formula
from ..prediction import MNISTPredictor, is_confident
from .files import ImageFolder
from .preprocessing import Preprocessed, preprocess

PROBABILITIES = [f"p{digit}" for digit in range(10)]
COLUMNS = ["file", "digit", "confidence", "is_confident", *PROBABILITIES, "seconds", "error"]
DTYPES: dict[str, Any] = {
    "digit": "Int64",
    "is_confident": "boolean",
    "error": object,
    **dict.fromkeys(["confidence", *PROBABILITIES, "seconds"], float),
}


class DigitRows:
    """How the digit in each image becomes a row; `NumberRows` does the same for numbers.

    Parameters
    ----------
    predictor : MNISTPredictor
    """

    target = "digit"
    columns = COLUMNS
    dtypes = DTYPES

    def __init__(self, predictor: MNISTPredictor) -> None:
        self.predictor = predictor

    def process(self, folder: ImageFolder, name: str) -> Any:
        """Do what can be done in threads: load and preprocess one image of a folder."""
        return preprocess(folder, name)

    def make(self, names: Sequence[str], processed: Sequence[Any]) -> list[dict[str, Any]]:
        """Return a row for each image; see `make_rows`."""
        return make_rows(self.predictor, names, processed)

    def from_csv(self, row: dict[str, str]) -> dict[str, Any]:
        """Return a row as `make` made it, from the texts of `whole_rows`."""
        return from_csv(row)


def make_rows(
    predictor: MNISTPredictor, names: Sequence[str], preprocessed: Sequence[Preprocessed]
) -> list[dict[str, Any]]:
    """Return a row for each image, in order; one that could not be preprocessed has only its error.

    Returns
    -------
    list of dict
        With the keys `COLUMNS`; what an image lacks is None.
    """
    images = [image for image, _, _ in preprocessed if image is not None]
    start = time.perf_counter()
    probs = iter(predictor.predict_proba(np.stack(images)).tolist() if images else [])
    share = (time.perf_counter() - start) / max(1, len(images))
    rows = []
    for name, (image, seconds, error) in zip(names, preprocessed, strict=True):
        row = dict.fromkeys(COLUMNS) | {"file": name, "seconds": seconds, "error": error}
        if image is not None:
            ten = next(probs)
            row |= zip(PROBABILITIES, ten, strict=True)
            row |= {"digit": ten.index(max(ten)), "confidence": max(ten)}
            row |= {"is_confident": is_confident(max(ten)), "seconds": seconds + share}
        rows.append(row)
    return rows


def to_csv(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as it is read back: numbers with six decimals, no text a formula."""
    return {
        name: f"{v:.6f}" if isinstance(v, float) else _without_formula(_list_as_text(v))
        for name, v in row.items()
    }


def lists_as_text(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for a table that has no lists: as JSON."""
    return {name: _list_as_text(value) for name, value in row.items()}


def _list_as_text(value: Any) -> Any:
    return strict_json(value) if isinstance(value, list) else value


def from_csv(row: dict[str, str]) -> dict[str, Any]:
    """Return a row as `make_rows` made it, from the texts of `whole_rows`."""
    known = without_prediction(row, COLUMNS)
    if row["digit"]:
        known |= {name: float(row[name]) for name in ("confidence", *PROBABILITIES)}
        known |= {"digit": int(row["digit"]), "is_confident": row["is_confident"] == "True"}
    return known


def without_prediction(row: dict[str, str], columns: Sequence[str]) -> dict[str, Any]:
    """Return what every row has, from the texts of `whole_rows`; the other columns are None."""
    return dict.fromkeys(columns) | {
        "file": row["file"],
        "seconds": float(row["seconds"]),
        "error": row["error"] or None,
    }


def start_table(path: Path, columns: Sequence[str]) -> None:
    """Write a table without rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(columns)


def whole_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield a table's rows, but for a last one that was cut off in the middle."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        ends = file.read() == b"\n"
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        before = None
        for row in csv.DictReader(file):
            if before is not None:
                yield before
            before = {
                name: unescape_formula(value) if isinstance(value, str) else value
                for name, value in row.items()
            }
        if before is not None and ends and before["error"] is not None:
            yield before


def finished_files(path: Path, columns: Sequence[str]) -> set[str]:
    """Return the files that an earlier run has done, and cut a torn last row off."""
    names = set()
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in whole_rows(path):
            writer.writerow(without_formulas(row))
            names.add(row["file"])
    return names


def without_formulas(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose texts no spreadsheet takes for formulas."""
    return {name: _without_formula(value) for name, value in row.items()}


def _without_formula(value: Any) -> Any:
    return escape_formula(value) if isinstance(value, str) else value


def strict_json(value: object) -> str:
    """Return a value as strict JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

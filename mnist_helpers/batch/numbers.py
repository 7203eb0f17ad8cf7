"""The rows of a table of numbers: several digits in each image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..prediction import NumberPrediction
from .files import ImageFolder
from .preprocessing import timed
from .rows import DigitRows, without_prediction

NUMBER_COLUMNS = [
    "file",
    "text",
    "confidence",
    "is_confident",
    "boxes",
    "confidences",
    "seconds",
    "error",
]
NUMBER_DTYPES: dict[str, Any] = {
    "is_confident": "boolean",
    **dict.fromkeys(["confidence", "seconds"], float),
    **dict.fromkeys(["text", "boxes", "confidences", "error"], object),
}


class Predicted(NamedTuple):
    """A number, or why there is none, and how long that took."""

    number: NumberPrediction | None
    seconds: float
    error: str | None


class NumberRows(DigitRows):
    """How the number in each image becomes a row.

    ``boxes`` and ``confidences`` have an entry for each digit.

    Parameters
    ----------
    predictor : MNISTPredictor
    """

    target = "number"
    columns = NUMBER_COLUMNS
    dtypes = NUMBER_DTYPES

    def process(self, folder: ImageFolder, name: str) -> Predicted:
        """Load one image of a folder, and predict the number in it."""
        return Predicted(*timed(lambda: self.predictor.predict_number(folder.load(name))))

    def make(self, names: Sequence[str], processed: Sequence[Predicted]) -> list[dict[str, Any]]:
        """Return a row for each image; one that could not be predicted has only its error."""
        rows = []
        for name, (number, seconds, error) in zip(names, processed, strict=True):
            row = dict.fromkeys(NUMBER_COLUMNS) | {"file": name, "seconds": seconds, "error": error}
            if number is not None:
                row |= {"text": number.text, "confidence": number.confidence}
                row |= {"is_confident": number.is_confident}
                row |= {"boxes": [list(box) for box in number.boxes]}
                row |= {"confidences": [round(one.confidence, 6) for one in number.predictions]}
            rows.append(row)
        return rows

    def from_csv(self, row: dict[str, str]) -> dict[str, Any]:
        """Return a row as `make` made it, from the texts of `whole_rows`."""
        known = without_prediction(row, NUMBER_COLUMNS)
        if row["text"]:
            known |= {"text": row["text"], "confidence": float(row["confidence"])}
            known |= {"is_confident": row["is_confident"] == "True"}
            known |= {name: json.loads(row[name]) for name in ("boxes", "confidences")}
        return known

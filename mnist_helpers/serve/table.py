"""Many files on the page: what was uploaded becomes a table, to look at and as CSV."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ..formulas import escape_formula
from ..prediction import MNISTPredictor, is_confident
from .answers import data_url
from .archives import uploaded_images
from .uploads import Limits, preprocess_upload

COLUMNS = ["image", "digit", "confidence", "confident", "error", "seen"]
DOUBTED = {"yes": "", "no": ", not confident"}


def predict_uploads(
    predictor: MNISTPredictor, paths: list[str], limits: Limits, folder: Path
) -> tuple[pd.DataFrame, str]:
    """Predict uploaded images and zip archives of them; return a table, and its path as CSV.

    What cannot be predicted is a row with its error. The table has what the network saw as well,
    uint8 ``[28, 28]`` or None, in its column ``seen``.
    """
    rows: list[dict] = []
    for name, found in uploaded_images(paths, limits):
        row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"image": name, "error": ""}
        try:
            if isinstance(found, ValueError):
                raise found
            row["seen"] = preprocess_upload(found, limits)
        except ValueError as error:
            row["error"] = str(error)
        rows.append(row)
    good = [row for row in rows if row["seen"] is not None]
    probabilities: Iterable[np.ndarray] = []
    if good:
        probabilities = predictor.predict_proba(np.stack([row["seen"] for row in good]))
    for row, probs in zip(good, probabilities, strict=True):
        confidence = float(probs.max())
        row["digit"], row["confidence"] = int(probs.argmax()), round(confidence, 6)
        row["confident"] = "yes" if is_confident(confidence) else "no"  # before it was rounded
    # Nullable types: digits stay whole numbers where some are missing.
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"digit": "Int64", "confidence": "Float64"})
    written = table.drop(columns="seen").assign(
        image=table["image"].map(escape_formula), error=table["error"].map(escape_formula)
    )
    path = Path(tempfile.mkdtemp(dir=folder)) / "digits.csv"
    written.to_csv(path, index=False)
    return table, str(path)


def table_html(table: pd.DataFrame) -> str:
    """Return a table of `predict_uploads` as HTML: what failed first, then the least confident."""
    failed = int((table["error"] != "").sum())
    doubted = int((table["confident"] == "no").sum())
    shown = table.sort_values("confidence", na_position="first", kind="stable")
    rows = "".join(
        f"<tr><td>{_thumbnail(row.seen)}</td>"
        f'<th scope="row">{html.escape(row.image)}</th>'
        + (
            f'<td colspan="2" class="failed">{html.escape(row.error)}</td></tr>'
            if row.error
            else f"<td>{row.digit}</td><td>{row.confidence:.1%}{DOUBTED[row.confident]}</td></tr>"
        )
        for row in shown.itertuples()
    )
    said = f"{len(table):,} images: {failed:,} failed, {doubted:,} not confident."
    return (
        f'<div class="files"><p>{said}</p><div class="scroll" tabindex="0"><table><thead><tr>'
        '<th scope="col">Seen</th><th scope="col">Image</th><th scope="col">Digit</th>'
        '<th scope="col">Confidence</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></div>"
    )


def _thumbnail(seen: np.ndarray | None) -> str:
    """Return what the network saw as HTML; nothing if it saw nothing."""
    return "" if seen is None else f'<img src="{data_url(Image.fromarray(seen))}" alt="">'

"""What a table of predictions comes to: counts, accuracy, and both in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluation import accuracy_interval
from ..prediction import CONFIDENCE_THRESHOLD

if TYPE_CHECKING:
    import pandas as pd

NO_LABELS = {
    "auto": "not every image has its digit in the folder's name (7/scan.png) or the file's "
    "(7_001.png)",
    "folder": "no image is in a folder that is named 0 to 9",
    "name": "no file's name begins with a digit on its own, or has only one",
}


def count_rows(tables: Iterable[pd.DataFrame]) -> dict[str, Any]:
    """Count what is in a table, which comes in parts so that the memory stays constant.

    Parameters
    ----------
    tables : iterable of DataFrame
        With the columns ``confidence`` and ``is_confident``, and ``digit`` or ``text``.

    Returns
    -------
    dict
        ``images``, ``predicted``, ``failed``, ``not_confident``, ``mean_confidence`` (None if
        none was predicted), and of single digits ``digits`` (how often each was predicted).
    """
    counts: Counter[str] = Counter()
    digits: Counter[int] | None = None
    confidence = 0.0
    for table in tables:
        predicted = table[table["confidence"].notna()]
        counts.update(images=len(table), predicted=len(predicted))
        counts.update(not_confident=int((~predicted["is_confident"].astype(bool)).sum()))
        if "digit" in table:
            digits = (digits or Counter()) + Counter(predicted["digit"].astype(int))
        confidence += float(predicted["confidence"].sum())
    return {
        "images": counts["images"],
        "predicted": counts["predicted"],
        "failed": counts["images"] - counts["predicted"],
        "not_confident": counts["not_confident"],
        "mean_confidence": confidence / counts["predicted"] if counts["predicted"] else None,
        **({} if digits is None else {"digits": {digit: digits[digit] for digit in range(10)}}),
    }


def count_confusion(rows: Iterable[dict[str, Any]]) -> tuple[np.ndarray, int]:
    """Count labels and predictions.

    Returns
    -------
    confusion : ndarray of shape [10, 10], dtype int64
        Row = label, column = predicted digit.
    failed : int
        Images with a label that could not be predicted.
    """
    confusion, failed = np.zeros((10, 10), int), 0
    for row in rows:
        if row["label"] is not None and row["digit"] is not None:
            confusion[row["label"], row["digit"]] += 1
        elif row["label"] is not None:
            failed += 1
    return confusion, failed


def measure_accuracy(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return accuracy, its 95% confidence interval and what it was counted from."""
    confusion, failed = count_confusion(rows)
    correct, labeled = int(confusion.trace()), int(confusion.sum())
    result = {"labeled": labeled, "correct": correct, "confusion": confusion.tolist()}
    result |= {"labeled_failed": failed}
    if labeled:
        result |= {"accuracy": correct / labeled, "interval": accuracy_interval(correct, labeled)}
    return result


def describe(summary: dict[str, Any], labels_wanted: str | None) -> str:
    """Return `BatchProcessor.summary` in words."""
    text = f"{summary['predicted']:,} of {summary['images']:,} images predicted"
    if summary["failed"]:
        text += f"; {summary['failed']:,} failed (see the column error)"
    if summary["skipped"]:
        text += f"; skipped: {format_counts(summary['skipped_by_type'])}"
    if summary["predicted"]:
        text += f"\nmean confidence {summary['mean_confidence']:.1%}; "
        low = summary["not_confident"]
        text += f"{low:,} below {CONFIDENCE_THRESHOLD:.0%}{': look at these' if low else ''}"
        digits = ", ".join(f"{d}: {n:,}" for d, n in summary.get("digits", {}).items() if n)
        text += f"\npredicted digits: {digits}" if digits else ""
    return "\n".join([text, *_describe_accuracy(summary, labels_wanted)])


def _describe_accuracy(summary: dict[str, Any], labels_wanted: str | None) -> list[str]:
    """Return the accuracy in words, or why there is none; nothing if none was asked for."""
    if "accuracy" in summary:
        low, high = summary["interval"]
        failed = summary["labeled_failed"]
        where = {"folder": "folder names", "name": "file names"}[summary["labels"]]
        return [
            f"accuracy {summary['accuracy']:.2%} of {summary['labeled']:,} labeled images "
            f"(labels from the {where}; 95% confidence interval {low:.1%} to {high:.1%})"
            + (f"; {failed:,} more labeled images failed" if failed else "")
        ]
    if labels_wanted is None or summary.get("labeled_failed"):
        return []
    return [f"no labels found, so no accuracy: {NO_LABELS[labels_wanted]}"]


def format_counts(skipped: dict[str, int]) -> str:
    """Return counts in words, such as ``3 .txt, 1 hidden``."""
    ordered = sorted(skipped.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {kind}" for kind, count in ordered if count) or "none"

"""The rows of the table: written, read back, repaired."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ..files import atomic_write, escape_formula, unescape_formula

PROBABILITIES = [f"p{digit}" for digit in range(10)]
COLUMNS = ["file", "digit", "confidence", "is_confident", *PROBABILITIES, "seconds", "error"]


def whole_rows(path: Path) -> Iterator[dict]:
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


def finished_files(path: Path) -> set[str]:
    """Return the files that an earlier run has done, and cut a torn last row off."""
    names = set()
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in whole_rows(path):
            writer.writerow(without_formulas(row))
            names.add(row["file"])
    return names


def without_formulas(row: dict) -> dict:
    """Return a row whose texts no spreadsheet takes for formulas."""
    return {
        name: escape_formula(value) if isinstance(value, str) else value
        for name, value in row.items()
    }


def strict_json(value: object) -> str:
    """Return a value as strict JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

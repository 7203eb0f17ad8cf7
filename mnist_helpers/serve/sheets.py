"""Photographed sheets that are uploaded: read, and packed as a data set."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ..formulas import escape_formula
from ..sheet import SheetDigits, read_sheet, save_sheets
from .schemas import Sheet, Sheets
from .uploads import Limits, read_upload

ARCHIVE = "my_mnist"  # the folder in the archive, which is named after it


def read_uploaded_sheet(content: bytes, limits: Limits) -> SheetDigits:
    """Read an uploaded photo of a sheet; see `read_upload`."""
    return read_upload(content, limits, read_sheet, "the sheet")


def describe_sheets(names: Sequence[str], found: Sequence[SheetDigits | ValueError]) -> Sheets:
    """Return what was found in photos as what is sent."""
    rows = [Sheet.of(name, one) for name, one in zip(names, found, strict=True)]
    return Sheets(digits=sum(row.digits for row in rows), sheets=rows)


def pack_sheets(names: Sequence[str], found: Sequence[SheetDigits | ValueError]) -> bytes:
    """Return the digits of sheets as a zip archive.

    It holds what `save_sheets` writes, and ``sheets.csv`` says what was found in each photo.

    Raises
    ------
    ValueError
        If there are too few digits.
    """
    named = zip(names, found, strict=True)
    sheets = [replace(one, photo=name) for name, one in named if not isinstance(one, ValueError)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, ARCHIVE)
        save_sheets(sheets, root)
        sheets_table(describe_sheets(names, found)).to_csv(root / "sheets.csv", index=False)
        return Path(shutil.make_archive(str(root), "zip", folder, ARCHIVE)).read_bytes()


def sheets_table(described: Sheets) -> pd.DataFrame:
    """Return what was found in photos as a table, one row for each."""
    return pd.DataFrame(
        [
            {
                "photo": escape_formula(row.name),
                "writer": escape_formula(row.writer or ""),
                "digits": row.digits,
                "empty": len(row.empty),
                "crossed_out": len(row.crossed_out),
                "error": escape_formula(row.error or ""),
            }
            for row in described.sheets
        ]
    )

"""Writes the digits of sheets as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path

import pandas as pd

from ..data.digits import Digits
from ..data.save import save_csv, save_idx, save_images, write_by_label
from ..files import atomic_write
from ..formulas import escape_formula
from .reading import SheetDigits

TEST_EVERY = 5  # of the digits one is for testing


def save_sheets(sheets: Sequence[SheetDigits], folder: str | Path) -> dict[Path, str]:
    """Write the digits of one or more sheets, in all forms in which data sets are usual.

    Parameters
    ----------
    sheets : sequence of SheetDigits
        What `read_sheet` returned, at least one.
    folder : path
        Where to write. What the same sheets have been saved as is replaced.

    Returns
    -------
    dict of Path to str
        What was written, and what it is: ``MNIST/raw`` with MNIST's own files, of which each fifth
        digit is for testing; ``digits.csv`` in Kaggle's form; ``images``, a PNG file for each
        digit; ``crops``, what was cut out of the boxes; ``origin.csv``, the photo, writer and box
        of each digit.

    Raises
    ------
    ValueError
        If there are fewer than five digits, or if `folder` has images of another sheet's.

    Notes
    -----
    How well a model does with somebody else's handwriting, only another writer's sheet can say:
    keep one for testing, and write the two with `save_idx` yourself.
    """
    folder = Path(folder)
    digits: Digits = reduce(add, sheets)
    if len(digits) < TEST_EVERY:
        raise ValueError(f"there are {len(digits)} digits on the sheets: at least 5 are needed")
    numbers = range(len(digits))
    train = [number for number in numbers if number % TEST_EVERY]
    images = save_images(digits, folder / "images")  # first, since it may be refused
    boxes = [crop for sheet in sheets for crop in sheet.crops]
    crops = write_by_label(boxes, digits.labels.tolist(), folder / "crops")
    raw = save_idx(digits[train], digits[list(numbers[::TEST_EVERY])], folder)
    table = save_csv(digits, folder / "digits.csv")
    origin = pd.DataFrame(
        [
            (escape_formula(sheet.photo), escape_formula(sheet.writer or ""), box)
            for sheet in sheets
            for box in sheet.boxes
        ],
        columns=["photo", "writer", "box"],
    )
    with atomic_write(folder / "origin.csv") as part:
        origin.to_csv(part, index_label="image")
    return {
        raw: f"MNIST's own files: {len(train)} digits to train, {len(digits) - len(train)} to test",
        table: "a table in Kaggle's form",
        images: "the digits as MNIST images",
        crops: "what was cut out of the boxes",
        folder / "origin.csv": "the photo, writer and box of each digit",
    }

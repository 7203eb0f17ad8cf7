"""Tables with one image per row, as Kaggle has them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..paths import as_text
from .digits import UNLABELLED, Digits, split_stratified
from .packed import BROKEN_GZIP, opened

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE, LONGEST_ROW = 10_000, 100_000  # of a table; rows, and bytes


def load_csv(path: str | Path) -> Digits:
    """Read digits from a table with one picture a row, as Kaggle has them.

    Parameters
    ----------
    path : path
        A CSV file of 785 columns (label, then 784 pixels row by row; "mnist-in-csv" and the
        Digit Recognizer's ``train.csv``) or 784 (no labels; its ``test.csv``), with or without a
        header. May be gzipped, whatever its name.

    Returns
    -------
    Digits
        Without labels in the file, all labels are `UNLABELLED` (-1).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the table has another number of columns, or values that are no pixels or labels.
    """
    import pandas as pd

    path = Path(path)
    try:
        columns, skipped = _first_row(path)
        if columns not in (784, 785):
            raise ValueError(
                f"{path} should have 784 columns (pixels) or 785 (label and pixels), "
                f"but has {columns}"
            )
        options = {"header": None, "skiprows": skipped, "encoding": "utf-8-sig"}
        with (
            opened(path) as file,
            pd.read_csv(file, chunksize=ROWS_AT_ONCE, **options) as parts,
        ):
            values = np.concatenate(
                [_whole_numbers(part, path, columns, skipped) for part in parts]
            )
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path} has no rows") from error
    except (pd.errors.ParserError, UnicodeDecodeError, *BROKEN_GZIP) as error:
        raise ValueError(f"{path} is not a CSV table of digits: {error}") from error
    pixels = torch.from_numpy(values[:, -784:].copy()).reshape(-1, 1, 28, 28)
    if columns == 785:
        labels = torch.from_numpy(values[:, 0].astype(np.int64))
    else:
        labels = torch.full((len(pixels),), UNLABELLED)
    return Digits(pixels, labels, f"CSV file {as_text(path.name)}")


def _first_row(path: Path) -> tuple[int, int]:
    """Return how many columns a table has, and how many lines stand before its first digit."""
    import pandas as pd

    with opened(path) as file:
        blank = 0
        while (line := file.readline(LONGEST_ROW)) and not line.strip():
            blank += 1
    if len(line) == LONGEST_ROW:
        raise ValueError(f"{path} is not a CSV table of digits: a line of it has no end")
    first = pd.read_csv(io.BytesIO(line), header=None, encoding="utf-8-sig", dtype=str)
    header = int(pd.to_numeric(first.iloc[0], errors="coerce").isna().all())
    return first.shape[1], blank + header


def _whole_numbers(table: pd.DataFrame, path: Path, columns: int, skipped: int) -> np.ndarray:
    """Return a part of a table as uint8, or say where it has something else."""
    import pandas as pd

    if table.shape[1] != columns:
        raise ValueError(f"{path} should have {columns} columns, but has rows of {table.shape[1]}")
    values = table.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    wrong = ~((values >= 0) & (values <= 255) & (values == np.floor(values)))
    labelled = table.shape[1] == 785
    if labelled:
        wrong[:, 0] |= values[:, 0] > 9
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        what = "label 0 to 9" if labelled and column == 0 else "whole number 0 to 255"
        raise ValueError(
            f"{path}, row {table.index[row] + 1 + skipped}, column {column + 1}: "
            f"expected a {what}, found {table.iat[row, column]}"
        )
    return values.astype(np.uint8)


def find_tables(folder: Path) -> list[Path]:
    """Return Kaggle's labelled tables in `folder`: to train and to test, one for both, or none."""
    pair = [folder / "mnist_train.csv", folder / "mnist_test.csv"]
    if all(path.is_file() for path in pair):
        return pair
    one = folder / "train.csv"  # the Digit Recognizer's, a name that many other tables have
    if not one.is_file():
        return []
    with one.open("rb") as file:
        return [one] if file.readline(LONGEST_ROW).count(b",") == 784 else []


def read_csv_folder(folder: Path, seed: int) -> tuple[Digits, Digits]:
    """Read Kaggle's tables; where the test table is unlabelled, hold out a seventh of train.csv."""
    tables = [load_csv(path) for path in find_tables(folder)]
    if not tables:
        raise FileNotFoundError(
            f"no MNIST tables in {folder.absolute()}: expected mnist_train.csv and mnist_test.csv, "
            "or the Digit Recognizer's train.csv"
        )
    if len(tables) == 2:
        return tables[0], tables[1]
    return split_stratified(tables[0], len(tables[0]) // 7, seed)

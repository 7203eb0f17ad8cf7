"""Tables with one image per row, as Kaggle, OpenML, pandas, NumPy and spreadsheets write them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ..decode import InvalidImageError, open_image
from ..files import escape_name
from .columns import (
    PIXELS,
    Columns,
    check_header_is_no_row,
    find_label,
    from_header,
    is_header,
    without_header,
)
from .digits import UNLABELED, Digits, split_stratified
from .notices import ConvertedPixelsWarning, warn
from .packed import BROKEN_ARCHIVE, open_packed
from .pixels import PixelError, as_mnist_pixels

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE, LONGEST_ROW = 10_000, 100_000  # of a table; rows, and characters
SEPARATORS = ("\t", ";", "|", ",")


class Table(NamedTuple):
    """Digits from a table, and what else it says."""

    digits: Digits
    ids: list | None  # the column that names the rows (id, ImageId), if there is one
    id_name: str | None
    notes: list[str]  # what was converted, or is unlike MNIST: one sentence each


@dataclass(frozen=True)
class Form:
    """How a table is written: what pandas must know, and its first rows."""

    options: dict
    header: list[str] | None
    columns: int
    skipped: int  # lines before the first digit


def load_csv(path: str | Path, label_column: str | int | None = "auto") -> Digits:
    """Read digits from a table with one image per row.

    Parameters
    ----------
    path : path
        A table of 784 pixels row by row, and a label if there are any. See the notes.
    label_column : str, int or None, default="auto"
        The label's name in the header, or its position (0: first, -1: last); None if there are no
        labels. "auto" goes by the header (label, class, target, digit, y), and without one by the
        values, as long as they leave no doubt.

    Returns
    -------
    Digits
        Without labels in the file, all labels are `UNLABELED` (-1).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the table has another number of columns, or values that are no pixels or labels, or if
        it leaves open which column is the label.

    Warns
    -----
    ConvertedPixelsWarning
        If pixels were converted (see the notes), or look unlike MNIST's. ``.source`` says it too.

    Notes
    -----
    ========== ======================================================================
    what       accepted
    ========== ======================================================================
    separators comma, semicolon (also with decimal commas), tab, ``|``, spaces
    encodings  UTF-8, UTF-16, with or without a byte order mark; any ends of lines
    packed     gzip, bzip2, xz, zip with one table in it, whatever the file's name
    header     of any names, or none; lines that begin with ``#`` are skipped
    pixels     numbered from any number on, or by row and column (``1x1``), in any order
    label      first, last or in between, or none
    others     ``id``, ``ImageId``, ``index`` and unnamed columns are ignored
    values     0 to 255; 0 to 1 (also bits), -1 to 1 and normalized ones are converted
    polarity   light ink on black; images that are dark on light are inverted
    ========== ======================================================================

    Examples
    --------
    >>> import pandas as pd
    >>> from mnist_helpers.data import load_mnist
    >>> digits = load_mnist("sample").test[:3]
    >>> table = pd.DataFrame(digits.images.flatten(1).numpy())
    >>> table.insert(0, "label", digits.labels.numpy())
    >>> table.to_csv("train.csv", index=False)
    >>> load_csv("train.csv").labels.equal(digits.labels)
    True
    """
    table = read_table(path, label_column)
    for note in table.notes:
        warn(f"{path}: {note}", ConvertedPixelsWarning)
    return table.digits


def read_table(path: str | Path, label_column: str | int | None = "auto") -> Table:
    """Read a table as `load_csv` does; return its notes and the rows' own numbers as well."""
    import pandas as pd

    path = Path(path)
    try:
        form = _form_of(path)
        try:
            columns = (
                without_header(form.columns, label_column)
                if form.header is None
                else from_header(form.header, label_column)
            )
        except ValueError as error:
            raise ValueError(f"{path} {error}") from None
        with (
            open_packed(path, ".csv") as file,
            pd.read_csv(file, chunksize=ROWS_AT_ONCE, **form.options) as parts,
        ):
            read = [_numbers(part, path, columns, form) for part in parts]
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path} has no rows") from error
    except (pd.errors.ParserError, UnicodeError, csv.Error, *BROKEN_ARCHIVE) as error:
        raise ValueError(_no_table(path, error)) from error
    labels = [part for _, part, _ in read if part is not None]
    ids = [number for _, _, part in read if part is not None for number in part]
    return _table(
        path,
        form,
        columns,
        np.concatenate([pixels for pixels, _, _ in read]),
        np.concatenate(labels) if labels else None,
        None if columns.ids is None else ids,
        unlabeled=label_column is None,
    )


def _no_table(path: Path, error: Exception) -> str:
    """Say that a file is no table, and whether it is an image in a table's place."""
    try:
        with open_image(path) as image:
            return f"{path} is an image ({image.format}), not a CSV table of digits"
    except InvalidImageError:
        return f"{path} is not a CSV table of digits: {error}"


def _table(
    path: Path,
    form: Form,
    columns: Columns,
    values: np.ndarray,
    labels: np.ndarray | None,
    ids: list | None,
    unlabeled: bool,
) -> Table:
    """Make digits of a table's numbers."""
    if values.shape[1] > PIXELS:
        try:
            label, odd = find_label(values, unlabeled)
        except ValueError as error:
            raise ValueError(f"{path} {error}") from None
        labels = None if label is None else values[:, label]
        no_pixels = label if odd is None else odd
        assert no_pixels is not None, "find_label names one of the two"
        columns.take_label(no_pixels)
        values = np.delete(values, no_pixels, axis=1)
    if labels is not None:
        labels = _labels(labels, path, columns, form)
    try:
        pixels, notes = as_mnist_pixels(values)
    except PixelError as error:
        where = f"row {error.row + 1 + form.skipped}, column {columns.pixels[error.column] + 1}"
        raise ValueError(f"{path}, {where}: {error}") from None
    source = f"CSV file {escape_name(path.name)}" + "".join(f"; {note}" for note in notes)
    images = torch.from_numpy(np.ascontiguousarray(pixels)).reshape(-1, 1, 28, 28)
    known = torch.full((len(images),), UNLABELED) if labels is None else torch.from_numpy(labels)
    name = None if columns.ids is None else columns.names[columns.ids]
    return Table(Digits(images, known, source), ids, name, notes)


def _labels(values: np.ndarray, path: Path, columns: Columns, form: Form) -> np.ndarray | None:
    """Return labels as int64, or None where all are empty or -1; say where one is no digit."""
    if (np.isnan(values) | (values == UNLABELED)).all():
        return None
    wrong = ~((values >= 0) & (values <= 9) & (values == np.floor(values)))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{path}, row {row + 1 + form.skipped}, column {(columns.label or 0) + 1}: "
            f"expected a label 0 to 9, found {values[row]:g}"
        )
    return values.astype(np.int64)


def _form_of(path: Path) -> Form:
    """Find out how a table is written from its first lines."""
    with open_packed(path, ".csv") as file:
        encoding = _encoding(file)
    with open_packed(path, ".csv") as file:
        lines = _Lines(path, file, encoding)
        first = lines.next_row()
        before = lines.number - 1
        second = lines.next_row()
    if not first:
        raise ValueError(f"{path} has no rows")
    separator = _separator(first)
    cells = _cells(first, separator)
    header = cells if is_header(cells) else None
    if header is None:
        try:
            check_header_is_no_row(cells)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    row = _cells(second, separator) if header is not None else cells
    if header is not None and not second:
        raise ValueError(f"{path} has no rows")
    header, columns = _aligned(header, row)
    if header is not None and len(header) != columns:
        raise ValueError(f"{path} has {len(header)} names in its header, but rows of {columns}")
    skipped = before + (header is not None)
    sample = second if header is not None else first
    options: dict[str, Any] = {
        "header": None,
        "skiprows": skipped,
        "encoding": encoding,
        "sep": r"\s+" if separator == " " else separator,
        "decimal": "," if separator != "," and "," in sample else ".",
        "skipinitialspace": True,
        "comment": "#",
    }
    if header is None and cells[-1] == "" and len(cells) in (PIXELS + 1, PIXELS + 2):
        options["usecols"] = range(len(cells) - 1)  # each line ends with a separator
        columns -= 1
    return Form(options, header, columns, skipped)


def _aligned(header: list[str] | None, row: list[str]) -> tuple[list[str] | None, int]:
    """Return a header that has as many names as the rows have cells, and how many these are."""
    if header is not None and len(row) == len(header) + 1:
        # A separator ends each line; or, as R writes it, names of the rows have no name themselves.
        header = [*header, ""] if row[-1] == "" else ["", *header]
    return header, len(row)


class _Lines:
    """The rows of a text, without blank lines and comments."""

    def __init__(self, path: Path, file: IO[bytes], encoding: str) -> None:
        self.path, self.number = path, 0
        self.text = io.TextIOWrapper(file, encoding)

    def next_row(self) -> str:
        """Return the next line that is a row, or nothing at the end."""
        while line := self.text.readline(LONGEST_ROW):
            if len(line) == LONGEST_ROW:
                raise ValueError(
                    f"{self.path} is not a CSV table of digits: a line of it has no end"
                )
            self.number += 1
            if line.strip() and not re.match(r"\s*#|\ufeff?sep=.$", line.strip()):
                return line.strip("\r\n")
        return ""


def _encoding(file: IO[bytes]) -> str:
    """Return the encoding of a text from its first bytes."""
    start = file.read(64)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if len(start) > 8 and not any(start[1::2]):
        return "utf-16-le"
    if len(start) > 8 and not any(start[::2]):
        return "utf-16-be"
    return "utf-8-sig"


def _separator(line: str) -> str:
    """Return what stands between the cells of a line."""
    bare = re.sub(r'"[^"]*"', "", line)
    counts = {separator: bare.count(separator) for separator in SEPARATORS}
    plenty = [separator for separator in SEPARATORS if counts[separator] >= PIXELS - 1]
    if plenty:
        return plenty[0]
    most = max(SEPARATORS, key=lambda separator: counts[separator])
    return " " if len(bare.split()) > counts[most] + 1 else most if counts[most] else ","


def _cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line."""
    if separator == " ":
        return [cell.strip('"') for cell in line.split()]
    rows = csv.reader([line], delimiter=separator, skipinitialspace=True)
    return [cell.strip() for cell in next(rows, [])]


def _numbers(
    table: pd.DataFrame, path: Path, columns: Columns, form: Form
) -> tuple[np.ndarray, np.ndarray | None, list | None]:
    """Return pixels, labels and ids of a part of a table, or say where it has no numbers."""
    if table.shape[1] != form.columns:
        found = table.shape[1]
        raise ValueError(f"{path} should have {form.columns} columns, but has rows of {found}")
    pixels = _as_numbers(table.iloc[:, columns.pixels], path, columns, form)
    labels = None
    if columns.label is not None:
        label = table.iloc[:, [columns.label]]
        empty = bool(label.isna().to_numpy().all())
        labels = label.to_numpy(float) if empty else _as_numbers(label, path, columns, form)
        labels = labels[:, 0].astype(float)
    ids = None if columns.ids is None else table.iloc[:, columns.ids].tolist()
    return pixels, labels, ids


def _as_numbers(table: pd.DataFrame, path: Path, columns: Columns, form: Form) -> np.ndarray:
    """Return columns as uint8 where they fit, else as float32."""
    import pandas as pd

    if all(kind.kind in "iu" for kind in table.dtypes):
        values = table.to_numpy()
    else:
        values = table.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            position = table.columns[column]
            what = "label 0 to 9" if position == columns.label else "whole number 0 to 255"
            raise ValueError(
                f"{path}, row {table.index[row] + 1 + form.skipped}, column {position + 1}: "
                f"expected a {what}, found {table.iat[row, column]}"
            )
    fits = bool(((values >= 0) & (values <= 255) & (values == np.floor(values))).all())
    return values.astype(np.uint8 if fits else np.float32)


def find_tables(folder: Path) -> list[Path]:
    """Return Kaggle's labeled tables in `folder`: to train and to test, one for both, or none."""
    train, test = (_table_named(folder, f"mnist_{part}") for part in ("train", "test"))
    if train and test:
        return [train, test]
    one = _table_named(folder, "train")  # the Digit Recognizer's, a name many other tables have
    if one is None or not _is_labeled(one):
        return []
    other = _table_named(folder, "test")
    return [one, other] if other and _is_labeled(other) else [one]


def _table_named(folder: Path, name: str) -> Path | None:
    """Return the table of that name, which may be packed."""
    paths = (folder / f"{name}.csv{ending}" for ending in ("", ".gz", ".zip", ".bz2", ".xz"))
    return next((path for path in paths if path.is_file()), None)


def _is_labeled(path: Path) -> bool:
    """Return whether a table's header has a label and 784 pixels, or it has 785 bare columns."""
    try:
        form = _form_of(path)
        if form.header is None:
            return form.columns == PIXELS + 1
        columns = from_header(form.header)
    except (ValueError, csv.Error, *BROKEN_ARCHIVE):
        return False
    return columns.label is not None or len(columns.pixels) > PIXELS


def read_csv_folder(folder: Path, seed: int = 0) -> tuple[Digits, Digits]:
    """Read Kaggle's tables; where the test table is unlabeled, hold out a seventh of train.csv."""
    tables = [load_csv(path) for path in find_tables(folder)]
    if not tables:
        raise FileNotFoundError(
            f"no MNIST tables in {folder.absolute()}: expected mnist_train.csv and mnist_test.csv, "
            "or the Digit Recognizer's train.csv"
        )
    if len(tables) == 2:
        return tables[0], tables[1]
    return split_stratified(tables[0], len(tables[0]) // 7, seed)

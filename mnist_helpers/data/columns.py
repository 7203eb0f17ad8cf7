"""What the columns of a table are: pixels and their order, the label, numbers of the rows.

The header decides. Where there is none, or where it only counts the columns, the values decide.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import numpy as np

PIXELS = 784
LABEL_NAMES = {
    *("label", "labels", "class", "classes", "target", "targets", "digit", "digits", "y"),
    *("class_label", "digit_label", "image_label", "true_label", "y_true", "ground_truth"),
}
ID_NAMES = {"id", "imageid", "image_id"}  # those that a submission repeats
ROW_NAMES = {
    *ID_NAMES,
    *(
        "",
        "index",
        "idx",
        "level_0",
        "row",
        "rowid",
        "row_id",
        "rownames",
        "row_names",
        "row.names",
    ),
    *("filename", "file_name", "file", "path", "image", "image_name", "name", "split", "usage"),
}
_UNNAMED = re.compile(r"unnamed: \d+(_level_\d+)?")
HOW_TO_NAME = (
    "say which column holds the label: load_csv(path, label_column=0) for the first, -1 for the "
    "last, a name of the header, or None if there are no labels (predict: --label-column)"
)


@dataclass
class Columns:
    """The positions of a table's columns, by what they hold.

    Attributes
    ----------
    pixels : list of int
        The 784 pixels in the order of an image's rows; or 785 columns of which one is the label,
        which `find_label` tells by their values.
    label, ids : int or None, default=None
        The columns of the labels, and of the numbers that name the rows.
    """

    pixels: list[int]
    label: int | None = None
    ids: int | None = None
    names: list[str] = field(default_factory=list)

    def take_label(self, position: int | None) -> None:
        """Make one of the 785 columns the label; with None, none of them is one."""
        self.label = None if position is None else self.pixels[position]
        self.pixels = [column for column in self.pixels if column != self.label]


def is_header(cells: list[str]) -> bool:
    """Return whether a table's first row holds names.

    Names are mostly no numbers; those that are (pandas counts columns 0, 1, 2, …) all differ,
    which 784 pixels of 0 to 255 cannot.
    """
    words = [cell for cell in cells if cell.strip() and not _is_number(cell)]
    whole = [cell.strip() for cell in cells if cell.strip().isdigit()]
    return len(words) > len(cells) / 2 or (
        len(whole) >= PIXELS and len(set(whole)) == len(whole) and len(cells) - len(whole) < 10
    )


def check_header_is_no_row(cells: list[str]) -> None:
    """Refuse a row of digits that pandas took for names: it renames equal ones to 0, 0.1, 0.2.

    Raises
    ------
    ValueError
        If that is what the names look like.
    """
    parts = [re.fullmatch(r"(\d{1,3})(?:\.(\d+))?", cell.strip()) for cell in cells]
    seen: dict[str, int] = {}
    for part in parts:
        if part is None:
            return
        count = seen.get(part[1], 0)
        if int(part[2] or 0) != count:
            return
        seen[part[1]] = count + 1
    if max(seen.values()) > 1:
        raise ValueError(
            "its first row was an image that pandas took for a header (0, 0.1, 0.2, …): write "
            "the table again from pandas.read_csv(…, header=None), with index=False"
        )


def from_header(cells: list[str], label_column: str | int | None = "auto") -> Columns:
    """Return what the columns are by their names.

    Raises
    ------
    ValueError
        If the names leave open which column is the label, or are not those of 784 pixels.
    """
    names = [_plain(cell) for cell in cells]
    label = _named_label(names, label_column)
    ids = next((at for at, name in enumerate(names) if name in ID_NAMES and at != label), None)
    labels = [at for at, name in enumerate(names) if name in LABEL_NAMES and at != label]
    rest = [at for at in range(len(names)) if at != label and at not in labels]
    pixels = _numbered_pixels(names, rest)
    if pixels is None:  # names of any other form: what is neither label nor number of a row
        pixels = [at for at in rest if not _is_row_name(names[at])]
        if len(pixels) != PIXELS and len(rest) == PIXELS:
            pixels, ids = rest, None
    if len(pixels) not in (PIXELS, PIXELS + 1) or (len(pixels) > PIXELS and (labels or label)):
        raise ValueError(wrong_count(len(cells)))
    others = [at for at in rest if at not in set(pixels) and not _is_row_name(names[at])]
    open_ = label is None and label_column == "auto" and len(pixels) == PIXELS
    if open_ and len(labels) == 1:
        label = labels[0]
    elif open_ and (labels or others):
        doubtful = ", ".join(repr(cells[at]) for at in (labels or others)[:5])
        raise ValueError(f"the header has {doubtful} beside the pixels: {HOW_TO_NAME}")
    return Columns(pixels, label, ids, cells)


def without_header(count: int, label_column: str | int | None = "auto") -> Columns:
    """Return what the columns of a table without names are, as far as their number tells.

    Raises
    ------
    ValueError
        If there are neither 784 nor 785, or `label_column` is none of them.
    """
    if isinstance(label_column, str) and label_column != "auto":
        raise ValueError(f"there is no header with a {label_column!r}: {HOW_TO_NAME}")
    if count not in (PIXELS, PIXELS + 1):
        raise ValueError(wrong_count(count))
    columns = Columns(list(range(count)))
    if isinstance(label_column, int):
        if count == PIXELS:
            raise ValueError("has 784 columns, all of them pixels: there is none for a label")
        columns.take_label(_position(label_column, count))
    return columns


def find_label(values: np.ndarray, unlabeled: bool = False) -> tuple[int | None, int | None]:
    """Find the label, or the numbers of the rows, in 785 columns without telling names.

    The corners of an image are background, and as such equal to the border beside them; labels
    go from 0 to 9. It must be one of the two outermost columns, and there must be no doubt.

    Parameters
    ----------
    values : array of shape [N, 785]
        Pixels of any scale, and a label before or after them.
    unlabeled : bool, default=False
        The caller says that there are no labels: the odd column can only count the rows.

    Returns
    -------
    label, odd : int or None
        The label's position; or, without labels, that of the column that counts the rows.

    Raises
    ------
    ValueError
        If both columns could be the label, or none.
    """
    background = np.median(values[:, [*range(1, 27), *range(758, 784)]], axis=1)
    counting = [at for at in (0, -1) if _counts(values[:, at])]
    if counting and (unlabeled or len(values) > 10):
        return None, counting[0] % values.shape[1]
    if unlabeled:
        raise ValueError("has 785 columns, none of which counts the rows: remove the one too many")
    corners = {at: bool((values[:, at] == background).all()) for at in (0, -1)}
    fits = [
        at
        for at in (0, -1)
        if _is_label(values[:, at])
        and not corners[at]
        and (corners[-1 - at] or not _is_label(values[:, -1 - at]))
    ]
    if len(fits) != 1 or counting:
        why = (
            "of which one could hold labels or numbers of the rows"
            if counting
            else "and no header that names the label"
        )
        raise ValueError(f"has 785 columns, {why}: {HOW_TO_NAME}")
    return fits[0] % values.shape[1], None


def wrong_count(columns: int) -> str:
    """Return what is wrong with a number of columns."""
    sides = [math.isqrt(count) for count in (columns, columns - 1) if count > 9]
    sides = [side for side in sides if side * side in (columns, columns - 1)]
    size = f" (images of {sides[0]}×{sides[0]}?)" if sides else ""
    return f"should have 784 columns (pixels) or 785 (label and pixels), but has {columns:,}{size}"


def _plain(name: str) -> str:
    """Return a name without what writers of tables differ in."""
    return re.sub(r"[\s\-]+", "_", name.strip().strip("'\"").strip()).lower()


def _is_row_name(name: str) -> bool:
    return name in ROW_NAMES or _UNNAMED.fullmatch(name.replace("_", " ", 1)) is not None


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _named_label(names: list[str], label_column: str | int | None) -> int | None:
    """Return the position of the label that the caller names."""
    if label_column is None or label_column == "auto":
        return None
    if isinstance(label_column, str):
        if names.count(_plain(label_column)) != 1:
            raise ValueError(
                f"the header has no column {label_column!r}, or several: {HOW_TO_NAME}"
            )
        return names.index(_plain(label_column))
    return _position(label_column, len(names))


def _position(column: int, count: int) -> int:
    if not -count <= column < count:
        raise ValueError(f"has no column {column}, but {count} of them")
    return column % count


def _numbered_pixels(names: list[str], among: list[int]) -> list[int] | None:
    """Return the columns whose names are numbered as pixels, in the order of the numbers.

    Names have one number (pixel0, px_1, 783) or two, row and column (1x1, pixel_0_27). None where
    no 784 or 785 names have a form in common.
    """
    forms: dict[str, list[int]] = {}
    for at in among:
        forms.setdefault(re.sub(r"\d+", "#", names[at]), []).append(at)
    fitting = [
        (form, at) for form, at in forms.items() if "#" in form and len(at) in (PIXELS, PIXELS + 1)
    ]
    if not fitting:
        return None
    if len(fitting) > 1:
        raise ValueError("the header has the pixels of two images in each row")
    form, members = fitting[0]
    numbers = np.array([[int(n) for n in re.findall(r"\d+", names[at])] for at in members])
    if numbers.shape[1] > 1:  # numbers that are the same in all names say nothing
        varying = [column for column in numbers.T if (column != column[0]).any()]
        numbers = np.array(varying).T.reshape(len(members), -1)
    if numbers.shape[1] == 2 and len(members) == PIXELS:
        return _grid(form, numbers, members)
    expected = np.arange(len(members)) + numbers.min()
    if numbers.shape[1] != 1 or not np.array_equal(np.sort(numbers[:, 0]), expected):
        raise ValueError(
            f"the names {names[members[0]]!r} to {names[members[-1]]!r} should number the pixels "
            "without gaps"
        )
    return [members[at] for at in np.argsort(numbers[:, 0])]


def _grid(form: str, numbers: np.ndarray, members: list[int]) -> list[int]:
    """Return columns in the order of rows and columns that their names have."""
    if re.search(r"x_?#.*y_?#", form):  # x counts to the right; but some write it for rows
        numbers = numbers[:, ::-1]
        if not np.array_equal(np.lexsort(numbers.T[::-1]), np.arange(PIXELS)):
            raise ValueError(
                "the header leaves open whether x counts rows or columns: name the pixels "
                "1x1, 1x2, … (row, then column)"
            )
    order = np.lexsort(numbers.T[::-1])
    rows, columns = (numbers[order] - numbers.min(0)).T
    if not (
        np.array_equal(rows, np.arange(PIXELS) // 28)
        and np.array_equal(columns, np.arange(PIXELS) % 28)
    ):
        raise ValueError("the header's pixels should number 28 rows and 28 columns")
    return [members[at] for at in order]


def _is_label(column: np.ndarray) -> bool:
    return bool(((column >= 0) & (column <= 9) & (column == np.floor(column))).all())


def _counts(column: np.ndarray) -> bool:
    """Return whether a column counts 0, 1, 2, … or 1, 2, 3, …, as the number of a row does."""
    return (
        len(column) > 1 and column[0] in (0, 1) and bool((np.diff(column.astype(float)) == 1).all())
    )

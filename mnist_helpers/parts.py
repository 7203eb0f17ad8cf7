"""What may be a digit in a row: connected parts of the ink, in each box or on the sheet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image
from scipy import ndimage

from .brightness import Brightness
from .cuts import pen_width
from .decode import BlankImageError, InvalidImageError
from .lines import remove_dotted_line, remove_lines
from .masks import bounding_box, group_columns
from .preprocess import (
    MAX_SHEETS,
    center,
    crop_digit,
    extract_ink,
    fit_into_box,
    normalize_stroke_width,
)
from .rows import Rectangle, group_rows
from .segment import MIN_CONTRAST, digit_mask, find_sheets

SMALL_ROW = 160  # pixels: shorter rows of digits are enlarged to this
TINY = (0.0, 1.0)  # how faint tiny ink may be, of the threshold: strokes break, or blur together
MAX_LINE_HEIGHT, MIN_LINE_LENGTH = 0.2, 0.7  # of an underline: of its length, of the digits' height
MAX_DIGITS = 300  # in an image, each of which takes up to 30 ms; more are a texture
MIN_MARK, MAX_MARKS = 0.4, 30  # size of a point in the pen's width squared; more parts are dirt


@dataclass(frozen=True)
class Part:
    """Pixels that may be a digit, among the ink of a cell.

    Parameters
    ----------
    ink : ndarray of shape [H, W], dtype uint8
    mask : ndarray of shape [H, W], dtype bool
    corner : (float, float)
        Where the cell begins: its left and top in the decoded image.
    zoom : float, default=1.0
        How many pixels of the cell are one of the decoded image.
    """

    ink: np.ndarray
    mask: np.ndarray
    corner: tuple[float, float]
    zoom: float = 1.0

    @cached_property
    def box(self) -> Rectangle:
        """Left, top, right and bottom in the decoded image."""
        rows, columns = bounding_box(self.mask)
        return self.place((columns.start, rows.start, columns.stop, rows.stop))

    def place(self, box: Rectangle) -> Rectangle:
        """Return where a box in the cell lies in the decoded image."""
        left, top, right, bottom = np.divide(box, self.zoom) + np.tile(self.corner, 2)
        return float(left), float(top), float(right), float(bottom)

    @property
    def aspect(self) -> float:
        """Width by height."""
        left, top, right, bottom = self.box
        return (right - left) / (bottom - top)

    @property
    def area(self) -> float:
        """Of the box."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)

    def to_mnist(self) -> np.ndarray:
        """Return it as an MNIST image."""
        return center(fit_into_box(normalize_stroke_width(crop_digit(self.ink, self.mask))))

    def crop(self) -> Part:
        """Return the same pixels with little around them."""
        rows, columns = (slice(max(0, s.start - 2), s.stop + 2) for s in bounding_box(self.mask))
        left, top, *_ = self.place((columns.start, rows.start, 0, 0))
        return Part(self.ink[rows, columns], self.mask[rows, columns], (left, top), self.zoom)

    def with_mask(self, mask: np.ndarray) -> Part:
        """Return other pixels of the same cell."""
        return Part(self.ink, mask, self.corner, self.zoom)


Found = list[tuple[list[Part], list[Rectangle]]]


def find_parts(gray: np.ndarray) -> list[Found]:
    """Find the parts of each row that may be digits, from left to right, and the smaller ones.

    Returns
    -------
    list of list of (list of Part, list of (left, top, right, bottom))
        The rows; tiny digits are found in several ways, none of which is always right.

    Raises
    ------
    BlankImageError
        If there is no ink in any of the cells.
    InvalidImageError
        If there would be more than `MAX_DIGITS`.
    """
    cells, empty = [], BlankImageError("the image is empty: no ink stands out from the paper")
    for cell, left, top in find_cells(gray):
        try:
            cells.append(_ink_of_cell(cell, left, top))
        except BlankImageError as error:
            empty = error
    ways = [(cells, 0.0)]
    if any(cell.zoom > 1 for cell in cells):
        bare = [replace(cell, ink=_remove_all_lines(cell.ink)) for cell in cells]
        has_line = any(one.ink is not cell.ink for one, cell in zip(bare, cells, strict=True))
        ways = [(some, faintest) for some in (cells, bare)[: 1 + has_line] for faintest in TINY]
    found = [rows for some, faintest in ways if (rows := _find_rows(some, faintest))]
    if not found:
        raise empty
    return found


@dataclass(frozen=True)
class _Cell:
    """The ink of a cell, and where it lies; see `Part`."""

    ink: np.ndarray
    corner: tuple[float, float]
    zoom: float


def _ink_of_cell(cell: np.ndarray, left: int, top: int) -> _Cell:
    """Tell ink from paper, without lines; at a larger scale, and with them, if digits are tiny."""
    height, width = cell.shape
    zoom = SMALL_ROW / width if width < SMALL_ROW and width > 1.3 * height else 1.0
    if zoom > 1:
        size = (SMALL_ROW, round(zoom * height))
        cell = np.asarray(Image.fromarray(cell).resize(size, Image.Resampling.BICUBIC))
    ink = extract_ink(cell)
    return _Cell(ink if zoom > 1 else remove_lines(ink, single=False), (left, top), zoom)


def _remove_all_lines(ink: np.ndarray) -> np.ndarray:
    """Take out lines of tiny ink, which may be the foot of a 2: it is predicted with them, too."""
    return remove_dotted_line(remove_lines(ink, single=False))


def _find_rows(cells: list[_Cell], faintest: float) -> Found:
    """Find the rows of what may be digits in some cells; none if there is no ink."""
    found: list[Part] = []
    small: list[Rectangle] = []
    for cell in cells:
        brightness = Brightness.of(cell.ink)
        if brightness.span < MIN_CONTRAST:
            continue
        dark = cell.ink > np.uint8(faintest * brightness.threshold)
        ink = np.where(dark, cell.ink, 0) if faintest else cell.ink
        mask = drop_underlines(digit_mask(ink, brightness=brightness))
        _refuse_texture(ndimage.label(mask, np.ones((3, 3)))[1])
        whole = Part(ink, mask, cell.corner, cell.zoom)
        found += [whole.with_mask(one) for row in split_rows(mask) for one in group_columns(row)]
        if cell.zoom == 1:  # in a tiny image a point is like dirt
            small += [whole.place(box) for box in small_parts(ink, mask)]
    _refuse_texture(sum(max(1.0, part.aspect) for part in found))
    boxes = [part.box for part in found]
    return [([found[number] for number in row], small) for row in group_rows(boxes)]


def _refuse_texture(count: float) -> None:
    """Refuse an image with room for more digits than anybody writes."""
    if count > MAX_DIGITS:
        raise InvalidImageError(
            f"the image has {count:,.0f} parts as large as a digit, more than {MAX_DIGITS}: that "
            "is a texture, not a number. Crop it to the number"
        )


def split_rows(mask: np.ndarray) -> list[np.ndarray]:
    """Return the mask of each row of digits, from top to bottom."""
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return [mask]
    places = ndimage.find_objects(parts)
    boxes = [(right.start, down.start, right.stop, down.stop) for down, right in places]
    rows = group_rows(boxes)
    if len(rows) == 1:
        return [mask]
    return [np.isin(parts, [number + 1 for number in row]) for row in rows]


def drop_underlines(mask: np.ndarray) -> np.ndarray:
    """Leave out connected parts that are flat, long and below all others."""
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    places = ndimage.find_objects(parts)
    high = max(down.stop - down.start for down, _ in places)
    lines = [
        down.stop - down.start <= MAX_LINE_HEIGHT * (right.stop - right.start)
        and right.stop - right.start > MIN_LINE_LENGTH * high
        for down, right in places
    ]
    rest = [down.stop for (down, _), line in zip(places, lines, strict=True) if not line]
    gone = [
        number
        for number, ((down, _), line) in enumerate(zip(places, lines, strict=True), 1)
        if line and rest and (down.start + down.stop) / 2 > max(rest) - 0.15 * high
    ]
    return mask & ~np.isin(parts, gone) if gone else mask


def small_parts(ink: np.ndarray, mask: np.ndarray) -> list[Rectangle]:
    """Return the box around each part that is too small for a digit, but larger than a speck."""
    high = Brightness.of(ink).threshold
    parts, count = ndimage.label((ink > np.uint8(0.6 * high)) & ~mask, np.ones((3, 3)))
    if not 0 < count <= MAX_MARKS:
        return []
    pen = pen_width(mask)
    sizes = np.bincount(parts.ravel())[1:]
    return [
        (right.start, down.start, right.stop, down.stop)
        for size, (down, right) in zip(sizes, ndimage.find_objects(parts), strict=True)
        if size >= MIN_MARK * pen**2
    ]


def find_cells(gray: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
    """Cut out the boxes that lie side by side or in rows, or the sheet, with left and top."""
    left = top = 0
    for _ in range(MAX_SHEETS):
        sheets = find_sheets(gray)
        if not sheets:
            break
        high, wide = sheets[0].inside.shape
        alike = [
            sheet
            for sheet in sheets
            if abs(sheet.inside.shape[0] - high) < 0.3 * high
            and (sheet is sheets[0] or abs(sheet.inside.shape[1] - wide) < 0.5 * wide)
        ]
        cells = [(sheet.crop(gray), left + sheet.box[0], top + sheet.box[1]) for sheet in alike]
        if len(cells) > 1:
            return cells
        ((gray, left, top),) = cells
    return [(gray, left, top)]

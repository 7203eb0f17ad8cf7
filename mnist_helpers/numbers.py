"""Several digits in a row: where each one stands, and what stands between them.

By form alone, connected parts belong to one digit if one lies above the other. With a network to
ask, a part that is wide or that it does not take for a digit is cut; see `mnist_helpers.cuts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from scipy import ndimage

from .brightness import Brightness
from .cuts import Pieces, find_cuts, pen_width, pieces_between
from .decode import BlankImageError, ImageLike, InvalidImageError, decode_with_scale, name_in_errors
from .lines import remove_lines
from .masks import bounding_box, group_columns
from .preprocess import (
    MAX_SHEETS,
    center,
    crop_digit,
    extract_ink,
    fit_into_box,
    is_mnist,
    normalize_stroke_width,
    to_gray,
)
from .rows import Rectangle, box_height, find_marks, group_rows
from .segment import Box, digit_mask, find_sheets

Classify = Callable[[np.ndarray], np.ndarray]

SMALL_ROW = 100  # pixels: shorter rows of digits are enlarged to this
MIN_DIGIT_HEIGHT = 0.4  # of the highest one in the row; lower parts are marks
MAX_LINE_HEIGHT, MIN_LINE_LENGTH = 0.2, 0.7  # of an underline: of its length, of the digits' height
MAX_DIGITS = 300  # in an image, each of which takes up to 30 ms; more are a texture
MAX_ASPECT = 12.0  # width by height; what is wider is no run of touching digits
MIN_MARK, MAX_MARKS = 0.4, 30  # size of a point in the pen's width squared; more parts are dirt
UNCUT = ((0.75, 0.9), (1.0, 0.999))  # width by height, probability: such a digit is not cut


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


def segment_digits(
    image: ImageLike, classify: Classify | None = None
) -> list[tuple[Box, np.ndarray]]:
    """Find the digits that are written in a row, from left to right; of several rows, the largest.

    Each may stand in a box of its own. Connected parts belong to one digit if one lies above the
    other: if they share at least half of the narrower one's columns.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image, array or tensor
        As for `to_mnist`.
    classify : callable, default=None
        Returns the probabilities ``[N, 10]`` for images ``[N, 28, 28]``. With it, digits that touch
        are cut apart; without, they stay together.

    Returns
    -------
    list of tuple (Box, ndarray of shape [28, 28], dtype uint8)
        The box is ``(left, top, right, bottom)`` in pixels of the upright image; the array is what
        `to_mnist` would return for this digit alone.

    Raises
    ------
    BlankImageError, InvalidImageError, OSError
        As for `to_mnist`.

    Examples
    --------
    >>> from mnist_helpers.strokes import draw_strokes, pen_strokes
    >>> row = np.hstack([np.asarray(draw_strokes(pen_strokes(digit))) for digit in (4, 2)])
    >>> [image.shape for _, image in segment_digits(row)]
    [(28, 28), (28, 28)]
    """
    row = max(segment_rows(image, classify), key=lambda row: row.area)
    return list(zip(row.boxes, row.images, strict=True))


@dataclass(frozen=True)
class Row:
    """Digits in a row, from left to right, and the marks between them.

    Parameters
    ----------
    boxes : list of (left, top, right, bottom)
        In pixels of the upright image.
    images : list of ndarray of shape [28, 28], dtype uint8
        What `to_mnist` would return for each digit alone.
    marks : dict of int to str
        A minus, point or comma: ``{1: "."}`` stands before the second digit.
    probability : float, default=1.0
        Of the digits all being those that the network takes them for, if it was asked.
    """

    boxes: list[Box]
    images: list[np.ndarray]
    marks: dict[int, str]
    probability: float = 1.0

    @property
    def area(self) -> int:
        """Of the boxes, in pixels."""
        return sum((right - left) * (low - top) for left, top, right, low in self.boxes)

    def write(self, digits: Sequence[int]) -> str:
        """Return digits with the marks between them: ``"-3.5"``."""
        return "".join(self.marks.get(at, "") + str(digit) for at, digit in enumerate(digits))


def segment_rows(image: ImageLike, classify: Classify | None = None) -> list[Row]:
    """Find all rows of digits in an image, from top to bottom.

    Parameters
    ----------
    image, classify
        As for `segment_digits`.

    Returns
    -------
    list of Row
        At least one, with at least one digit each.

    Raises
    ------
    BlankImageError, InvalidImageError, OSError
        As for `to_mnist`.
    """
    decoded, scale = decode_with_scale(image)
    if is_mnist(decoded):
        rows, columns = bounding_box(decoded)
        return [Row([(columns.start, rows.start, columns.stop, rows.stop)], [decoded], {})]
    with name_in_errors(image):
        lines = find_parts(to_gray(decoded))
    return [_to_row(parts, marks, scale, classify) for parts, marks in lines]


def _to_row(
    parts: list[Part], small: list[Rectangle], scale: float, classify: Classify | None
) -> Row:
    """Cut the digits of a row that touch, and read the marks between them."""
    least = MIN_DIGIT_HEIGHT * max(box_height(part.box) for part in parts)
    low = [part.box for part in parts if box_height(part.box) < least]
    parts = [part for part in parts if box_height(part.box) >= least]
    marks = find_marks([part.box for part in parts], [*low, *small])
    cut, probability = [[part] for part in parts], 1.0
    if classify is not None:
        highest = float(np.median([box_height(part.box) for part in parts]))
        found = [split_touching_digits(part, highest, classify) for part in parts]
        cut, probability = [some for some, _ in found], float(np.prod([one for _, one in found]))
    pieces = [piece for some in cut for piece in some]
    first = np.cumsum([0, *(len(some) for some in cut)])
    boxes = [_rounded(piece.box, scale) for piece in pieces]
    images = [piece.to_mnist() for piece in pieces]
    numbered = {int(first[at]): mark for at, mark in marks.items()}
    return Row(boxes, images, numbered, probability)


def _rounded(box: Rectangle, scale: float) -> Box:
    left, top, right, bottom = (round(scale * side) for side in box)
    return left, top, right, bottom


def find_parts(gray: np.ndarray) -> list[tuple[list[Part], list[Rectangle]]]:
    """Find the parts of each row that may be digits, from left to right, and the smaller ones.

    Raises
    ------
    BlankImageError
        If there is no ink in any of the cells.
    InvalidImageError
        If there would be more than `MAX_DIGITS`.
    """
    found: list[Part] = []
    small: list[Rectangle] = []
    empty = None
    for cell, left, top in find_cells(gray):
        height, width = cell.shape
        zoom = SMALL_ROW / width if width < SMALL_ROW and width > 1.3 * height else 1.0
        if zoom > 1:
            size = (SMALL_ROW, round(zoom * height))
            cell = np.asarray(Image.fromarray(cell).resize(size, Image.Resampling.BICUBIC))
        try:
            ink = remove_lines(extract_ink(cell), single=False)
            mask = drop_underlines(digit_mask(ink))
        except BlankImageError as error:
            empty = error
            continue
        _refuse_texture(ndimage.label(mask, np.ones((3, 3)))[1])
        whole = Part(ink, mask, (left, top), zoom)
        found += [whole.with_mask(one) for row in split_rows(mask) for one in group_columns(row)]
        if zoom == 1:  # in a tiny image a point is like dirt
            small += [whole.place(box) for box in small_parts(ink, mask)]
    if empty is not None and not found:
        raise empty
    _refuse_texture(sum(max(1.0, part.aspect) for part in found))
    boxes = [part.box for part in found]
    rows = [[found[number] for number in row] for row in group_rows(boxes)]
    return [(row, small) for row in rows]


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


def split_touching_digits(
    part: Part, highest: float, classify: Classify
) -> tuple[list[Part], float]:
    """Cut a part of a row into the digits that touch in it; see `mnist_helpers.cuts`.

    Parameters
    ----------
    part : Part
    highest : float
        The height of the digits in the row, in pixels of the decoded image.
    classify : callable
        As for `segment_digits`.

    Returns
    -------
    list of Part
        From left to right.
    float
        The probability that they are the digits that the network takes them for.
    """
    part = part.crop()
    probs = classify(part.to_mnist()[None])
    is_digit = any(part.aspect < widest and probs.max() >= least for widest, least in UNCUT)
    cuts = [] if is_digit or part.aspect > MAX_ASPECT else find_cuts(part.mask)
    start, stop, masks = zip(*pieces_between(part.mask, cuts), strict=True)
    pieces = [part.with_mask(mask) for mask in masks]
    if len(pieces) > 1:
        probs = classify(np.stack([piece.to_mnist() for piece in pieces]))
    boxes = np.array([piece.box for piece in pieces])
    path, probability = Pieces(
        np.array(start),
        np.array(stop),
        (boxes[:, 2] - boxes[:, 0]) / highest,
        (boxes[:, 3] - boxes[:, 1]) / highest,
        probs,
        np.array([0, *(cut.crossed for cut in cuts), 0]),
    ).best()
    return [pieces[number] for number in path], probability

"""Several digits in a row: where each one stands, and what stands between them.

By form alone, connected parts belong to one digit if one lies above the other. With a network to
ask, a part that is wide or that it does not take for a digit is cut; see `mnist_helpers.cuts`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .cuts import Pieces, find_cuts, pieces_between
from .decode import ImageLike, decode_with_scale, name_in_errors
from .masks import bounding_box
from .parts import Part, find_parts
from .preprocess import is_mnist, to_gray
from .rows import Rectangle, box_height, find_marks
from .segment import Box

Classify = Callable[[np.ndarray], np.ndarray]

MIN_DIGIT_HEIGHT = 0.4  # of the highest one in the row; lower parts are marks
MAX_ASPECT = 12.0  # width by height; what is wider is no run of touching digits
UNCUT = ((0.75, 0.9), (1.0, 0.999))  # width by height, probability: such a digit is not cut


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
    (row,) = segment_rows(image, classify, largest=True)
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
    probs : list of ndarray of shape [10], dtype float32, default=[]
        What the network takes each digit for, if it was asked.
    probability : float, default=1.0
        Of the digits all being those that the network takes them for, if it was asked.
    """

    boxes: list[Box]
    images: list[np.ndarray]
    marks: dict[int, str]
    probs: list[np.ndarray] = field(default_factory=list)
    probability: float = 1.0

    def write(self, digits: Sequence[int]) -> str:
        """Return digits with the marks between them: ``"-3.5"``."""
        return "".join(self.marks.get(at, "") + str(digit) for at, digit in enumerate(digits))


def segment_rows(
    image: ImageLike, classify: Classify | None = None, largest: bool = False
) -> list[Row]:
    """Find all rows of digits in an image, from top to bottom.

    Parameters
    ----------
    image, classify
        As for `segment_digits`.
    largest : bool, default=False
        Whether to return only the row whose parts have the largest boxes together.

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
        return [_row_of_mnist(decoded, classify)]
    with name_in_errors(image):
        ways = [[_tell_marks(*line) for line in way] for way in find_parts(to_gray(decoded))]
    if largest:
        ways = [[max(way, key=lambda line: sum(part.area for part in line[0]))] for way in ways]
    if classify is None:
        ways = ways[:1]
    return vote([[_to_row(*line, scale, classify) for line in way] for way in ways])


def vote(ways: list[list[Row]]) -> list[Row]:
    """Of rows that were found in several ways, return those whose digits are the most probable.

    The probability of digits is its mean over all ways; in those that find others it is 0.
    """
    if len(ways) == 1:
        return ways[0]
    digits = [tuple(tuple(np.argmax(row.probs, 1).tolist()) for row in way) for way in ways]
    probability = [float(np.prod([row.probability for row in way])) for way in ways]
    together: defaultdict[tuple, float] = defaultdict(float)
    for some, one in zip(digits, probability, strict=True):
        together[some] += one / len(ways)
    best = max(range(len(ways)), key=lambda number: (together[digits[number]], probability[number]))
    share = together[digits[best]] / max(probability[best], 1e-300)
    return [replace(row, probability=share * row.probability) for row in ways[best]]


def _row_of_mnist(image: np.ndarray, classify: Classify | None) -> Row:
    """Return the one digit of an image that is MNIST's already."""
    rows, columns = bounding_box(image)
    row = Row([(columns.start, rows.start, columns.stop, rows.stop)], [image], {})
    if classify is None:
        return row
    probs = classify(image[None])
    return replace(row, probs=list(probs), probability=float(probs.max()))


def _tell_marks(parts: list[Part], small: list[Rectangle]) -> tuple[list[Part], dict[int, str]]:
    """Return the parts of a row that are as high as digits, and the marks before them."""
    least = MIN_DIGIT_HEIGHT * max(box_height(part.box) for part in parts)
    low = [part.box for part in parts if box_height(part.box) < least]
    parts = [part for part in parts if box_height(part.box) >= least]
    return parts, find_marks([part.box for part in parts], [*low, *small])


@dataclass(frozen=True)
class Digit:
    """A part that is a digit, or a piece of one, and what it looks like to the network."""

    part: Part
    image: np.ndarray
    probs: np.ndarray


def _to_row(
    parts: list[Part], marks: dict[int, str], scale: float, classify: Classify | None
) -> Row:
    """Cut the digits of a row that touch."""
    images = [part.to_mnist() for part in parts]
    if classify is None:
        return Row([_rounded(part.box, scale) for part in parts], images, marks)
    highest = float(np.median([box_height(part.box) for part in parts]))
    asked = zip(parts, images, classify(np.stack(images)), strict=True)
    found = [split_touching_digits(Digit(*one), highest, classify) for one in asked]
    digits = [digit for some, _ in found for digit in some]
    first = np.cumsum([0, *(len(some) for some, _ in found)])
    return Row(
        [_rounded(digit.part.box, scale) for digit in digits],
        [digit.image for digit in digits],
        {int(first[at]): mark for at, mark in marks.items()},
        [digit.probs for digit in digits],
        float(np.prod([probability for _, probability in found])),
    )


def _rounded(box: Rectangle, scale: float) -> Box:
    left, top, right, bottom = (round(scale * side) for side in box)
    return left, top, right, bottom


def split_touching_digits(
    digit: Digit, highest: float, classify: Classify
) -> tuple[list[Digit], float]:
    """Cut a part of a row into the digits that touch in it; see `mnist_helpers.cuts`.

    Parameters
    ----------
    digit : Digit
        The part, as if it were one.
    highest : float
        The height of the digits in the row, in pixels of the decoded image.
    classify : callable
        As for `segment_digits`.

    Returns
    -------
    list of Digit
        From left to right.
    float
        The probability that they are the digits that the network takes them for.
    """
    part, probs = digit.part.crop(), digit.probs
    is_digit = any(part.aspect < widest and probs.max() >= least for widest, least in UNCUT)
    cuts = [] if is_digit or part.aspect > MAX_ASPECT else find_cuts(part.mask)
    start, stop, masks = zip(*pieces_between(part.mask, cuts), strict=True)
    pieces = [part.with_mask(mask) for mask in masks]
    whole = list(zip(start, stop, strict=True)).index((0, len(cuts) + 1))
    del pieces[whole]
    images = [piece.to_mnist() for piece in pieces]
    asked = classify(np.stack(images)) if pieces else np.zeros((0, 10), np.float32)
    digits = [Digit(*one) for one in zip(pieces, images, asked, strict=True)]
    digits.insert(whole, digit)  # it has been asked about
    boxes = np.array([one.part.box for one in digits])
    path, probability = Pieces(
        np.array(start),
        np.array(stop),
        (boxes[:, 2] - boxes[:, 0]) / highest,
        (boxes[:, 3] - boxes[:, 1]) / highest,
        np.stack([one.probs for one in digits]),
        np.array([0, *(cut.crossed for cut in cuts), 0]),
    ).best()
    return [digits[number] for number in path], probability

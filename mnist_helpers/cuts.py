"""Digits that touch: many cuts are tried, and those are kept whose pieces are best as a whole.

Heuristic over-segmentation: a part is cut wherever two digits may touch, more often than needed.
Each run of neighboring pieces may be a digit, and a network says which, and with what probability.
A path from the first cut to the last is a number; its weight is the product of the weights of its
pieces and cuts. The path with the largest weight is found by dynamic programming, and the
probability of its digits is their share of the weight of all paths.

References
----------
Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86, 1998, sections V and VI.
R. G. Casey and E. Lecolinet, "A survey of methods and strategies in character segmentation",
IEEE Transactions on Pattern Analysis and Machine Intelligence 18, 1996.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .masks import bounding_box, drop_small_parts

SLANTS = (-0.25, 0.0, 0.25, 0.5)  # of the cuts that are tried, in columns per row
MAX_SLANT = 0.8  # of a cut from a notch above to one below
MIN_NOTCH = 0.06  # depth, of the height
MAX_CUTS = 4  # that are tried, and as many for each height that a part is wide
MAX_CROSSED = 8.0  # widths of the pen: a cut through more ink is not tried
NOTCH_PREFERENCE = 0.5  # the ink that a cut between notches crosses counts for less
MIN_DIFFERENCE = 0.06  # of the ink of a digit, between two cuts that are tried
PIECE_WIDTHS = (0.06, 1.5)  # of the height of the digits in a row
MIN_PIECE_HEIGHT = 0.5

# Of the natural logarithm of a path's weight; fitted by maximum likelihood to 207 numbers of our
# own pen (`benchmarks.numbers`), and rounded.
USUAL_WIDTH, WIDTH_PENALTY = 0.6, 10.0  # of a digit, in heights; of the square of what is wider
USUAL_HEIGHT, HEIGHT_PENALTY = 1.1, 7.0  # of a digit; of the square of what is lower
SHARPNESS = 8.0  # a piece that is undecided between digits is likely none
CUT_PENALTY, CROSSING_PENALTY = 0.5, 1.6  # of a cut, and of the logarithm of 1 + the ink in it
NO_NUMBER = 0.001  # weight of there being something else than digits


@dataclass(frozen=True)
class Cut:
    """A straight line through a part.

    Parameters
    ----------
    left : ndarray of shape [N], dtype bool
        Which pixels of the part lie to the left of it.
    crossed : float
        How much ink it crosses, in widths of the pen.
    """

    left: np.ndarray
    crossed: float


@dataclass(frozen=True)
class Pieces:
    """What may be a digit: each run of pieces between two cuts, not necessarily neighbors.

    Parameters
    ----------
    start, stop : ndarray of shape [N], dtype int64
        The numbers of the cuts between which it lies; the part's ends count as cuts.
    width, height : ndarray of shape [N], dtype float64
        In heights of the digits in the row.
    probs : ndarray of shape [N, 10], dtype float32
        The probability of each digit.
    crossed : ndarray of shape [cuts], dtype float64
        How much ink each cut crosses, in widths of the pen.
    """

    start: np.ndarray
    stop: np.ndarray
    width: np.ndarray
    height: np.ndarray
    probs: np.ndarray
    crossed: np.ndarray

    def weights(self) -> np.ndarray:
        """Return the weight of each piece as each digit, with the cut at its end: ``[N, 10]``."""
        wide = np.maximum(0, self.width - USUAL_WIDTH)
        low = np.maximum(0, USUAL_HEIGHT - self.height)
        cost = WIDTH_PENALTY * wide**2 + HEIGHT_PENALTY * low**2
        cuts = CUT_PENALTY + CROSSING_PENALTY * np.log1p(self.crossed)
        cost += np.where(self.stop < len(self.crossed) - 1, cuts[self.stop], 0)
        decided = self.probs.max(1) ** (SHARPNESS - 1)
        return np.exp(-cost)[:, None] * decided[:, None] * self.probs

    def best(self) -> tuple[list[int], float]:
        """Return the pieces of the best path, and the probability of their digits."""
        weights = self.weights()
        largest = weights.max(1)
        score = np.zeros(len(self.crossed))
        score[0] = 1
        last = np.full(len(self.crossed), -1)
        for piece in np.lexsort((self.start, self.stop)):
            reached = score[self.start[piece]] * largest[piece]
            if reached > score[self.stop[piece]]:
                score[self.stop[piece]], last[self.stop[piece]] = reached, piece
        path: list[int] = []
        at = len(self.crossed) - 1
        while at > 0:
            path.insert(0, int(last[at]))
            at = self.start[path[0]]
        digits = weights[path].argmax(1)
        everything = self._sum(weights.sum(1))
        return path, float(self._sum_of_digits(weights, digits) / (everything + NO_NUMBER))

    def _sum(self, weight: np.ndarray) -> float:
        """Return the weight of all paths together."""
        total = np.zeros(len(self.crossed))
        total[0] = 1
        for piece in np.lexsort((self.start, self.stop)):
            total[self.stop[piece]] += total[self.start[piece]] * weight[piece]
        return float(total[-1])

    def _sum_of_digits(self, weights: np.ndarray, digits: Iterable[int]) -> float:
        """Return the weight of all paths with these digits, wherever they are cut."""
        total = np.eye(1, len(self.crossed))[0]
        for digit in digits:
            steps = total[self.start] * weights[:, digit]
            total = np.bincount(self.stop, steps, len(self.crossed)).astype(np.float64)
        return float(total[-1])


def pieces_between(mask: np.ndarray, cuts: list[Cut]) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the first and the last cut and the mask of each piece that may be a digit."""
    y, x = np.nonzero(mask)
    none, every = np.zeros(len(y), bool), np.ones(len(y), bool)
    left_of = [none, *(cut.left for cut in cuts), every]
    height = y.max() - y.min() + 1
    for start, stop in zip(*np.triu_indices(len(left_of), 1), strict=True):
        inside = left_of[stop] & ~left_of[start]
        if not inside.any():
            continue
        wide, high = np.ptp(x[inside]) + 1, np.ptp(y[inside]) + 1
        whole = stop - start == len(left_of) - 1
        if not whole and not (
            PIECE_WIDTHS[0] * height <= wide <= PIECE_WIDTHS[1] * height
            and high >= MIN_PIECE_HEIGHT * height
        ):
            continue
        piece = np.zeros_like(mask)
        piece[y[inside], x[inside]] = True
        yield int(start), int(stop), piece if whole else drop_small_parts(piece)


def find_cuts(mask: np.ndarray) -> list[Cut]:
    """Find where digits may touch, from left to right.

    Tried are lines of some slants where they cross the least ink, and lines from a notch in the
    upper outline to one in the lower. Those that cross the least ink are kept, if they differ.
    """
    y, x = np.nonzero(mask)
    height, width = np.ptp(y) + 1, np.ptp(x) + 1
    pen = pen_width(mask)
    row = (y.min() + y.max()) / 2
    lines = []
    for preference, found in (
        (NOTCH_PREFERENCE, _between_notches(mask, row)),
        (1.0, _lowest_projections(x, y - row)),
    ):
        for slant, at in found:
            away = x + slant * (y - row) - at
            crossed = np.count_nonzero(np.abs(away) <= 0.5) / pen
            lines.append((preference * crossed, Cut(away < 0, crossed)))
    few = MIN_DIFFERENCE * len(x) / max(1, width / height)
    kept: list[Cut] = []
    for _, cut in sorted(lines, key=lambda line: line[0]):
        differs = (np.count_nonzero(cut.left != one.left) > few for one in kept)
        if cut.crossed < MAX_CROSSED and few < cut.left.sum() < len(x) - few and all(differs):
            kept.append(cut)
        if len(kept) >= MAX_CUTS * (1 + width / height):
            break
    return sorted(kept, key=lambda cut: cut.left.sum())


def pen_width(mask: np.ndarray) -> float:
    """Return about how wide the strokes are, in pixels."""
    within = mask[bounding_box(mask)]
    distance = ndimage.distance_transform_edt(np.pad(within, 1))
    return float(max(1.0, 2 * np.percentile(distance[1:-1, 1:-1][within], 80) - 1))


def _lowest_projections(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[float, float]]:
    """Yield slant and position of lines that cross less ink than those beside them."""
    for slant in SLANTS:
        place = x + slant * y
        first = place.min()
        ink = np.bincount(np.floor(place - first).astype(int))
        lowest = ndimage.minimum_filter1d(ink, 5, mode="nearest") == ink
        runs, count = ndimage.label(lowest)
        for (run,) in ndimage.find_objects(runs)[:count]:
            yield slant, first + (run.start + run.stop) / 2


def _between_notches(mask: np.ndarray, row: float) -> Iterator[tuple[float, float]]:
    """Yield slant and position of lines from a notch in the upper outline to one in the lower."""
    from scipy.signal import find_peaks

    rows, columns = bounding_box(mask)
    inside = mask[rows, columns]
    top = inside.argmax(0) + rows.start
    bottom = rows.stop - 1 - inside[::-1].argmax(0)
    deep = max(1.0, MIN_NOTCH * inside.shape[0])
    for upper in find_peaks(top, prominence=deep)[0]:
        for lower in find_peaks(-bottom, prominence=deep)[0]:
            high = bottom[lower] - top[upper]
            if high < 1 or abs(upper - lower) > MAX_SLANT * high:
                continue
            slant = (upper - lower) / high
            yield slant, columns.start + upper + slant * (top[upper] - row)

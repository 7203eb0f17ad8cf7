"""Find ruled lines, grids, underlines and dark borders, and take them out of the ink.

A line is straight, thin and longer than the digit, or it crosses the whole image where the digit
does not. It is taken away run by run, so that the strokes that it crosses stay whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy import ndimage

from .brightness import Brightness
from .masks import bounding_box, drop_small_parts
from .segment import MIN_CONTRAST, MIN_LINED_SIDE

MIN_LINE_LENGTH = 0.5  # of the image's width or height
MAX_LINE_WIDTH = 0.05  # of the image's width or height
MAX_CROSSING_WIDTH = 0.08  # of a line from border to border
MIN_BEYOND = 0.1  # how far a thin line reaches beyond the digit, of the digit's extent
MAX_UNDERLINE_WIDTH = 0.12  # below a row of digits, of the height
MIN_UNDERLINE_GAP = 0.03  # between a digit and the line below it, of the height
MIN_BAND_LENGTH = 0.85  # of a band along the border, of the width or height
MAX_BAND_WIDTH = 0.2  # of a band along the border, of the height or width
MIN_DARKER = 1.3  # ink than lines, so that a stroke that lies on a line stays
MAX_DOT_GAP = 0.1  # in a dotted line, of the width
MIN_DOTTED_LEVEL = 0.35  # how dark a dotted line is, of the threshold between ink and paper
MAX_DOTTED_WIDTH = 0.25  # of the height of an image with a row of tiny digits
DOTTED_SLOPES = np.linspace(-0.04, 0.04, 5)
MAX_LINE_SLOPE = 0.12  # of a ruled line in a photo: 7 degrees


@dataclass(frozen=True)
class Line:
    """A straight, nearly horizontal line: in column x it is in row ``at + slope * x``.

    Parameters
    ----------
    at, slope, width : float
        In pixels.
    first, last : int
        The columns in which it begins and ends.
    """

    at: float
    slope: float
    width: float
    first: int
    last: int


def remove_lines(
    ink: np.ndarray, single: bool = True, brightness: Brightness | None = None
) -> np.ndarray:
    """Take ruled lines, grids and underlines out of ink, and leave the strokes that they cross.

    Parameters
    ----------
    ink : ndarray of shape [H, W], dtype uint8
        0 where there is paper.
    single : bool, default=True
        Whether there is one digit; no digit has a stroke as long as a row of several.
    brightness : Brightness, default=None
        That of `ink`, if it is known already.

    Returns
    -------
    ndarray of shape [H, W], dtype uint8
        The same array, if there are no lines.
    """
    if min(ink.shape) < MIN_LINED_SIDE:
        return ink
    brightness = brightness or Brightness.of(ink)
    if brightness.span < MIN_CONTRAST:
        return ink
    mask = ink > np.uint8(0.6 * brightness.threshold)
    found = [
        (line, upright, pixels.T if upright else pixels)
        for upright, turned in ((False, mask), (True, mask.T))
        for line, pixels in chain(
            find_bands(turned), find_lines(turned, _max_width(turned, single))
        )
    ]
    if not found:
        return ink
    rest = drop_small_parts(mask & ~np.any([pixels for *_, pixels in found], axis=0))
    lines = [
        (line, upright, pixels)
        for line, upright, pixels in found
        if _is_ruled_line(line, rest.T if upright else rest, upright)
        or (not single and not upright and _is_underline(line, rest))
    ]
    if not lines:
        return ink
    gone = np.any([pixels for *_, pixels in lines], axis=0)
    for line, upright, _ in lines:  # once more, for what is left where two of them cross
        left = mask & ~gone
        gone |= Runs.of(left.T).on(line).T if upright else Runs.of(left).on(line)
    gone &= ~_darker_than_lines(ink, gone, rest)
    gone = ndimage.binary_dilation(gone, np.ones((3, 3))) & ~(mask & ~gone)
    return np.where(gone, 0, ink)


def _darker_than_lines(ink: np.ndarray, lines: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """Mark what is as dark as strokes on paler lines: a stroke along a line, as the bar of a 7."""
    strokes = strokes & ~lines
    if not strokes.any():
        return np.zeros_like(lines)
    line, stroke = np.median(ink[lines]), np.median(ink[strokes])
    if stroke < MIN_DARKER * line:
        return np.zeros_like(lines)
    return ndimage.binary_dilation(lines & (ink > (line + stroke) / 2)) & lines


def _max_width(mask: np.ndarray, single: bool) -> float:
    """Return how wide a line may be, of the width or height: wider if ink crosses the image."""
    if not single:
        return MAX_UNDERLINE_WIDTH
    crosses = mask[:, :2].any() and mask[:, -2:].any()
    return MAX_CROSSING_WIDTH if crosses else MAX_LINE_WIDTH


@dataclass(frozen=True)
class Runs:
    """The vertical runs of ink in each column, which is what a line across consists of."""

    shape: tuple[int, int]
    column: np.ndarray
    top: np.ndarray
    length: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Runs:
        """Find the runs in a mask."""
        if not mask.any():
            return cls(mask.shape, *np.zeros((3, 0), int))
        rows, columns = bounding_box(mask)
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        padded = np.zeros((wide, high + 2), bool)  # a column after the other, no ink in between
        padded[:, 1:-1] = mask[rows, columns].T
        flat = padded.ravel()
        ends = np.flatnonzero(flat[1:] != flat[:-1])  # one before the first pixel, and the last
        column, top = np.divmod(ends[::2], high + 2)
        return cls(mask.shape, column + columns.start, top + rows.start, ends[1::2] - ends[::2])

    @property
    def middle(self) -> np.ndarray:
        """The row in the middle of each run."""
        return self.top + (self.length - 1) / 2

    def near(self, line: Line) -> np.ndarray:
        """Return which runs a line consists of: those that are no wider than it is, or little."""
        away = np.abs(self.middle - line.at - line.slope * self.column)
        beside = (self.column >= line.first) & (self.column <= line.last)
        return beside & (away <= line.width / 2 + 1) & (self.length <= 1.5 * line.width + 1.5)

    def on(self, line: Line) -> np.ndarray:
        """Mark the pixels of a line, except where a stroke crosses it: bool ``[H, W]``."""
        near = self.near(line)
        marks = np.zeros((self.shape[0] + 1, self.shape[1]), np.int8)
        marks[self.top[near], self.column[near]] = 1
        np.add.at(marks, (self.top[near] + self.length[near], self.column[near]), -1)
        return marks.cumsum(0)[:-1] > 0


def find_bands(mask: np.ndarray) -> Iterator[tuple[Line, np.ndarray]]:
    """Find the bands of ink along the upper and the lower border, with their pixels."""
    height, width = mask.shape
    for below in (False, True):
        flipped = mask[::-1] if below else mask
        if np.count_nonzero(flipped[0]) < MIN_BAND_LENGTH * width:
            continue
        depth = np.where(flipped.all(0), height, flipped.argmin(0))
        if np.median(depth) > MAX_BAND_WIDTH * height:
            continue
        wide = int(np.median(depth)) + 2
        pixels = flipped & (np.arange(height)[:, None] < np.minimum(depth, wide))
        at = (wide - 1) / 2
        line = Line(height - 1 - at if below else at, 0.0, float(wide), 0, width - 1)
        yield line, pixels[::-1] if below else pixels


def find_lines(
    mask: np.ndarray, widest: float = MAX_LINE_WIDTH, most: int = 8
) -> Iterator[tuple[Line, np.ndarray]]:
    """Find long, thin, straight and nearly horizontal lines, the longest first, with their pixels.

    A Hough transform: for each of some slopes, all runs are counted by the row in which a line of
    this slope through them begins.
    """
    height, width = mask.shape
    inked = np.flatnonzero(mask.any(0))
    if not len(inked) or inked[-1] - inked[0] + 1 < MIN_LINE_LENGTH * width:
        return
    runs = Runs.of(mask)
    thin = runs.length <= max(2, round(widest * min(mask.shape)))
    column, middle, length = runs.column[thin], runs.middle[thin], runs.length[thin]
    least = MIN_LINE_LENGTH * width / 2  # runs
    if len(column) < least:
        return
    slopes = np.linspace(-MAX_LINE_SLOPE, MAX_LINE_SLOPE, 2 * max(4, width // 16) + 1)
    rise = np.ceil(MAX_LINE_SLOPE * width) + 1
    for _ in range(most):
        if len(column) < least:
            return
        rows = (middle - slopes[:, None] * column + rise + 0.5).astype(int)
        size = int(height + 2 * rise) + 2
        counts = np.bincount(
            (rows + size * np.arange(len(slopes))[:, None]).ravel(), minlength=size * len(slopes)
        ).reshape(len(slopes), size)
        counts = counts + np.roll(counts, 1, 1)
        which, row = np.unravel_index(counts.argmax(), counts.shape)
        if counts[which, row] < least:
            return
        near = np.abs(middle - slopes[which] * column - (row - 0.5 - rise)) <= 2
        slope, at = np.polyfit(column[near], middle[near], 1)
        near = np.abs(middle - slope * column - at) <= 1.5
        if near.sum() < 2:
            return
        first, last = int(column[near].min()), int(column[near].max())
        covered = len(np.unique(column[near])) / (last - first + 1)
        if last - first + 1 >= MIN_LINE_LENGTH * width and covered > 0.45:
            line = Line(at, slope, float(np.median(length[near])), first, last)
            yield line, runs.on(line)
        column, middle, length = column[~near], middle[~near], length[~near]


def remove_dotted_line(ink: np.ndarray) -> np.ndarray:
    """Take the line of a form, dotted or not, that a row of tiny digits stands on out of their ink.

    With the gaps between its dots closed it crosses the image, in the lower half. How dark it is
    there is subtracted, so that darker strokes stay, and those that lead through it stay whole.

    Parameters
    ----------
    ink : ndarray of shape [H, W], dtype uint8
        0 where there is paper.

    Returns
    -------
    ndarray of shape [H, W], dtype uint8
        The same array, if there is no such line.
    """
    height, width = ink.shape
    gap = max(5, round(MAX_DOT_GAP * width))
    padded = np.pad(ink, ((0, 0), (gap, gap)), mode="reflect")
    closed = ndimage.grey_closing(padded, (1, gap))[:, gap:-gap]
    columns = np.arange(width)

    def along(slope: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows in which lines of a slope lie, and how dark nearly all of each is."""
        rise = np.round(slope * (columns - width / 2)).astype(int)
        rows = (np.arange(height)[:, None] + rise).clip(0, height - 1)
        return rows, np.quantile(closed[rows, columns], 0.1, axis=1)

    rows, level = max((along(slope) for slope in DOTTED_SLOPES), key=lambda found: found[1].max())
    at, threshold = int(level.argmax()), Brightness.of(ink).threshold
    if level[at] < MIN_DOTTED_LEVEL * threshold or at < height / 2:
        return ink
    paper = np.flatnonzero(level < 0.3 * level[at])
    top = int(max(paper[paper < at], default=-1)) + 1
    stop = int(min(paper[paper > at], default=height))
    if stop - top > MAX_DOTTED_WIDTH * height:
        return ink
    band = rows[max(0, top - 1) : stop + 1]
    straight = ink[rows, columns]
    ends = straight[max(0, top - 2)], straight[min(height - 1, stop + 1)]
    through = np.minimum(*ends) > threshold
    usual = np.quantile(closed[band, columns], 0.6, axis=1, keepdims=True)
    lighter = np.maximum(0, ink[band, columns] - usual).astype(np.uint8)
    rest = ink.copy()
    rest[band, columns] = np.where(through, ink[band, columns], lighter)
    return rest


def _is_apart(line: Line, rest: np.ndarray) -> bool:
    """Return whether the largest part of the rest lies wholly on one side of a line, with a gap."""
    largest = drop_small_parts(rest, 1.0)
    y, x = np.nonzero(largest)
    away = y - line.at - line.slope * x
    return bool(abs(np.sign(away).sum()) == len(away) and abs(away).min() > line.width / 2 + 1.5)


def _is_underline(line: Line, rest: np.ndarray) -> bool:
    """Return whether a line crosses the image below the middle of a row of digits."""
    width = rest.shape[1]
    across = line.first <= 0.05 * width + 1 and line.last >= 0.95 * width - 2
    return bool(rest.any()) and across and line.at > np.nonzero(rest)[0].mean()


def _is_ruled_line(line: Line, rest: np.ndarray, upright: bool) -> bool:
    """Return whether a line is none of the digit's strokes, going by what else there is of it.

    It is thinner than the strokes and longer than the rest, or it crosses the image and the rest
    does not, or it lies below all of the rest, with paper between them: the foot of a thin 2 is
    joined to what stands on it.
    """
    height, width = rest.shape
    if not rest.any():
        return False
    rows, columns = bounding_box(rest)
    if rows.stop - rows.start < 0.12 * height and columns.stop - columns.start < 0.12 * width:
        return False
    ends = (line.first <= 0.03 * width + 1) + (line.last >= 0.97 * width - 2)
    stroke = 2 * np.percentile(ndimage.distance_transform_edt(rest)[rest], 90) - 1
    longer = line.first < columns.start and line.last >= columns.stop
    beyond = MIN_BEYOND * (columns.stop - columns.start)
    begins = line.first <= max(1, columns.start - beyond)
    stops = line.last >= min(width - 2, columns.stop - 1 + beyond)
    if line.width <= 0.65 * stroke and begins and stops:
        return True
    margin = 0.06 * width
    middle = line.at + line.slope * width / 2
    if upright and ends == 2 and not 0.12 * height < middle < 0.88 * height:
        return True  # a margin's line; of the digits' upright strokes none is so far outside
    if upright and ends == 2 and _is_apart(line, rest):
        return True  # a margin's line closer to the digit
    reach = line.at + line.slope * np.array([line.first, line.last])
    top = min(rows.start, reach.min() - line.width / 2)
    bottom = max(rows.stop, reach.max() + line.width / 2 + 1)
    if top <= 1.5 and bottom >= height - 1.5:
        return False  # the digit is cut out tightly, and this may be one of its strokes
    if ends == 2 and columns.start > margin and columns.stop < width - margin:
        return True
    lowest = line.at + line.slope * np.array([columns.start, columns.stop]) - line.width / 2
    return longer and rows.stop <= lowest.min() - MIN_UNDERLINE_GAP * height

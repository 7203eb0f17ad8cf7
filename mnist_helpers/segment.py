"""Find digits: the sheet they stand on, ruled lines to leave out, the parts that belong together.

What is around a digit is told from it by form. A *sheet* is a region with four straight sides that
has ink in it: paper on a desk, a page beside a dark margin, a form's box, a plot's frame. A *line*
is straight, thin and longer than the digit, or crosses the whole image. What is left are connected
parts: the digit's, and small or cut ones beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from .decode import EmptyPictureError

Box = tuple[int, int, int, int]
Place = tuple[slice, slice]

LEAST_CONTRAST = 12  # of 255: fainter than this is an empty picture
MIN_SHEET = 0.1  # of the image's area
MIN_RECTANGULARITY = 0.92  # a sheet's area, of that of the smallest rectangle around it
MIN_LINE_LENGTH = 0.5  # of the image's width or height
MAX_LINE_WIDTH = 0.05  # of the image's width or height
MIN_LINED_SIDE = 40  # a smaller image shows the digit and little else; its strokes are thin lines
MAX_BAND_WIDTH = 0.15  # of a band along the border, of the height or width
MAX_LINE_SLOPE = 0.12  # of a ruled line in a photo: 7 degrees


# -------------------------------------------------------------------------------------- the sheet


@dataclass(frozen=True)
class Sheet:
    """A region with four straight sides and with ink in it.

    Parameters
    ----------
    place : (slice, slice)
        Its rows and columns.
    inside : ndarray of shape [rows, columns], dtype bool
        Which of these pixels are the sheet's, without its edge.
    """

    place: Place
    inside: np.ndarray

    @property
    def box(self) -> Box:
        """Left, top, right and bottom."""
        rows, columns = self.place
        return columns.start, rows.start, columns.stop, rows.stop

    def cut_from(self, gray: np.ndarray) -> np.ndarray:
        """Return the sheet alone; around it, as at its edge, the paper goes on."""
        part = gray[self.place]
        if self.inside.all():
            return part
        nearest = ndimage.distance_transform_edt(
            ~self.inside, return_distances=False, return_indices=True
        )
        return part[tuple(nearest)]


def find_sheets(gray: np.ndarray) -> list[Sheet]:
    """Return the sheets in an image, the largest first; none if paper fills the image.

    Parameters
    ----------
    gray : ndarray of shape [H, W], dtype uint8
    """
    if np.ptp(gray) < LEAST_CONTRAST:
        return []
    light = gray > between_dark_and_light(gray)
    contrast = gray[light].mean() - gray[~light].mean()
    found = []
    for mask in (light, ~light):
        parts, _ = ndimage.label(mask)
        for number, place in enumerate(ndimage.find_objects(parts), 1):
            high, wide = (along.stop - along.start for along in place)
            if high * wide < MIN_SHEET * gray.size or min(high, wide) < 12:
                continue
            region = ndimage.binary_opening(parts[place] == number, np.ones((3, 3)))
            if region.sum() < 0.5 * region.size or _is_frame_of(region, gray.shape):
                continue
            sheet = _as_sheet(gray, place, ndimage.binary_fill_holes(region), contrast)
            if sheet is not None:
                found.append(sheet)
    return sorted(found, key=lambda sheet: -sheet.inside.size)


def _is_frame_of(region: np.ndarray, shape: tuple[int, int]) -> bool:
    """Return whether a region is all around the image: its paper."""
    if region.shape != shape:
        return False
    edges = (region[0], region[-1], region[:, 0], region[:, -1])
    return min(edge.mean() for edge in edges) > 0.5


def _as_sheet(gray: np.ndarray, place: Place, region: np.ndarray, contrast: float) -> Sheet | None:
    """Return a region as a sheet, if it has four straight, sharp sides and ink in it."""
    if region.sum() < MIN_RECTANGULARITY * rectangle_around(region):
        return None
    place, region = _with_surroundings(place, region, gray.shape)
    part = gray[place]
    edge = region & ~ndimage.binary_erosion(region, border_value=1)
    steps = ndimage.maximum_filter(part, 5) - ndimage.minimum_filter(part, 5)
    if not edge.any() or np.median(steps[edge]) < 0.25 * contrast:
        return None  # a shadow's edge is soft
    trim = max(1, round(0.012 * min(region.shape)))
    inside = ndimage.binary_erosion(region, np.ones((3, 3)), iterations=trim, border_value=1)
    if not _has_ink(part, inside, contrast):
        return None
    within = box_around(inside)
    place = tuple(
        slice(start.start + part.start, start.start + part.stop)
        for start, part in zip(place, within, strict=True)
    )
    return Sheet(place, inside[within])


def _with_surroundings(
    place: Place, region: np.ndarray, shape: tuple[int, int], wide: int = 3
) -> tuple[Place, np.ndarray]:
    """Return a region with a margin around it, where the image goes on."""
    before = [min(along.start, wide) for along in place]
    after = [min(size - along.stop, wide) for along, size in zip(place, shape, strict=True)]
    larger = tuple(
        slice(along.start - left, along.stop + right)
        for along, left, right in zip(place, before, after, strict=True)
    )
    return larger, np.pad(region, list(zip(before, after, strict=True)))


def _has_ink(part: np.ndarray, inside: np.ndarray, contrast: float) -> bool:
    """Return whether a part of what is inside stands out from the rest, and is not tiny."""
    values = part[inside]
    if values.size == 0 or np.ptp(values) < LEAST_CONTRAST:
        return False
    high = values > between_dark_and_light(values)
    if abs(values[high].mean() - values[~high].mean()) < max(LEAST_CONTRAST, 0.1 * contrast):
        return False
    ink = np.zeros(part.shape, bool)
    ink[inside] = high if high.mean() < 0.5 else ~high
    if not 0.003 < ink.sum() / inside.sum() < 0.35:
        return False
    places = ndimage.find_objects(ndimage.label(ink, np.ones((3, 3)))[0])
    return max(rows.stop - rows.start for rows, _ in places) > 0.15 * part.shape[0]


def rectangle_around(mask: np.ndarray) -> float:
    """Return the area of the smallest rectangle, turned in any way, around what is marked."""
    rows = mask.any(1).nonzero()[0]
    left, right = mask.argmax(1)[rows], mask.shape[1] - mask[:, ::-1].argmax(1)[rows]
    points = np.concatenate(
        [np.stack((ends, rows + down), 1) for ends in (left, right) for down in (0, 1)]
    )
    corners = points[ConvexHull(points).vertices].astype(float)
    sides = np.roll(corners, -1, 0) - corners
    along = sides / np.hypot(*sides.T)[:, None]
    across = along[:, ::-1] * (1, -1)
    extents = [np.ptp(corners @ direction.T, axis=0) for direction in (along, across)]
    return float((extents[0] * extents[1]).min())


# -------------------------------------------------------------------------------------- the lines


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


def remove_lines(ink: np.ndarray) -> np.ndarray:
    """Take ruled lines, grids and underlines out of ink, and leave the strokes that they cross.

    Parameters
    ----------
    ink : ndarray of shape [H, W], dtype uint8
        0 where there is paper.

    Returns
    -------
    ndarray of shape [H, W], dtype uint8
        The same array, if there are no lines.
    """
    if np.ptp(ink) < LEAST_CONTRAST:
        return ink
    mask = ink > 0.6 * between_dark_and_light(ink)
    if min(mask.shape) < MIN_LINED_SIDE:
        return ink
    found = [
        (line, upright, pixels.T if upright else pixels)
        for upright, turned in ((False, mask), (True, mask.T))
        for line, pixels in chain(find_bands(turned), find_lines(turned))
    ]
    if not found:
        return ink
    rest = _large_parts(mask & ~np.any([pixels for *_, pixels in found], axis=0))
    lines = [
        (line, upright, pixels)
        for line, upright, pixels in found
        if _is_no_stroke(line, rest.T if upright else rest, upright)
    ]
    if not lines:
        return ink
    gone = np.any([pixels for *_, pixels in lines], axis=0)
    for line, upright, _ in lines:  # once more, for what is left where two of them cross
        left = mask & ~gone
        gone |= Runs.of(left.T).on(line).T if upright else Runs.of(left).on(line)
    gone = ndimage.binary_dilation(gone, np.ones((3, 3))) & ~(mask & ~gone)
    return np.where(gone, 0, ink)


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
        change = np.diff(np.pad(mask, ((1, 1), (0, 0))).T.astype(np.int8), axis=1)
        column, top = (change == 1).nonzero()
        return cls(mask.shape, column, top, (change == -1).nonzero()[1] - top)

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
        depth = np.where(flipped.all(0), height, flipped.argmin(0))
        if (depth > 0).mean() < 0.85 or np.median(depth) > MAX_BAND_WIDTH * height:
            continue
        wide = int(np.median(depth)) + 2
        pixels = flipped & (np.arange(height)[:, None] < np.minimum(depth, wide))
        at = (wide - 1) / 2
        line = Line(height - 1 - at if below else at, 0.0, float(wide), 0, width - 1)
        yield line, pixels[::-1] if below else pixels


def find_lines(mask: np.ndarray, most: int = 8) -> Iterator[tuple[Line, np.ndarray]]:
    """Find long, thin, straight and nearly horizontal lines, the longest first, with their pixels.

    A Hough transform: for each of some slopes, all runs are counted by the row in which a line of
    this slope through them begins.
    """
    height, width = mask.shape
    runs = Runs.of(mask)
    thin = runs.length <= max(2, round(MAX_LINE_WIDTH * min(runs.shape)))
    column, middle, length = runs.column[thin], runs.middle[thin], runs.length[thin]
    slopes = np.linspace(-MAX_LINE_SLOPE, MAX_LINE_SLOPE, 2 * max(4, width // 16) + 1)
    rise = np.ceil(MAX_LINE_SLOPE * width) + 1
    for _ in range(most):
        if len(column) < MIN_LINE_LENGTH * width / 2:
            return
        rows = (middle - slopes[:, None] * column + rise + 0.5).astype(int)
        size = int(height + 2 * rise) + 2
        counts = np.bincount(
            (rows + size * np.arange(len(slopes))[:, None]).ravel(), minlength=size * len(slopes)
        ).reshape(len(slopes), size)
        counts = counts + np.roll(counts, 1, 1)
        which, row = np.unravel_index(counts.argmax(), counts.shape)
        if counts[which, row] < MIN_LINE_LENGTH * width / 2:
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


def _is_no_stroke(line: Line, rest: np.ndarray, upright: bool) -> bool:
    """Return whether a line is none of the digit's strokes, going by what else there is of it.

    It is thinner than the strokes and longer than the rest, or it crosses the image and the rest
    does not, or it lies below all of the rest.
    """
    height, width = rest.shape
    if not rest.any():
        return False
    rows, columns = box_around(rest)
    if rows.stop - rows.start < 0.12 * height and columns.stop - columns.start < 0.12 * width:
        return False
    ends = (line.first <= 0.03 * width + 1) + (line.last >= 0.97 * width - 2)
    stroke = 2 * np.percentile(ndimage.distance_transform_edt(rest)[rest], 90) - 1
    longer = line.first < columns.start and line.last >= columns.stop
    if line.width <= 0.65 * stroke and (ends or longer):
        return True
    margin = 0.06 * width
    middle = line.at + line.slope * width / 2
    if upright and ends == 2 and not 0.12 * height < middle < 0.88 * height:
        return True  # a margin's line; of the digits' upright strokes none is so far outside
    reach = line.at + line.slope * np.array([line.first, line.last])
    top = min(rows.start, reach.min() - line.width / 2)
    bottom = max(rows.stop, reach.max() + line.width / 2 + 1)
    if top <= 1.5 and bottom >= height - 1.5:
        return False  # the digit is cut out tightly, and this may be one of its strokes
    if ends == 2 and columns.start > margin and columns.stop < width - margin:
        return True
    lowest = line.at + line.slope * np.array([columns.start, columns.stop]) - line.width / 2
    return longer and rows.stop <= lowest.min()


def _large_parts(mask: np.ndarray) -> np.ndarray:
    """Return the connected parts that are not much smaller than the largest one."""
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= 0.25 * sizes.max())[parts]


# -------------------------------------------------------------------------------------- the digit


def digit_mask(ink: np.ndarray, alone: bool = False) -> np.ndarray:
    """Mark the digits' pixels: bool ``[H, W]``, without specks, dirt and ruled lines.

    Ink is what lies above Otsu's threshold, and fainter ink that touches it. Of the connected
    parts, those stay that have enough ink to belong to a digit.

    Parameters
    ----------
    ink : ndarray of shape [H, W], dtype uint8
    alone : bool, default=False
        Whether there is one digit, so that dots and neighbors cut by the border are left out.
    """
    if np.ptp(ink) < LEAST_CONTRAST:
        raise EmptyPictureError("the picture is empty: no ink stands out from the paper")
    high = between_dark_and_light(ink)
    faint = ink > 0.6 * high
    parts, count = ndimage.label(faint, np.ones((3, 3)))
    if count == 1:
        return faint
    sizes = np.bincount(parts[ink > high], minlength=count + 1)[1:]
    places = ndimage.find_objects(parts)
    kept = {
        number
        for number, (size, place) in enumerate(zip(sizes, places, strict=True), 1)
        if size >= 0.06 * sizes.max() and not _lies_along_an_edge(place, ink.shape)
    }
    lines = {number for number in kept if _crosses(places[number - 1], ink.shape)}
    if lines and _width(places[number - 1] for number in kept - lines) < 0.75 * ink.shape[1]:
        kept -= lines
    if alone and len(kept) > 1 and min(ink.shape) >= MIN_LINED_SIDE:
        kept = _without_neighbors(kept, sizes, places, ink.shape)
    return np.isin(parts, list(kept) or [int(sizes.argmax()) + 1])


def _without_neighbors(
    kept: set[int], sizes: np.ndarray, places: list[Place], shape: tuple[int, int]
) -> set[int]:
    """Leave out dots, and neighbors that the border cuts: parts beside the one in the middle."""
    middle = [(shape[1] - 1) / 2, (shape[0] - 1) / 2]

    def off_center(number: int) -> tuple[float, float]:
        rows, columns = places[number - 1]
        return tuple(
            abs((along.start + along.stop - 1) / 2 - at) / at
            for along, at in zip((columns, rows), middle, strict=True)
        )

    main = max(kept, key=lambda number: sizes[number - 1] * (1.2 - max(off_center(number))))
    rows, columns = places[main - 1]

    def belongs(number: int) -> bool:
        down, right = places[number - 1]
        beside = _share(columns, right) < 0.25
        if beside and sizes[number - 1] < 0.12 * sizes[main - 1]:
            return False  # a dot
        cut_beside = right.start == 0 or right.stop == shape[1]
        cut_above = down.start == 0 or down.stop == shape[0]
        away, own = off_center(number), off_center(main)
        if cut_beside and away[0] > 2 * own[0] and _share(columns, right) < 0.5:
            return False
        return not (cut_above and away[1] > 2 * own[1] and _share(rows, down) <= 0)

    return {number for number in kept if number == main or belongs(number)}


def _lies_along_an_edge(place: Place, shape: tuple[int, int]) -> bool:
    """Return whether a part is a band along an edge of the picture, like a shadow."""
    for axis in (0, 1):
        along, across = place[1 - axis], place[axis]
        length = (along.stop - along.start) / shape[1 - axis]
        width = (across.stop - across.start) / shape[axis]
        outside = across.start == 0 or across.stop == shape[axis]
        if outside and ((length > 0.5 and width < 0.12) or (length > 0.95 and width < 0.25)):
            return True
    return False


def _crosses(place: Place, shape: tuple[int, int]) -> bool:
    """Return whether a part runs flat from the left edge to the right one, like a ruled line."""
    down, right = place
    flat = (down.stop - down.start) < 0.15 * shape[0]
    return flat and (right.stop - right.start) > 0.9 * shape[1]


def _width(places: Iterable[Place]) -> int:
    """Return how many columns parts span together; 0 for none."""
    spans = [right for _, right in places]
    return max(s.stop for s in spans) - min(s.start for s in spans) if spans else 0


def group_columns(mask: np.ndarray) -> list[np.ndarray]:
    """Return the mask of each digit in a row, from left to right.

    Connected parts belong to one digit if one lies above the other: if they share at least half
    of the narrower one's columns. Digits that touch each other are not told apart.
    """
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    groups: list[tuple[slice, list[int]]] = []
    places = ndimage.find_objects(parts)
    for number in sorted(range(1, len(places) + 1), key=lambda n: places[n - 1][1].start):
        columns = places[number - 1][1]
        if groups and _share(groups[-1][0], columns) >= 0.5:
            span, members = groups.pop()
            columns = slice(span.start, max(span.stop, columns.stop))
            groups.append((columns, [*members, number]))
        else:
            groups.append((columns, [number]))
    return [np.isin(parts, members) for _, members in groups]


def _share(first: slice, second: slice) -> float:
    """Return how much of the narrower of two spans lies within the other."""
    common = min(first.stop, second.stop) - max(first.start, second.start)
    return common / min(first.stop - first.start, second.stop - second.start)


def box_around(mask: np.ndarray) -> Place:
    """Return the smallest box that holds all that is marked."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def between_dark_and_light(grey: np.ndarray) -> float:
    """Return the brightness halfway between dark and light pixels, by Otsu's method."""
    from skimage.filters import threshold_otsu

    return threshold_otsu(hist=np.bincount(grey.ravel(), minlength=256)) + 0.5

"""Find digits: the sheet they stand on, and the parts that belong together.

What is around a digit is told from it by form. A *sheet* is a region with four straight sides that
has ink in it: paper on a desk, a page beside a dark margin, a form's box, a plot's frame. Lines are
told by `mnist_helpers.lines`. What is left are connected parts: the digit's, and small or cut ones
beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from .brightness import Brightness
from .decode import BlankImageError
from .masks import (
    Place,
    bounding_box,
    dilate,
    erode,
    min_rectangle_area,
    overlap,
    rectangle_around_rows,
    row_ends,
)

Box = tuple[int, int, int, int]

MIN_CONTRAST = 12  # of 255: fainter than this is an empty image
MIN_SHEET = 0.1  # of the image's area
MIN_FILLED = 0.5  # of the box around a sheet, which may be turned
MIN_INK_ON_LIGHT = 0.1  # contrast of ink on a sheet, of that between sheet and desk: pencil
MIN_INK_ON_DARK = 0.3  # chalk, or a plot; a dark thing on the table has paler reflections
MIN_RECTANGULARITY = 0.92  # a sheet's area, of that of the smallest rectangle around it
MIN_LINED_SIDE = 33  # a smaller image shows the digit and little else; its strokes are thin lines
MIN_ROW_WIDTH = 0.8  # of the image: ink as wide was cut out of a row of digits
SLANTS = (0.0, 0.25, 0.5)  # columns per row, of what people write


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

    def crop(self, gray: np.ndarray) -> np.ndarray:
        """Return the sheet alone; around it, as at its edge, the paper continues."""
        part = gray[self.place]
        if self.inside.all():
            return part
        nearest = ndimage.distance_transform_edt(
            ~self.inside, return_distances=False, return_indices=True
        )
        return part[tuple(nearest)]


def find_sheets(gray: np.ndarray, brightness: Brightness | None = None) -> list[Sheet]:
    """Return the sheets in an image, the largest first; none if paper fills the image.

    Parameters
    ----------
    gray : ndarray of shape [H, W], dtype uint8
    brightness : Brightness, default=None
        That of `gray`, if it is known already.
    """
    brightness = brightness or Brightness.of(gray)
    if brightness.span < MIN_CONTRAST:
        return []
    light = gray > np.uint8(brightness.threshold)  # far faster than comparing with a float
    found = []
    for is_light, place, region in _filled_regions(light):
        least = brightness.contrast * (MIN_INK_ON_LIGHT if is_light else MIN_INK_ON_DARK)
        sheet = _to_sheet(gray, place, region, brightness.contrast, least)
        if sheet is not None:
            found.append(sheet)
    return sorted(found, key=lambda sheet: -sheet.inside.size)


def _filled_regions(light: np.ndarray) -> Iterator[tuple[bool, Place, np.ndarray]]:
    """Find the regions that are large and fill the box around them: ``(light, place, region)``.

    The strokes of a drawing don't; where paper is all around them, only the box around them counts.
    """
    down, right = _trim_paper(light)
    inner = light[down, right]
    least = MIN_SHEET * light.size
    if inner.size < least:
        return
    for is_light, mask in ((True, inner), (False, ~inner)):
        is_paper = inner.size < light.size and is_light == light[0, 0]
        enough = MIN_FILLED * least
        if np.count_nonzero(mask) < enough or (is_paper and not _may_enclose(~mask, enough)):
            continue
        parts, count = ndimage.label(mask)
        places = ndimage.find_objects(parts) if count > 1 else [bounding_box(mask)]
        for number, (rows, columns) in enumerate(places, 1):
            high, wide = rows.stop - rows.start, columns.stop - columns.start
            if high * wide < least or min(high, wide) < 12:
                continue
            region = parts[rows, columns] == number
            if _is_frame_of(region, mask.shape) or not _fills_bounding_box(region):
                continue
            region = dilate(erode(region))
            if not _fills_bounding_box(region) or not _may_be_rectangular(region):
                continue
            place = _moved(rows, down.start), _moved(columns, right.start)
            yield is_light, place, ndimage.binary_fill_holes(region)


def _trim_paper(light: np.ndarray) -> Place:
    """Return the box around what is not paper, one pixel wider, if paper is all along the border.

    If not, return the whole image.
    """
    paper = light[0, 0]
    if any((edge != paper).any() for edge in (light[0], light[-1], light[:, 0], light[:, -1])):
        return slice(0, light.shape[0]), slice(0, light.shape[1])
    rows, columns = bounding_box(light != paper)
    return slice(rows.start - 1, rows.stop + 1), slice(columns.start - 1, columns.stop + 1)


def _may_enclose(ink: np.ndarray, least: float) -> bool:
    """Return False if ink encloses fewer pixels: fewer are between its ends in rows or columns."""
    count = np.count_nonzero(ink)
    ends = (row_ends(turned) for turned in (ink, ink.T))
    return all((right - left).sum() - count >= least for _, left, right in ends)


def _fills_bounding_box(region: np.ndarray) -> bool:
    return bool(np.count_nonzero(region) >= MIN_FILLED * region.size)


def _may_be_rectangular(region: np.ndarray) -> bool:
    """Return False if a region is no rectangle even with all gaps in its rows filled.

    A rectangle around some of the rows is no larger than that around all of them.
    """
    rows, left, right = row_ends(region)
    some = slice(None, None, 1 + len(rows) // 8)
    smallest = rectangle_around_rows(rows[some], left[some], right[some])
    return (right - left).sum() >= MIN_RECTANGULARITY * smallest


def _moved(along: slice, start: int) -> slice:
    return slice(along.start + start, along.stop + start)


def _is_frame_of(region: np.ndarray, shape: tuple[int, int]) -> bool:
    """Return whether a region is all around the image: its paper."""
    if region.shape != shape:
        return False
    edges = (region[0], region[-1], region[:, 0], region[:, -1])
    return all(np.count_nonzero(edge) > 0.5 * edge.size for edge in edges)


def _to_sheet(
    gray: np.ndarray, place: Place, region: np.ndarray, contrast: float, least: float
) -> Sheet | None:
    """Return a region as a sheet, if it has four straight, sharp sides and ink in it."""
    if region.sum() < MIN_RECTANGULARITY * min_rectangle_area(region):
        return None
    place, region = _pad_region(place, region, gray.shape)
    part = gray[place]
    edge = region & ~ndimage.binary_erosion(region, border_value=1)
    steps = ndimage.maximum_filter(part, 5) - ndimage.minimum_filter(part, 5)
    if not edge.any() or np.median(steps[edge]) < 0.25 * contrast:
        return None  # a shadow's edge is soft
    trim = max(1, round(0.012 * min(region.shape)))
    inside = ndimage.binary_erosion(region, np.ones((3, 3)), iterations=trim, border_value=1)
    if not _has_ink(part, inside, least):
        return None
    within = bounding_box(inside)
    down, right = (_moved(part, start.start) for start, part in zip(place, within, strict=True))
    return Sheet((down, right), inside[within])


def _pad_region(
    place: Place, region: np.ndarray, shape: tuple[int, int], wide: int = 3
) -> tuple[Place, np.ndarray]:
    """Return a region with a margin around it, where the image continues."""
    before = [min(along.start, wide) for along in place]
    after = [min(size - along.stop, wide) for along, size in zip(place, shape, strict=True)]
    rows, columns = (
        slice(along.start - left, along.stop + right)
        for along, left, right in zip(place, before, after, strict=True)
    )
    return (rows, columns), np.pad(region, list(zip(before, after, strict=True)))


def _has_ink(part: np.ndarray, inside: np.ndarray, least: float) -> bool:
    """Return whether a part of what is inside stands out from the rest, and is not tiny."""
    values = part[inside]
    if values.size == 0 or np.ptp(values) < MIN_CONTRAST:
        return False
    high = values > otsu_threshold(values)
    if abs(values[high].mean() - values[~high].mean()) < max(MIN_CONTRAST, least):
        return False
    ink = np.zeros(part.shape, bool)
    ink[inside] = high if high.mean() < 0.5 else ~high
    if not 0.003 < ink.sum() / inside.sum() < 0.35:
        return False
    places = ndimage.find_objects(ndimage.label(ink, np.ones((3, 3)))[0])
    return max(rows.stop - rows.start for rows, _ in places) > 0.15 * part.shape[0]


def digit_mask(
    ink: np.ndarray, single: bool = False, brightness: Brightness | None = None
) -> np.ndarray:
    """Mark the digits' pixels: bool ``[H, W]``, without specks, dirt and ruled lines.

    Ink is what lies above Otsu's threshold, and fainter ink that touches it. Of the connected
    parts, those stay that have enough ink to belong to a digit.

    Parameters
    ----------
    ink : ndarray of shape [H, W], dtype uint8
    single : bool, default=False
        Whether there is one digit, so that dots and neighbors cut by the border are left out.
    brightness : Brightness, default=None
        That of `ink`, if it is known already.
    """
    brightness = brightness or Brightness.of(ink)
    if brightness.span < MIN_CONTRAST:
        raise BlankImageError("the image is empty: no ink stands out from the paper")
    high = brightness.threshold
    faint = ink > np.uint8(0.6 * high)
    box = bounding_box(faint)  # a drawing is mostly paper
    numbers, count = ndimage.label(faint[box], np.ones((3, 3)))
    if count == 1:
        return faint
    parts = np.zeros(faint.shape, numbers.dtype)
    parts[box] = numbers
    sizes = np.bincount(parts[ink > high], minlength=count + 1)[1:]
    places = ndimage.find_objects(parts)
    small = min(ink.shape) < MIN_LINED_SIDE
    if not small:
        objects = [
            _is_object(size, place, ink.shape) for size, place in zip(sizes, places, strict=True)
        ]
        if not all(objects):
            sizes = np.where(objects, 0, sizes)
    kept = {
        number
        for number, (size, place) in enumerate(zip(sizes, places, strict=True), 1)
        if size >= 0.06 * sizes.max()
        and not ((single or not small) and _is_edge_band(place, ink.shape))
    }
    lines = {number for number in kept if _crosses(places[number - 1], ink.shape)}
    if lines and _width(places[number - 1] for number in kept - lines) < 0.75 * ink.shape[1]:
        kept -= lines
    if single and len(kept) > 1 and not small:
        kept = _drop_neighbors(kept, sizes, parts, places)
    return np.isin(parts, list(kept) or [int(sizes.argmax()) + 1])


def _drop_neighbors(
    kept: set[int], sizes: np.ndarray, parts: np.ndarray, places: list[Place]
) -> set[int]:
    """Leave out dots, an underline, and neighbors: what is beside or below the digit.

    The digit is the part that is most in the middle. Where ink fills the image from side to side,
    it was cut out of a row, and what stands beside the middle is another digit.
    """
    shape = parts.shape
    middle = [(shape[1] - 1) / 2, (shape[0] - 1) / 2]

    def off_center(number: int) -> tuple[float, float]:
        rows, columns = places[number - 1]
        return tuple(
            abs((along.start + along.stop - 1) / 2 - at) / at
            for along, at in zip((columns, rows), middle, strict=True)
        )

    main = max(kept, key=lambda number: sizes[number - 1] * (1.2 - max(off_center(number))))
    rows, columns = places[main - 1]
    large = [place for place, size in zip(places, sizes, strict=True) if size >= 0.06 * sizes.max()]
    fills = _width(large) > MIN_ROW_WIDTH * shape[1]
    in_row = fills and columns.start < middle[0] < columns.stop

    def belongs(number: int) -> bool:
        down, right = places[number - 1]
        high, wide, main_height = (along.stop - along.start for along in (down, right, rows))
        slanted = partial(_slanted_overlap, parts, main, number)
        if sizes[number - 1] < 0.12 * sizes[main - 1]:  # a dot is beside the digit, or at its foot
            at_foot = 2 * down.start > rows.start + rows.stop
            if (slanted() if at_foot else overlap(columns, right)) < 0.25:
                return False
        if down.start >= rows.stop and 0.2 * shape[1] < wide and high < min(wide, main_height) / 4:
            return False  # an underline
        cut_beside = right.start == 0 or right.stop == shape[1]
        cut_above = down.start == 0 or down.stop == shape[0]
        away, own = off_center(number), off_center(main)
        is_tall = high > 0.5 * main_height
        if (cut_beside or (in_row and is_tall)) and away[0] > 2 * own[0]:
            return (slanted() if is_tall else overlap(columns, right)) >= 0.5
        return not (cut_above and away[1] > 2 * own[1] and overlap(rows, down) <= 0)

    return {number for number in kept if number == main or belongs(number)}


def _slanted_overlap(parts: np.ndarray, first: int, second: int) -> float:
    """Return how much of the narrower of two parts lies above or below the other.

    Measured along the slant at which it is least, since people write to the right.
    """
    found = [np.nonzero(parts == number) for number in (first, second)]
    least = 1.0
    for slant in SLANTS:
        one, other = (np.round(x + slant * y).astype(int) for y, x in found)
        spans = (slice(one.min(), one.max() + 1), slice(other.min(), other.max() + 1))
        least = min(least, overlap(*spans))
    return least


def _is_object(size: int, place: Place, shape: tuple[int, int]) -> bool:
    """Return whether a part is solid, broad and cut by the border: a thing that lies there."""
    high, wide = (along.stop - along.start for along in place)
    outside = any(
        along.start == 0 or along.stop == side for along, side in zip(place, shape, strict=True)
    )
    return outside and size > 0.7 * high * wide and min(high, wide) > 0.12 * min(shape)


def _is_edge_band(place: Place, shape: tuple[int, int]) -> bool:
    """Return whether a part is a band along an edge of the image, like a shadow."""
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


def otsu_threshold(gray: np.ndarray) -> float:
    """Return the brightness halfway between dark and light pixels, by Otsu's method."""
    return Brightness.of(gray).threshold

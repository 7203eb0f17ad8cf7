"""Find digits among ink: which connected parts belong to the digit, and which do not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from .decode import EmptyPictureError

Box = tuple[int, int, int, int]
Place = tuple[slice, slice]

LEAST_CONTRAST = 12  # of 255: fainter than this is an empty picture


def digit_mask(ink: np.ndarray) -> np.ndarray:
    """Mark the digit's pixels: bool ``[H, W]``, without specks, dirt and ruled lines.

    Ink is what lies above Otsu's threshold, and fainter ink that touches it. Of the connected
    parts, those stay that have enough ink to belong to a digit.
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
    return np.isin(parts, list(kept) or [int(sizes.argmax()) + 1])


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

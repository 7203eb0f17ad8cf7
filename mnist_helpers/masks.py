"""Masks of ink: their parts, boxes and rectangles; grown and shrunk."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Place = tuple[slice, slice]


def min_rectangle_area(mask: np.ndarray) -> float:
    """Return the area of the smallest rectangle, turned in any way, around what is marked."""
    return rectangle_around_rows(*row_ends(mask))


def row_ends(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows in which something is marked, where it begins there, and where it ends."""
    rows = np.flatnonzero(mask.any(1))
    return rows, mask.argmax(1)[rows], mask.shape[1] - mask[:, ::-1].argmax(1)[rows]


def rectangle_around_rows(rows: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """Return the same as `min_rectangle_area`, of what `row_ends` returned."""
    from scipy.spatial import ConvexHull

    points = np.concatenate(
        [np.stack((ends, rows + down), 1) for ends in (left, right) for down in (0, 1)]
    )
    corners = points[ConvexHull(points).vertices].astype(float)
    sides = np.roll(corners, -1, 0) - corners
    along = sides / np.hypot(*sides.T)[:, None]
    across = along[:, ::-1] * (1, -1)
    extents = [np.ptp(corners @ direction.T, axis=0) for direction in (along, across)]
    return float((extents[0] * extents[1]).min())


def group_columns(mask: np.ndarray) -> list[np.ndarray]:
    """Return the mask of each digit in a row, from left to right.

    Connected parts belong to one digit if one lies above the other: if they share at least half
    of the narrower one's columns. Digits that touch each other are not separated.
    """
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    groups: list[tuple[slice, list[int]]] = []
    places = ndimage.find_objects(parts)
    for number in sorted(range(1, len(places) + 1), key=lambda n: places[n - 1][1].start):
        columns = places[number - 1][1]
        if groups and overlap(groups[-1][0], columns) >= 0.5:
            span, members = groups.pop()
            columns = slice(span.start, max(span.stop, columns.stop))
            groups.append((columns, [*members, number]))
        else:
            groups.append((columns, [number]))
    return [np.isin(parts, members) for _, members in groups]


def drop_small_parts(mask: np.ndarray, least: float = 0.25) -> np.ndarray:
    """Return the connected parts that have at least this share of the largest one's pixels."""
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= least * sizes.max())[parts]


def dilate(mask: np.ndarray) -> np.ndarray:
    """Return what is marked and the eight pixels around each."""
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def erode(mask: np.ndarray) -> np.ndarray:
    """Return what is marked as are the eight pixels around it; outside the image nothing is."""
    return ~dilate(~np.pad(mask, 1))[1:-1, 1:-1]


def overlap(first: slice, second: slice) -> float:
    """Return how much of the narrower of two spans lies within the other."""
    common = min(first.stop, second.stop) - max(first.start, second.start)
    return common / min(first.stop - first.start, second.stop - second.start)


def bounding_box(mask: np.ndarray) -> Place:
    """Return the smallest box that holds all that is marked."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

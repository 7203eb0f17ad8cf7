"""Rows of digits: which boxes stand beside each other, and which marks stand between digits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

MIN_BESIDE = 0.5  # of the lower of two digits in a row that is beside the other
MIN_ROW_HEIGHT = 0.25  # of the highest row; lower ones are no digits
MAX_PART_GAP = 0.2  # between the parts of a digit, of a row's height
MAX_ROW_SLOPE = 0.2  # 11 degrees
MIN_MINUS = 0.15  # width of a minus, in heights of a digit
MAX_MARK = (0.35, 0.5)  # width and height of a point or a comma
AT_FOOT = (0.75, 1.3)  # where its middle lies, from the top of the digits to their foot
MAX_DOTS = 3  # in a row; more are a dotted line


def group_rows(boxes: Sequence[Rectangle]) -> list[list[int]]:
    """Group boxes into rows, from top to bottom, each from left to right: their numbers.

    A tall box belongs to the row whose last box so far is beside it. Lower ones are parts of the
    digits in the row that they are close to, or rows of smaller digits.
    """
    rows: list[list[int]] = []
    left = list(range(len(boxes)))
    while left:
        tallest = max(box_height(boxes[number]) for number in left)
        tall = [number for number in left if box_height(boxes[number]) >= tallest / 2]
        found: list[list[int]] = []
        for number in sorted(tall, key=lambda one: boxes[one][0]):
            beside = [_beside(boxes[row[-1]], boxes[number]) for row in found]
            if beside and max(beside) >= MIN_BESIDE:
                found[int(np.argmax(beside))].append(number)
            else:
                found.append([number])
        left = [number for number in left if number not in tall]
        for number in list(left):
            row = min(found, key=lambda row: min(_away(boxes[one], boxes[number]) for one in row))
            if min(_away(boxes[one], boxes[number]) for one in row) < MAX_PART_GAP * tallest:
                row.append(number)
                left.remove(number)
        rows += found
        highest = max(box_height(boxes[number]) for number in rows[0])
        left = [number for number in left if box_height(boxes[number]) >= MIN_ROW_HEIGHT * highest]
    ordered = (sorted(row, key=lambda one: boxes[one][0]) for row in rows)
    return sorted(ordered, key=lambda row: np.mean([boxes[number][1] for number in row]))


def box_height(box: Rectangle) -> float:
    """Return the height of a box."""
    return box[3] - box[1]


def _away(first: Rectangle, second: Rectangle) -> float:
    """Return how far two boxes are from each other, less along the row; 0 if they overlap."""
    along, across = (
        max(first[side] - second[side + 2], second[side] - first[side + 2], 0) for side in (0, 1)
    )
    return max(along / 4, across)


def _beside(first: Rectangle, second: Rectangle) -> float:
    """Return how much of the lower of two boxes is beside the other, along a row that may slope."""
    gap = max(0.0, second[0] - first[2])
    common = min(first[3], second[3]) - max(first[1], second[1]) + MAX_ROW_SLOPE * gap
    return common / min(box_height(first), box_height(second))


def find_marks(digits: list[Rectangle], small: list[Rectangle]) -> dict[int, str]:
    """Tell a minus, a decimal point and a comma by their form and by where they stand.

    Parameters
    ----------
    digits, small : list of (left, top, right, bottom)
        The digits from left to right, and what else there is.

    Returns
    -------
    dict of int to str
        Each mark by the number of the digit that follows it.
    """
    found: dict[int, str] = {}
    dots = 0
    usual = float(np.median([box_height(box) for box in digits]))
    for left, top, right, bottom in sorted(small):
        follows = sum(box[0] + box[2] < left + right for box in digits)
        near = digits[max(0, follows - 1) : follows + 1]
        upper, lower = (float(np.mean([box[side] for box in near])) for side in (1, 3))
        wide, high = (right - left) / usual, (bottom - top) / usual
        middle = ((top + bottom) / 2 - upper) / (lower - upper)
        dots += max(wide, high) < MAX_MARK[1] and middle > AT_FOOT[0]
        overlaps = any(min(right, box[2]) - max(left, box[0]) > (right - left) / 2 for box in near)
        if overlaps or follows == len(digits):
            continue  # above a digit or below it, or the end of a sentence
        if wide > 2 * high and wide > MIN_MINUS and 0.25 < middle < 0.75:
            found[follows] = "-"
        is_small = wide < MAX_MARK[0] and high < MAX_MARK[1]
        if follows and is_small and AT_FOOT[0] < middle < AT_FOOT[1]:
            found[follows] = "," if high > 1.4 * wide else "."
    if dots > MAX_DOTS:  # a dotted line
        return {at: mark for at, mark in found.items() if mark == "-"}
    return found

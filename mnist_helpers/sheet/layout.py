"""What stands where on a sheet: markers in the margins, a header, a grid of boxes. In millimeters.

Eight ArUco markers (Garrido-Jurado et al. 2014) say where the page is and which way is up. Three
more say, by their numbers, which digits are asked for and how often: a photo needs nothing else to
be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import NamedTuple

PAGE = (210.0, 297.0)  # A4, width and height
MARKER = 12.0  # width and height of a marker
PLACES = {  # the left and top of the markers that stand on each sheet, by number
    0: (10.0, 10.0),
    1: (188.0, 10.0),
    2: (188.0, 275.0),
    3: (10.0, 275.0),
    4: (10.0, 142.5),
    5: (188.0, 142.5),
    6: (72.0, 275.0),
    7: (126.0, 275.0),
}
# The three markers that describe the grid: where they stand, and the number that means 0.
PER_DIGIT, LOW_DIGITS, HIGH_DIGITS = ((34.0, 10.0), 16), ((56.0, 10.0), 120), ((78.0, 10.0), 160)
CODE = (146.0, 10.0, 37.0)  # left, top, width and height of the code that holds the writer's name
CODE_PREFIX = "mh1:"  # of what the code holds, the name in base64
GRID = (26.0, 52.0, 184.0, 270.0)  # left, top, right and bottom of what the boxes may fill
GAP = 1.2  # between boxes
MAX_BOX, MIN_BOX = 20.0, 8.0  # a box with its gap
LABEL = (2.6, 3.0)  # width and height of the corner of a box in which its label is printed


class Box(NamedTuple):
    """A box to write a digit into."""

    label: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Layout:
    """Which digits a sheet asks for, and where.

    Parameters
    ----------
    per_digit : int, default=10
        How many boxes each digit has.
    digits : str, default="0123456789"
        The digits, each at most once.

    Raises
    ------
    ValueError
        If there is no such sheet, or its boxes would be narrower than 7 mm.
    """

    per_digit: int = 10
    digits: str = "0123456789"

    def __post_init__(self) -> None:
        if not self.digits or not set(self.digits) <= set("0123456789"):
            raise ValueError(f"digits must be some of 0123456789, not {self.digits!r}")
        if len(set(self.digits)) < len(self.digits):
            raise ValueError(f"digits must hold each digit once, not {self.digits!r}")
        if self.per_digit < 1 or self._columns_and_pitch()[1] < MIN_BOX:
            raise ValueError(
                f"per_digit must be at least 1, and all boxes must fit on a page: "
                f"{self.per_digit} for each of {len(self.digits)} digits do not"
            )

    @cached_property
    def boxes(self) -> list[Box]:
        """The boxes in the order in which one writes, in millimeters from the page's corner."""
        columns, pitch = self._columns_and_pitch()
        left = (GRID[0] + GRID[2] - columns * pitch + GAP) / 2
        found = []
        for number in range(self.per_digit * len(self.digits)):
            row, column = divmod(number, columns)
            x, y = left + column * pitch, GRID[1] + row * pitch
            label = int(sorted(self.digits)[number // self.per_digit])
            found.append(Box(label, x, y, x + pitch - GAP, y + pitch - GAP))
        return found

    def _columns_and_pitch(self) -> tuple[int, float]:
        """Return how many boxes stand in a row, and the distance from one to the next.

        Boxes are as large as they can be; a row for each digit is worth a seventh of that.
        """
        count = self.per_digit * len(self.digits)
        width, height = GRID[2] - GRID[0], GRID[3] - GRID[1]

        def pitch(columns: int) -> float:
            return min(width / columns, height / ceil(count / columns), MAX_BOX)

        largest = max(range(1, count + 1), key=pitch)
        if pitch(self.per_digit) >= 0.85 * pitch(largest):
            largest = self.per_digit
        return largest, pitch(largest)

    @property
    def markers(self) -> dict[int, tuple[float, float]]:
        """The left and top of each marker, by number."""
        mask = sum(1 << int(digit) for digit in self.digits)
        described = (
            (PER_DIGIT, self.per_digit),
            (LOW_DIGITS, mask % 32),
            (HIGH_DIGITS, mask // 32),
        )
        return PLACES | {zero + value: place for (place, zero), value in described}

    @classmethod
    def from_markers(cls, numbers: set[int]) -> Layout:
        """Return the layout that the markers of a photo describe.

        Raises
        ------
        ValueError
            If one of the three that describe it is missing.
        """
        values = []
        for (_, zero), count in ((PER_DIGIT, 104), (LOW_DIGITS, 32), (HIGH_DIGITS, 32)):
            seen = [number - zero for number in numbers if 0 <= number - zero < count]
            if len(seen) != 1:
                raise ValueError("the three markers beside each other at the top are not all seen")
            values += seen
        mask = values[1] + 32 * values[2]
        return cls(values[0], "".join(str(digit) for digit in range(10) if mask >> digit & 1))


def place_of(number: int) -> tuple[float, float] | None:
    """Return the left and top of the marker with this number, or None if it is none of ours."""
    for place, zero in (HIGH_DIGITS, LOW_DIGITS, PER_DIGIT):
        if number >= zero:
            return place
    return PLACES.get(number)


def boxes(per_digit: int = 10, digits: str = "0123456789") -> list[Box]:
    """Return the boxes of a sheet in the order in which one writes.

    Parameters
    ----------
    per_digit : int, default=10
    digits : str, default="0123456789"
        As for `make_sheet`.

    Returns
    -------
    list of Box
        Each is ``(label, left, top, right, bottom)``, in fractions of the page's width and height.

    Examples
    --------
    >>> first = boxes()[0]
    >>> first.label, 0 < first.left < first.right < 1
    (0, True)
    """
    width, height = PAGE
    return [
        Box(box.label, box.left / width, box.top / height, box.right / width, box.bottom / height)
        for box in Layout(per_digit, digits).boxes
    ]

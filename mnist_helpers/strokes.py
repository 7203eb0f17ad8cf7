"""Digits as pen strokes, in several hands: for trying things out where nobody is there to draw.

A stroke is an array of points ``[n, 2]``, x to the right and y downwards, from pen down to pen up;
a digit is a list of strokes. The canvas keeps drawings in the same form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Strokes = list[np.ndarray]

# Points that the pen passes through, in a box of 100 × 100; a stroke ends where the pen turns
# sharply, and the next one begins there.
_ROUND = {
    0: "50,5 22,18 12,50 22,82 50,95 78,82 88,50 78,18 50,5",
    1: "50,5 50,95",
    2: "18,28 30,10 52,5 75,15 78,35 62,58 35,80 15,94 | 15,94 50,93 85,94",
    3: "20,14 45,5 72,13 75,32 60,45 42,48 | 42,48 65,50 82,65 76,86 50,96 18,86",
    4: "62,5 40,35 14,66 | 14,66 50,65 88,66 | 64,35 64,65 63,96",
    5: "28,8 25,25 22,45 | 22,45 45,38 70,44 82,64 72,86 45,96 17,86 | 28,8 50,7 78,8",
    6: "68,6 42,22 22,50 18,76 34,94 60,93 78,76 68,57 45,54 24,68",
    7: "15,10 50,9 85,10 | 85,10 62,45 42,95",
    8: "72,20 50,6 28,18 34,38 62,54 78,74 62,94 36,93 22,76 38,54 66,38 72,20",
    9: "76,24 52,7 26,18 24,42 48,52 72,38 76,24 | 76,24 74,60 66,95",
}
_CONTINENTAL = {
    0: "58,6 30,14 16,46 24,84 48,95 74,84 84,50 74,16 58,6 50,10",
    1: "24,42 42,26 58,6 | 58,6 58,50 57,96",
    2: "16,26 34,8 60,7 76,24 68,48 42,72 14,95 | 14,95 34,90 58,96 86,90",
    3: "18,10 48,8 76,9 | 76,9 58,28 42,44 | 42,44 68,46 84,66 72,90 42,96 14,84",
    4: "36,6 30,34 16,62 | 16,62 50,61 86,60 | 66,30 65,62 64,97",
    5: "32,9 28,30 24,46 | 24,46 50,40 76,54 78,80 54,96 20,88 | 32,9 56,8 82,6",
    6: "72,8 46,14 26,42 18,72 32,94 58,94 74,78 66,60 44,56 22,70",
    7: "16,12 50,10 84,8 | 84,8 64,44 44,96 | 32,52 52,50 74,48",
    8: "60,8 34,12 28,32 50,46 74,64 70,88 46,96 24,82 34,58 60,44 72,24 60,8",
    9: "74,20 50,6 26,20 28,44 54,50 74,34 74,20 | 74,20 78,56 68,84 44,96 22,90",
}
_SLANTED = {
    0: "64,6 38,16 20,52 22,86 42,95 66,80 82,42 78,12 64,6",
    1: "64,5 52,50 40,96",
    2: "32,24 48,8 72,8 82,24 68,48 38,72 16,90 20,96 32,88 40,92 58,96 80,90",
    3: "34,14 58,5 80,14 74,34 50,46 | 50,46 70,52 74,72 56,92 32,96 14,86",
    4: "52,5 36,36 18,62 | 18,62 48,62 80,60 | 74,28 62,62 50,97",
    5: "46,8 38,28 32,42 | 32,42 56,40 72,58 62,84 38,96 14,90 | 46,8 66,8 88,5",
    6: "78,5 54,22 32,50 22,78 36,95 58,90 68,72 56,60 38,64 26,78",
    7: "26,12 56,12 88,9 | 88,9 62,50 38,96",
    8: "84,14 64,6 46,16 50,36 62,54 60,80 42,96 22,88 26,68 52,48 78,32 84,14",
    9: "82,20 64,6 42,18 38,40 56,46 76,32 82,20 | 82,20 70,60 52,96",
}
_HASTY = {
    0: "44,10 20,28 14,62 32,92 62,92 84,64 82,28 58,8 38,12 30,20",
    1: "46,4 49,40 53,97",
    2: "22,20 46,5 72,14 72,36 48,64 18,92 | 18,92 40,90 64,93 90,88",
    3: "24,10 52,6 70,18 60,36 40,42 62,48 76,66 64,90 36,95 16,84",
    4: "30,8 24,32 22,54 48,58 80,54 | 72,10 68,50 66,96",
    5: "74,8 50,9 30,10 28,40 54,42 74,58 70,82 46,95 20,90",
    6: "56,4 34,28 22,60 26,86 48,96 70,84 68,66 48,60 28,72",
    7: "18,16 40,8 66,10 80,14 70,40 54,70 46,96",
    8: "68,14 44,6 30,22 46,42 68,60 70,84 48,96 28,84 34,62 58,40 70,22 66,10",
    9: "72,14 46,8 28,26 36,46 60,42 74,22 72,50 68,76 64,97",
}
_TECHNICAL = {  # a slashed zero, a one with a foot, a two like a Z
    0: "50,5 22,18 12,50 22,82 50,95 78,82 88,50 78,18 50,5 | 84,8 16,92",
    1: "26,34 50,8 | 50,8 50,94 | 22,94 50,94 78,94",
    2: "18,12 78,12 | 78,12 16,92 | 16,92 84,92",
    3: "18,8 80,8 | 80,8 44,42 | 44,42 72,48 78,74 52,96 16,86",
    4: "40,5 16,64 | 16,64 84,64 | 60,36 60,96",
    5: "78,6 28,6 | 28,6 26,44 | 26,44 54,38 80,62 58,94 18,86",
    6: "40,4 24,60 36,94 68,90 74,64 50,54 26,70",
    7: "14,24 18,8 | 18,8 84,8 | 84,8 44,96 | 30,50 76,50",
    8: "50,48 28,28 50,6 72,28 50,48 22,74 50,96 78,74 50,48",
    9: "74,26 50,6 28,26 50,48 74,26 | 74,26 76,70 56,96 28,92 18,72",
}
_UPSTROKE = {  # a one with a long upstroke
    0: "48,6 24,22 14,52 26,84 52,95 76,80 86,48 74,18 48,6",
    1: "14,60 62,5 | 62,5 50,96",
    2: "18,24 40,6 70,14 68,40 40,70 12,92 40,86 64,92 88,94",
    3: "20,8 74,8 | 74,8 46,40 | 46,40 74,52 76,80 48,96 18,88",
    4: "42,4 18,56 | 18,56 82,50 | 70,26 54,98",
    5: "34,8 28,44 | 28,44 56,38 78,58 68,88 36,96 14,84 | 34,8 80,4",
    6: "64,4 34,34 18,70 36,94 62,90 74,70 54,56 26,70",
    7: "12,18 20,8 84,8 | 84,8 56,50 40,96 | 26,54 76,46",
    8: "70,16 46,6 30,20 44,42 68,62 68,86 44,96 24,82 36,58 62,38 70,16",
    9: "72,24 50,6 26,22 34,46 60,46 72,24 | 72,24 74,66 56,94 24,90",
}
_CURLED = {  # curls at the ends, a nine with a foot
    0: "50,5 22,18 12,50 22,82 50,95 78,82 88,50 78,18 46,3 40,16",
    1: "20,50 56,6 | 56,6 56,95 | 30,95 82,95",
    2: "20,26 34,8 62,6 76,24 60,54 24,88 16,78 34,74 60,94 88,88",
    3: "26,16 50,4 72,20 48,44 | 48,44 76,62 62,92 30,96 14,78",
    4: "34,8 22,44 | 22,44 84,42 | 68,8 62,96",
    5: "80,8 36,8 | 36,8 30,42 62,42 76,66 58,92 20,92",
    6: "72,10 44,8 24,40 20,74 40,95 66,88 72,66 48,54 24,68",
    7: "20,20 24,8 | 24,8 80,8 | 80,8 60,40 52,96",
    8: "48,46 26,28 46,6 70,24 48,46 24,74 48,96 74,76 48,46",
    9: "70,28 48,8 26,28 44,50 70,30 | 70,30 70,70 52,94 24,94 82,94",
}
_PLAIN = {  # a one like half a roof, a barred seven
    0: "50,4 28,20 22,50 28,82 50,96 72,82 78,50 72,18 50,4",
    1: "22,46 64,4 | 64,4 64,96",
    2: "22,22 48,4 76,20 70,48 22,94 | 22,94 80,94",
    3: "22,6 76,6 50,40 | 50,40 78,54 78,84 48,98 18,84",
    4: "56,4 20,60 | 20,60 80,60 | 60,40 56,98",
    5: "74,6 34,6 | 34,6 28,48 | 28,48 60,38 80,62 70,90 42,98 18,86",
    6: "62,4 36,44 24,74 42,96 66,90 72,70 52,56 30,66",
    7: "16,8 84,8 | 84,8 46,96 | 34,48 78,48",
    8: "50,6 30,20 34,38 60,54 74,74 56,96 34,92 26,74 44,54 68,34 68,16 50,6",
    9: "72,20 48,6 28,26 44,48 68,34 | 72,12 70,40 64,96",
}
_OPEN = {  # a four open above, a nine like a g
    0: "56,6 32,14 18,42 24,76 46,95 70,84 84,54 78,22 56,6",
    1: "26,30 56,5 | 56,5 52,96",
    2: "24,22 44,5 70,14 66,42 38,74 18,90 | 18,90 36,82 58,94 82,88",
    3: "26,12 50,4 70,18 58,38 42,44 | 42,44 66,52 74,74 54,94 22,90",
    4: "46,4 34,34 24,62 | 24,62 44,72 72,60 | 66,34 62,66 54,97",
    5: "68,6 38,8 | 38,8 32,40 54,40 68,60 56,88 28,94",
    6: "58,4 34,36 26,70 42,94 64,86 66,64 48,58 30,72",
    7: "20,14 50,10 80,8 | 80,8 62,44 50,96",
    8: "66,12 46,6 34,22 50,40 64,58 62,84 44,96 32,82 42,60 60,36 66,12",
    9: "66,14 46,6 34,22 46,38 64,24 66,14 | 66,14 72,52 64,86 42,96 24,84",
}
_LOOPED = {  # loops, a one with hook and foot, a four in one go
    0: "62,10 38,6 20,36 26,78 50,96 76,76 82,38 62,10 48,18",
    1: "24,34 52,6 | 52,6 50,94 | 28,95 50,94 74,95",
    2: "24,26 40,6 66,12 64,38 40,68 20,88 30,96 46,84 62,92 84,84",
    3: "28,18 44,4 68,14 60,34 44,44 62,46 76,66 60,92 30,96 18,82",
    4: "56,4 34,36 24,66 34,82 58,78 78,66 | 68,44 62,70 60,96",
    5: "76,6 42,6 | 42,6 34,36 | 34,36 56,34 70,52 66,80 46,96 22,86",
    6: "70,4 42,28 24,62 34,92 60,92 70,70 54,56 34,68 30,84",
    7: "18,20 30,8 54,12 82,8 | 82,8 62,46 48,96 | 38,54 76,50",
    8: "72,20 54,6 34,16 40,36 60,52 70,76 52,96 30,84 36,62 58,42 72,20",
    9: "64,10 40,10 30,30 48,44 66,28 64,10 | 64,10 70,50 70,80 50,97 24,92 18,76",
}
_ANGULAR = {  # a one like a tent, a four like a flag, corners everywhere
    0: "48,5 26,30 26,70 48,95 72,72 74,30 48,5",
    1: "8,56 54,5 | 54,5 60,95",
    2: "22,14 66,10 | 66,10 68,34 20,94 | 20,94 82,90",
    3: "22,8 74,8 | 74,8 44,40 | 44,40 72,50 74,84 24,94",
    4: "60,4 18,40 | 18,40 60,42 | 60,4 60,97",
    5: "78,8 30,10 | 30,10 28,46 | 28,46 68,44 72,88 20,92",
    6: "60,5 26,56 28,92 68,92 70,60 30,62",
    7: "12,12 86,10 | 86,10 44,96",
    8: "70,8 30,10 68,56 70,92 28,92 30,58 70,8",
    9: "70,10 30,12 30,44 70,42 | 70,10 68,96",
}
_ORNATE = {  # long upstrokes, curls, a four like a flash: few such are in MNIST
    0: "60,10 24,24 14,60 34,94 70,90 88,56 74,18 46,4 34,22 52,34",
    1: "10,66 60,6 | 60,6 48,96",
    2: "20,30 34,8 66,8 74,34 50,70 18,92 14,80 32,76 56,92 88,86",
    3: "22,14 52,4 72,20 44,42 40,46 74,60 64,92 26,98 10,80 24,72",
    4: "46,4 16,54 | 16,54 78,42 | 78,42 46,98",
    5: "86,4 44,10 30,40 66,50 68,84 34,98 10,86 20,74",
    6: "66,4 26,40 20,80 46,96 70,80 56,62 20,80 10,92",
    7: "10,24 24,8 50,18 86,6 | 86,6 60,44 46,98 | 26,60 82,44",
    8: "84,8 44,4 26,24 60,50 70,80 40,98 20,78 52,52 90,18",
    9: "70,26 46,8 28,28 46,46 72,28 | 72,28 74,66 50,96 20,84 36,70 60,84 92,94",
}
_HANDS = {
    "round": _ROUND,
    "continental": _CONTINENTAL,
    "slanted": _SLANTED,
    "hasty": _HASTY,
    "technical": _TECHNICAL,
    "upstroke": _UPSTROKE,
    "curled": _CURLED,
    "plain": _PLAIN,
    "open": _OPEN,
    "looped": _LOOPED,
    "angular": _ANGULAR,
    "ornate": _ORNATE,
}
HANDS = tuple(_HANDS)
SCHOOL_HANDS = HANDS[:-1]  # the shipped network has learnt these; the ornate hand is new to it


def pen_strokes(
    digit: int, hand: str = "round", size: float = 280, variation: int | None = None
) -> Strokes:
    """Return the strokes with which a hand writes a digit.

    Parameters
    ----------
    digit : int
        0 to 9.
    hand : str
        One of `HANDS`.
    size : float
        Side of the square to write in, in pixels; the digit fills the middle 64 % of it.
    variation : int, optional
        A hand never writes twice the same: each number gives another slant, width, place and
        tremble. None gives the model form.

    Returns
    -------
    list of ndarray of shape [n, 2], dtype float64
        Points in pixels.

    Raises
    ------
    ValueError
        If there is no such digit or hand.
    """
    if hand not in _HANDS:
        raise ValueError(f"no hand {hand!r}: choose one of {', '.join(HANDS)}")
    if digit not in range(10):
        raise ValueError(f"a digit is 0 to 9, not {digit!r}")
    strokes = [_parse(stroke) for stroke in _HANDS[hand][digit].split("|")]
    if variation is not None:
        strokes = _vary(strokes, np.random.default_rng((variation, digit, HANDS.index(hand))))
    return [size * (0.18 + 0.64 * smooth(stroke) / 100) for stroke in strokes]


def _parse(stroke: str) -> np.ndarray:
    """Read ``"x,y x,y …"`` into an array of points."""
    return np.array([point.split(",") for point in stroke.split()], dtype=np.float64)


def _vary(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    """Slant, stretch, turn, shift and tremble, about the middle of the box."""
    angle, slant = rng.normal(0, 0.08), rng.normal(0, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1.0, -slant], [0.0, 1.0]]) @ np.diag(rng.uniform(0.8, 1.15, 2))
    shift = rng.uniform(-5, 5, 2)
    return [
        (points - 50) @ matrix.T + 50 + shift + rng.normal(0, 1.3, points.shape)
        for points in strokes
    ]


def smooth(points: np.ndarray, step: float = 3.0) -> np.ndarray:
    """Lead a smooth curve through the points, one point every `step` units of its length."""
    from scipy.interpolate import CubicSpline

    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(lengths)))
    count = max(2, round(along[-1] / step))
    return CubicSpline(along, points)(np.linspace(0, along[-1], count))


def draw_strokes(
    strokes: Sequence[np.ndarray | Sequence[tuple[float, float]]],
    size: int = 280,
    pen: float | list[float] = 18,
    ink: int = 0,
    paper: int = 255,
) -> Image.Image:
    """Draw strokes with a round pen on a square sheet, with smooth edges.

    Parameters
    ----------
    strokes : list of array-likes of shape [n, 2]
        Points in pixels; a single point is a dot.
    size : int
        Side of the sheet in pixels.
    pen : float or list of floats
        The pen's width in pixels, for all strokes or for each.
    ink, paper : int
        Grey values, 0 to 255.

    Returns
    -------
    PIL.Image.Image
        Mode "L".
    """
    finer = 3
    sheet = Image.new("L", (size * finer, size * finer), paper)
    brush = ImageDraw.Draw(sheet)
    pens = pen if isinstance(pen, list) else [pen] * len(strokes)
    for stroke, width in zip(strokes, pens, strict=True):
        points = [(float(x) * finer, float(y) * finer) for x, y in stroke]
        radius = width * finer / 2
        brush.line(points, fill=ink, width=round(2 * radius))
        for x, y in points:  # round joints and ends
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return sheet.resize((size, size), Image.Resampling.BOX)


def draw_outlined(
    strokes: Strokes, size: int = 280, pen: float = 28, line: float = 6
) -> Image.Image:
    """Draw the outline of strokes with a dark line on white, as in bubble letters.

    Parameters
    ----------
    strokes : list of array-likes of shape [n, 2]
        Points in pixels.
    size : int
        Side of the sheet in pixels.
    pen, line : float
        Width in pixels of what is outlined, and of the line around it.

    Returns
    -------
    PIL.Image.Image
        Mode "L".
    """
    around = draw_strokes(strokes, size, pen + 2 * line)
    inside = draw_strokes(strokes, size, pen)
    return ImageChops.add(around, ImageChops.invert(inside))

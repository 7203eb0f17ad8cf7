"""Digits as pen strokes, in several writing styles: test images without anyone drawing.

A stroke is an array of points ``[n, 2]``, x to the right and y downwards, from pen down to pen up;
a digit is a list of strokes. The canvas keeps drawings in the same form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from .styles import STYLES, TABLES

Strokes = list[np.ndarray]


def pen_strokes(
    digit: int, style: str = "round", size: float = 280, variation: int | None = None
) -> Strokes:
    """Return the pen strokes of a digit in a writing style.

    Parameters
    ----------
    digit : int
        0 to 9.
    style : str, default="round"
        One of `STYLES`.
    size : float, default=280
        Width and height of the square to write in, in pixels; the digit fills its middle 64%.
    variation : int, default=None
        Nobody writes a digit twice the same: each number gives another slant, width, place and
        tremor. None gives the style's template.

    Returns
    -------
    list of ndarray of shape [n, 2], dtype float64
        Points in pixels.

    Raises
    ------
    ValueError
        If there is no such digit or style.
    """
    if style not in TABLES:
        raise ValueError(f"no hand {style!r}: choose one of {', '.join(STYLES)}")
    if digit not in range(10):
        raise ValueError(f"a digit is 0 to 9, not {digit!r}")
    rng = None
    if variation is not None:
        rng = np.random.default_rng((variation, digit, STYLES.index(style)))
    return written(TABLES[style][digit], size, rng)


def written(
    form: str, size: float = 280, rng: np.random.Generator | None = None, tremor: float = 1.3
) -> Strokes:
    """Return the pen strokes of a form.

    Parameters
    ----------
    form : str
        ``"x,y x,y … | x,y …"``: the points that the pen passes through, in a box of 100 × 100, and
        ``|`` where a stroke ends.
    size : float, default=280
        Width and height of the square to write in, in pixels; the box is its middle 64%.
    rng : numpy.random.Generator, default=None
        Slants, stretches, turns, shifts and trembles. None writes the form as it is.
    tremor : float, default=1.3
        Standard deviation of each point, in hundredths of the box.

    Returns
    -------
    list of ndarray of shape [n, 2], dtype float64
        Points in pixels.
    """
    strokes = [_parse(stroke) for stroke in form.split("|")]
    if rng is not None:
        strokes = _vary(strokes, rng, tremor)
    return [size * (0.18 + 0.64 * smooth(stroke) / 100) for stroke in strokes]


def _parse(stroke: str) -> np.ndarray:
    """Read ``"x,y x,y …"`` into an array of points."""
    return np.array([point.split(",") for point in stroke.split()], dtype=np.float64)


def _vary(strokes: Strokes, rng: np.random.Generator, tremor: float) -> Strokes:
    """Slant, stretch, turn, shift and tremble, about the middle of the box."""
    angle, slant = rng.normal(0, 0.08), rng.normal(0, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1.0, -slant], [0.0, 1.0]]) @ np.diag(rng.uniform(0.8, 1.15, 2))
    shift = rng.uniform(-5, 5, 2)
    return [
        (points - 50) @ matrix.T + 50 + shift + rng.normal(0, tremor, points.shape)
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
    size: int | tuple[int, int] = 280,
    pen: float | list[float] = 18,
    ink: int = 0,
    paper: int = 255,
) -> Image.Image:
    """Draw strokes with a round pen on a sheet, with smooth edges.

    Parameters
    ----------
    strokes : list of array-likes of shape [n, 2]
        Points in pixels; a single point is a dot.
    size : int or (int, int), default=280
        Width and height of the sheet in pixels, one number for a square one.
    pen : float or list of floats, default=18
        The pen's width in pixels, for all strokes or for each.
    ink, paper : int, default=0, 255
        Gray values, 0 to 255.

    Returns
    -------
    PIL.Image.Image
        Mode "L".
    """
    finer = 3
    width, height = (size, size) if isinstance(size, int) else size
    sheet = Image.new("L", (width * finer, height * finer), paper)
    brush = ImageDraw.Draw(sheet)
    pens = pen if isinstance(pen, list) else [pen] * len(strokes)
    for stroke, thickness in zip(strokes, pens, strict=True):
        points = [(float(x) * finer, float(y) * finer) for x, y in stroke]
        radius = thickness * finer / 2
        brush.line(points, fill=ink, width=round(2 * radius))
        for x, y in points:  # round joints and ends
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return sheet.resize((width, height), Image.Resampling.BOX)


def draw_outlined(
    strokes: Strokes, size: int = 280, pen: float = 28, line: float = 6
) -> Image.Image:
    """Draw the outline of strokes with a dark line on white, as in bubble letters.

    Parameters
    ----------
    strokes : list of array-likes of shape [n, 2]
        Points in pixels.
    size : int, default=280
        Width and height of the sheet in pixels.
    pen, line : float, default=28, 6
        Width in pixels of what is outlined, and of the line around it.

    Returns
    -------
    PIL.Image.Image
        Mode "L".
    """
    around = draw_strokes(strokes, size, pen + 2 * line)
    inside = draw_strokes(strokes, size, pen)
    return ImageChops.add(around, ImageChops.invert(inside))

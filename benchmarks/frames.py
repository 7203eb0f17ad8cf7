"""Digits of our own pen with things around them: boxes, ruled lines, desks, plots, neighbors.

What people photograph, scan or save has more in it than the digit. Each of `FRAMES` draws one
kind of surroundings around our own pen's digits, in sizes, widths, positions and colors that vary.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from mnist_helpers.strokes import Strokes, draw_strokes, pen_strokes
from mnist_helpers.styles import STYLES

Rng = np.random.Generator


def pen_digit(digit: int, rng: Rng, size: int) -> tuple[Strokes, float]:
    """Return the strokes of a digit that fills about 60% of a square, and the pen's width."""
    strokes = pen_strokes(digit, str(rng.choice(STYLES)), size, int(rng.integers(1 << 30)))
    return strokes, size * rng.uniform(0.025, 0.07)


def draw_framed(kind: str, digit: int, seed: int) -> Image.Image:
    """Draw a digit in one of the `FRAMES`.

    Parameters
    ----------
    kind : str
        One of `FRAMES`.
    digit : int
        0 to 9.
    seed : int
        Decides size, style, pen, colors and position.

    Returns
    -------
    PIL.Image.Image
        Mode "RGB".
    """
    rng = np.random.default_rng((seed, digit, list(FRAMES).index(kind)))
    size = int(rng.integers(110, 320))
    strokes, pen = pen_digit(digit, rng, size)
    paper = int(rng.integers(225, 256))
    sheet = Image.new("RGB", (size, size), (paper,) * 3)
    behind = FRAMES[kind](sheet, rng, pen)
    ink = (
        tuple(rng.integers(0, 70, 3))
        if rng.random() < 0.6
        else (20, 40, int(rng.integers(90, 190)))
    )
    if kind in PLACED:  # the frame is drawn by whatever the digit lies on
        strokes = [PLACED[kind](stroke, size) for stroke in strokes]
    mask = draw_strokes(strokes, size, pen, ink=255, paper=0)
    sheet = behind
    sheet.paste(tuple(int(value) for value in ink), mask=mask)
    return AFTER[kind](sheet, rng) if kind in AFTER else sheet


def _line_color(rng: Rng) -> tuple[int, int, int]:
    """Return a printed line's color: gray, black, or pale blue."""
    if rng.random() < 0.3:
        return (130, 160, int(rng.integers(200, 235)))
    return (int(rng.integers(0, 190)),) * 3


def _line_width(size: int, rng: Rng) -> int:
    return max(1, round(size * rng.uniform(0.005, 0.02)))


def plain(sheet: Image.Image, rng: Rng, pen: float) -> Image.Image:
    """Draw nothing around it."""
    return sheet


def box(sheet: Image.Image, rng: Rng, pen: float) -> Image.Image:
    """Draw a form's box around the digit, sometimes cut by the border of the image."""
    size = sheet.width
    left, top, right, bottom = size * rng.uniform(0.01, 0.13, 4)
    place = (left, top, size - 1 - right, size - 1 - bottom)
    ImageDraw.Draw(sheet).rectangle(place, outline=_line_color(rng), width=_line_width(size, rng))
    return sheet


def grid(sheet: Image.Image, rng: Rng, pen: float) -> Image.Image:
    """Draw two lines each way, as squared paper has, through the digit or beside it."""
    size, color, width = sheet.width, _line_color(rng), _line_width(sheet.width, rng)
    pace = size * rng.uniform(0.35, 0.7)
    draw = ImageDraw.Draw(sheet)
    for axis in (0, 1):
        first = rng.uniform(0.05, 0.95) * (size - pace)
        for at in (first, first + pace):
            ends = [(at, 0), (at, size)] if axis else [(0, at), (size, at)]
            draw.line(ends, fill=color, width=width)
    return sheet


def ruled(sheet: Image.Image, rng: Rng, pen: float) -> Image.Image:
    """Draw a line above the digit and one below; it may stand on the lower one."""
    size, color, width = sheet.width, _line_color(rng), _line_width(sheet.width, rng)
    slope = size * rng.normal(0, 0.01)
    draw = ImageDraw.Draw(sheet)
    for at in (size * rng.uniform(0.02, 0.17), size * rng.uniform(0.78, 0.97)):
        draw.line([(0, at - slope), (size, at + slope)], fill=color, width=width)
    return sheet


def underline(sheet: Image.Image, rng: Rng, pen: float) -> Image.Image:
    """Draw a line below the digit with the same pen."""
    size, at = sheet.width, sheet.width * rng.uniform(0.9, 0.95)
    ends = [
        (size * rng.uniform(0.02, 0.25), at),
        (size * rng.uniform(0.75, 0.98), at + rng.normal(0, 2)),
    ]
    ImageDraw.Draw(sheet).line(ends, fill=(40, 40, 60), width=max(1, round(pen)))
    return sheet


def dot(sheet: Image.Image, rng: Rng, pen: float) -> Image.Image:
    """Draw a point or a comma to the right of the digit, at its foot."""
    size, radius = sheet.width, pen * rng.uniform(0.6, 1.1)
    x, y = size * rng.uniform(0.9, 0.95), size * rng.uniform(0.78, 0.9)
    place = (x - radius, y - radius, x + radius, y + radius * rng.uniform(1, 2.5))
    ImageDraw.Draw(sheet).ellipse(place, fill=(40, 40, 60))
    return sheet


def neighbor(sheet: Image.Image, rng: Rng, pen: float) -> Image.Image:
    """Draw a part of another digit, cut off by the border of the image."""
    size = sheet.width
    strokes, _ = pen_digit(int(rng.integers(10)), rng, size)
    points = np.concatenate(strokes)
    visible = size * rng.uniform(0.03, 0.12)
    left = rng.random() < 0.5
    shift = visible - points[:, 0].max() if left else size - visible - points[:, 0].min()
    mask = draw_strokes([stroke + np.array([shift, 0]) for stroke in strokes], size, pen, 255, 0)
    sheet.paste((40, 40, 60), mask=mask)
    return sheet


def margin(sheet: Image.Image, rng: Rng, pen: float) -> Image.Image:
    """Lay a dark band along one side, as where a page ends."""
    size = sheet.width
    color = (int(rng.integers(0, 110)),) * 3
    wide = round(size * rng.uniform(0.03, 0.16))
    lean = round(size * rng.normal(0, 0.008))
    band = [(size - wide + lean, 0), (size, 0), (size, size), (size - wide - lean, size)]
    ImageDraw.Draw(sheet).polygon(band, fill=color)
    return sheet.rotate(90 * int(rng.integers(4)))


def _on_desk(sheet: Image.Image, rng: Rng) -> Image.Image:
    """Lay the sheet on a dark desk, a little turned."""
    size = sheet.width
    color = tuple(int(value) for value in rng.integers(15, 100, 3))
    wide = round(size * rng.uniform(1.15, 1.8))
    desk = Image.new("RGB", (wide, wide), color)
    angle = rng.normal(0, 4)
    turned = sheet.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    cover = Image.new("L", sheet.size, 255).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    free = max(0, wide - turned.width)
    desk.paste(turned, (int(rng.integers(free + 1)), int(rng.integers(free + 1))), cover)
    grain = rng.normal(0, 3, (wide, wide, 1))
    return Image.fromarray((np.asarray(desk) + grain).clip(0, 255).astype(np.uint8))


def _in_plot(sheet: Image.Image, rng: Rng) -> Image.Image:
    """Show the drawing with matplotlib's `imshow`, as notebooks do, with ticks or without."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(float(rng.uniform(2, 5)), 3), dpi=int(rng.integers(60, 110)))
    axes = figure.subplots()
    pixels = np.asarray(
        sheet.convert("L").resize((28, 28)) if rng.random() < 0.5 else sheet.convert("L")
    )
    axes.imshow(pixels, cmap="gray" if rng.random() < 0.6 else "gray_r", vmin=0, vmax=255)
    if rng.random() < 0.5:
        axes.set(xticks=[], yticks=[])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _raised(stroke: np.ndarray, size: int) -> np.ndarray:
    return stroke - [0, 0.04 * size]


Frame = Callable[[Image.Image, Rng, float], Image.Image]
FRAMES: dict[str, Frame] = {
    "plain": plain,
    "box": box,
    "grid": grid,
    "ruled": ruled,
    "desk": plain,
    "margin": margin,
    "plot": plain,
    "neighbor": neighbor,
    "underline": underline,
    "dot": dot,
}
AFTER: dict[str, Callable[[Image.Image, Rng], Image.Image]] = {"desk": _on_desk, "plot": _in_plot}
PLACED = {"underline": _raised}

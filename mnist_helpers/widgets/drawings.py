"""Drawings of the canvas: their strokes checked, painted in the browser, kept in files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import ipycanvas
import ipywidgets as widgets
import numpy as np

from ..files import atomic_write
from ..preprocess import BlankImageError
from ..strokes import draw_strokes

INK, PAPER, FRAME = "#101030", "#ffffff", "#888888"
PREVIEW = 140  # width and height, in pixels, of the image that the network sees
Points = list[tuple[float, float]]


class Sheet(ipycanvas.Canvas):
    """The sheet that Python paints; its pen events come where `browser.Ink` cannot run.

    Parameters
    ----------
    width, height : int
        In pixels.
    down, move, up : callables
        Called with x and y when the pen, or the only finger, is put down, moved, and lifted.
    """

    def __init__(
        self, width: int, height: int, down: Callable, move: Callable, up: Callable
    ) -> None:
        layout = widgets.Layout(width=f"{width}px", height=f"{height}px")
        super().__init__(width=width, height=height, layout=layout)
        self.add_class("mnist-digit-canvas")
        self.on_mouse_down(down)
        self.on_mouse_move(move)
        self.on_mouse_up(up)
        self.on_mouse_out(up)

        def finger_down(places: Points, *_ids: Any) -> None:
            if len(places) == 1:  # a second finger does not draw
                down(*places[0])

        def finger_move(places: Points, *_ids: Any) -> None:
            if places:
                move(*places[0])

        def finger_up(*_places_and_ids: Any) -> None:
            up()  # whichever finger is lifted: no line jumps to the other one

        self.on_touch_start(finger_down)
        self.on_touch_move(finger_move)
        self.on_touch_end(finger_up)
        self.on_touch_cancel(finger_up)

    def repaint(self, strokes: Sequence[Points], pens: Sequence[int]) -> None:
        """Paint the empty sheet, and all strokes on it."""
        with ipycanvas.hold_canvas():
            self.fill_style = PAPER
            self.fill_rect(0, 0, self.width, self.height)
            self.line_width, self.stroke_style = 1, FRAME
            self.stroke_rect(0.5, 0.5, self.width - 1, self.height - 1)
            for stroke, pen in zip(strokes, pens, strict=True):
                self.paint(stroke, pen)

    def paint(self, points: Points, pen: int) -> None:
        """Paint one stroke, or its last part."""
        self.stroke_style = self.fill_style = INK
        self.line_width, self.line_cap = pen, "round"
        self.line_join = "round"
        if len(points) == 1:
            self.fill_circle(*points[0], pen / 2)
        else:
            self.stroke_lines(points)


def checked_stroke(stroke: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return a stroke as a list of points, or say why it is not one."""
    points = np.asarray(stroke, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"a stroke is a list of points (x, y), not {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("a stroke's points must be finite numbers")
    return [(float(x), float(y)) for x, y in points]


def save_drawing(
    folder: Path, label: int, strokes: Sequence[Points], pens: Sequence[int], size: int
) -> Path:
    """Write a drawing as PNG and, beside it, its strokes as JSON; return the image's path.

    Raises
    ------
    ValueError
        If the label is not a digit, or the drawing is empty.
    """
    whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
    if not whole or label not in range(10):
        raise ValueError(f"a label is a digit from 0 to 9, not {label!r}")
    if not strokes:
        raise BlankImageError("the canvas is empty: draw a digit before saving it")
    path = folder / str(label) / f"{datetime.now():%Y%m%d-%H%M%S-%f}.png"
    with atomic_write(path) as part:
        draw_strokes([np.array(points) for points in strokes], size, list(pens)).save(part, "PNG")
    content = {"label": int(label), "size": size, "pens": pens, "strokes": strokes}
    with atomic_write(path.with_suffix(".json")) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
    return path


def count_drawings(folder: Path) -> list[int]:
    """Return how many drawings a folder has under each label."""
    return [len([*folder.glob(f"{label}/*.png")]) for label in range(10)]

"""A canvas in the notebook: draw a digit, and see the network's prediction as you draw."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any, Protocol

import ipycanvas
import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw

from ..files import atomic_write, outputs_folder
from ..prediction import MNISTPredictor, Prediction
from ..preprocess import BlankImageError, ImageLike
from ..strokes import draw_strokes
from .base import StaticFallbackBox, busy_notice, png

INK, PAPER, FRAME = "#101030", "#ffffff", "#888888"
PAUSE = 0.1  # seconds between two predictions while the pen is moving
PREVIEW = 140  # width and height, in pixels, of the image that the network sees


class Predictor(Protocol):
    """Anything that predicts the digit in an image, as `MNISTPredictor` does."""

    def predict(self, image: ImageLike) -> Prediction:
        """Predict the digit in an image."""


def show_errors(method: Callable) -> Callable:
    """Show an error of a browser's event in the widget, where it would be lost otherwise."""

    @wraps(method)
    def shown(self: DigitCanvas, *arguments: Any) -> None:
        try:
            method(self, *arguments)
        except Exception as error:  # whatever a predictor may raise is told to the user
            self._say(f"{type(error).__name__}: {error}")

    return shown


class DigitCanvas(StaticFallbackBox):
    """Draw a digit with mouse, pen or finger; the network predicts as you draw.

    The drawing is kept as strokes, and turned into an image in Python, so that it needs no pixels
    back from the browser: drawn from code, it gives the same prediction everywhere. A sheet that
    the browser runs by itself (`browser.Ink`) lies over the ipycanvas one: ink, undo and clear
    appear at once, even while the kernel is busy, and the prediction follows when it is free.

    Parameters
    ----------
    predictor : object with ``predict(image) -> Prediction``, default=None
        If None, `MNISTPredictor` with the pretrained weights.
    size : int, default=280
        Width and height of the canvas in pixels.
    brush : int, default=18
        Width of the pen in pixels.
    collect : bool or path, default=False
        Whether there are buttons that save the drawing under a label, clear the canvas, and count.
        A path is the folder to save to; True is ``outputs/my_digits`` in the project.

    Examples
    --------
    >>> from mnist_helpers.strokes import pen_strokes
    >>> canvas = DigitCanvas()
    >>> canvas.draw(pen_strokes(3))
    >>> canvas.prediction.digit
    3
    """

    def __init__(
        self,
        predictor: Predictor | None = None,
        size: int = 280,
        brush: int = 18,
        collect: bool | str | Path = False,
    ) -> None:
        self.predictor = predictor or MNISTPredictor()
        self.size = size
        self.folder = Path(collect) if isinstance(collect, (str, Path)) else None
        self.prediction: Prediction | None = None
        self._strokes: list[list[tuple[float, float]]] = []
        self._pens: list[int] = []
        self._by_code = False  # a drawing of which a person's first stroke leaves nothing
        self._drawing = False
        self._predicted_at = 0.0
        super().__init__()
        self._build(brush, bool(collect))
        self._show()

    @property
    def strokes(self) -> list[np.ndarray]:
        """The drawing: a float array of points ``[n, 2]`` in pixels for each stroke."""
        return [np.array(stroke, dtype=np.float64) for stroke in self._strokes]

    @property
    def drawing(self) -> Image.Image:
        """The drawing as a gray image, dark ink on white."""
        return draw_strokes(self.strokes, self.size, list(self._pens))

    @property
    def image(self) -> np.ndarray | None:
        """What the network sees, uint8 ``[28, 28]``; None while the canvas is empty."""
        return self.prediction.image if self.prediction else None

    def draw(self, strokes: Sequence[Sequence[Sequence[float]]], add: bool = False) -> None:
        """Draw strokes from code, and predict. A person's first stroke then starts a new drawing.

        Parameters
        ----------
        strokes : sequence of array-likes of shape [n, 2]
            Points (x to the right, y downwards) in pixels of the canvas.
        add : bool, default=False
            Draw over what is there instead of clearing the canvas first.

        Raises
        ------
        ValueError
            If a stroke is not a list of points.
        """
        given = [_checked(stroke) for stroke in strokes]
        if not add:
            self._strokes.clear()
            self._pens.clear()
        self._strokes += given
        self._pens += [self._brush.value] * len(given)
        self._by_code, self._drawing = True, False
        self._repaint()
        self._predict()

    def clear(self) -> None:
        """Wipe the canvas."""
        self.draw([])

    def undo(self) -> None:
        """Take the last stroke back."""
        if self._strokes:
            self._strokes.pop()
            self._pens.pop()
        self._drawing = False
        self._repaint()
        self._predict()

    def save(self, label: int, folder: str | Path | None = None) -> Path:
        """Keep the drawing under its label, to measure or to fine-tune on (notebook 07).

        Writes ``<folder>/<label>/<time>.png`` and, beside it, the strokes as JSON.

        Parameters
        ----------
        label : int
            The digit that was meant, 0 to 9.
        folder : path, default=None
            If None, the canvas's own (`collect`), or ``outputs/my_digits`` in the project.

        Returns
        -------
        Path
            Of the image.

        Raises
        ------
        ValueError
            If the label is not a digit, or the canvas is empty.
        """
        path = self._save(label, self._strokes, self._pens, folder)
        self._count_saved()
        return path

    def to_png(self) -> bytes:
        """Return the drawing, and beside it what the network sees, as a PNG."""
        sheet = Image.new("L", (self.size + PREVIEW + 16, max(self.size, PREVIEW)), 255)
        sheet.paste(self.drawing, (0, 0))
        sheet.paste(_enlarged(self.image), (self.size + 16, 0))
        ImageDraw.Draw(sheet).rectangle((0, 0, self.size - 1, self.size - 1), outline=136)
        return png(sheet)

    def alt_text(self) -> str:
        """Say what is drawn, and what the network predicts."""
        if self.prediction is None:
            return "DigitCanvas: an empty sheet to draw a digit on"
        digit, confidence, _ = self.prediction
        return f"DigitCanvas: a drawing, predicted as {digit} with a confidence of {confidence:.0%}"

    def _build(self, brush: int, collect: bool) -> None:
        """Make the widgets and connect them."""
        from .browser import Ink  # anywidget, which the first widget that is built needs

        self._brush = widgets.IntSlider(
            brush, 4, 40, description="Pen", layout=widgets.Layout(width="170px"), readout=False
        )
        self._upload = widgets.FileUpload(
            accept="image/*", description="Image", tooltip="Predict an image from a file instead"
        )
        self._upload.layout.width = "110px"
        self._brush.style.description_width = "2em"
        self._upload.observe(self._on_upload, "value")
        self._canvas = self._build_canvas()
        self._ink = Ink(size=self.size, pen=brush, counts=[0] * 10 if collect else [])
        self._ink.observe(self._on_ink, "value")
        self._ink.on_msg(self._on_message)
        self._pen_link = widgets.jsdlink((self._brush, "value"), (self._ink, "pen"))
        self._count_saved()

        self._answer, self._bars, self._message = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._answer.add_class("mnist-digit-answer")
        self._seen = widgets.Image(
            format="png", layout=widgets.Layout(width=f"{PREVIEW}px", height=f"{PREVIEW}px")
        )
        caption = widgets.HTML("<small>what the network sees</small>")
        self._count = widgets.HTML()
        self._count.add_class("mnist-digit-strokes")
        answer = widgets.VBox([self._answer, self._seen, caption, self._count])
        note = busy_notice([self._ink, self._upload])
        tools = widgets.HBox([self._upload, self._brush])
        drawn = widgets.VBox([self._canvas, self._ink, note, tools])
        sheet = widgets.HBox([drawn, answer, self._bars])
        sheet.layout.align_items = "flex-start"
        sheet.layout.grid_gap = "16px"
        self.children: tuple[widgets.Widget, ...] = (sheet, self._message)
        self._repaint()

    def _build_canvas(self) -> ipycanvas.Canvas:
        """Return the canvas that Python draws on; its events come where `Ink` cannot run."""
        side = f"{self.size}px"
        canvas = ipycanvas.Canvas(
            width=self.size,
            height=self.size,
            layout=widgets.Layout(width=side, height=side),
        )
        canvas.add_class("mnist-digit-canvas")
        canvas.on_mouse_down(self._pen_down)
        canvas.on_mouse_move(self._pen_move)
        canvas.on_mouse_up(self._pen_up)
        canvas.on_mouse_out(self._pen_up)
        canvas.on_touch_start(self._finger_down)
        canvas.on_touch_move(self._finger_move)
        canvas.on_touch_end(self._finger_up)
        canvas.on_touch_cancel(self._finger_up)
        return canvas

    def _repaint(self) -> None:
        """Draw all strokes on the canvas in the browser, and on the sheet over it."""
        with ipycanvas.hold_canvas():
            self._canvas.fill_style = PAPER
            self._canvas.fill_rect(0, 0, self.size, self.size)
            self._canvas.line_width, self._canvas.stroke_style = 1, FRAME
            self._canvas.stroke_rect(0.5, 0.5, self.size - 1, self.size - 1)
            for stroke, pen in zip(self._strokes, self._pens, strict=True):
                self._paint(stroke, pen)
        self._ink.value = {
            "strokes": [[list(point) for point in stroke] for stroke in self._strokes],
            "pens": list(self._pens),
            "by_code": self._by_code,
        }

    def _paint(self, points: list[tuple[float, float]], pen: int) -> None:
        """Draw one stroke, or its last part, on the canvas in the browser."""
        self._canvas.stroke_style = self._canvas.fill_style = INK
        self._canvas.line_width, self._canvas.line_cap = pen, "round"
        self._canvas.line_join = "round"
        if len(points) == 1:
            self._canvas.fill_circle(*points[0], pen / 2)
        else:
            self._canvas.stroke_lines(points)

    def _show(self) -> None:
        """Show the prediction, or that there is none yet."""
        prediction = self.prediction
        probs = prediction.probs if prediction else np.zeros(10)
        best = prediction.digit if prediction else None
        self._bars.value = _bars_as_html(probs, best)
        if prediction is None:
            text = "<span style='font-size: 1.2em'>Draw a digit</span>"
        else:
            doubt = "" if prediction.is_confident else " <small>not confident</small>"
            text = (
                f"<span style='font-size: 2.2em'><b>{best}</b></span> "
                f"{prediction.confidence:.0%}{doubt}"
            )
        self._answer.value = f"<div role='status' aria-live='polite'>{text}</div>"
        self._seen.value = png(_enlarged(self.image))
        count = len(self._strokes)
        self._count.value = f"<small>{count} stroke{'' if count == 1 else 's'}</small>"

    def _say(self, message: str) -> None:
        """Show a message below the canvas."""
        self._message.value = f"<span role='alert'>{escape(message)}</span>" if message else ""

    def _predict(self) -> None:
        """Predict from the drawing as it is now."""
        self.prediction = None  # nothing of an earlier drawing stays if the predictor fails
        try:
            if self._strokes:
                self.prediction = self.predictor.predict(self.drawing)
            self._say("")
        finally:
            self._predicted_at = time.monotonic()  # when it ended: a slow predictor gets no queue
            self._show()

    def _save(
        self,
        label: int,
        strokes: list[list[tuple[float, float]]],
        pens: list[int],
        folder: str | Path | None = None,
    ) -> Path:
        """Write a drawing and its strokes."""
        whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
        if not whole or label not in range(10):
            raise ValueError(f"a label is a digit from 0 to 9, not {label!r}")
        if not strokes:
            raise BlankImageError("the canvas is empty: draw a digit before saving it")
        folder = self._folder() if folder is None else Path(folder)
        path = folder / str(label) / f"{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        with atomic_write(path) as part:
            draw_strokes(strokes, self.size, list(pens)).save(part, format="PNG")
        content = {"label": int(label), "size": self.size, "pens": pens, "strokes": strokes}
        with atomic_write(path.with_suffix(".json")) as part:
            part.write_text(json.dumps(content), encoding="utf-8")
        return path

    def _folder(self) -> Path:
        """Return the folder to save to."""
        return self.folder or outputs_folder("my_digits")

    def _count_saved(self) -> None:
        """Show how many digits the folder has under each label, if there are buttons to save."""
        if self._ink.counts:
            folder = self._folder()
            self._ink.counts = [len([*folder.glob(f"{label}/*.png")]) for label in range(10)]

    @show_errors
    def _on_ink(self, change: dict[str, Any]) -> None:
        """Take over the drawing that a person has made on the sheet in the browser."""
        value = change["new"]
        strokes, pens = [_checked(stroke) for stroke in value["strokes"]], list(value["pens"])
        if (strokes, pens) == (self._strokes, self._pens):
            return  # our own doing
        self._strokes, self._pens, self._by_code = strokes, pens, bool(value["by_code"])
        self._predict()

    def _on_message(self, _ink: widgets.Widget, content: dict[str, Any], _buffers: Any) -> None:
        """Save a drawing under the label whose button was pressed."""
        if "save" not in content:
            return
        try:
            self._save(content["save"], content["strokes"], content["pens"])
            self._count_saved()
        except Exception as error:  # the button must not wait forever
            self._ink.send({"failed": content["save"]})
            self._say(f"not saved: {type(error).__name__}: {error}")

    @show_errors
    def _pen_down(self, x: float, y: float) -> None:
        if self._by_code:
            self.clear()
            self._by_code = False
        self._drawing = True
        self._strokes.append([(x, y)])
        self._pens.append(self._brush.value)
        self._paint(self._strokes[-1], self._pens[-1])

    @show_errors
    def _pen_move(self, x: float, y: float) -> None:
        if not self._drawing:
            return
        stroke = self._strokes[-1]
        stroke.append((x, y))
        self._paint(stroke[-2:], self._pens[-1])
        if time.monotonic() - self._predicted_at > PAUSE:
            self._predict()  # the newest state; the events in between are drawn only

    @show_errors
    def _pen_up(self, *_place: float) -> None:
        if self._drawing:
            self._drawing = False
            self._repaint()
            self._predict()

    def _finger_down(self, places: list[tuple[float, float]], *_ids: Any) -> None:
        if len(places) == 1:  # a second finger does not draw
            self._pen_down(*places[0])

    def _finger_move(self, places: list[tuple[float, float]], *_ids: Any) -> None:
        if places:
            self._pen_move(*places[0])

    def _finger_up(self, *_places_and_ids: Any) -> None:
        self._pen_up()  # whichever finger is lifted: no line jumps to the other one

    @show_errors
    def _on_upload(self, change: dict[str, Any]) -> None:
        files = change["new"]
        if not files:
            return
        first = next(iter(files.values() if isinstance(files, dict) else files))
        self.clear()
        self.prediction = self.predictor.predict(bytes(first["content"]))
        self._show()


def _checked(stroke: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return a stroke as a list of points, or say why it is not one."""
    points = np.asarray(stroke, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"a stroke is a list of points (x, y), not {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("a stroke's points must be finite numbers")
    return [(float(x), float(y)) for x, y in points]


def _bars_as_html(probs: np.ndarray, best: int | None) -> str:
    """Return ten horizontal bars as an HTML table that follows the notebook's theme."""
    rows = []
    for digit, probability in enumerate(probs):
        color = "#0173b2" if digit == best else "#949494"
        rows.append(
            f"<tr><td>{digit}</td><td style='width:120px'><div style='background:{color};"
            f"height:12px;width:{max(0.01, probability):.0%}'></div></td>"
            f"<td style='text-align:right;min-width:3em'>{probability:.0%}</td></tr>"
        )
    return f"<table aria-label='probability of each digit'>{''.join(rows)}</table>"


def _enlarged(image: np.ndarray | None) -> Image.Image:
    """Return the 28×28 image, or a black one, with visible pixels."""
    pixels = np.zeros((28, 28), np.uint8) if image is None else image
    return Image.fromarray(pixels).resize((PREVIEW, PREVIEW), Image.Resampling.NEAREST)

"""A canvas in the notebook: draw a digit, and see the network's prediction as you draw."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any, Protocol

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw

from ..decode import encode_png
from ..files import outputs_folder
from ..prediction import MNISTPredictor, NumberPrediction, Prediction
from ..preprocess import ImageLike
from ..strokes import draw_strokes
from .answers import (
    SEEN,
    answer_html,
    bars_html,
    enlarged,
    labeled_boxes,
    network_input,
    with_boxes,
)
from .base import StaticFallbackBox, busy_notice
from .drawings import PREVIEW, Sheet, checked_stroke, count_drawings, save_drawing

NUMBER_ASPECT = 2.5  # width by height of a canvas for numbers
PAUSE = 0.1  # seconds between two predictions while the pen is moving


class Predictor(Protocol):
    """Anything that predicts the digit in an image, as `MNISTPredictor` does."""

    def predict(self, image: ImageLike) -> Prediction:
        """Predict the digit in an image."""


class NumberPredictor(Protocol):
    """Anything that predicts the number in an image, as `MNISTPredictor` does."""

    def predict_number(self, image: ImageLike) -> NumberPrediction:
        """Predict the number in an image."""


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
        If None, `MNISTPredictor` with the pretrained weights. With `numbers`, an object with
        ``predict_number(image) -> NumberPrediction``.
    size : int, default=280
        Width and height of the canvas in pixels; for numbers it is 2.5 times as wide.
    brush : int, default=18
        Width of the pen in pixels.
    collect : bool or path, default=False
        Whether there are buttons that save the drawing under a label, clear the canvas, and count.
        A path is the folder to save to; True is ``outputs/my_digits`` in the project.
    numbers : bool, default=False
        Whether one draws a number, several digits in a row. `prediction` is a `NumberPrediction`
        then, whose boxes appear on the canvas.

    Raises
    ------
    ValueError
        If numbers are to be collected: they have no label from 0 to 9.

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
        predictor: Predictor | NumberPredictor | None = None,
        size: int = 280,
        brush: int = 18,
        collect: bool | str | Path = False,
        numbers: bool = False,
    ) -> None:
        if numbers and collect:
            raise ValueError("numbers cannot be collected: they have no label from 0 to 9")
        self.predictor: Any = predictor or MNISTPredictor()
        self.size = size
        self.numbers = numbers
        self.folder = Path(collect) if isinstance(collect, (str, Path)) else None
        self.prediction: Prediction | NumberPrediction | None = None
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
    def width(self) -> int:
        """The canvas's width in pixels; its height is `size`."""
        return round(NUMBER_ASPECT * self.size) if self.numbers else self.size

    @property
    def drawing(self) -> Image.Image:
        """The drawing as a gray image, dark ink on white."""
        return draw_strokes(self.strokes, (self.width, self.size), list(self._pens))

    @property
    def image(self) -> np.ndarray | None:
        """What the network sees, uint8 ``[28, 28]``; None while the canvas is empty.

        Of a number its digits beside each other, uint8 ``[28, 28 * digits]``.
        """
        return network_input(self.prediction)

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
        given = [checked_stroke(stroke) for stroke in strokes]
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
            If the label is not a digit, the canvas is empty, or is one for numbers.
        """
        if self.numbers:
            raise ValueError("a number has no label from 0 to 9: save digits one by one")
        where = self._folder() if folder is None else Path(folder)
        path = save_drawing(where, label, self._strokes, self._pens, self.size)
        self._count_saved()
        return path

    def to_png(self) -> bytes:
        """Return the drawing, and beside it what the network sees, as a PNG."""
        drawing, seen = with_boxes(self.drawing, self.prediction), enlarged(self.image)
        height = max(self.size, seen.height)
        sheet = Image.new(drawing.mode, (self.width + 16 + seen.width, height), "white")
        sheet.paste(drawing, (0, 0))
        sheet.paste(seen, (self.width + 16, 0))
        frame = (0, 0, self.width - 1, self.size - 1)
        ImageDraw.Draw(sheet).rectangle(frame, outline="#888888")
        return encode_png(sheet)

    def alt_text(self) -> str:
        """Say what is drawn, and what the network predicts."""
        found = self.prediction
        if found is None:
            what = "number" if self.numbers else "digit"
            return f"DigitCanvas: an empty sheet to draw a {what} on"
        text = found.text if isinstance(found, NumberPrediction) else found.digit
        return (
            f"DigitCanvas: a drawing, predicted as {text} with a confidence of "
            f"{found.confidence:.0%}"
        )

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
        width, height = self.width, self.size
        self._canvas = Sheet(width, height, self._pen_down, self._pen_move, self._pen_up)
        counts = [0] * 10 if collect else []
        self._ink = Ink(width=width, height=height, pen=brush, counts=counts)
        self._ink.observe(self._on_ink, "value")
        self._ink.on_msg(self._on_message)
        self._pen_link = widgets.jsdlink((self._brush, "value"), (self._ink, "pen"))
        self._count_saved()

        self._answer, self._bars, self._message = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._answer.add_class("mnist-digit-answer")
        self._seen = widgets.Image(format="png")
        self._seen.layout.align_self = "flex-start"  # and not as wide as the text beside it
        caption = widgets.HTML("<small>what the network sees</small>")
        self._count = widgets.HTML()
        self._count.add_class("mnist-digit-strokes")
        answer = widgets.VBox([self._answer, self._seen, caption, self._count])
        note = busy_notice([self._ink, self._upload])
        tools = widgets.HBox([self._upload, self._brush])
        drawn = widgets.VBox([self._canvas, self._ink, note, tools])
        if self.numbers:
            sheet = widgets.VBox([drawn, widgets.HBox([answer, self._bars])])
        else:
            sheet = widgets.HBox([drawn, answer, self._bars])
            sheet.layout.flex_flow = "row wrap"  # in a narrow window the bars go below
        for part in (drawn, answer, self._bars):
            part.layout.flex = "0 0 auto"  # a canvas that shrank would be cut, ink and all
        sheet.layout.align_items = "flex-start"
        sheet.layout.grid_gap = "16px"
        self.children: tuple[widgets.Widget, ...] = (sheet, self._message)
        self._repaint()

    def _repaint(self) -> None:
        """Draw all strokes on the canvas in the browser, and on the sheet over it."""
        self._canvas.repaint(self._strokes, self._pens)
        self._ink.value = {
            "strokes": [[list(point) for point in stroke] for stroke in self._strokes],
            "pens": list(self._pens),
            "by_code": self._by_code,
        }

    def _show(self) -> None:
        """Show the prediction, or that there is none yet."""
        found = self.prediction
        self._answer.value = answer_html(found, f"Draw a {'number' if self.numbers else 'digit'}")
        self._bars.value = bars_html(found)
        seen = enlarged(self.image, SEEN if self.numbers else PREVIEW)
        self._seen.layout.width, self._seen.layout.height = f"{seen.width}px", f"{seen.height}px"
        self._seen.value = encode_png(seen)
        self._ink.boxes = labeled_boxes(found) if self._strokes else []
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
                self.prediction = self._ask(self.drawing)
            self._say("")
        finally:
            self._predicted_at = time.monotonic()  # when it ended: a slow predictor gets no queue
            self._show()

    def _ask(self, image: ImageLike) -> Prediction | NumberPrediction:
        """Return what the predictor says of an image."""
        return (self.predictor.predict_number if self.numbers else self.predictor.predict)(image)

    def _folder(self) -> Path:
        """Return the folder to save to."""
        return self.folder or outputs_folder("my_digits")

    def _count_saved(self) -> None:
        """Show how many digits the folder has under each label, if there are buttons to save."""
        if self._ink.counts:
            self._ink.counts = count_drawings(self._folder())

    @show_errors
    def _on_ink(self, change: dict[str, Any]) -> None:
        """Take over the drawing that a person has made on the sheet in the browser."""
        value = change["new"]
        strokes, pens = [checked_stroke(stroke) for stroke in value["strokes"]], list(value["pens"])
        if (strokes, pens) == (self._strokes, self._pens):
            return  # our own doing
        self._strokes, self._pens, self._by_code = strokes, pens, bool(value["by_code"])
        self._predict()

    def _on_message(self, _ink: widgets.Widget, content: dict[str, Any], _buffers: Any) -> None:
        """Save a drawing under the label whose button was pressed."""
        if "save" not in content:
            return
        try:
            drawing = (content["save"], content["strokes"], content["pens"])
            save_drawing(self._folder(), *drawing, self.size)
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
        self._canvas.paint(self._strokes[-1], self._pens[-1])

    @show_errors
    def _pen_move(self, x: float, y: float) -> None:
        if not self._drawing:
            return
        stroke = self._strokes[-1]
        stroke.append((x, y))
        self._canvas.paint(stroke[-2:], self._pens[-1])
        if time.monotonic() - self._predicted_at > PAUSE:
            self._predict()  # the newest state; the events in between are drawn only

    @show_errors
    def _pen_up(self, *_place: float) -> None:
        if self._drawing:
            self._drawing = False
            self._repaint()
            self._predict()

    @show_errors
    def _on_upload(self, change: dict[str, Any]) -> None:
        files = change["new"]
        if not files:
            return
        first = next(iter(files.values() if isinstance(files, dict) else files))
        self.clear()
        self.prediction = self._ask(bytes(first["content"]))
        self._show()

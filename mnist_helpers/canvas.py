"""A canvas in the notebook: draw a digit, and watch the network read it."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, Protocol

import ipycanvas
import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw

from .paths import outputs_folder, replacing
from .prediction import MNISTPredictor, Prediction
from .preprocess import EmptyPictureError, Picture
from .strokes import draw_strokes

INK, PAPER = "#101030", "#ffffff"
PAUSE = 0.1  # seconds between two readings while the pen is moving
SEEN = 140  # side, in pixels, of the picture that the network sees


class Predictor(Protocol):
    """Anything that reads a digit in a picture, as `MNISTPredictor` does."""

    def predict(self, picture: Picture) -> Prediction:
        """Read the digit in a picture."""


def errors_shown(method: Callable) -> Callable:
    """Show an error of a browser's event in the widget, where it would be lost otherwise."""

    @wraps(method)
    def shown(self: DigitCanvas, *arguments: Any) -> None:
        try:
            method(self, *arguments)
        except Exception as error:  # whatever a predictor may raise is told to the user
            self._say(f"{type(error).__name__}: {error}")

    return shown


class PicturedBox(widgets.VBox):
    """Widgets that leave a picture of themselves where no kernel answers them.

    Beside the view of the widgets it offers its state as PNG, with a text, and each front end takes
    the richest that it can show: Jupyter the widgets, a page without a kernel or a PDF the picture.
    """

    _ipython_display_ = None  # ipywidgets 7 would show its widgets there, and nothing else

    def picture_of_state(self) -> bytes:
        """Return what it shows now as a PNG."""
        raise NotImplementedError

    def words(self) -> str:
        """Say what it shows now in a sentence."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what IPython sends to a front end, and what it says about it."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        data = {
            "text/plain": self.words(),
            "image/png": base64.b64encode(self.picture_of_state()).decode(),
            "application/vnd.jupyter.widget-view+json": view,
        }
        return data, {"image/png": {"alt": self.words()}}


class DigitCanvas(PicturedBox):
    """Draw a digit with mouse, pen or finger; the network reads along.

    The drawing is kept as strokes, and turned into a picture in Python, so that it needs no pixels
    back from the browser: drawn from code, it gives the same prediction everywhere.

    Parameters
    ----------
    predictor : object with ``predict(picture) -> Prediction``, optional
        Default: `MNISTPredictor` with the weights that ship.
    size : int
        Side of the canvas in pixels.
    brush : int
        Width of the pen in pixels.

    Examples
    --------
    >>> from mnist_helpers.strokes import pen_strokes
    >>> canvas = DigitCanvas()
    >>> canvas.draw(pen_strokes(3))
    >>> canvas.prediction.digit
    3
    """

    def __init__(
        self, predictor: Predictor | None = None, size: int = 280, brush: int = 18
    ) -> None:
        self.predictor = predictor or MNISTPredictor()
        self.size = size
        self.prediction: Prediction | None = None
        self._strokes: list[list[tuple[float, float]]] = []
        self._pens: list[int] = []
        self._drawing = False
        self._read_at = 0.0
        super().__init__()
        self._build(brush)
        self._show()

    # ------------------------------------------------------------------------------ from code

    @property
    def strokes(self) -> list[np.ndarray]:
        """The drawing: a float array of points ``[n, 2]`` in pixels for each stroke."""
        return [np.array(stroke, dtype=np.float64) for stroke in self._strokes]

    @property
    def picture(self) -> Image.Image:
        """The drawing as a grey picture, dark ink on white."""
        return draw_strokes(self.strokes, self.size, list(self._pens))

    @property
    def image(self) -> np.ndarray | None:
        """What the network sees, uint8 ``[28, 28]``; None while the canvas is empty."""
        return self.prediction.image if self.prediction else None

    def draw(self, strokes: Sequence[Sequence[Sequence[float]]], add: bool = False) -> None:
        """Draw strokes from code, and read the result.

        Parameters
        ----------
        strokes : sequence of array-likes of shape [n, 2]
            Points (x to the right, y downwards) in pixels of the canvas.
        add : bool
            Draw over what is there. Default: clear the canvas first.

        Raises
        ------
        ValueError
            If a stroke is no list of points.
        """
        given = [np.asarray(stroke, dtype=np.float64) for stroke in strokes]
        for stroke in given:
            if stroke.ndim != 2 or stroke.shape[1] != 2 or not len(stroke):
                raise ValueError(f"a stroke is a list of points (x, y), not {stroke.shape}")
            if not np.isfinite(stroke).all():
                raise ValueError("a stroke's points must be finite numbers")
        if not add:
            self._strokes.clear()
            self._pens.clear()
        self._strokes += [[(float(x), float(y)) for x, y in stroke] for stroke in given]
        self._pens += [self._brush.value] * len(given)
        self._drawing = False
        self._repaint()
        self._read()

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
        self._read()

    def save(self, label: int, folder: str | Path | None = None) -> Path:
        """Keep the drawing under its label, to measure or to fine-tune on (notebook 06).

        Writes ``<folder>/<label>/<time>.png`` and, beside it, the strokes as JSON.

        Parameters
        ----------
        label : int
            The digit that was meant, 0 to 9.
        folder : path, optional
            Default: ``outputs/my_digits`` in the project.

        Returns
        -------
        Path
            Of the picture.

        Raises
        ------
        ValueError
            If the label is no digit, or the canvas is empty.
        """
        whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
        if not whole or label not in range(10):
            raise ValueError(f"a label is a digit from 0 to 9, not {label!r}")
        if not self._strokes:
            raise EmptyPictureError("the canvas is empty: draw a digit before saving it")
        folder = Path(folder) if folder is not None else outputs_folder("my_digits")
        path = folder / str(label) / f"{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        with replacing(path) as part:
            self.picture.save(part, format="PNG")
        content = {"label": int(label), "size": self.size, "pens": self._pens}
        content["strokes"] = self._strokes
        with replacing(path.with_suffix(".json")) as part:
            part.write_text(json.dumps(content), encoding="utf-8")
        return path

    def picture_of_state(self) -> bytes:
        """Return the drawing, and beside it what the network sees, as a PNG."""
        sheet = Image.new("L", (self.size + SEEN + 16, max(self.size, SEEN)), 255)
        sheet.paste(self.picture, (0, 0))
        sheet.paste(_enlarged(self.image), (self.size + 16, 0))
        ImageDraw.Draw(sheet).rectangle((0, 0, self.size - 1, self.size - 1), outline=136)
        return png(sheet)

    def words(self) -> str:
        """Say what is drawn, and what it was read as."""
        if self.prediction is None:
            return "DigitCanvas: an empty sheet to draw a digit on"
        digit, confidence, _ = self.prediction
        return f"DigitCanvas: a drawing, read as {digit} with a confidence of {confidence:.0%}"

    # ---------------------------------------------------------------------------- what one sees

    def _build(self, brush: int) -> None:
        """Make the widgets and connect them."""
        side = f"{self.size}px"
        self._canvas = ipycanvas.Canvas(
            width=self.size,
            height=self.size,
            layout=widgets.Layout(width=side, height=side, border="1px solid #888"),
        )
        self._canvas.add_class("mnist-digit-canvas")
        self._canvas.on_mouse_down(self._pen_down)
        self._canvas.on_mouse_move(self._pen_move)
        self._canvas.on_mouse_up(self._pen_up)
        self._canvas.on_mouse_out(self._pen_up)
        self._canvas.on_touch_start(self._finger_down)
        self._canvas.on_touch_move(self._finger_move)
        self._canvas.on_touch_end(self._finger_up)
        self._canvas.on_touch_cancel(self._finger_up)

        self._answer, self._bars, self._message = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._answer.add_class("mnist-digit-answer")
        self._seen = widgets.Image(
            format="png", layout=widgets.Layout(width=f"{SEEN}px", height=f"{SEEN}px")
        )
        undo = widgets.Button(description="Undo", tooltip="Take the last stroke back")
        clear = widgets.Button(description="Clear", tooltip="Wipe the canvas")
        for button, method in ((undo, self._on_undo), (clear, self._on_clear)):
            button.layout.width = "80px"
            button.on_click(method)
        self._brush = widgets.IntSlider(
            brush, 4, 40, description="Pen", layout=widgets.Layout(width="220px"), readout=False
        )
        self._upload = widgets.FileUpload(
            accept="image/*", description="Picture", tooltip="Read a picture from a file instead"
        )
        self._upload.layout.width = "110px"
        self._upload.observe(self._on_upload, "value")

        caption = widgets.HTML("<small>what the network sees</small>")
        self._count = widgets.HTML()
        self._count.add_class("mnist-digit-strokes")
        reading = widgets.VBox([self._answer, self._seen, caption, self._count])
        sheet = widgets.HBox([self._canvas, reading, self._bars])
        sheet.layout.align_items = "flex-start"
        sheet.layout.grid_gap = "16px"
        tools = widgets.HBox([undo, clear, self._upload, self._brush])
        self.children = (sheet, tools, self._message)
        self._repaint()

    def _repaint(self) -> None:
        """Draw all strokes anew on the canvas in the browser."""
        with ipycanvas.hold_canvas():
            self._canvas.fill_style = PAPER
            self._canvas.fill_rect(0, 0, self.size, self.size)
            for stroke, pen in zip(self._strokes, self._pens, strict=True):
                self._paint(stroke, pen)

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
            doubt = "" if prediction.is_confident else " <small>not sure</small>"
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
        from html import escape

        self._message.value = f"<span role='alert'>{escape(message)}</span>" if message else ""

    # --------------------------------------------------------------------------------- reading

    def _read(self) -> None:
        """Predict from the drawing as it is now."""
        self.prediction = None  # nothing of an earlier drawing stays if the predictor fails
        try:
            if self._strokes:
                self.prediction = self.predictor.predict(self.picture)
            self._say("")
        finally:
            self._read_at = time.monotonic()  # when it ended: a slow predictor gets no queue
            self._show()

    # ------------------------------------------------------------------- events from the browser

    @errors_shown
    def _pen_down(self, x: float, y: float) -> None:
        self._drawing = True
        self._strokes.append([(x, y)])
        self._pens.append(self._brush.value)
        self._paint(self._strokes[-1], self._pens[-1])

    @errors_shown
    def _pen_move(self, x: float, y: float) -> None:
        if not self._drawing:
            return
        stroke = self._strokes[-1]
        stroke.append((x, y))
        self._paint(stroke[-2:], self._pens[-1])
        if time.monotonic() - self._read_at > PAUSE:
            self._read()  # the newest state; the events in between are drawn, not read

    @errors_shown
    def _pen_up(self, *_place: float) -> None:
        if self._drawing:
            self._drawing = False
            self._read()

    def _finger_down(self, places: list[tuple[float, float]], *_ids: Any) -> None:
        if len(places) == 1:  # a second finger does not draw
            self._pen_down(*places[0])

    def _finger_move(self, places: list[tuple[float, float]], *_ids: Any) -> None:
        if places:
            self._pen_move(*places[0])

    def _finger_up(self, *_places_and_ids: Any) -> None:
        self._pen_up()  # whichever finger is lifted: no line jumps to the other one

    @errors_shown
    def _on_undo(self, _button: widgets.Button) -> None:
        self.undo()

    @errors_shown
    def _on_clear(self, _button: widgets.Button) -> None:
        self.clear()

    @errors_shown
    def _on_upload(self, change: dict[str, Any]) -> None:
        files = change["new"]
        if not files:
            return
        first = next(iter(files.values() if isinstance(files, dict) else files))
        self.clear()
        self.prediction = self.predictor.predict(bytes(first["content"]))
        self._show()


def _bars_as_html(probs: np.ndarray, best: int | None) -> str:
    """Return ten horizontal bars as an HTML table that follows the notebook's theme."""
    rows = []
    for digit, probability in enumerate(probs):
        colour = "#0173b2" if digit == best else "#949494"
        rows.append(
            f"<tr><td>{digit}</td><td style='width:120px'><div style='background:{colour};"
            f"height:12px;width:{max(0.01, probability):.0%}'></div></td>"
            f"<td style='text-align:right;min-width:3em'>{probability:.0%}</td></tr>"
        )
    return f"<table aria-label='probability of each digit'>{''.join(rows)}</table>"


def _enlarged(image: np.ndarray | None) -> Image.Image:
    """Return the 28×28 picture, or a black one, with visible pixels."""
    pixels = np.zeros((28, 28), np.uint8) if image is None else image
    return Image.fromarray(pixels).resize((SEEN, SEEN), Image.Resampling.NEAREST)


def png(picture: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()

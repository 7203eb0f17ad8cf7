"""What all widgets are: they show themselves without a kernel, and follow their controls."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from torch import Tensor

from ..augment import to_float

DPI = 100


class StaticFallbackBox(widgets.VBox):
    """Widgets that leave an image of themselves where no kernel answers them.

    Beside the view of the widgets it offers its state as PNG, with a text, and each front end takes
    the richest that it can show: Jupyter the widgets, a page without a kernel or a PDF the image.
    """

    _ipython_display_ = None  # ipywidgets 7 would show its widgets there, and nothing else

    def to_png(self) -> bytes:
        """Return what it shows now as a PNG."""
        raise NotImplementedError

    def alt_text(self) -> str:
        """Say what it shows now in a sentence."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what IPython sends to a front end, and what it says about it."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        data = {
            "text/plain": self.alt_text(),
            "image/png": base64.b64encode(self.to_png()).decode(),
            "application/vnd.jupyter.widget-view+json": view,
        }
        return data, {"image/png": {"alt": self.alt_text()}}


class InteractiveFigure(StaticFallbackBox):
    """Controls, and below them a figure that follows them.

    A subclass makes both, and says in `_draw` what changes in the figure.

    Parameters
    ----------
    figure : matplotlib Figure
        Made without pyplot, which would keep it open.
    controls : sequence of widgets with a ``value``
    rows : sequence of widgets, default=None
        The controls as they are laid out. If None, one below the other.
    """

    def __init__(
        self,
        figure: Figure,
        controls: Sequence[widgets.DOMWidget],
        rows: Sequence[widgets.DOMWidget] | None = None,
    ) -> None:
        self.figure = figure
        self._sentence = ""
        self._changing = False
        self._image = widgets.Image(format="png")
        self._image.layout.max_width = "100%"
        self._image.layout.align_self = "flex-start"
        self._image.add_class("mnist-live-figure")
        self._status = widgets.HTML()
        self._status.add_class("mnist-live-words")
        shown = (*(controls if rows is None else rows), busy_notice(controls))
        super().__init__((*shown, self._status, self._image))
        for control in controls:
            control.observe(self._on_change, "value")
        self._update()
        figure.set_layout_engine("none")  # the layout is computed once; doing it again takes time

    def to_png(self) -> bytes:
        """Return the figure as it is now, as a PNG."""
        return bytes(self._image.value)

    def alt_text(self) -> str:
        """Say what the figure shows now."""
        return self._sentence

    def _draw(self) -> str:
        """Bring the figure up to date with the controls, and say in words what it shows."""
        raise NotImplementedError

    def _part(self) -> Bbox | None:
        """Return the part of the figure to show, in inches; None for all of it."""
        return None

    def _update(self) -> None:
        """Redraw the figure, and send it."""
        self._sentence = self._draw()
        self._status.value = f"<div role='status' aria-live='polite'>{escape(self._sentence)}</div>"
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=DPI, bbox_inches=self._part())
        self._image.value = file.getvalue()

    def _on_change(self, _change: Any) -> None:
        if not self._changing:
            self._update()

    @contextmanager
    def _batch_updates(self) -> Iterator[None]:
        """Change several controls, and draw the figure once."""
        self._changing = True
        try:
            yield
        finally:
            self._changing = False
        self._update()


def busy_notice(watched: Sequence[widgets.Widget]) -> widgets.DOMWidget:
    """Return a line that appears when the kernel does not answer a change of these widgets."""
    from .browser import BusyNotice  # anywidget, which the first widget that is built needs

    note = BusyNotice(watched=list(watched))
    note.add_class("mnist-busy")
    return note


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of this size in inches that pyplot does not manage or keep open."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def slider(
    value: float, low: float, high: float, step: float, name: str, **options: Any
) -> widgets.DOMWidget:
    """Return a slider with its name before it and room for both."""
    kind = widgets.IntSlider if isinstance(step, int) else widgets.FloatSlider
    slider = kind(value=value, min=low, max=high, step=step, description=name, **options)
    return widen_label(slider)


def widen_label(control: widgets.DOMWidget) -> widgets.DOMWidget:
    """Let a control's name stand before it in full."""
    control.style.description_width = "8em"
    control.layout.width = "420px"
    control.layout.max_width = "98%"
    return control


def gray_images(images: np.ndarray | Tensor) -> np.ndarray:
    """Return digits of any shape as float32 ``[N, 28, 28]`` in [0, 1]."""
    return to_float(torch.as_tensor(images)).reshape(-1, 28, 28).cpu().numpy()


def hide_ticks(ax: Any, title: str = "") -> None:
    """Take an axes' ticks away, and give it a title."""
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=11)

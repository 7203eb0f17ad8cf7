"""What happens in the browser alone, whether the kernel is free or not.

ipywidgets and ipycanvas ask the kernel about everything, and a kernel that runs a cell answers when
the cell is done. anywidget brings a few lines of JavaScript into JupyterLab, Notebook, VS Code and
Colab without an extension of our own: `Ink` paints while one draws, `BusyNotice` says why nothing
else happens yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets
from ipywidgets import Widget, widget_serialization

HERE = Path(__file__).parent


class Ink(anywidget.AnyWidget):
    """A sheet that lies over the canvas: it takes the pen, and the buttons below.

    Attributes
    ----------
    value : dict
        The drawing: ``strokes`` (a list of points ``[x, y]`` for each), ``pens`` (the width of
        each), and ``by_code``, whether code drew it, so that a person's first stroke starts a new
        drawing.
    width, height, pen : int
        Width and height of the sheet, and the width of the next stroke, in pixels.
    boxes : list of (left, top, right, bottom, text)
        Boxes around the digits of a number.
    counts : list of int
        How many digits are saved under each label; empty without buttons to save.
    """

    _esm = HERE / "ink.js"
    _css = HERE / "widgets.css"
    value = traitlets.Dict().tag(sync=True, echo_update=False)
    width = traitlets.Int(280).tag(sync=True)
    height = traitlets.Int(280).tag(sync=True)
    boxes: traitlets.List = traitlets.List().tag(sync=True)
    pen = traitlets.Int(18).tag(sync=True)
    counts = traitlets.List(traitlets.Int()).tag(sync=True)


class BusyNotice(anywidget.AnyWidget):
    """A line that appears when the kernel has not answered for a second.

    The browser counts the changes of the watched widgets, and the kernel, as soon as it comes to
    it, repeats the number.
    """

    _esm = HERE / "busy.js"
    _css = HERE / "widgets.css"
    watched = traitlets.List(traitlets.Instance(Widget)).tag(sync=True, **widget_serialization)
    asked = traitlets.Int(0).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    @traitlets.observe("asked")
    def _answer(self, change: dict[str, Any]) -> None:
        self.answered = change["new"]

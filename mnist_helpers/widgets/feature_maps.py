"""A canvas on which one sees what a network's layers make of the drawing."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets
import matplotlib
import numpy as np
import torch
from PIL import Image

from ..decode import encode_png
from ..prediction import MNISTPredictor, Prediction
from .base import hide_ticks, new_figure
from .canvas import DigitCanvas


class FeatureMaps(DigitCanvas):
    """A canvas on which one sees, while drawing, what the network's layers make of the drawing.

    Parameters
    ----------
    predictor : MNISTPredictor, default=None
        If None, the pretrained one.
    layers : mapping of str to str, default=None
        The layers' names in the network, and what to call them. Each must give maps ``[C, H, W]``.
    size, brush : int, default=280, 18
        As of `DigitCanvas`.
    """

    def __init__(
        self,
        predictor: MNISTPredictor | None = None,
        layers: Mapping[str, str] | None = None,
        size: int = 280,
        brush: int = 18,
    ) -> None:
        self.layers = dict(
            layers or {"relu1": "after the first layer", "relu2": "after the second"}
        )
        self._mosaics = {name: widgets.Image(format="png") for name in self.layers}
        self.maps: dict[str, np.ndarray] = {}
        super().__init__(predictor or MNISTPredictor(), size, brush)
        shown = []
        for name, image in self._mosaics.items():
            image.add_class("mnist-feature-maps")
            image.layout.max_width = "98%"
            caption = widgets.HTML(f"<small>{escape(self._caption(name))}</small>")
            shown.append(widgets.VBox([caption, image]))
        row = widgets.HBox(shown)
        row.layout.flex_flow, row.layout.grid_gap = "row wrap", "16px"
        self.children = (*self.children, row)

    def _caption(self, name: str) -> str:
        channels, height, width = self.maps[name].shape
        return f"{self.layers[name]}: {channels} channels of {width}×{height}"

    def _show(self) -> None:
        super()._show()
        self.maps = self._look(np.zeros((28, 28), np.uint8) if self.image is None else self.image)
        for name, image in self._mosaics.items():
            if self.image is None:
                self.maps[name] = np.zeros_like(self.maps[name])
            image.value = encode_png(Image.fromarray(_mosaic(self.maps[name])))

    @torch.inference_mode()
    def _look(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run an image through the network, and keep the layers' outputs."""
        found: dict[str, np.ndarray] = {}
        predictor: Any = self.predictor  # which has a network here, and not predictions alone
        values = torch.from_numpy(image)[None, None].to(predictor.device)
        for name, layer in predictor.model.named_children():
            values = layer(values)
            if name in self.layers:
                found[name] = values[0].float().cpu().numpy()
        return found

    def to_png(self) -> bytes:
        """Return the drawing and all maps, as a PNG."""
        figure = new_figure(10, 3.6)
        axes = figure.subplots(1, 1 + len(self.layers), width_ratios=[2] + [3] * len(self.layers))
        axes[0].imshow(self.drawing, cmap="gray", vmin=0, vmax=255)
        hide_ticks(axes[0], "drawn")
        for ax, name in zip(axes[1:], self.layers, strict=True):
            ax.imshow(_mosaic(self.maps[name]))
            hide_ticks(ax, self._caption(name).replace(": ", "\n"))
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()

    def alt_text(self) -> str:
        """Say what is drawn, and what is shown of it."""
        found = self.prediction
        drawn = f"a {found.digit}" if isinstance(found, Prediction) else "an empty sheet"
        return f"Feature maps of {drawn}, " + " and ".join(map(self._caption, self.layers))


def _mosaic(maps: np.ndarray, side: int = 46) -> np.ndarray:
    """Tile maps ``[C, H, W]`` as one uint8 image ``[…, …, 3]``, brighter for a larger value.

    All share one scale, from 0 to the maximum; each is enlarged to about `side` pixels.
    """
    count, height, width = maps.shape
    columns = 2 ** math.ceil(math.log2(count) / 2)
    rows = -(-count // columns)
    scaled = np.clip(maps / max(float(maps.max()), 1e-6), 0, 1)
    colors = matplotlib.colormaps["viridis"](scaled, bytes=True)[..., :3]
    zoom = max(1, side // height)
    colors = colors.repeat(zoom, axis=1).repeat(zoom, axis=2)
    sheet = np.full((rows * columns, height * zoom + 2, width * zoom + 2, 3), 255, np.uint8)
    sheet[:count, 1:-1, 1:-1] = colors
    tiled = sheet.reshape(rows, columns, *sheet.shape[1:]).swapaxes(1, 2)
    return tiled.reshape(rows * sheet.shape[1], columns * sheet.shape[2], 3)

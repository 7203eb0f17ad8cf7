"""Write the nine weights of a 3×3 kernel, and see what it makes of a digit."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import InteractiveFigure, gray_images, hide_ticks, new_figure, slider, widen_label

OWN = "your own"


KERNELS: dict[str, list[list[float]]] = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "lower edges": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    "left edges": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "blur": [[0.0625, 0.125, 0.0625], [0.125, 0.25, 0.125], [0.0625, 0.125, 0.0625]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
}
NEIGHBORS = "↖↑↗←•→↙↓↘"  # a kernel's nine weights, row by row, seen from the pixel in the middle


class KernelEditor(InteractiveFigure):
    """Write the nine weights of a 3×3 kernel, and see what it makes of a digit.

    Parameters
    ----------
    images : array or tensor of N images of 28×28, uint8 or float in [0, 1]
        With more than one there is a slider to choose.
    kernel : str, default="lower edges"
        The one to begin with, of `KERNELS`.
    number : int, default=0
        The image to begin with.

    Examples
    --------
    >>> editor = KernelEditor(np.zeros((28, 28), np.uint8))
    >>> editor.kernel = [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    >>> editor.result.shape
    (28, 28)
    """

    def __init__(
        self, images: np.ndarray | Tensor, kernel: str = "lower edges", number: int = 0
    ) -> None:
        self._images = gray_images(images)
        self._preset = widen_label(
            widgets.Dropdown(options=[*KERNELS, OWN], value=kernel, description="Kernel")
        )
        self._which = slider(number, 0, len(self._images) - 1, 1, "Image")
        weights = np.ravel(KERNELS[kernel])
        self._weights = [
            widgets.FloatText(
                value=float(weight),
                step=0.5,
                description=arrow,
                style={"description_width": "1.6em"},
                layout={"width": "105px"},
            )
            for weight, arrow in zip(weights, NEIGHBORS, strict=True)
        ]
        self._preset.observe(self._on_preset, "value")
        figure = new_figure(8.4, 3.1)
        axes = figure.subplots(1, 3)
        titles = ("image", "response of the kernel", "after ReLU")
        for ax, title in zip(axes, titles, strict=True):
            hide_ticks(ax, title)
        maps = ("gray", "RdBu_r", "gray")
        black = np.zeros((28, 28))
        self._shown = [ax.imshow(black, cmap=name) for ax, name in zip(axes, maps, strict=True)]
        grid = widgets.GridBox(
            self._weights, layout={"grid_template_columns": "repeat(3, 110px)", "margin": "4px"}
        )
        choice = [self._preset] + [self._which] * (len(self._images) > 1)
        super().__init__(figure, [self._which, *self._weights], [*choice, grid])

    @property
    def kernel(self) -> np.ndarray:
        """The kernel's weights, float32 ``[3, 3]``; set it from code, or in the number fields."""
        values = [field.value for field in self._weights]
        return np.array(values, dtype=np.float32).reshape(3, 3)

    @kernel.setter
    def kernel(self, weights: Any) -> None:
        values = np.asarray(weights, dtype=np.float64)
        if values.shape != (3, 3) or not np.isfinite(values).all():
            raise ValueError(f"a kernel is 3×3 finite numbers, not {weights!r}")
        with self._batch_updates():
            for field, value in zip(self._weights, values.flat, strict=True):
                field.value = float(value)

    @property
    def image(self) -> np.ndarray:
        """The image under the kernel, float32 ``[28, 28]`` in [0, 1]."""
        return self._images[self._which.value]

    @property
    def result(self) -> np.ndarray:
        """The kernel's response, float32 ``[28, 28]``, with zero padding."""
        image, kernel = torch.from_numpy(self.image), torch.from_numpy(self.kernel)
        return F.conv2d(image[None, None], kernel[None, None], padding=1)[0, 0].numpy()

    def _on_preset(self, change: dict[str, Any]) -> None:
        if change["new"] != OWN:
            self.kernel = KERNELS[change["new"]]

    def _draw(self) -> str:
        result = self.result
        bound = max(1.0, float(np.abs(result).max()))
        images = (self.image, result, result.clip(0))
        limits = ((0, 1), (-bound, bound), (0, bound))
        for shown, values, ends in zip(self._shown, images, limits, strict=True):
            shown.set_data(values)
            shown.set_clim(*ends)
        same = [name for name, weights in KERNELS.items() if np.allclose(weights, self.kernel)]
        self._preset.value = same[0] if same else OWN
        return (
            f"Kernel “{self._preset.value}”: responses from {result.min():.2f} (blue) "
            f"to {result.max():.2f} (red)."
        )

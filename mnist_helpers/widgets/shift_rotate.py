"""Move and turn a digit, and watch the ten probabilities."""

from __future__ import annotations

import math

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..plots import BLUE, GRAY
from ..prediction import MNISTPredictor
from ..preprocess import BlankImageError, to_mnist
from .base import InteractiveFigure, gray_images, hide_ticks, new_figure, slider, widen_label


class ShiftRotateExplorer(InteractiveFigure):
    """Move and turn a digit, and watch the ten probabilities.

    Parameters
    ----------
    image : array or tensor of 28×28 values, uint8 or float in [0, 1]
        An MNIST image.
    predictor : MNISTPredictor, default=None
        If None, the pretrained one.
    """

    def __init__(self, image: np.ndarray | Tensor, predictor: MNISTPredictor | None = None) -> None:
        self._original = gray_images(image)[0]
        self.predictor = predictor or MNISTPredictor()
        self.probs = np.zeros(10, np.float32)
        self._right = slider(0, -10, 10, 1, "Right (pixels)")
        self._down = slider(0, -10, 10, 1, "Down (pixels)")
        self._turn = slider(0, -180, 180, 5, "Turn (degrees)")
        self._preprocess = widen_label(
            widgets.Checkbox(description="preprocess it as MNIST was (to_mnist)", indent=False)
        )
        figure = new_figure(8, 3)
        axes = figure.subplots(1, 2, width_ratios=(1, 2))
        self._shown = axes[0].imshow(np.zeros((28, 28)), cmap="gray", vmin=0, vmax=255)
        hide_ticks(axes[0], "what the network sees")
        self._bars = axes[1].bar(range(10), np.zeros(10), color=GRAY)
        axes[1].set(xticks=range(10), xlabel="digit", ylabel="probability", ylim=(0, 1.12))
        axes[1].yaxis.set_major_formatter("{x:.0%}")
        self._percent = [axes[1].text(d, 0, "", ha="center", fontsize=9) for d in range(10)]
        super().__init__(figure, [self._right, self._down, self._turn, self._preprocess])

    def move(
        self, right: int = 0, down: int = 0, turn: int = 0, preprocess: bool | None = None
    ) -> None:
        """Shift the digit by this many pixels, and rotate it clockwise by this many degrees.

        `preprocess` sets whether the moved image goes through `to_mnist`; None leaves it as it is.
        """
        with self._batch_updates():
            self._right.value, self._down.value, self._turn.value = right, down, turn
            if preprocess is not None:
                self._preprocess.value = preprocess

    @property
    def image(self) -> np.ndarray:
        """What the network sees, uint8 ``[28, 28]``."""
        moved = _moved(self._original, self._right.value, self._down.value, self._turn.value)
        if self._preprocess.value:
            try:
                return to_mnist(moved)
            except BlankImageError:  # it was moved out of the image
                pass
        return moved

    def _draw(self) -> str:
        image = self.image
        self.probs = self.predictor.predict_proba(image[None])[0]
        best = int(self.probs.argmax())
        self._shown.set_data(image)
        for digit, (bar, text) in enumerate(zip(self._bars, self._percent, strict=True)):
            share = float(self.probs[digit])
            bar.set(height=share, color=BLUE if digit == best else GRAY)
            text.set_text(f"{share:.0%}" if share >= 0.005 else "")
            text.set_y(share + 0.02)
        return (
            f"Moved by {self._right.value} pixels to the right and {self._down.value} down, "
            f"turned by {self._turn.value}°: predicted as {best}, "
            f"with a confidence of {self.probs[best]:.0%}."
        )


def _moved(image: np.ndarray, right: float, down: float, turn: float) -> np.ndarray:
    """Turn an image ``[28, 28]`` clockwise about its middle, then move it; black comes in."""
    angle, pixel = math.radians(turn), 2 / image.shape[-1]
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = right * pixel, down * pixel  # where a pixel of the result comes from: the way back
    matrix = [[cos, sin, -(cos * x + sin * y)], [-sin, cos, sin * x - cos * y]]
    grid = F.affine_grid(torch.tensor([matrix]), [1, 1, *image.shape], align_corners=False)
    moved = F.grid_sample(torch.from_numpy(image)[None, None], grid, align_corners=False)
    return (moved[0, 0] * 255).round().to(torch.uint8).numpy()

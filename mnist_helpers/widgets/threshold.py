"""Slide a threshold over the confidence: selective prediction."""

from __future__ import annotations

import numpy as np

from ..plots import BLUE, ORANGE, plot_risk_coverage
from .base import InteractiveFigure, new_figure, slider


class ThresholdSlider(InteractiveFigure):
    """Slide a threshold over the confidence, and see what is predicted and what is referred.

    Parameters
    ----------
    confidence : ndarray of shape [N], in [0, 1]
    correct : ndarray of shape [N], bool
    threshold : float, default=0.9
        The one to begin with.
    """

    def __init__(self, confidence: np.ndarray, correct: np.ndarray, threshold: float = 0.9) -> None:
        self._confidence = np.asarray(confidence, dtype=np.float64)
        self._correct = np.asarray(correct, dtype=bool)
        self._slider = slider(
            threshold, 0.0, 1.0, 0.001, "Threshold", readout_format=".3f", continuous_update=True
        )
        figure = new_figure(8.2, 3.1)
        self._left, self._right = figure.subplots(1, 2)
        plot_risk_coverage(self._confidence, self._correct, self._left)
        self._low = self._left.get_xlim()[0]
        (self._dot,) = self._left.plot(
            [], [], "o", color=ORANGE, ms=9, mec="black", zorder=5, clip_on=False
        )
        names = ("correct\npredictions", "errors")
        machine = {"height": 0.6, "color": BLUE, "label": "predicted"}
        person = {"height": 0.6, "color": ORANGE, "hatch": "//", "label": "referred to a human"}
        self._read = self._right.barh(names, [0, 0], **machine)
        self._handed = self._right.barh(names, [0, 0], **person)
        self._texts = [
            self._right.text(0.5, y + 0.42, "", ha="center", va="center") for y in (0, 1)
        ]
        self._right.set(xlim=(0, 1), ylim=(-0.45, 1.6), xlabel="share")
        self._right.xaxis.set_major_formatter("{x:.0%}")
        self._right.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=9
        )
        super().__init__(figure, [self._slider])

    @property
    def threshold(self) -> float:
        """The lowest confidence that is not referred."""
        return self._slider.value

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        self._slider.value = float(threshold)

    @property
    def _decided(self) -> np.ndarray:
        return self._confidence >= self.threshold

    @property
    def coverage(self) -> float:
        """Share of the images that are not referred, in [0, 1]."""
        return float(self._decided.mean())

    @property
    def risk(self) -> float:
        """Share of errors among these, in [0, 1]; 0 if there are none."""
        decided = self._decided
        return float((~self._correct & decided).sum() / max(1, decided.sum()))

    def _draw(self) -> str:
        decided = self._decided
        for place, group in enumerate((self._correct, ~self._correct)):
            total, read = int(group.sum()), int((group & decided).sum())
            share = read / max(1, total)
            self._read[place].set_width(share)
            self._handed[place].set_x(share)
            self._handed[place].set_width((1 - share) * bool(total))
            self._texts[place].set_text(f"{read:,} predicted, {total - read:,} referred")
        self._dot.set_data([self.coverage], [self.risk])
        self._left.set_xlim(min(self._low, self.coverage - 0.03), 1.005)
        left = int((~self._correct & decided).sum())
        return (
            f"Threshold {self.threshold:.3f}: {self.coverage:.2%} of "
            f"{len(decided):,} images are predicted (coverage), {left} of them wrongly "
            f"(risk {self.risk:.2%}); a human sees {int((~decided).sum()):,}."
        )

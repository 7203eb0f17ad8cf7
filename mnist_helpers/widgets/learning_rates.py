"""Slide over learning rates, and see the loss curve of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import numpy as np

from ..plots import BLUE, GRAY
from .base import InteractiveFigure, new_figure, widen_label


class LearningRateExplorer(InteractiveFigure):
    """Slide over learning rates, and see the loss curve of each beside those of the others.

    Parameters
    ----------
    runs : mapping of float to sequence of float
        For each learning rate the loss of each step.
    """

    def __init__(self, runs: Mapping[float, Sequence[float]]) -> None:
        if not runs or not all(len(losses) for losses in runs.values()):
            raise ValueError("there are no runs, or one without a step")
        self._runs = {float(rate): np.asarray(runs[rate], float) for rate in sorted(runs)}
        options = [(f"{rate:g}", rate) for rate in self._runs]
        self._slider = widen_label(
            widgets.SelectionSlider(
                options=options, value=options[len(options) // 2][1], description="Learning rate"
            )
        )
        figure = new_figure(7, 3.6)
        self._ax = figure.subplots()
        self._means = {rate: _running_mean(losses) for rate, losses in self._runs.items()}
        self._lines = {
            rate: self._ax.plot(range(1, len(mean) + 1), mean, color=GRAY, lw=1)[0]
            for rate, mean in self._means.items()
        }
        (self._each,) = self._ax.plot([], [], color=BLUE, lw=0.6, alpha=0.5)
        start = float(np.median([losses[0] for losses in self._runs.values()]))
        self._ax.set(xlabel="step", ylabel="loss (what leaves the top is larger)")
        self._ax.set_ylim(0, 1.6 * start)
        self._ax.grid(alpha=0.3)
        super().__init__(figure, [self._slider])

    @property
    def rate(self) -> float:
        """The learning rate whose curve is in color."""
        return self._slider.value

    @rate.setter
    def rate(self, rate: float) -> None:
        self._slider.value = float(rate)

    def _draw(self) -> str:
        for rate, line in self._lines.items():
            chosen = rate == self.rate
            line.set(color=BLUE if chosen else GRAY, lw=2.5 if chosen else 1)
            line.set_zorder(3 if chosen else 2)
        losses = self._runs[self.rate]
        self._each.set_data(range(1, len(losses) + 1), losses)
        self._ax.set_title(f"learning rate {self.rate:g} (the others in gray)", fontsize=11)
        last = losses[-10:].mean()
        return (
            f"Learning rate {self.rate:g}: loss {losses[0]:.2f} at the first step, "
            f"{last:,.2f} in the mean of the last {len(losses[-10:])} of {len(losses)}."
        )


def _running_mean(losses: np.ndarray) -> np.ndarray:
    """Return a mean that forgets: each step back counts a fifth less."""
    import pandas as pd

    return pd.Series(losses).ewm(alpha=0.2).mean().to_numpy()

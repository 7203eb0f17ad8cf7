"""Gradient descent on a loss with one weight: choose a learning rate, and follow the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..plots import BLUE, GRAY, ORANGE
from .base import InteractiveFigure, new_figure, slider

NUDGE = 1e-3  # of the weight, to measure a slope


class GradientDescentExplorer(InteractiveFigure):
    """Choose a learning rate and a number of steps, and see where gradient descent arrives.

    Parameters
    ----------
    loss : callable
        Takes a weight (float), and returns the loss (a number, or a tensor of one).
    start : float, default=-0.8
        The weight before the first step.
    low, high : float, default=-1.5, 3.5
        The weights at the ends of the horizontal axis.
    rate : float, default=0.1
        The learning rate to begin with, at most `max_rate`.
    steps : int, default=6
        The number of steps to begin with, 0 to 12.
    max_rate : float, default=1.2
        The largest learning rate of the slider.

    Examples
    --------
    >>> explorer = GradientDescentExplorer(lambda w: (w - 1) ** 2, rate=0.25, steps=2)
    >>> [round(float(weight), 3) for weight in explorer.weights]
    [-0.8, 0.1, 0.55]
    """

    def __init__(
        self,
        loss: Callable[[float], float],
        start: float = -0.8,
        low: float = -1.5,
        high: float = 3.5,
        rate: float = 0.1,
        steps: int = 6,
        max_rate: float = 1.2,
    ) -> None:
        self.loss, self.start = loss, start
        self._rate = slider(rate, 0.01, max_rate, 0.01, "Learning rate")
        self._steps = slider(steps, 0, 12, 1, "Steps")
        figure = new_figure(9.5, 3.4)
        self._curve, self._history = figure.subplots(1, 2, width_ratios=[3, 2])
        weights = np.linspace(low, high, 201)
        losses = [float(loss(weight)) for weight in weights]
        self._curve.plot(weights, losses, color=GRAY)
        (self._path,) = self._curve.plot([], [], "o-", color=BLUE, lw=1, ms=4)
        (self._tangent,) = self._curve.plot([], [], color=ORANGE, lw=2, label="tangent: the slope")
        self._curve.set(
            xlabel="weight w", ylabel="loss", xlim=(low, high), ylim=(0, 1.1 * max(losses))
        )
        self._curve.legend(loc="upper right")
        (self._falling,) = self._history.plot([], [], "o-", color=BLUE, ms=4)
        self._history.set(xlabel="step", ylabel="loss", xlim=(-0.5, 12.5), ylim=(0, max(losses)))
        self._history.grid(alpha=0.3)
        super().__init__(figure, [self._rate, self._steps])

    @property
    def rate(self) -> float:
        """The learning rate; set it from code, or with the slider."""
        return self._rate.value

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate.value = float(rate)

    @property
    def weights(self) -> np.ndarray:
        """The weight before each step and after the last one, float64 ``[steps + 1]``."""
        return np.fromiter(self._descend(), float)

    def _descend(self) -> Iterator[float]:
        """Yield the start, and the weight after each step against the slope."""
        weight = self.start
        yield weight
        for _ in range(self._steps.value):
            weight -= self.rate * self._slope(weight)
            yield weight

    def _slope(self, weight: float) -> float:
        """Return the central difference of the loss at a weight."""
        return float(self.loss(weight + NUDGE) - self.loss(weight - NUDGE)) / (2 * NUDGE)

    def _draw(self) -> str:
        weights = self.weights
        losses = np.array([float(self.loss(weight)) for weight in weights])
        self._path.set_data(weights, losses)
        around = weights[-1] + np.array([-0.6, 0.6])
        self._tangent.set_data(
            around, losses[-1] + self._slope(weights[-1]) * (around - weights[-1])
        )
        self._falling.set_data(range(len(losses)), losses)
        self._curve.set_title(f"learning rate {self.rate:.2f}", fontsize=11)
        return (
            f"Learning rate {self.rate:.2f}, {len(weights) - 1} steps: the weight "
            f"{_course(weights)} {weights[-1]:.3g}, the loss goes from {losses[0]:.3g} "
            f"to {losses[-1]:.3g}."
        )


def _course(weights: np.ndarray) -> str:
    """Say in words what a sequence of weights does."""
    steps = np.diff(weights)
    if len(steps) < 2:
        return "is at"
    if abs(steps[-1]) > abs(steps[0]):
        return "diverges to"
    return "oscillates toward" if steps[-1] * steps[-2] < 0 else "approaches"

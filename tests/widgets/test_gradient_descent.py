"""The widget on gradient descent: its steps are those of the update rule."""

from __future__ import annotations

import numpy as np
import pytest

from mnist_helpers import GradientDescentExplorer


def parabola(weight: float) -> float:
    return (weight - 1) ** 2


def test_steps_follow_the_slope() -> None:
    explorer = GradientDescentExplorer(parabola, start=-1.0, rate=0.1, steps=3)
    expected = [-1.0]
    for _ in range(3):
        expected.append(expected[-1] - 0.1 * 2 * (expected[-1] - 1))
    np.testing.assert_allclose(explorer.weights, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rate", "word"), [(0.1, "approaches"), (0.9, "oscillates"), (1.1, "diverges")]
)
def test_it_says_what_the_learning_rate_does(rate: float, word: str) -> None:
    explorer = GradientDescentExplorer(parabola)
    before = explorer.to_png()
    explorer.rate = rate
    assert word in explorer.alt_text()
    assert explorer.to_png().startswith(b"\x89PNG")
    assert rate == 0.1 or explorer.to_png() != before


def test_no_step_stays_at_the_start() -> None:
    explorer = GradientDescentExplorer(parabola, start=0.5, steps=0)
    assert explorer.weights.tolist() == [0.5]

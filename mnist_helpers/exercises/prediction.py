"""Self-checks of notebook 05, prediction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import exercise, expect_function, number


@exercise("05-1")
def _invert(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    image = np.array([[0, 1, 100], [200, 254, 255]], dtype=np.uint8)
    result = np.asarray(answer(image))
    if np.array_equal(result, 255 - image):
        if result.dtype != np.uint8:
            return f"Keep the dtype uint8, not {result.dtype}."
        pale = np.array([[30, 100], [200, 240]], dtype=np.uint8)
        if not np.array_equal(answer(pale), 255 - pale):
            return "Take each value from 255, also in a picture that has neither black nor white."
        return None
    if np.array_equal(result, 0 - image):
        return "Negative numbers do not fit into uint8: −1 becomes 255, and −255 becomes 1."
    if np.array_equal(result, ~(image > 127)):
        return "Keep the greys: only turn light into dark."
    return "Black (0) should become white (255), white black, and 100 should become 155."


@exercise("05-2")
def _center_of_mass(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    image = np.zeros((28, 28), np.uint8)
    image[4:8, 10:20] = 50
    image[20, 10] = 250
    mass = image.sum(dtype=float)
    rows, columns = np.indices(image.shape)
    row, column = float((rows * image).sum() / mass), float((columns * image).sum() / mass)
    got = tuple(number(value) for value in answer(image))
    if len(got) != 2:
        return f"Two numbers were asked for, (row, column), not {len(got)}."
    if np.allclose(got, (row, column), atol=0.01):
        return None
    if np.allclose(got, (column, row), atol=0.01):
        return "Row and column are exchanged."
    if np.allclose(got, (12, 14.5), atol=0.6):
        return "That is the middle of the box around the ink; darker ink should weigh more."
    on = image > 0
    if np.allclose(got, (rows[on].mean(), columns[on].mean()), atol=0.01):
        return "Each pixel counts the same there; weigh it with its ink."
    paper = 255 - image
    if np.allclose(got, [(place * paper).sum() / paper.sum() for place in (rows, columns)]):
        return "Ink is what is light: large values weigh more."
    if got[0] < 4 or got[1] < 10:
        return (
            "That is outside of the ink. Sums of uint8 numbers overflow: take astype(float) first."
        )
    return f"For a trial picture it is ({row:.2f}, {column:.2f}), yours gives {got}."


@exercise("05-3")
def _threshold(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    confidence = np.array([0.35, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99])
    correct = np.array([0, 1, 0, 0, 1, 1, 1, 1, 1, 1], dtype=bool)
    got = number(answer(confidence, correct, 0.1))
    kept = correct[confidence >= got]
    if not len(kept):
        return "Your threshold lets nothing through."
    if 1 - kept.mean() > 0.1:
        return f"Of those at or above {got:g}, {1 - kept.mean():.0%} are wrong; 10 % are allowed."
    if got > 0.7:
        return f"{got:g} keeps too few: 0.7 would be enough in the trial."
    correct = np.array([0, 0, 1, 0, 1, 0, 1, 1, 0, 1], dtype=bool)  # the second surest is wrong
    got = number(answer(confidence[::-1], correct[::-1], 0.25))
    if got > 0.9:
        return (
            "In another trial 0.9 is enough: of four one is wrong, though at 0.97 it is one of two."
        )
    if got < 0.9:
        return f"Another trial: of those at or above {got:g} more than a quarter are wrong."
    return None

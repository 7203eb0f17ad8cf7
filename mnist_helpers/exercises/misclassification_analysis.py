"""Self-checks of notebook 06, misclassification_analysis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import exercise, expect_function, number


@exercise("06-1")
def _recall(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    confusion = np.diag(np.full(10, 90))
    confusion[4, 9], confusion[7, 9], confusion[9, 4] = 10, 20, 5
    got, right = number(answer(confusion, 9)), 90 / 95
    if np.isclose(got, right):
        return None
    if np.isclose(got, 90 / 120):
        return "That is the precision: you divided by the column, all that were read as 9."
    if np.isclose(got, 90 / confusion.sum()):
        return "Divide by the pictures of this digit only, not by all."
    if np.isclose(got, 100 * right):
        return "That is per cent; a share between 0 and 1 was asked for."
    return f"For a trial matrix it is {right:.4f}, yours gives {got:.4f}."


@exercise("06-2")
def _needed_right(answer: int) -> str | None:
    from ..evaluation import accuracy_interval

    if answer == 9930:
        return "Then 99.3 % is the estimate, and the interval reaches below it on one side."
    if isinstance(answer, (float, np.floating)) and float(answer).is_integer():
        answer = int(answer)
    if not isinstance(answer, (int, np.integer)) or not 0 <= answer <= 10_000:
        return "A whole number of pictures, from 0 to 10,000, was asked for."
    if accuracy_interval(int(answer), 10_000)[0] <= 0.993:
        return f"With {answer:,} right the interval still reaches down to 99.3 %."
    if accuracy_interval(int(answer) - 1, 10_000)[0] > 0.993:
        return f"{answer:,} is enough, but fewer would do."
    return None


@exercise("06-3")
def _calibration_error(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    confidence = np.array([0.91] * 12 + [1.0] * 3 + [0.62] * 5)
    correct = np.array([True] * 14 + [False] + [True] + [False] * 4)
    last, middle = 14 / 15 - (12 * 0.91 + 3) / 15, 0.62 - 0.2  # the gaps of the two bins
    right = (15 * last + 5 * middle) / 20
    got = number(answer(confidence, correct))
    if np.isclose(got, right):
        return None
    if np.isnan(got):
        return "A bin without pictures has no mean: leave it out."
    if np.isclose(got, (5 * middle - 15 * last) / 20):
        return "Take each bin's gap without its sign; else over- and under-confidence cancel out."
    if np.isclose(got, (last + middle) / 2) or np.isclose(got, last + middle):
        return "Weigh each bin's gap with its share of the pictures."
    without = (12 * 0.09 + 5 * middle) / 20
    if any(np.isclose(got, one) for one in (without, without + 0.05, without * 20 / 17)):
        return "A confidence of 1 belongs to the last bin."
    if np.isclose(got, (15 * abs(0.95 - 14 / 15) + 5 * (0.65 - 0.2)) / 20):
        return "Take the mean confidence of a bin's pictures, not the middle of the bin."
    return f"For a trial set it is {right:.4f}, yours gives {got:.4f}."

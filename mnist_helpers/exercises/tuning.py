"""Self-checks of notebook 08, tuning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import exercise, expect_function, number


@exercise("08-1")
def _peak_rate(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    lr, loss = np.array([2e-4, 1e-3, 8e-3, 5e-2, 3.0]), np.array([2.3, 2.0, 0.9, 0.4, 1.7])
    got = number(answer(lr, loss))
    if np.isclose(got, 5e-3):
        return None
    if np.isclose(got, 5e-2):
        return "That is the rate with the lowest loss: take a tenth of it."
    if np.isclose(got, 0.04) or np.isclose(got, 0.4):
        return "That is a loss: the rate that belongs to it is wanted."
    if np.isclose(got, 0.1 * lr[-1]) or np.isclose(got, 0.1 * lr[0]):
        return "Look for the lowest loss, not for the highest or the lowest rate."
    return (
        f"In a trial the lowest loss is at a rate of 0.05: a tenth is 0.005, yours gives {got:g}."
    )


@exercise("08-2")
def _mcnemar_by_hand(answer: Callable) -> str | None:
    from scipy.stats import binomtest

    if hint := expect_function(answer):
        return hint
    got, expected = number(answer(2, 8)), binomtest(2, 10).pvalue
    if np.isclose(got, expected / 2):
        return "That is one side only: a lead of the other network would have been as remarkable."
    if not np.isclose(got, expected):
        return f"For 2 and 8 it is {expected:.3f}, yours gives {got:.3f}."
    if not np.isclose(number(answer(8, 2)), expected):
        return "Which network comes first should not matter: 8 and 2 is as uneven as 2 and 8."
    if number(answer(5, 5)) > 1:
        return "For 5 and 5 yours is greater than 1, and no probability: the middle counts twice."
    return None


@exercise("08-3")
def _needed_seeds(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    got = number(answer(0.0005, 0.0002))
    if np.isclose(got, 25):
        other = number(answer(0.001, 0.0007))
        return None if np.isclose(other, 8) else f"Std 0.001, half 0.0007: 8 seeds, not {other:g}."
    if np.isclose(got, 24.01):
        return "There are no parts of a training: round up to a whole number."
    if np.isclose(got, 24):
        return "24 seeds are just too few: round up, not down."
    if got in (4.9, 5) or np.isclose(got, 4.9):
        return "The square root is on n: square the ratio."
    return f"For a std of 0.0005 and a half-width of 0.0002 it is 25 seeds, yours gives {got:g}."

"""Self-checks of notebook 07, your_own_handwriting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import exercise, expect_function, number


@exercise("07-1")
def _lower_end(answer: float) -> str | None:
    from ..evaluation import accuracy_interval

    low, high = accuracy_interval(48, 50)
    if isinstance(answer, tuple):
        return "That is the whole interval: its first number is the lower end."
    answer = number(answer)
    if np.isclose(answer, low, atol=5e-4):
        return None
    if np.isclose(answer, low, atol=6e-3) or np.isclose(answer, 100 * low, atol=0.6):
        return "Right, but as a share between 0 and 1, please, and not rounded."
    if np.isclose(answer, high, atol=5e-4):
        return "That is the upper end."
    if np.isclose(answer, 0.96):
        return "That is the measured accuracy; how far down may the true one reach?"
    return "accuracy_interval takes the number of right readings, and of all, in this order."


@exercise("07-2")
def _replay_mix(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    new, old = (np.arange(*ends).repeat(4).reshape(-1, 2, 2) for ends in ((10,), (100, 200)))
    for share, wanted in ((0.25, 30), (0.3, 23), (0.35, 19)):
        got = np.asarray(answer(new, old, share))
        if got.ndim != 3 or got.shape[1:] != (2, 2):
            return f"Pictures of 2×2 stay what they are: yours gives an array of shape {got.shape}."
        names = got[:, 0, 0]
        if not np.isin(range(10), names).all():
            return "All of the new pictures belong into the mix."
        if share == 0.25 and len(got) == 50:
            return "You took 10 / 0.25 old ones: that should be the size of the whole mix."
        whole = 10 + wanted
        if share != 0.25 and abs(len(got) - whole) == 1:
            exact = 10 * (1 - share) / share
            return f"For a share of {share} {exact:.2f} old ones are needed: round to {wanted}."
        if len(got) != whole:
            return f"For 10 new ones, share {share}, the mix has {whole} pictures, not {len(got)}."
        if set(names) != {*range(10), *range(100, 100 + wanted)}:
            return "The old ones should be the first of `old`, each once."
    return None


@exercise("07-3")
def _forgotten(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    labels = np.arange(10)
    before, after = labels.copy(), labels.copy()
    before[:2] = 9  # two wrong before, of which one is mended
    after[1] = 9
    after[2:4] = 0  # and two forgotten
    got = number(answer(labels, before, after))
    if np.isclose(got, 2 / 8):
        return None
    if np.isclose(got, 2 / 10):
        return "Divide by the pictures that were read right before, not by all."
    if np.isclose(got, 1 / 10):
        return "That is the difference of the accuracies: what was newly learnt hides in it."
    if np.isclose(got, 25):
        return "That is per cent; a share between 0 and 1 was asked for."
    return f"In a trial 2 of 8 are forgotten, yours gives {got:.3f}."

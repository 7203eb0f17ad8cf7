"""Self-checks of notebook 10, scaling_out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import exercise, expect_function, number


@exercise("10-1")
def _parts_of_different_size(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    gradients, counts = np.array([[1.0, 0.0], [4.0, 3.0]]), np.array([2, 1])
    got = np.asarray(answer(gradients, counts), dtype=float)
    if got.shape != (2,):
        return f"It is one gradient, of shape (2,) in a trial, not {got.shape}."
    if np.allclose(got, [2.0, 1.0]):
        return None
    if np.allclose(got, [2.5, 1.5]):
        return "That is the plain mean: a worker with more pictures has to count more."
    if np.allclose(got, [6.0, 3.0]):
        return "Divide by the number of all pictures, or the step grows with the batch."
    return f"For parts of 2 and 1 pictures it is [2, 1] in a trial, yours gives {got}."


@exercise("10-2")
def _amdahl(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    got = number(answer(10, 0.1))
    if np.isclose(got, 1 / 0.19):
        other = number(answer(4, 0.5))
        if np.isclose(other, 1.6):
            return None
        return f"With 4 workers, if half cannot be shared, it is 1.6, yours gives {other:g}."
    if np.isclose(got, 1 / 0.19, atol=0.3):
        return "Right, but not rounded, please."
    if np.isclose(got, 10):
        return "Only a part of the job can be shared: what happens to the rest?"
    if np.isclose(got, 0.19):
        return "That is the time that is left, as a share: how many times faster is it then?"
    if np.isclose(got, 9) or np.isclose(got, 9.1):
        return "Add up times, not speeds: what cannot be shared, and the rest among the workers."
    return f"With 10 workers and a tenth that cannot be shared it is 5.26, yours gives {got:.3g}."


@exercise("10-3")
def _how_many_cores(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    got, exact = number(answer(1_000_000, 200, 3600)), number(answer(720_000, 200, 3600))
    if got == 2 and exact == 1:
        minute = number(answer(1_000_000, 200, 60))
        return None if minute == 84 else f"Within 60 seconds it takes 84 cores, not {minute:g}."
    if not got.is_integer():
        return "A whole number of cores was asked for: round up."
    if got == 1:
        return "A core reads 720,000 in an hour, so one is too few: round up."
    if got == 2:
        return "For 720,000 pictures one core is just enough."
    if got == 5000:
        return "That is for one second: each core has an hour."
    return f"With 200 pictures a second and an hour it is 2 cores, yours gives {got:g}."

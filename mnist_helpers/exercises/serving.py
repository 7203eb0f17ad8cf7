"""Self-checks of notebook 09, serving."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import exercise, expect_function, number


@exercise("09-1")
def _request_by_hand(answer: Callable) -> str | None:
    import base64

    if hint := expect_function(answer):
        return hint
    content = b"\x89PNG and so on"
    got = answer(content)
    if not isinstance(got, dict) or "image" not in got:
        return "The picture belongs into a dictionary, under the key 'image'."
    if isinstance(got["image"], bytes):
        return "JSON knows no bytes: decode() the base64 into text."
    if got["image"] == base64.b64encode(content).decode():
        return None
    if got["image"] == content.hex():
        return "That is hexadecimal; base64 is wanted: base64.b64encode."
    return f"Decoded again, {str(got['image'])[:30]!r} is not the picture."


@exercise("09-2")
def _one_in_twenty(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    times = np.random.default_rng(0).permutation(np.arange(1.0, 102.0) ** 2)
    got = number(answer(times))
    if np.isclose(got, 96.0**2):
        return None
    if np.isclose(got, times.mean()):
        return "That is the mean: it tells nobody how long the slow ones waited."
    if np.isclose(got, np.percentile(times, 5)):
        return "That is the fifth percentile: those are the fast ones."
    if np.isclose(got, np.percentile(times, 0.95)):
        return "np.percentile takes per cent: 95, or np.quantile with 0.95."
    return f"In a trial it is 9216, yours gives {got:g}."


@exercise("09-3")
def _inside_at_once(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    got = number(answer(400, 0.125))
    if np.isclose(got, 50):
        half = np.isclose(number(answer(30, 0.05)), 1.5)
        return None if half else "On average 1.5 may be inside: do not round."
    if np.isclose(got, 3200) or np.isclose(got, 0.125 / 400):
        return "Think of one second: 400 come, and each stays for an eighth of it."
    return f"With 400 a second that stay 0.125 seconds it is 50, yours gives {got:g}."

"""Self-checks of notebook 01, dataset."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import exercise, expect_function


@exercise("01-1")
def _file_size(answer: int) -> str | None:
    if answer == 47_040_016:
        return None
    if answer == 47_040_000:
        return "The pixels are right; the header is missing."
    if answer in (47_040_004, 47_040_008):
        return "The header also has a size for each of the three dimensions: 4 + 3 × 4 bytes."
    if answer == 47_040_012:
        return "Before the three sizes the header has four bytes more."
    if isinstance(answer, str):
        return "A number was asked for: leave the quotation marks out."
    return "One byte for each of 60,000 × 28 × 28 pixels, and the header."


@exercise("01-2")
def _idx_header(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    for shape in ((10, 28, 28), (60_000,)):
        content = bytes([0, 0, 8, len(shape)])
        content += b"".join(size.to_bytes(4, "big") for size in shape) + bytes(100)
        got = answer(content)
        if not isinstance(got, tuple):
            return f"A tuple was asked for, not {type(got).__name__}."
        if got == tuple(int.from_bytes(size.to_bytes(4, "big"), "little") for size in shape):
            return "The most significant byte comes first: '>' in struct's format."
        if got and got[0] == int.from_bytes(content[:4], "big"):
            return "The sizes begin after the first four bytes, of which the last says how many."
        if got != shape:
            return f"For a file of shape {shape} yours gives {got}."
    return None


@exercise("01-3")
def _nearest_mean(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 1, (10, 784)) * np.linspace(0.5, 1.5, 10)[:, None]
    labels = np.arange(200) % 10
    images = centers[labels] + rng.normal(0, 0.1, (200, 784))
    images[-50:] = centers[(labels[-50:] + 1) % 10]  # each digit has five that lie elsewhere
    others = centers[(labels[:40] + 1) % 10] + 0.01
    got = np.asarray(answer(images, labels, others))
    if got.shape != (40,):
        return f"One digit for each of the others was asked for: shape (40,), not {got.shape}."
    if (got == labels[:40]).all():
        return "That is the nearest single picture, or a few; compare with each digit's mean."
    if (got != (labels[:40] + 1) % 10).any():
        return "Some digits are wrong: is it the smallest distance, over all 784 pixels?"
    means = np.stack([images[labels == digit].mean(0) for digit in range(10)])
    between = np.stack([_between(means[digit], means[digit - 5]) for digit in range(10)])
    if (np.asarray(answer(images, labels, between)) != np.arange(10)).any():
        return "A distance is the root of the sum of *squared* differences over all pixels."
    return None


def _between(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Return a point closer to `near`, though the sum of absolute differences to `far` is less.

    It is `far`, but for the few pixels in which the two differ most.
    """
    gap = np.abs(near - far)
    largest = gap.argsort()[::-1]
    few = largest[: np.searchsorted((gap[largest] ** 2).cumsum(), 0.55 * (gap**2).sum())]
    point = far.copy()
    point[few] = near[few]
    return point

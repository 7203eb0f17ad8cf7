"""Self-checks of notebook 03, architecture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import exercise, expect_function


@exercise("03-1")
def _output_side(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    trials: tuple[tuple[int, int, int, int], ...]
    trials = ((28, 5, 0, 1), (28, 3, 1, 1), (28, 3, 0, 2), (7, 2, 0, 2), (28, 2, 0, 2))
    trials += ((28, 3, 1, 2), (28, 5, 1, 3))
    for side, kernel, padding, stride in trials:
        right = (side + 2 * padding - kernel) // stride + 1
        got = answer(side, kernel, padding, stride)
        if got == right:
            continue
        case = f"side {side}, kernel {kernel}, padding {padding}, stride {stride}"
        if padding and got == (side + padding - kernel) // stride + 1:
            return "Padding is added on both sides."
        if got == right - 1:
            return f"One too few for {case}: 1 is added after the division, for the first place."
        if got == right + 1 or (isinstance(got, float) and not got.is_integer()):
            return f"For {case} yours gives {got}: the last place must fit in whole, so round down."
        return f"For {case} it is {right}, yours gives {got!r}."
    return None


@exercise("03-2")
def _parameters(answer: int) -> str | None:
    if answer == 18_496:
        return None
    if answer == 18_432:
        return "The biases are missing: one for each output channel."
    if answer == 640:
        return "Each of the 64 kernels looks at all 32 input channels."
    if answer == 36_928:
        return "That is for 64 input channels."
    return "Kernel height × width × input channels × output channels, and the biases."


@exercise("03-3")
def _max_pool(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    image = np.random.default_rng(0).normal(size=(6, 8))
    image[:2, :2] -= 10  # a block of negative numbers only
    blocks = image.reshape(3, 2, 4, 2)
    got = np.asarray(answer(image))
    if got.shape != (3, 4):
        return f"A picture of 6×8 comes to 3×4, not to {'×'.join(map(str, got.shape))}."
    if np.allclose(got, blocks.max((1, 3))):
        return None
    if np.allclose(got, blocks.mean((1, 3))):
        return "That is the mean of each block; the greatest value was asked for."
    if np.allclose(got, image[::2, ::2]):
        return "That takes the first value of each block; the greatest was asked for."
    return "The blocks are 2×2 and do not overlap: rows 0 and 1 with columns 0 and 1 first."

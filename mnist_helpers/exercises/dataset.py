"""Self-checks of notebook 01, dataset, and the worked solutions behind `use`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .engine import exercise, expect_function, recall_hint, solution
from .torch_checks import compare_tensors


@solution("01-1")
def squared_distances(a, b):
    """Return the squared distance of each row of a to each row of b."""
    differences = a[:, None].float() - b[None].float()  # [N, M, D]
    return (differences**2).sum(dim=2)


@solution("01-3")
def nearest_mean(images, labels, others):
    """Return for each of the others the digit whose mean image is nearest."""
    means = torch.stack([images[labels == digit].mean(dim=0) for digit in range(10)])
    distances = ((others[:, None] - means[None]) ** 2).sum(dim=2)
    return distances.argmin(dim=1)


@solution("01-4")
def shift_right(images, pixels):
    """Return images moved to the right; what enters at the left is black."""
    moved = torch.zeros_like(images)
    moved[..., pixels:] = images[..., : images.shape[-1] - pixels]
    return moved


@exercise("01-1")
def _squared_distances(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(0, 256, (4, 7), generator=generator, dtype=torch.uint8)
    b = torch.randint(0, 256, (5, 7), generator=generator, dtype=torch.uint8)
    gaps = a[:, None].double() - b[None].double()
    expected = (gaps**2).sum(2)
    wrapped = a[:, None] - b[None]
    wrong = {
        "uint8 has no negative numbers, and wraps around: convert with .float() before you "
        "subtract.": (wrapped.double() ** 2).sum(2),
        "uint8 wraps around in the subtraction and in the square: convert with .float() first.": (
            (wrapped**2).double().sum(2)
        ),
        "The square of 255 does not fit into 16 bits either: convert with .float().": (
            (gaps.short() ** 2).sum(2)
        ),
        "That is the distance; the squared one was asked for.": expected.sqrt(),
        "Those are absolute differences; square them.": gaps.abs().sum(2),
        "The rows of the result belong to a, the columns to b: yours is transposed.": expected.T,
        "The sum over the pixels is missing: sum(dim=2).": gaps**2,
        "Add up the squares; the mean divides them by the number of pixels.": expected / 7,
    }
    return compare_tensors(answer(a.clone(), b.clone()), expected, wrong)


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
    generator = torch.Generator().manual_seed(0)
    centers = torch.rand(10, 784, generator=generator) * torch.linspace(0.5, 1.5, 10)[:, None]
    labels = torch.arange(200) % 10
    images = centers[labels] + 0.1 * torch.randn(200, 784, generator=generator)
    images[-50:] = centers[(labels[-50:] + 1) % 10]  # each digit has five that lie elsewhere
    others = centers[(labels[:40] + 1) % 10] + 0.01
    got = torch.as_tensor(answer(images, labels, others))
    if got.shape != (40,):
        return f"One digit for each of the others was asked for: shape [40], not {list(got.shape)}."
    if (got == labels[:40]).all():
        return "That is the nearest single image, or a few; compare with each digit's mean."
    means = torch.stack([images[labels == digit].mean(0) for digit in range(10)])
    if (got != (labels[:40] + 1) % 10).any():
        return _why_another_digit(got, means, others)
    between = torch.stack([_between(means[digit], means[digit - 5]) for digit in range(10)])
    if (torch.as_tensor(answer(images, labels, between)) != torch.arange(10)).any():
        return "A distance is the root of the sum of *squared* differences over all pixels."
    return None


def _why_another_digit(got: Tensor, means: Tensor, others: Tensor) -> str:
    """Return a hint about digits that are not those of the nearest mean images."""
    distances = torch.cdist(others, means)
    sums = torch.cdist(others, 20 * means)  # of each digit's 20 images
    wrong = {
        "That is the largest product of pixels, which prefers bright means: take the smallest "
        "squared distance.": (others @ means.T).argmax(1),
        "That is the farthest mean: argmin finds the nearest.": distances.argmax(1),
        "That compares with each digit's *sum*: divide it by the number of images.": sums.argmin(1),
        "Square each difference before you add up, or those above and below cancel out.": (
            (others[:, None] - means).sum(2).argmin(1)
        ),
    }
    found = [hint for hint, digits in wrong.items() if torch.equal(got.long(), digits)]
    return [*found, "Some digits are wrong: is it the smallest distance, over all 784 pixels?"][0]


def _between(near: Tensor, far: Tensor) -> Tensor:
    """Return a point closer to `near`, though the sum of absolute differences to `far` is less.

    It is `far`, but for the few pixels in which the two differ most.
    """
    gap = (near - far).abs()
    largest = gap.argsort(descending=True)
    few = largest[: int((gap[largest].square().cumsum(0) < 0.55 * gap.square().sum()).sum()) + 1]
    point = far.clone()
    point[few] = near[few]
    return point


@exercise("01-4")
def _shift(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    images = torch.randint(1, 256, (3, 5, 5), dtype=torch.uint8, generator=_generator())
    for pixels in (2, 1, 0):
        given = images.clone()
        got = answer(given, pixels)
        if not torch.equal(given, images):
            return "The images that were given have changed: write into a copy, or into zeros."
        wrong = {
            "What leaves on the right comes in on the left again (torch.roll does that): "
            "fill with zeros.": images.roll(pixels, -1),
            "They have moved to the left.": shift_right(images.flip(-1), pixels).flip(-1),
            "They have moved down: columns are the last dimension.": (
                shift_right(images.mT, pixels).mT
            ),
            "For pixels=0 nothing is left: `[:-0]` is `[:0]`, which is empty. Count from the "
            "left.": torch.zeros_like(images),
        }
        if not pixels:  # all of these are right then
            wrong = dict(list(wrong.items())[-1:])
        if hint := compare_tensors(got, shift_right(images, pixels), wrong):
            return hint
    return None


def _generator() -> torch.Generator:
    """Return random numbers that are always the same."""
    return torch.Generator().manual_seed(0)


@exercise("01-5")
def _recall(answer: Sequence[str]) -> str | None:
    hints = (
        "1: uint8 ends at 255 and begins again at 0: 300 − 256.",
        "2: a dimension of 1 is repeated until it fits the other tensor's.",
        "3: the test split is for the report; what is selected on it looks too good.",
        "4: with 100 images the 95% interval reaches down to about 95%.",
        "5: a shifted stroke meets other pixels; more images of centered digits don't change that.",
    )
    return recall_hint(answer, "bacab", hints)

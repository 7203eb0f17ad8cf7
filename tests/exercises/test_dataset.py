"""Notebook 01's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

import struct

import torch
import torch.nn.functional as F
from answers import *  # noqa: F403

from mnist_helpers.exercises import dataset


def distances_in_a_loop(a, b):
    return [[float(((x.int() - y.int()) ** 2).sum()) for y in b] for x in a]


def distances_by_products(a, b):
    a, b = a.double(), b.double()
    return (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T


def header_in_a_loop(content):
    sizes = [content[4 + 4 * i : 8 + 4 * i] for i in range(content[3])]
    return tuple(int.from_bytes(size, "big") for size in sizes)


def means_in_a_loop(images, labels, others):
    means = [images[labels == digit].mean(0) for digit in range(10)]
    return [min(range(10), key=lambda digit: (other - means[digit]).norm()) for other in others]


def means_with_cdist(images, labels, others):
    means = torch.stack([images[labels == digit].mean(0) for digit in range(10)])
    return torch.cdist(others, means).argmin(1)


def by_absolute_differences(images, labels, others):
    means = torch.stack([images[labels == digit].mean(0) for digit in range(10)])
    return (others[:, None] - means).abs().sum(2).argmin(1)


def farthest_mean(images, labels, others):
    means = torch.stack([images[labels == digit].mean(0) for digit in range(10)])
    return torch.cdist(others, means).argmax(1)


def vote_of(k):
    def answer(images, labels, others):
        nearest = torch.cdist(others, images).argsort(1)[:, :k]
        return labels[nearest].mode(1).values

    return answer


def shift_by_padding(images, pixels):
    return F.pad(images, (pixels, 0))[..., : images.shape[-1]]


def shift_after_roll(images, pixels):
    moved = images.roll(pixels, dims=-1)
    moved[..., :pixels] = 0
    return moved


def shift_counted_from_the_right(images, pixels):
    moved = torch.zeros_like(images)
    if pixels:
        moved[..., pixels:] = images[..., :-pixels]
        return moved
    moved[..., pixels:] = 0  # images[..., :-0] is empty: broadcasting fails, or nothing is copied
    return moved


def shift_in_place(images, pixels):
    images[..., pixels:] = images[..., : images.shape[-1] - pixels].clone()
    images[..., :pixels] = 0
    return images


def gap(*arguments):
    raise NotImplementedError


def means(images, labels):
    return torch.stack([images[labels == digit].mean(0) for digit in range(10)])


CORRECT = {
    "01-1": (dataset.squared_distances, distances_in_a_loop, distances_by_products),
    "01-2": (lambda c: struct.unpack(f">{c[3]}I", c[4 : 4 + 4 * c[3]]), header_in_a_loop),
    "01-3": (dataset.nearest_mean, means_in_a_loop, means_with_cdist),
    "01-4": (dataset.shift_right, shift_by_padding, shift_after_roll),
    "01-5": ("bacab", ["B", "A", "C", "A", "B"], "b, a, c, a, b"),
}
WRONG = [
    ("01-1", lambda a, b: ((a[:, None] - b[None]).float() ** 2).sum(2), "before you subtract"),
    ("01-1", lambda a, b: ((a[:, None] - b[None]) ** 2).sum(2), "in the square"),
    ("01-1", lambda a, b: ((a[:, None].short() - b[None]) ** 2).sum(2), "16 bits"),
    ("01-1", lambda a, b: torch.cdist(a.float(), b.float()), "squared one"),
    ("01-1", lambda a, b: (a[:, None].int() - b[None]).abs().sum(2), "absolute"),
    ("01-1", lambda a, b: dataset.squared_distances(b, a), "transposed"),
    ("01-1", lambda a, b: (a[:, None].float() - b[None]) ** 2, r"sum\(dim=2\)"),
    ("01-1", lambda a, b: ((a[:, None].float() - b[None]) ** 2).mean(2), "mean divides"),
    ("01-1", lambda a, b: ((a.float() - b.float()) ** 2).sum(1), "raised RuntimeError"),
    (
        "01-4",
        lambda x, n: x[:, :, 28 - n],
        r"raised IndexError.*\(in a trial with \[3, 5, 5\], 2\)",
    ),
    ("01-3", lambda x, y, z: (z @ means(x, y).T).argmax(1), "largest product"),
    ("01-3", lambda x, y, z: torch.cdist(z, 20 * means(x, y)).argmin(1), "sum.*: divide"),
    ("01-3", lambda x, y, z: (z[:, None] - means(x, y)).sum(2).argmin(1), "cancel out"),
    ("01-1", gap, "not written"),
    ("01-2", lambda c: struct.unpack(f"<{c[3]}I", c[4 : 4 + 4 * c[3]]), "most significant byte"),
    ("01-2", lambda c: list(struct.unpack(f">{c[3]}I", c[4 : 4 + 4 * c[3]])), "tuple"),
    ("01-2", lambda c: struct.unpack(">3I", c[4:16]), "yours gives"),
    ("01-2", lambda c: struct.unpack(f">{c[3]}I", c[: 4 * c[3]]), "after the first four"),
    ("01-3", lambda x, y, z: y[torch.cdist(z, x).argmin(1)], "single image"),
    *(("01-3", vote_of(k), "single image, or a few") for k in (3, 5, 7, 9)),
    ("01-3", lambda x, y, z: 3, "shape"),
    ("01-3", farthest_mean, "farthest"),
    ("01-3", lambda x, y, z: z.argmax(1) % 10, "over all 784 pixels"),
    ("01-3", by_absolute_differences, "squared"),
    ("01-4", lambda images, pixels: images.roll(pixels, -1), "roll"),
    ("01-4", lambda images, pixels: dataset.shift_right(images.flip(-1), pixels).flip(-1), "left"),
    ("01-4", lambda images, pixels: dataset.shift_right(images.mT, pixels).mT, "down"),
    ("01-4", lambda images, pixels: F.pad(images, (pixels, 0)), "shape"),
    ("01-4", shift_in_place, "copy"),
    ("01-4", shift_counted_from_the_right, "pixels=0"),
    ("01-5", "bacaa", "5: a shifted stroke"),
    ("01-5", "ba", "5 letters"),
]

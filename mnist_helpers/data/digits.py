"""The currency of the package: images and labels, their splits, their mini-batches.

`Digits` holds all images of a split as one ``uint8`` tensor ``[N, 1, 28, 28]`` and their labels as
``int64`` ``[N]``. MNIST's 60,000 training images take 47 MB, so they live in memory, on the
training device, and a mini-batch is an index into them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

from ..compare import ArrayEquality

UNLABELED = -1
NON_DIGIT = -2
EVAL_BATCH_SIZE = 256  # images to predict: what layers hand on had better fit into a CPU's cache


@dataclass(frozen=True, eq=False)
class Digits(ArrayEquality):
    """Images of digits and their labels.

    Parameters
    ----------
    images : Tensor of shape [N, 1, 28, 28], dtype uint8
        Light ink on black, 0 to 255.
    labels : Tensor of shape [N], dtype int64
        0 to 9, `UNLABELED` (-1) where the label is not known, or `NON_DIGIT` (-2) for an image
        of something else.
    source : str
        Where the images come from, in words.

    Raises
    ------
    ValueError
        If a shape, dtype or label is not as above.

    Examples
    --------
    >>> digits = Digits(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.tensor([5, 0, 4]), "")
    >>> len(digits[1:]), digits[0][1]
    (2, 5)
    """

    images: Tensor
    labels: Tensor
    source: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.shape[1:] != (1, 28, 28):
            raise ValueError(
                "images must be uint8 of shape [N, 1, 28, 28], "
                f"not {self.images.dtype} of shape {list(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 of shape [{len(self.images)}], one for each image, "
                f"not {self.labels.dtype} of shape {list(self.labels.shape)}"
            )
        if len(self.labels) and not NON_DIGIT <= self.labels.min() <= self.labels.max() <= 9:
            raise ValueError(
                "labels must lie between 0 and 9 (-1: unlabeled, -2: no digit), "
                f"not between {self.labels.min()} and {self.labels.max()}"
            )

    def fingerprint(self) -> str:
        """Return a hash of images and labels, which tells one set of digits from another."""
        content = hashlib.blake2b(digest_size=16)
        for part in (self.images, self.labels):
            content.update(part.cpu().contiguous().numpy().tobytes())
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int | np.integer) -> tuple[Tensor, int]: ...

    @overload
    def __getitem__(self, index: slice | Tensor | np.ndarray | list[int]) -> Digits: ...

    def __getitem__(
        self, index: int | np.integer | slice | Tensor | np.ndarray | list[int]
    ) -> tuple[Tensor, int] | Digits:
        """Return one ``(image, label)`` for an int, and `Digits` for anything that picks many."""
        if isinstance(index, (int, np.integer)):
            return self.images[index], int(self.labels[index])
        if not isinstance(index, (slice, Tensor)):  # a list, an array, a column of a table
            index = torch.from_numpy(np.array(index, dtype=None if len(index) else np.int64))
        return Digits(self.images[index], self.labels[index], self.source)

    def __repr__(self) -> str:
        return f"Digits({len(self):,} images from {self.source})"

    def __add__(self, other: Digits) -> Digits:
        """Return these digits and then the others."""
        return Digits(
            torch.cat((self.images, other.images)),
            torch.cat((self.labels, other.labels)),
            f"{self.source} and {len(other):,} {other.source}",
        )

    def to(self, device: torch.device | str) -> Digits:
        """Return the same digits on `device`."""
        return Digits(self.images.to(device), self.labels.to(device), self.source)


class Splits(NamedTuple):
    """Training, validation and test split; unpacks in this order."""

    train: Digits
    val: Digits
    test: Digits

    @property
    def source(self) -> str:
        """Where the images come from, in words."""
        return self.train.source

    @property
    def is_sample(self) -> bool:
        """Whether this is the small offline sample and not MNIST."""
        return is_sample(self.source)


class Batches:
    """Shuffled mini-batches, cut by index on the device that the digits are on.

    Parameters
    ----------
    digits : Digits
        Moved to the device beforehand (``digits.to(device)``), once.
    batch_size : int
        Images per batch; the last batch of an epoch may be smaller. A single image that is left
        over joins the batch before it: BatchNorm learns nothing sound from one image.
    shuffle : bool, default=True
        Draw a new order for each pass from PyTorch's global random numbers.
    augment : callable, default=None
        Applied to each batch of images as a whole, see `mnist_helpers.augment`.
    rank, world_size : int, default=0, 1
        Where `world_size` processes train together: each makes the same batches from the same
        random numbers, and yields its own part of them, every `world_size`-th image from number
        `rank` on.

    Yields
    ------
    images : Tensor of shape [batch, 1, 28, 28]
        uint8, or what `augment` returns.
    labels : Tensor of shape [batch], dtype int64

    Examples
    --------
    >>> digits = Digits(torch.zeros(10, 1, 28, 28, dtype=torch.uint8), torch.arange(10), "zeros")
    >>> [len(labels) for _, labels in Batches(digits, 4)]
    [4, 4, 2]
    """

    def __init__(
        self,
        digits: Digits,
        batch_size: int,
        shuffle: bool = True,
        augment: Callable[[Tensor], Tensor] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < world_size:
            raise ValueError(f"batch_size must be at least {world_size}, not {batch_size}")
        self.digits = digits
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.augment = augment
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        full, rest = divmod(len(self.digits), self.batch_size)
        if rest >= 2 * self.world_size or (rest and not full):
            return full + 1
        return full  # too few for a batch of their own join the last one

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.digits.images, self.digits.labels
        pick = torch.randperm if self.shuffle else torch.arange
        order = pick(len(images), device=images.device)
        starts = [number * self.batch_size for number in range(1, len(self))]
        for index in order.tensor_split(starts):
            batch = images[index]
            batch = self.augment(batch) if self.augment else batch
            yield batch[self.rank :: self.world_size], labels[index][self.rank :: self.world_size]


def split_stratified(digits: Digits, size: int, seed: int = 0) -> tuple[Digits, Digits]:
    """Take `size` images out of `digits`, the same share of every class.

    Returns
    -------
    rest, taken : Digits
        Together all of `digits`, both in their original order.

    Raises
    ------
    ValueError
        If `size` is negative or leaves nothing, or a class is too small to be shared out.
    """
    if size == 0:
        return digits, digits[:0]
    if not 0 < size < len(digits):
        raise ValueError(
            f"cannot take {size:,} of {len(digits):,} images: choose between 0 and "
            f"{len(digits) - 1:,}"
        )
    from sklearn.model_selection import train_test_split

    labels = digits.labels.cpu().numpy()
    rest, taken = train_test_split(
        np.arange(len(digits)), test_size=size, random_state=seed, stratify=labels
    )
    return digits[np.sort(rest)], digits[np.sort(taken)]


def is_sample(source: str) -> bool:
    """Whether digits with this source are the small offline sample and not MNIST."""
    return source.startswith("offline sample")

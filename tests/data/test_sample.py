"""The offline sample."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from mnist_helpers.data import (
    Digits,
    load_mnist,
)


def test_offline_sample() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # who asks for the sample needs no warning
        splits = load_mnist("sample")
    assert splits.is_sample and "5,000 images of MNIST's training set" in splits.source
    assert [len(split) for split in splits] == [3500, 500, 1000]
    for split in splits:
        assert torch.bincount(split.labels).tolist() == [len(split) // 10] * 10
    images = {image.numpy().tobytes() for split in splits for image, _ in split}
    assert len(images) == 5000, "two splits share an image"


def test_the_first_images_of_the_sample_are_of_all_classes() -> None:
    for split in load_mnist("sample"):  # they come sorted by digit, and are mixed
        assert len(split.labels[:100].unique()) == 10


def test_the_sample_is_from_the_training_set(mnist_root: Path) -> None:
    def pairs(digits: Digits) -> set[tuple[bytes, int]]:
        rows = map(bytes, digits.images.flatten(1).numpy())
        return set(zip(rows, digits.labels.tolist(), strict=True))

    train, _, test = load_mnist("idx", mnist_root, val_size=0)
    sample = set.union(*map(pairs, load_mnist("sample")))
    assert len(sample) == 5000
    assert sample <= pairs(train)
    assert not sample & pairs(test)

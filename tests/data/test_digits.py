"""The currency: digits, splits, batches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from made_up import (
    TRAIN,
    same,
)

from mnist_helpers.augment import random_shift
from mnist_helpers.data import (
    NON_DIGIT,
    Batches,
    Digits,
    split_stratified,
)


def test_digits_are_added_one_after_the_other() -> None:
    both = TRAIN[:3] + Digits(TRAIN.images[3:5], torch.full((2,), NON_DIGIT), "blots")
    assert torch.equal(both.images, TRAIN.images[:5])
    assert both.labels.tolist() == [*TRAIN.labels[:3].tolist(), -2, -2]
    assert both.source == f"{TRAIN.source} and 2 blots"


def test_digits_index_like_a_tensor_and_keep_pairs_together() -> None:
    image, label = TRAIN[13]
    assert torch.equal(image, TRAIN.images[13]) and label == 3 and type(label) is int
    assert TRAIN[np.int64(13)][1] == 3
    picks = {
        "slice": slice(3, 6),
        "list": [3, 4, 5],
        "array": np.array([3, 4, 5]),
        "tensor": torch.tensor([3, 4, 5]),
        "mask": torch.arange(200).sub(4).abs() < 2,
        "array mask": np.abs(np.arange(200) - 4) < 2,
        "column": pd.Series([3, 4, 5], index=[9, 8, 7]),
    }
    for kind, pick in picks.items():
        few = TRAIN[pick]
        assert few.labels.tolist() == [3, 4, 5], kind
        assert torch.equal(few.images, TRAIN.images[3:6]), kind
        assert few.source == "noise"
    assert len(TRAIN[[]]) == 0
    assert [label for _, label in TRAIN[:12]] == [*range(10), 0, 1]
    with pytest.raises(IndexError):
        TRAIN[200]
    assert "200 images from noise" in repr(TRAIN)


def test_digits_move_to_a_device() -> None:
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        moved = TRAIN.to(torch.device(device))
        assert moved.images.device.type == moved.labels.device.type == device
        assert same(moved.to("cpu"), TRAIN) and moved.source == "noise"


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(2, 1, 28, 28), torch.zeros(2).long(), "uint8"),
        (torch.zeros(2, 28, 28).byte(), torch.zeros(2).long(), r"\[2, 28, 28\]"),
        (torch.zeros(2, 1, 28, 27).byte(), torch.zeros(2).long(), "27"),
        (torch.zeros(2, 1, 28, 28).byte(), torch.zeros(2), "int64"),
        (torch.zeros(2, 1, 28, 28).byte(), torch.zeros(3).long(), "one for each image"),
        (torch.zeros(2, 1, 28, 28).byte(), torch.tensor([0, 10]), "10"),
        (torch.zeros(2, 1, 28, 28).byte(), torch.tensor([-3, 1]), "-3"),
    ],
)
def test_digits_refuse_what_is_none(images, labels, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Digits(images, labels, "")


def test_validation_split_is_stratified_and_seeded() -> None:
    labels = torch.tensor([0] * 600 + [1] * 300 + [2] * 100)
    images = torch.arange(1000).reshape(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    digits = Digits((images % 256).byte(), labels, "")
    rest, taken = split_stratified(digits, 100, seed=3)
    assert torch.bincount(taken.labels).tolist() == [60, 30, 10]
    assert torch.bincount(rest.labels).tolist() == [540, 270, 90]
    again_rest, again = split_stratified(digits, 100, seed=3)
    assert same(again, taken) and same(again_rest, rest)
    assert not same(split_stratified(digits, 100, seed=4)[1], taken)
    assert len(split_stratified(digits, 0)[1]) == 0
    for size in (-1, 1000, 2000):
        with pytest.raises(ValueError, match="choose between 0 and 999"):
            split_stratified(digits, size)


@pytest.mark.parametrize("number", [2, 15, 16, 17, 18, 40])
def test_batches_hold_every_image_once(number: int) -> None:
    digits = Digits(TRAIN.images[:number], torch.arange(number) % 10, "")
    for size in (1, 8, 16, 100):
        batches = Batches(digits, size, shuffle=False)
        parts = list(batches)
        assert len(parts) == len(batches)
        assert torch.equal(torch.cat([images for images, _ in parts]), digits.images)
        assert torch.equal(torch.cat([labels for _, labels in parts]), digits.labels)
        sizes = [len(labels) for _, labels in parts]
        assert all(len(images) == many for (images, _), many in zip(parts, sizes, strict=True))
        assert set(sizes[:-1]) <= {size} and sizes[-1] <= size + 1
        assert size == 1 or min(sizes) > 1, "a batch of one image"


def test_batches_are_reshuffled_and_repeat_with_the_seed() -> None:
    def passes(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        batches = Batches(digits, 64)
        return [torch.cat([images[:, 0, 0, 0] for images, _ in batches]).tolist() for _ in "ab"]

    images = torch.arange(200, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    digits = Digits(images, torch.arange(200) % 10, "")
    with torch.random.fork_rng(devices=[]):
        first, second = passes(5)
        assert first != second != sorted(second)
        assert sorted(first) == sorted(second) == list(range(200))
        assert passes(5) == [first, second]
        assert passes(6) != [first, second]
        for images, labels in Batches(digits, 64):
            assert torch.equal(images[:, 0, 0, 0] % 10, labels), "an image lost its label"


def test_batches_augment_whole_batches_and_spare_the_digits() -> None:
    before = TRAIN.images.clone()
    changed = torch.cat([i for i, _ in Batches(TRAIN, 64, False, lambda images: images // 2)])
    assert torch.equal(changed, before // 2)
    for images, _ in Batches(TRAIN, 64, augment=random_shift):
        assert images.dtype == torch.uint8 and images.shape[1:] == (1, 28, 28)
    assert torch.equal(TRAIN.images, before)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Batches(TRAIN, 0)

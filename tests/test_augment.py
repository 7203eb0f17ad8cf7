"""Augmentation: every image changes in its own way, and stays an image of 28×28."""

from __future__ import annotations

import pytest
import torch

from mnist_helpers.augment import (
    AUGMENTATIONS,
    random_shift,
    random_thickness,
    random_warp,
    to_float,
)


@pytest.fixture
def images() -> torch.Tensor:
    """Sixty-four uprights: white bars on black."""
    images = torch.zeros(64, 1, 28, 28, dtype=torch.uint8)
    images[:, :, 6:22, 12:16] = 255
    return images


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_image_changes_in_its_own_way_and_the_seed_repeats_it(
    name: str, images: torch.Tensor
) -> None:
    torch.manual_seed(1)
    first = AUGMENTATIONS[name](images)
    torch.manual_seed(1)
    again = AUGMENTATIONS[name](images)
    other = AUGMENTATIONS[name](images)
    assert first.shape == images.shape
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(torch.unique(first.flatten(1), dim=0)) > 10
    pixels = to_float(first)
    assert pixels.min() >= 0 and 0.5 < pixels.max() <= 1
    assert (to_float(images) - to_float(images)[0]).abs().max() == 0, "the originals are left alone"


def test_a_shift_moves_whole_pixels_and_no_further_than_asked(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    moved = random_shift(images, 2)
    assert moved.dtype == torch.uint8
    assert (moved.flatten(1).sum(1) == images.flatten(1).sum(1)).all()
    tops = moved.amax(dim=(1, 3)).int().argmax(1)
    lefts = moved.amax(dim=(1, 2)).int().argmax(1)
    assert set(tops.tolist()) == {4, 5, 6, 7, 8}
    assert set(lefts.tolist()) == {10, 11, 12, 13, 14}


def test_nothing_asked_for_is_nothing_done(images: torch.Tensor) -> None:
    still = random_warp(images, degrees=0, scale=0, shear=0, shift=0)
    assert torch.allclose(still, to_float(images), atol=1e-5)
    assert torch.equal(random_thickness(images, 0), to_float(images))
    assert torch.equal(random_shift(images, 0), images)


def test_each_way_of_warping_does_what_it_says(images: torch.Tensor) -> None:
    def extent(images: torch.Tensor, dim: int) -> torch.Tensor:
        return (images.amax(dim=(1, dim)) > 0.5).sum(1).float()

    torch.manual_seed(0)
    nothing = {"degrees": 0, "scale": 0, "shear": 0, "shift": 0}
    turned = random_warp(images, **nothing | {"degrees": 30})
    assert extent(turned, 2).max() > 8 > extent(images, 2).max() / 255
    scaled = random_warp(images, **nothing | {"scale": 0.3})
    heights = extent(scaled, 3)
    assert heights.min() < 14 and heights.max() > 18
    slanted = random_warp(images, **nothing | {"shear": 0.5})
    assert extent(slanted, 2).max() > 8 and extent(slanted, 3).max() <= 17
    bent = random_warp(images, **nothing, elastic=1.5)
    assert (bent - to_float(images)).abs().mean() > 0.005


def test_strokes_become_thicker_and_thinner(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    ink = random_thickness(images, 0.6).flatten(1).sum(1)
    before = to_float(images)[0].sum()
    assert ink.min() < 0.85 * before and ink.max() > 1.15 * before


def test_floats_stay_as_they_are() -> None:
    images = torch.rand(2, 1, 28, 28)
    assert to_float(images) is images
    assert torch.equal(to_float(images.double()), images)

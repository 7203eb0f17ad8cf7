"""Label-preserving augmentation, on whole batches of images.

Each function takes images ``[N, 1, 28, 28]``, uint8 or float in [0, 1], changes each image
independently, and returns the same shape. Digits are never flipped: a mirrored 2 is no digit.
The randomness is PyTorch's global generator, so `torch.manual_seed` reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def random_shift(images: Tensor, pixels: int = 2) -> Tensor:
    """Translate each image by up to `pixels` pixels along each axis, filling with black.

    Keeps the dtype: the shift is a whole number of pixels, so nothing is interpolated.
    """
    number, size, span = len(images), images.shape[-1], 2 * pixels + 1
    padded = F.pad(images, (pixels,) * 4)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)  # every shift, as a view
    down, right = torch.randint(span, (2, number), device=images.device)
    return windows[torch.arange(number, device=images.device), :, down, right]


def random_warp(
    images: Tensor,
    degrees: float = 10.0,
    scale: float = 0.1,
    shear: float = 0.15,
    shift: float = 2.0,
    elastic: float = 0.0,
) -> Tensor:
    """Rotate, scale, shear, shift and bend each image, in a single interpolation.

    Parameters
    ----------
    images : Tensor of shape [N, 1, 28, 28]
    degrees : float, default=10.0
        Rotation, sampled from [-degrees, degrees].
    scale : float, default=0.1
        Factors for width and height, each sampled from [1 - scale, 1 + scale].
    shear : float, default=0.15
        Horizontal shift in pixels per pixel of height, sampled from [-shear, shear].
    shift : float, default=2.0
        Translation in pixels, sampled from [-shift, shift] for each axis.
    elastic : float, default=0.0
        Standard deviation, in pixels, of a smooth random displacement, after Simard, Steinkraus
        and Platt, "Best practices for convolutional neural networks", ICDAR 2003, section 2.

    Returns
    -------
    Tensor of shape [N, 1, 28, 28], float32 in [0, 1]
    """
    floats = to_float(images)
    number, device, size = len(images), images.device, images.shape[-1]

    def uniform(bound: float) -> Tensor:
        return (2 * torch.rand(number, device=device) - 1) * bound

    angle = torch.deg2rad(uniform(degrees))
    wide, high, slant = 1 + uniform(scale), 1 + uniform(scale), uniform(shear)
    cos, sin, pixel = torch.cos(angle), torch.sin(angle), 2 / size
    rows = (cos / wide, slant * cos - sin / wide, uniform(shift) * pixel)
    columns = (sin / high, slant * sin + cos / high, uniform(shift) * pixel)
    matrix = torch.stack((torch.stack(rows, -1), torch.stack(columns, -1)), 1)
    grid = F.affine_grid(matrix, list(floats.shape), align_corners=False)
    if elastic:
        coarse = torch.randn(number, 2, 6, 6, device=device) * elastic * pixel
        bend = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
        grid = grid + bend.permute(0, 2, 3, 1)
    return F.grid_sample(floats, grid, mode="bilinear", align_corners=False)


def random_thickness(images: Tensor, strength: float = 0.6) -> Tensor:
    """Thicken or thin each image's strokes by up to `strength` pixels on either side.

    Blends each image with the maximum (thicker) or minimum (thinner) of each pixel's neighborhood.

    Returns
    -------
    Tensor of shape [N, 1, 28, 28], float32 in [0, 1]
    """
    floats = to_float(images)
    amount = (2 * torch.rand(len(images), 1, 1, 1, device=images.device) - 1) * strength
    thicker = F.max_pool2d(floats, 3, stride=1, padding=1)
    thinner = -F.max_pool2d(-floats, 3, stride=1, padding=1)
    return torch.lerp(floats, torch.where(amount > 0, thicker, thinner), amount.abs())


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images, or floats in [0, 1], as float32 in [0, 1]."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def handwriting(images: Tensor, elastic: float = 0.0) -> Tensor:
    """Imitate other writers and other pens: `random_warp`, then `random_thickness`."""
    return random_thickness(random_warp(images, elastic=elastic), 0.9)


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "shift": random_shift,
    "warp": random_warp,
    "handwriting": handwriting,
}

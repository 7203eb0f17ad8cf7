"""Sheets that are filled in and photographed by code: for trying things out without paper."""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np
from PIL import Image

from ..data.digits import Digits
from .layout import boxes
from .opencv import cv2

DESK = 60.0  # gray value around the page
MARGIN = 0.09  # of the photo, around the page
FILLED = 0.8  # of a box's width: how large a digit is written


def fill_in(
    page: Image.Image,
    digits: Digits,
    per_digit: int = 10,
    names: str = "0123456789",
    leave_out: Collection[int] = (),
    cross_out: Collection[int] = (),
) -> Image.Image:
    """Write a digit into each box of a sheet.

    Parameters
    ----------
    page : PIL.Image.Image
        What `draw_sheet` returned.
    digits : Digits
        Taken one after the other, by label.
    per_digit : int, default=10
    names : str, default="0123456789"
        The `digits` of `draw_sheet`.
    leave_out, cross_out : collection of int, default=()
        The boxes that stay empty, and those that are crossed out.

    Returns
    -------
    PIL.Image.Image
        The page, of mode "L".
    """
    pixels = np.asarray(page.convert("L"), dtype=np.float32).copy()
    height, width = pixels.shape
    for number, box in enumerate(boxes(per_digit, names)):
        left, right = round(box.left * width), round(box.right * width)
        top, bottom = round(box.top * height), round(box.bottom * height)
        if number in leave_out:
            continue
        if number in cross_out:
            cv2().line(pixels, (left + 3, top + 3), (right - 3, bottom - 3), 40.0, 6)
        of_label = np.flatnonzero(digits.labels.numpy() == box.label)
        digit = Image.fromarray(digits.images[of_label[number % len(of_label)], 0].numpy())
        side = round(FILLED * (right - left))
        ink = np.asarray(digit.resize((side, side), Image.Resampling.BICUBIC)) / np.float32(255)
        y, x = (top + bottom - side) // 2, (left + right - side) // 2
        pixels[y : y + side, x : x + side] *= 1 - 0.85 * ink
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def photograph(
    page: Image.Image,
    size: tuple[int, int] = (1200, 1600),
    turn: int = 0,
    tilt: float = 0.05,
    curl: float = 0.0,
    shadow: float = 0.5,
    noise: float = 6.0,
    blur: float = 1.0,
    quality: int = 75,
    seed: int = 0,
) -> Image.Image:
    """Return a photo of a page on a dark desk, in yellow light with a shadow.

    Parameters
    ----------
    page : PIL.Image.Image
    size : (int, int), default=(1200, 1600)
        Width and height in pixels of the upright photo.
    turn : int, default=0
        Quarter turns to the left.
    tilt : float, default=0.05
        How far the page's corners move at most, as a share of the photo.
    curl : float, default=0.0
        How far the middle of the page rises, as a share of its height.
    shadow : float, default=0.5
        How much light is missing where it is darkest.
    noise : float, default=6.0
        Standard deviation of the camera's noise, of 255.
    blur : float, default=1.0
        Standard deviation of the blur in pixels.
    quality : int, default=75
        Of JPEG, which the photo has been stored as.
    seed : int, default=0

    Returns
    -------
    PIL.Image.Image
        Mode "RGB".
    """
    rng = np.random.default_rng(seed)
    width, height = page.size
    across, down = size[::-1] if turn % 2 else size
    corners = np.array(
        [(MARGIN, MARGIN), (1 - MARGIN, MARGIN), (1 - MARGIN, 1 - MARGIN), (MARGIN, 1 - MARGIN)]
    )
    corners = np.roll((corners + rng.uniform(-tilt, tilt, (4, 2))) * (across, down), -turn, axis=0)
    of_page = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    cv = cv2()
    back = cv.getPerspectiveTransform(corners.astype(np.float32), of_page.astype(np.float32))
    x, y = np.meshgrid(np.arange(across), np.arange(down))
    mapped = np.stack([x, y, np.ones_like(x)], axis=-1) @ back.T
    u, v = mapped[..., 0] / mapped[..., 2], mapped[..., 1] / mapped[..., 2]
    v = v + curl * height * np.sin(np.pi * np.clip(u / width, 0, 1))
    pixels = np.asarray(page.convert("L"), dtype=np.float32)
    smooth = cv.GaussianBlur(pixels, (0, 0), max(0.3, 0.4 * width / across))
    maps = u.astype(np.float32), v.astype(np.float32)
    photo = cv.remap(smooth, *maps, cv.INTER_LINEAR, borderValue=DESK)
    photo = cv.GaussianBlur(photo, (0, 0), blur)
    light = 1 - shadow / (1 + np.exp(-(6 * (x / across - 0.5) + 5 * (y / down - 0.4))))
    color = (photo * light)[..., None] * (1, 0.95, 0.85)
    color = np.clip(color + rng.normal(0, noise, color.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(color).save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")

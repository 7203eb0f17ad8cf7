"""Sheets that are filled in and photographed, as phones do it: for tests."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from mnist_helpers.data import Digits
from mnist_helpers.sheet import boxes

DESK = 60


def fill_in(
    page: Image.Image,
    digits: Digits,
    per_digit: int = 10,
    names: str = "0123456789",
    leave_out: tuple[int, ...] = (),
    cross_out: tuple[int, ...] = (),
) -> np.ndarray:
    """Write a different digit into each box; return the page as float32."""
    pixels = np.asarray(page, dtype=np.float32).copy()
    height, width = pixels.shape
    for number, (label, *place) in enumerate(boxes(per_digit, names)):
        left, top, right, bottom = (
            round(at * size) for at, size in zip(place, (width, height) * 2, strict=True)
        )
        if number in leave_out:
            continue
        if number in cross_out:
            cv2.line(pixels, (left + 3, top + 3), (right - 3, bottom - 3), 40.0, 6)
        of_label = np.flatnonzero(digits.labels.numpy() == label)
        digit = Image.fromarray(digits.images[of_label[number % len(of_label)], 0].numpy())
        side = round(0.8 * (right - left))
        ink = np.asarray(digit.resize((side, side), Image.Resampling.BICUBIC)) / np.float32(255)
        y, x = (top + bottom - side) // 2, (left + right - side) // 2
        pixels[y : y + side, x : x + side] *= 1 - 0.85 * ink
    return pixels


def photograph(
    page: np.ndarray,
    size: tuple[int, int] = (1200, 1600),
    turn: int = 0,
    tilt: float = 0.05,
    curl: float = 0.0,
    shadow: float = 0.5,
    noise: float = 6.0,
    blur: float = 1.0,
    quality: int = 75,
    seed: int = 0,
) -> bytes:
    """Return a JPEG photo of a page on a dark desk, in yellow light with a shadow.

    `turn` counts quarter turns, `tilt` how far corners move and `curl` how far the page's middle
    rises, as shares of the photo and of the page.
    """
    rng = np.random.default_rng(seed)
    height, width = page.shape
    across, down = size[::-1] if turn % 2 else size
    margin = 0.09
    corners = np.array(
        [(margin, margin), (1 - margin, margin), (1 - margin, 1 - margin), (margin, 1 - margin)]
    )
    corners = np.roll((corners + rng.uniform(-tilt, tilt, (4, 2))) * (across, down), -turn, axis=0)
    of_page = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    back = cv2.getPerspectiveTransform(corners.astype(np.float32), of_page.astype(np.float32))
    x, y = np.meshgrid(np.arange(across), np.arange(down))
    mapped = np.stack([x, y, np.ones_like(x)], axis=-1) @ back.T
    u, v = mapped[..., 0] / mapped[..., 2], mapped[..., 1] / mapped[..., 2]
    v = v + curl * height * np.sin(np.pi * np.clip(u / width, 0, 1))
    smooth = cv2.GaussianBlur(page, (0, 0), max(0.3, 0.4 * width / across))
    photo = cv2.remap(smooth, np.float32(u), np.float32(v), cv2.INTER_LINEAR, borderValue=DESK)
    photo = cv2.GaussianBlur(photo, (0, 0), blur)
    light = 1 - shadow / (1 + np.exp(-(6 * (x / across - 0.5) + 5 * (y / down - 0.4))))
    color = (photo * light)[..., None] * (1, 0.95, 0.85)
    color = np.clip(color + rng.normal(0, noise, color.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(color).save(file, "JPEG", quality=quality)
    return file.getvalue()

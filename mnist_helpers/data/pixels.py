"""Other people's pixels as MNIST's: which scale and which polarity they have, and what was done.

MNIST's own 70,000 images leave little doubt. Their values go from 0 to 255 (each image reaches at
least 254), the outermost frame of each is black (the median of its 108 pixels is 0), and a
twentieth to two fifths of all light is used (means from 6 to 101). Seen as drawings they are
taller than wide. What differs from that clearly is converted, and said; what is unclear is said.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MIN_PEAK = 128  # what the brightest pixel of a table reaches at least; MNIST's: 254 in each image
BLACK, WHITE = 32, 192  # at most, at least: the median of an image's frame
MIN_IMAGES = 10  # to judge how tall images are: of MNIST's, any 10 are taller than wide
MAX_INK = 64  # the mean of all pixels; MNIST's: 33, Fashion-MNIST's: 73
CHUNK = 10_000  # images to look at together

_FRAME = np.ones((28, 28), bool)
_FRAME[1:-1, 1:-1] = False


class Scale(NamedTuple):
    """A usual range of pixels that is not MNIST's 0 to 255."""

    low: float
    high: float
    words: str


SCALES = (
    Scale(0, 1, "0 to 1"),
    Scale(-1, 1, "-1 to 1"),
    Scale(-0.1307 / 0.3081, (1 - 0.1307) / 0.3081, "mean 0.1307 and standard deviation 0.3081"),
)


class PixelError(ValueError):
    """A value that is no pixel; `row` and `column` say where it stands."""

    def __init__(self, row: int, column: int, message: str) -> None:
        super().__init__(message)
        self.row, self.column = row, column


def as_mnist_pixels(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return pixels in MNIST's range and polarity, and what was converted, in words.

    Parameters
    ----------
    values : array of shape [N, 784], dtype uint8 or float
        Rows of 28 by 28 pixels.

    Returns
    -------
    pixels : array of shape [N, 784], dtype uint8
        Light ink on black.
    notes : list of str
        One sentence for each thing that was converted, or that is unlike MNIST.

    Raises
    ------
    PixelError
        If a value fits no usual scale.
    """
    notes: list[str] = []
    pixels = _rescaled(values, notes)
    peak = int(pixels.max(initial=0))
    if 0 < peak < MIN_PEAK:
        row, column = divmod(int(pixels.argmax()), pixels.shape[1])
        raise PixelError(
            row,
            column,
            f"no pixel is brighter than {peak}, where each image of MNIST reaches 255: multiply "
            f"the pixels by 255 / (their maximum) first, found {peak}",
        )
    pixels = _light_on_dark(pixels, notes)
    if len(pixels) >= MIN_IMAGES and (mean := float(pixels.mean())) > MAX_INK:
        notes.append(f"pixels are {mean:.0f} on average, MNIST's 33: these may be no digits")
    if looks_transposed(pixels.reshape(-1, 28, 28)):
        notes.append(
            "the digits are wider than tall: rows and columns look swapped, as in EMNIST's files "
            "(images.transpose(2, 3) turns them upright)"
        )
    return pixels, notes


def _rescaled(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return pixels from 0 to 255; note if they had another scale."""
    if not values.size:
        return values.astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    whole = values.dtype == np.uint8 or _all_whole(values)
    if whole and low >= 0 and high <= 255 and high != 1:
        return values.astype(np.uint8)
    scale = _scale_of(low, high)
    if scale is None:
        wrong = (values < 0) | (values > 255) | (values != np.floor(values))
        row, column = (int(at) for at in np.argwhere(wrong)[0])
        raise PixelError(
            row, column, f"expected a whole number 0 to 255, found {values[row, column]:g}"
        )
    pixels = np.empty(values.shape, np.uint8)
    factor = _factor(values[: CHUNK // 10], scale)
    for start in range(0, len(values), CHUNK):
        part = slice(start, start + CHUNK)
        shifted = (values[part].astype(np.float64) - scale.low) * (
            factor / (scale.high - scale.low)
        )
        pixels[part] = shifted.round().clip(0, 255)
    notes.append(f"pixels are scaled ({scale.words}): converted to 0 to 255")
    return pixels


def _all_whole(values: np.ndarray) -> bool:
    """Return whether all values are whole numbers."""
    parts = (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
    return all(bool((part == np.floor(part)).all()) for part in parts)


def _scale_of(low: float, high: float) -> Scale | None:
    """Return the usual scale that values between `low` and `high` have, or None."""
    for scale in SCALES:
        slack = 1e-3 * (scale.high - scale.low)
        inside = scale.low - slack <= low and high <= scale.high + slack
        reached = low <= scale.low + 20 * slack  # ink of 254 inverted is a shade above the lowest
        if inside and (scale.low == 0 or reached):
            return scale
    return None


def _factor(values: np.ndarray, scale: Scale) -> int:
    """Return 256 where bytes were divided by 256, as in Nielsen's mnist.pkl.gz, else 255."""
    if scale.low != 0:
        return 255
    off = {factor: _distance_from_whole(values * float(factor)) for factor in (255, 256)}
    return 256 if off[256] < 1e-3 < off[255] and float(values.max()) < 1 else 255


def _distance_from_whole(values: np.ndarray) -> float:
    """Return by how much values miss whole numbers at most."""
    return float(np.abs(values - values.round()).max(initial=0))


def _light_on_dark(pixels: np.ndarray, notes: list[str]) -> np.ndarray:
    """Invert images that are dark on light; note which are, and which are neither."""
    frame = np.concatenate(
        [
            np.median(pixels[start : start + CHUNK, _FRAME.ravel()], axis=1)
            for start in range(0, len(pixels), CHUNK)
        ]
        or [np.zeros(0)]
    )
    light = frame >= WHITE
    light[light] = pixels[light].mean(axis=1) >= 128
    count = int(light.sum())
    if count:
        pixels = pixels.copy()
        pixels[light] = 255 - pixels[light]
        notes.append(f"{_of(count, len(pixels))} dark on light: inverted")
    unclear = int((np.where(light, 255 - frame, frame) > BLACK).sum())
    if unclear:
        notes.append(
            f"{_of(unclear, len(pixels))} without a black background, which MNIST's all have: "
            "they may be no digits, or need to_mnist"
        )
    return pixels


def _of(count: int, total: int) -> str:
    """Return how many of all images, and the verb."""
    if count == total:
        return "all images are" if total > 1 else "the image is"
    return f"{count:,} of {total:,} images {'is' if count == 1 else 'are'}"


def looks_transposed(images: np.ndarray) -> bool:
    """Return whether rows and columns look swapped: digits are taller than wide.

    Parameters
    ----------
    images : array of shape [N, 28, 28]
        Light ink on black. Fewer than `MIN_IMAGES` are never judged.
    """
    images = images[:1000].astype(np.float64)
    mass = images.sum((1, 2))
    images, mass = images[mass > 0], mass[mass > 0]
    if len(images) < MIN_IMAGES:
        return False
    heights = _variance(images.sum(2) / mass[:, None])
    widths = _variance(images.sum(1) / mass[:, None])
    return float(np.log((heights + 1) / (widths + 1)).mean()) < -0.1


def _variance(weights: np.ndarray) -> np.ndarray:
    """Return the variance of the places 0 to 27, weighted by each row."""
    places = np.arange(28)
    means = weights @ places
    return weights @ places**2 - means**2

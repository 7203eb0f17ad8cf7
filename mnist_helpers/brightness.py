"""How many pixels have which brightness: what is dark in an image and what is light.

Counting the pixels once is far cheaper than sorting or selecting them; thresholds, means and
medians follow from the counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

LEVELS = np.arange(256)


@dataclass(frozen=True)
class Brightness:
    """The histogram of an image of 8 bits.

    Parameters
    ----------
    counts : ndarray of shape [256], dtype int64
        How many pixels have each brightness.

    Examples
    --------
    >>> brightness = Brightness.of(np.array([[10, 12, 200, 210]], np.uint8))
    >>> brightness.span, brightness.contrast
    (200, 194.0)
    """

    counts: np.ndarray

    @classmethod
    def of(cls, gray: np.ndarray) -> Brightness:
        """Count the pixels of an image of any shape, dtype uint8."""
        image = Image.fromarray(gray if gray.ndim == 2 else gray.reshape(1, -1))
        box = image.getbbox() or (0, 0, 0, 0)  # around what is not black
        counts = np.array(image.crop(box).histogram())
        counts[0] += gray.size - counts.sum()
        return cls(counts)

    @cached_property
    def span(self) -> int:
        """The difference between the lightest and the darkest pixel."""
        found = np.flatnonzero(self.counts)
        return int(found[-1] - found[0])

    @cached_property
    def threshold(self) -> float:
        """The brightness halfway between dark and light pixels, by Otsu's method."""
        from skimage.filters import threshold_otsu

        return threshold_otsu(hist=self.counts) + 0.5

    @cached_property
    def light_share(self) -> float:
        """How much of the image is lighter than the threshold."""
        return self.part(light=True).counts.sum() / self.counts.sum()

    @cached_property
    def contrast(self) -> float:
        """The difference between the means of the light and of the dark pixels."""
        light, dark = (self.part(light).counts for light in (True, False))
        return float(light @ LEVELS / light.sum() - dark @ LEVELS / dark.sum())

    def part(self, light: bool) -> Brightness:
        """Return that of the pixels that are lighter than the threshold, or of the others."""
        return Brightness(np.where((self.threshold < LEVELS) == light, self.counts, 0))

    def quantile(self, share: float) -> float:
        """Return the brightness below which a share of the pixels lies, interpolated linearly."""
        below = self.counts.cumsum()
        at = share * (below[-1] - 1)
        low, high = np.searchsorted(below, [int(at), int(np.ceil(at))], "right")
        return float(low + (high - low) * (at - int(at)))

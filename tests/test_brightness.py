"""What is dark and what is light, from counted pixels, is what NumPy and scikit-image find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.filters import threshold_otsu

from mnist_helpers.brightness import Brightness

pixels = arrays(np.uint8, array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=20))


@settings(max_examples=100, deadline=None)
@given(pixels, st.sampled_from([0, 0.25, 0.5, 0.75, 1]))
def test_counts_say_what_the_pixels_say(gray: np.ndarray, share: float) -> None:
    brightness = Brightness.of(gray)
    np.testing.assert_array_equal(brightness.counts, np.bincount(gray.ravel(), minlength=256))
    assert brightness.span == np.ptp(gray)
    assert brightness.quantile(share) == np.quantile(gray, share)
    if brightness.span == 0:
        return
    assert brightness.threshold == threshold_otsu(hist=brightness.counts) + 0.5
    light = gray > brightness.threshold
    assert brightness.light_share == pytest.approx(light.mean())
    assert brightness.contrast == pytest.approx(gray[light].mean() - gray[~light].mean())
    assert brightness.part(light=True).quantile(0.5) == np.median(gray[light])
    assert brightness.part(light=False).quantile(0.5) == np.median(gray[~light])

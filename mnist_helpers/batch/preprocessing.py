"""From a file to an image as MNIST's, or to the error that it made."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..files import escape_name
from ..preprocess import ImageLike, to_mnist
from .files import regular_file

Preprocessed = tuple[np.ndarray | None, float, str | None]  # image, seconds, error


def preprocess(path: Path) -> Preprocessed:
    """Preprocess the image in a file; see `preprocess_timed`."""
    return preprocess_timed(lambda: regular_file(path))


def preprocess_timed(load: Callable[[], ImageLike]) -> Preprocessed:
    """Return an image preprocessed as MNIST's, the seconds it took, and the error, if any."""
    start = time.perf_counter()
    try:
        return to_mnist(load()), time.perf_counter() - start, None
    except Exception as error:  # whatever a decoder raises: the others are predicted
        kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        text = escape_name(" ".join(f"{kind}{error}".split())) or type(error).__name__
        return None, time.perf_counter() - start, text

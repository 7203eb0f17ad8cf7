"""From a file to an image as MNIST's, or to the error that it made."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from ..files import escape_name
from ..preprocess import to_mnist
from .files import ImageFolder

T = TypeVar("T")


class Preprocessed(NamedTuple):
    """An image preprocessed as MNIST's, or why there is none, and how long that took."""

    image: np.ndarray | None
    seconds: float
    error: str | None


def preprocess(folder: ImageFolder, name: str) -> Preprocessed:
    """Load and preprocess one image of a folder."""
    return Preprocessed(*timed(lambda: to_mnist(folder.load(name))))


def timed(work: Callable[[], T]) -> tuple[T | None, float, str | None]:
    """Return what some work returns or None, how many seconds it took, and its error or None."""
    start = time.perf_counter()
    try:
        return work(), time.perf_counter() - start, None
    except Exception as error:  # whatever a decoder raises: the others are predicted
        kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        text = escape_name(" ".join(f"{kind}{error}".split())) or type(error).__name__
        return None, time.perf_counter() - start, text

"""The command line: ``python -m mnist_helpers train | evaluate | predict | batch | …``."""

from . import train, predict, system  # noqa: I001  (the order of the help)
from .base import app

__all__ = ["app", "predict", "system", "train"]

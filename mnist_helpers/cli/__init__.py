"""The command line: ``python -m mnist_helpers train | evaluate | predict | batch | …``."""

from . import train, predict, system, benchmark  # noqa: I001  (the order of the help)
from .base import app

__all__ = ["app", "benchmark", "predict", "system", "train"]

"""The command line: ``python -m mnist_helpers train | evaluate | predict | batch | …``."""

from . import train, predict, system, benchmark  # noqa: I001  (the order of the help)
from .base import MODELS, app

__all__ = ["MODELS", "app", "benchmark", "predict", "system", "train"]

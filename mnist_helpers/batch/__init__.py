"""A folder of images in, a table out; the same rows on one machine and on a cluster."""

from __future__ import annotations

from .files import ImageFolder
from .labels import LABELS
from .numbers import NUMBER_COLUMNS
from .processor import BatchProcessor
from .rows import COLUMNS, PROBABILITIES

__all__ = ["COLUMNS", "LABELS", "NUMBER_COLUMNS", "PROBABILITIES", "BatchProcessor", "ImageFolder"]

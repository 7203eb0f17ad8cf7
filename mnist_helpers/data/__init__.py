"""Where digits come from: MNIST's files, a download, a table, an offline sample."""

from __future__ import annotations

from .digits import (
    AT_ONCE,
    NO_DIGIT,
    UNLABELLED,
    Batches,
    Digits,
    Splits,
    is_sample,
    split_stratified,
)
from .download import DownloadError, download_mnist
from .idx import IDX_STEMS, STEMS, find_idx, read_idx
from .load import data_folder, load_mnist
from .notices import ConvertedPixelsWarning, DataWarning, NotMNISTWarning, OfflineSampleWarning
from .tables import find_tables, load_csv, read_table

__all__ = [
    "AT_ONCE",
    "IDX_STEMS",
    "NO_DIGIT",
    "STEMS",
    "UNLABELLED",
    "Batches",
    "ConvertedPixelsWarning",
    "DataWarning",
    "Digits",
    "DownloadError",
    "NotMNISTWarning",
    "OfflineSampleWarning",
    "Splits",
    "data_folder",
    "download_mnist",
    "find_idx",
    "find_tables",
    "is_sample",
    "load_csv",
    "load_mnist",
    "read_idx",
    "read_table",
    "split_stratified",
]

"""Where digits come from: MNIST's files, a download, a table, an offline sample."""

from __future__ import annotations

from .digits import (
    EVAL_BATCH_SIZE,
    NON_DIGIT,
    UNLABELED,
    Batches,
    Digits,
    Splits,
    is_sample,
    split_stratified,
)
from .download import DownloadError, download_mnist
from .idx import IDX_STEMS, STEMS, find_idx, is_complete, read_idx, remove_damaged
from .load import data_folder, find_mnist, load_mnist
from .notices import ConvertedPixelsWarning, DataWarning, NotMNISTWarning, OfflineSampleWarning
from .save import save_csv, save_idx, save_images
from .tables import find_tables, load_csv, read_table

__all__ = [
    "EVAL_BATCH_SIZE",
    "IDX_STEMS",
    "NON_DIGIT",
    "STEMS",
    "UNLABELED",
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
    "find_mnist",
    "find_tables",
    "is_complete",
    "is_sample",
    "load_csv",
    "load_mnist",
    "read_idx",
    "read_table",
    "remove_damaged",
    "save_csv",
    "save_idx",
    "save_images",
    "split_stratified",
]

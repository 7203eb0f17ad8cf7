"""Tables with one image per row."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import (
    CELLS,
    HEAD,
    LABELLED,
    PIXELS,
    PLAIN,
    TEST,
    TRAIN,
    both,
    same,
    table,
    text,
)

from mnist_helpers.data import (
    load_csv,
    load_mnist,
)

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

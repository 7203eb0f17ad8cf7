"""Huge files, of any kind that the package reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
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
        ("digits.png", b"\x89PNG\r\n\x1a\n", "not an image"),
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

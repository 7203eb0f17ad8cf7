"""Files that lie where MNIST's are looked for, and hold something else, are named as that."""

from __future__ import annotations

import gzip
import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import idx, write
from torchvision.datasets import KMNIST

from mnist_helpers.data import IDX_STEMS, Digits, NotMNISTWarning, load_mnist
from mnist_helpers.data.identity import FIRST_LABELS, is_mnist

DIGITS = load_mnist("sample").test[:100]


def write_idx(folder: Path, train: Digits, test: Digits) -> dict[str, bytes]:
    """Write idx files of splits; return their contents."""
    files = {}
    for (images, labels), digits in zip(IDX_STEMS.values(), (train, test), strict=True):
        files[f"{images}.gz"] = gzip.compress(idx(digits.images.squeeze(1).numpy()), 1)
        files[f"{labels}.gz"] = gzip.compress(idx(digits.labels.byte().numpy()), 1)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return files


def source_and_warning(folder: Path) -> tuple[str, str]:
    with pytest.warns(NotMNISTWarning) as caught:
        splits = load_mnist("auto", folder, val_size=0)
    (warning,) = (one for one in caught if one.category is NotMNISTWarning)
    assert warning.filename == __file__ and str(folder) in str(warning.message)
    assert splits.source == splits.test.source and "not MNIST" in splits.source
    return splits.source, str(warning.message)


def test_other_files_of_the_same_names_are_not_called_mnists(tmp_path: Path) -> None:
    source, warning = source_and_warning(write(tmp_path))
    assert "MNIST's idx files" not in source and "not MNIST's" in warning
    assert "swapped" not in warning


def test_transposed_digits_are_recognized(tmp_path: Path) -> None:
    write_idx(tmp_path, DIGITS, DIGITS)
    assert "swapped" not in source_and_warning(tmp_path)[1]
    turned = Digits(DIGITS.images.transpose(2, 3), DIGITS.labels, "")
    write_idx(tmp_path, turned, turned)
    assert "rows and columns look swapped, as in EMNIST" in source_and_warning(tmp_path)[1]


def test_fashion_is_known_by_its_labels(tmp_path: Path) -> None:
    labels = torch.tensor(FIRST_LABELS["Fashion-MNIST"] * 5000)
    blank = torch.zeros(1, 1, 28, 28, dtype=torch.uint8).expand(60_000, -1, -1, -1)
    write_idx(tmp_path, Digits(blank, labels, ""), DIGITS)
    source, warning = source_and_warning(tmp_path)
    assert source.startswith("Fashion-MNIST (not MNIST)") and "they are Fashion-MNIST" in warning


def test_other_data_sets_are_known_by_their_published_checksums(
    tmp_path: Path, monkeypatch
) -> None:
    files = write_idx(tmp_path, DIGITS, DIGITS[:50])
    sums = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
    monkeypatch.setattr(KMNIST, "resources", sums)
    assert source_and_warning(tmp_path)[0].startswith("Kuzushiji-MNIST (not MNIST)")


def test_mnist_itself_is_known_by_its_pixels(tmp_path: Path, monkeypatch) -> None:
    blank = Digits(torch.zeros(70_000, 1, 28, 28, dtype=torch.uint8), torch.arange(70_000) % 10, "")
    train, test = blank[:60_000], blank[60_000:]
    assert not is_mnist(train, test)
    sums = {
        part: tuple(
            hashlib.sha256(array.tobytes()).hexdigest()
            for array in (split.images.numpy(), split.labels.numpy().astype(np.uint8))
        )
        for part, split in (("train", train), ("test", test))
    }
    monkeypatch.setattr("mnist_helpers.data.identity.MNIST_CONTENT", sums)
    assert is_mnist(train, test)
    write_idx(tmp_path, train, test)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert load_mnist("idx", tmp_path).source == f"MNIST's idx files (folder {tmp_path.name})"


@pytest.mark.mnist
def test_mnist_is_mnist_however_it_is_kept(mnist_root: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train, _, test = load_mnist("idx", mnist_root, val_size=0)
        assert train.source.startswith("MNIST's idx files") and is_mnist(train, test)
        arrays = {"x_train": train, "x_test": test}
        arrays = {name: digits.images[:, 0].numpy() for name, digits in arrays.items()}
        labels = {"y_train": train.labels.numpy(), "y_test": test.labels.numpy()}
        np.savez(tmp_path / "mnist.npz", **arrays, **labels)
        splits = load_mnist("auto", tmp_path, val_size=0)
    assert splits.source.startswith("MNIST's mnist.npz") and splits.test.images.equal(test.images)

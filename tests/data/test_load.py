"""Where MNIST is looked for, and what is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import (
    HEAD,
    TEST,
    TRAIN,
    same,
    table,
    text,
    write,
)
from torchvision.datasets import MNIST

from mnist_helpers.data import (
    STEMS,
    DownloadError,
    OfflineSampleWarning,
    data_folder,
    find_idx,
    find_mnist,
    load_mnist,
)
from mnist_helpers.files import project_root


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path)
    monkeypatch.setenv("MNIST_HELPERS_DATA", str(tmp_path))
    train, val, test = load_mnist(val_size=0)
    assert same(train, TRAIN) and len(val) == 0 and same(test, TEST)
    monkeypatch.setenv("MNIST_HELPERS_DATA", "")
    assert data_folder() == project_root() / "data"


def test_no_file_and_no_such_source(tmp_path: Path) -> None:
    assert find_idx(tmp_path) == {}
    with pytest.raises(FileNotFoundError, match=r"no MNIST in .*train-images-idx3-ubyte\.gz"):
        load_mnist("idx", tmp_path)
    with pytest.raises(FileNotFoundError, match="mnist_train"):
        load_mnist("csv", tmp_path)
    with pytest.raises(ValueError, match=r"auto, idx, npz, .*download, sample, not 'web'"):
        load_mnist("web")


def test_load_mnist_passes_size_and_seed_on(tmp_path: Path) -> None:
    write(tmp_path)
    first, again, other = (load_mnist("idx", tmp_path, 50, seed) for seed in (0, 0, 1))
    assert same(first.val, again.val) and same(first.train, again.train)
    assert not same(first.val, other.val)
    with pytest.raises(ValueError, match="cannot take 5,000 of 200"):
        load_mnist("idx", tmp_path)


def test_what_was_added_to_a_notebook_on_kaggle_is_found(tmp_path: Path, monkeypatch) -> None:
    added = tmp_path / "input"
    monkeypatch.setattr("mnist_helpers.data.load.KAGGLE", added)
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


def test_a_named_folder_that_does_not_exist_is_an_error(tmp_path: Path, monkeypatch) -> None:
    missing = tmp_path / "mnits"
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    for source in ("auto", "idx", "csv", "npz"):
        with pytest.raises(FileNotFoundError, match=r"no folder .*mnits \(named by root\)"):
            load_mnist(source, missing)
    monkeypatch.setenv("MNIST_HELPERS_DATA", str(missing))
    with pytest.raises(FileNotFoundError, match=r"mnits \(named by \$MNIST_HELPERS_DATA\)"):
        load_mnist()
    with pytest.raises(DownloadError):  # which would create it
        load_mnist("download")
    assert load_mnist("sample").is_sample and not missing.exists()
    missing.write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        load_mnist()
    monkeypatch.delenv("MNIST_HELPERS_DATA")
    monkeypatch.setattr("mnist_helpers.data.load.project_root", lambda: tmp_path / "elsewhere")
    with pytest.warns(OfflineSampleWarning):  # nobody named data/, which may not exist
        assert load_mnist().is_sample


def test_find_mnist_tells_what_load_mnist_takes(tmp_path: Path) -> None:
    assert find_mnist(tmp_path) == find_mnist(tmp_path / "missing") == (None, {})
    (tmp_path / "train.csv").write_text(text(table(TRAIN), HEAD))
    assert find_mnist(tmp_path).kind == "csv"
    assert "train.csv" in load_mnist(root=tmp_path, val_size=0).source
    raw = write(tmp_path / "MNIST" / "raw")
    found = find_mnist(tmp_path)
    assert found.kind == "idx" and list(found.files) == STEMS
    assert "raw" in load_mnist(root=tmp_path, val_size=0).source
    (raw / STEMS[0]).unlink()  # a part of MNIST's files hides no table
    assert find_mnist(tmp_path).kind == "csv"
    assert "train.csv" in load_mnist(root=tmp_path, val_size=0).source
    (tmp_path / "train.csv").unlink()
    with pytest.raises(FileNotFoundError, match=f"{STEMS[0]} .* is missing"):
        find_mnist(tmp_path)

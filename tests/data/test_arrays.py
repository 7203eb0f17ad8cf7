"""MNIST as Keras, Nielsen's book, Hugging Face and folders of images keep it."""

from __future__ import annotations

import gzip
import io
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from made_up import same
from PIL import Image

from mnist_helpers.data import Digits, find_mnist, load_mnist
from mnist_helpers.data.unpickle import load_plain_pickle

SAMPLE = load_mnist("sample")
TRAIN, TEST = SAMPLE.train[:100], SAMPLE.test[:40]
X, Y = TRAIN.images[:, 0].numpy(), TRAIN.labels.numpy()
XT, YT = TEST.images[:, 0].numpy(), TEST.labels.numpy()


def check(folder: Path, kind: str) -> None:
    """Check that a folder is read as TRAIN and TEST, and told alike by all."""
    assert find_mnist(folder).kind == kind
    for source in ("auto", kind):
        splits = load_mnist(source, folder, val_size=0)
        assert same(splits.train, TRAIN) and same(splits.test, TEST)
        assert "not MNIST's" in splits.source and folder.name in splits.source


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


KERAS = {"x_train": X, "y_train": Y.astype(np.uint8), "x_test": XT, "y_test": YT.astype(np.uint8)}
NPZ = {
    "Keras": KERAS,
    "with a channel": KERAS | {"x_train": X[..., None], "x_test": XT[:, None]},
    "flat": KERAS | {"x_train": X.reshape(-1, 784), "x_test": XT.reshape(-1, 784)},
    "one-hot": KERAS | {"y_train": np.eye(10)[Y], "y_test": np.eye(10)[YT]},
    "columns of labels": KERAS | {"y_train": Y[:, None], "y_test": YT[:, None]},
    "shares": KERAS | {"x_train": (X / 255).astype(np.float32), "x_test": XT / 255},
    "inverted": KERAS | {"x_train": 255 - X, "x_test": 255 - XT},
    "whole numbers": KERAS | {"x_train": X.astype(np.int64), "x_test": XT.astype(float)},
    "column by column": KERAS | {"x_train": np.asfortranarray(X)},
    "other names": {"train_images": X, "train_labels": Y, "test_images": XT, "test_labels": YT},
}


@pytest.mark.parametrize("kind", NPZ)
def test_npz_is_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mnist.npz").write_bytes(npz(**NPZ[kind]))
    check(tmp_path, "npz")


def huge_header() -> bytes:
    """Return an npz file whose header claims a terabyte."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 28, 28)}
    )
    file = io.BytesIO(npz(**{key: KERAS[key] for key in KERAS if key != "x_train"}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("x_train.npy", header.getvalue() + b"\0" * 784)
    return file.getvalue()


OBJECTS = np.array([{"a": 1}] * 100, dtype=object)
BAD_NPZ = {
    "truncated": (npz(**KERAS)[:-100], "damaged npz"),
    "a page": (b"<html>404</html>", "damaged npz"),
    "other arrays": (npz(a=X), "should hold x_train.*holds a"),
    "objects": (npz(**KERAS | {"y_train": OBJECTS}), "not an array of numbers"),
    "huge": (huge_header(), "less than its header says"),
    "color": (npz(**KERAS | {"x_train": np.zeros((9, 28, 28, 3), np.uint8)}), r"28×28.*28, 3\]"),
    "too few labels": (npz(**KERAS | {"y_train": Y[:9]}), "one label for each of its 100"),
    "letters": (npz(**KERAS | {"y_train": Y + 10}), "labels other than 0 to 9"),
    "no numbers": (npz(**KERAS | {"x_train": X * np.nan}), "pixels that are no numbers"),
    "faint": (npz(**KERAS | {"x_train": X // 8}), "image 1: no pixel is brighter than|brighter"),
    "standardized": (npz(**KERAS | {"x_train": X / 70.0 - 1.5}), "0 to 255, found"),
}


@pytest.mark.parametrize("kind", BAD_NPZ)
def test_bad_npz_is_named(kind: str, tmp_path: Path) -> None:
    content, words = BAD_NPZ[kind]
    (tmp_path / "mnist.npz").write_bytes(content)
    for source in ("auto", "npz"):
        with pytest.raises(ValueError, match=words) as caught:
            load_mnist(source, tmp_path)
        assert str(tmp_path / "mnist.npz") in str(caught.value)


FLAT, FLAT_T = (X.reshape(-1, 784) / 256).astype(np.float32), XT.reshape(-1, 784) / 255
THREE = ((FLAT[:70], Y[:70]), (FLAT[70:], Y[70:]), (FLAT_T.astype(np.float32), YT))
BY_NAME = {
    "training_images": X.reshape(-1, 784),
    "training_labels": Y,
    "test_images": XT.reshape(-1, 784),
    "test_labels": YT,
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [THREE, list(THREE), BY_NAME], ids=["tuple", "list", "dict"])
def test_pickles_are_read(value, protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps(value, protocol)
    (tmp_path / "mnist.pkl").write_bytes(content)
    check(tmp_path, "pickle")
    (tmp_path / "mnist.pkl").unlink()
    (tmp_path / "mnist.pkl.gz").write_bytes(gzip.compress(content))
    check(tmp_path, "pickle")


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    """They keep an array's bytes as text, as Nielsen's mnist.pkl.gz of 2010 does."""

    def array(values: np.ndarray, kind: bytes) -> bytes:
        # What cPickle writes at protocol 2 for numpy.core.multiarray._reconstruct and its state
        content = values.tobytes()
        shape = b"".join(b"J" + n.to_bytes(4, "little") for n in values.shape)
        shape += b"\x85" if values.ndim == 1 else b"\x86"
        return (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R"
            b"(K\x01" + shape + b"cnumpy\ndtype\nU\x02" + kind + b"K\0K\x01\x87R"
            b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
            b"\x89T" + len(content).to_bytes(4, "little") + content + b"tb"
        )

    pairs = [array(x, b"f4") + array(y.astype("<i8"), b"i8") + b"\x86" for x, y in THREE]
    (tmp_path / "mnist.pkl.gz").write_bytes(gzip.compress(b"\x80\x02" + b"".join(pairs) + b"\x87."))
    check(tmp_path, "pickle")


class Evil:
    """A pickle of this runs a command."""

    def __init__(self, *call) -> None:
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickles_run_nothing(protocol: int, tmp_path: Path) -> None:
    import os

    witness = tmp_path / "ran"
    evils = {
        "system": Evil(os.system, f"touch {witness}"),
        "eval": Evil(eval, f"open({str(witness)!r}, 'w')"),
        "open": Evil(open, str(witness), "w"),
        "getattr": Evil(getattr, os, "system"),
        "class": Digits,
    }
    for name, evil in evils.items():
        try:
            content = pickle.dumps((THREE[0], evil), protocol)
        except (TypeError, pickle.PicklingError):  # a module cannot be pickled: name it by hand
            content = b"cos\nsystem\n(S'touch " + str(witness).encode() + b"'\ntR."
        (tmp_path / "mnist.pkl").write_bytes(content)
        with pytest.raises(ValueError, match=r"mnist\.pkl is not a pickle of MNIST: it names") as c:
            load_mnist("pickle", tmp_path)
        assert "could run code" in str(c.value), name
    assert not witness.exists()


BAD_PICKLES = {
    "cut": pickle.dumps(THREE)[:-1000],
    "nothing": b"",
    "text": b"<html></html>",
    "changes a stand-in": b"cnumpy\ndtype\n(N}X\x05\0\0\0_call}stb.",
    "calls an array": b"cnumpy\nndarray\n(I99999999\nI99999999\ntR.",
    "objects": pickle.dumps((np.array([None]), np.array([1]))),
    "a greater number than it can have": b"\x80\x02K\x01r\xff\xff\xff\x7f.",
    "a longer value than itself": b"\x80\x05\x96" + (1 << 33).to_bytes(8, "little") + b".",
    "nested": pickle.dumps(((((((1,),),),),),)),
    "other values": pickle.dumps([1, 2, 3]),
    "a number": pickle.dumps(7),
    "less than its shape": pickle.dumps(THREE).replace(b"K\x46M\x10\x03", b"K\x47M\x10\x03"),
}


@pytest.mark.parametrize("kind", BAD_PICKLES)
def test_bad_pickles_are_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mnist.pkl").write_bytes(BAD_PICKLES[kind])
    assert BAD_PICKLES[kind] != pickle.dumps(THREE)
    with pytest.raises(ValueError, match=r"mnist\.pkl"):
        load_mnist("pickle", tmp_path)


def test_a_laughing_pickle_ends(tmp_path: Path) -> None:
    value: list = [1]
    for _ in range(60):
        value = [value] * 10  # ten to the sixtieth in all, and a few hundred bytes
    with pytest.raises(ValueError, match="nested"):
        load_plain_pickle(pickle.dumps(value))


def png(image: np.ndarray, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, "PNG")
    return file.getvalue()


def parquet(digits: Digits, path: Path, plain: bool = False, mode: str = "L") -> None:
    """Write a split as the hub has it: encoded images, each with a path, and labels."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    images = [png(image.numpy()[0], mode) for image in digits.images]
    rows = images if plain else [{"bytes": image, "path": None} for image in images]
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"image": rows, "label": digits.labels.tolist()}), path)


NAMES = {
    "hub": ("mnist/train-00000-of-00001.parquet", "mnist/test-00000-of-00001.parquet"),
    "flat": ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
    "converted": ("mnist/train/0000.parquet", "mnist/test/0000.parquet"),
    "own": ("mnist_train.parquet", "mnist_test.parquet"),
    "data": ("data/train.parquet", "data/test.parquet"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_parquet_is_read(kind: str, tmp_path: Path) -> None:
    train, test = NAMES[kind]
    parquet(TRAIN, tmp_path / train, plain=kind == "own")
    parquet(TEST, tmp_path / test, mode="RGB" if kind == "own" else "L")
    splits = load_mnist("auto", tmp_path, val_size=0)
    assert same(splits.train, TRAIN) and same(splits.test, TEST)
    assert find_mnist(tmp_path).kind == "parquet"


def test_parquet_in_parts_is_read_in_order(tmp_path: Path) -> None:
    for part in range(2):
        digits = TRAIN[part * 50 : part * 50 + 50]
        parquet(digits, tmp_path / f"train-0000{part}-of-00002.parquet")
    assert find_mnist(tmp_path).kind is None  # nothing to test
    parquet(TEST, tmp_path / "test-00000-of-00001.parquet")
    assert same(load_mnist("parquet", tmp_path, val_size=0).train, TRAIN)


def test_bad_parquet_is_named(tmp_path: Path, monkeypatch) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    train, test = (tmp_path / name for name in NAMES["flat"])
    parquet(TEST, test)
    large = png(np.zeros((32, 32), np.uint8))
    for table, words in (
        (pa.table({"img": [b""], "label": [1]}), "columns image and label.*has img, label"),
        (pa.table({"image": [b"GIF"], "label": [1]}), "cannot be decoded"),
        (pa.table({"image": [b"%!PS-Adobe-3.0 EPSF"], "label": [1]}), "a drawing in PostScript"),
        (pa.table({"image": [{"byte": b"GIF"}], "label": [1]}), "cannot be decoded"),
        (pa.table({"image": pa.array([None], pa.binary()), "label": [1]}), "cannot be decoded"),
        (pa.table({"image": [large], "label": [1]}), r"28×28.*\(32, 32\)"),
        (pa.table({"image": [png(X[0])], "label": [11]}), "other than 0 to 9"),
    ):
        write_table(table, train)
        with pytest.raises(ValueError, match=words) as caught:
            load_mnist("parquet", tmp_path)
        assert str(train) in str(caught.value)
    train.write_bytes(test.read_bytes()[:-50])
    with pytest.raises(ValueError, match="damaged parquet"):
        load_mnist("parquet", tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        load_mnist("auto", tmp_path)


def image_folder(digits: Digits, folder: Path) -> Digits:
    """Write images into a folder for each digit; return them in the order of the folders."""
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True)
        (folder / str(digit) / ".DS_Store").write_bytes(b"\0")
    for number, (image, label) in enumerate(digits):
        (folder / str(label) / f"{number:05}.png").write_bytes(png(image.numpy()[0]))
    return digits[np.argsort(digits.labels.numpy(), kind="stable")]


def test_folders_of_images_are_read(tmp_path: Path) -> None:
    train = image_folder(TRAIN, tmp_path / "trainingSet" / "trainingSet")
    splits = load_mnist("images", tmp_path, val_size=0)
    assert len(splits.train) + len(splits.test) == 100 and len(splits.test) == 14
    test = image_folder(TEST, tmp_path / "testing")
    splits = load_mnist("auto", tmp_path, val_size=0)
    assert same(splits.train, train) and same(splits.test, test)
    assert list(find_mnist(tmp_path).files) == ["train", "test"]
    odd = tmp_path / "testing" / "3" / "odd.png"
    odd.write_bytes(png(np.zeros((20, 20), np.uint8)))
    with pytest.raises(ValueError, match=r"odd\.png should hold images of 28×28"):
        load_mnist("images", tmp_path)


@pytest.mark.parametrize("kind", ["npz", "pickle", "parquet", "images"])
def test_what_is_not_there_is_said(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no MNIST in {tmp_path}"):
        load_mnist(kind, tmp_path)

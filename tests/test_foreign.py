"""Weights of other people's code: found, named for what they are, tried, and never dangerous."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import pickle
import tarfile
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mnist_helpers.checkpoints import ForeignWeightsWarning, load_checkpoint, save_checkpoint
from mnist_helpers.models import MEAN, STD, build_model
from mnist_helpers.prediction import PRETRAINED_WEIGHTS
from mnist_helpers.trial import COMMON_NORMALIZATIONS, trial_digits
from mnist_helpers.wrapping import wrap_model

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def trained() -> State:
    """Trained weights as other people's code would have saved them: no normalization."""
    state = load_checkpoint(PRETRAINED_WEIGHTS).model.state_dict()
    return {name: value for name, value in state.items() if not name.startswith("normalize")}


@torch.inference_mode()
def logits(model: nn.Module) -> Tensor:
    return model(trial_digits()[0][:20])


@pytest.fixture(scope="module")
def expected() -> Tensor:
    return logits(load_checkpoint(PRETRAINED_WEIGHTS).model)


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


def shuffled(state: State) -> State:
    names = sorted(state, key=lambda name: hash_of(name))
    return {name: state[name] for name in names}


def hash_of(name: str) -> int:
    return sum(ord(letter) * 31**place for place, letter in enumerate(name)) % 1009


def untracked(state: State) -> State:
    return {name: value for name, value in state.items() if "num_batches" not in name}


class AttributeDict(dict):
    """What Lightning saves hyperparameters in."""


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "itself": lambda state: state,
    **{
        key: lambda state, key=key: {"acc": 99.0, key: state, "epoch": 12}
        for key in (
            *("net", "network", "model", "state", "params", "weights", "model_state", "cnn"),
            *("state_dict", "model_state_dict", "net_state_dict", "best_model_wts"),
        )
    },
    "nested": lambda state: {"checkpoint": {"model": {"state_dict": state}}, "config": {"lr": 0.1}},
    "an optimizer beside": lambda state: {
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(32, 1, 5, 5)}}, "param_groups": []},
        "net": state,
    },
    **{
        f"prefix {prefix}": lambda state, prefix=prefix: prefixed(state, prefix)
        for prefix in (
            *("module.", "_orig_mod.", "model.", "net.", "network.", "module.module."),
            *("_orig_mod.module.", "model._orig_mod.", "model.net."),
        )
    },
    "Lightning with a loss": lambda state: {
        "epoch": 3,
        "state_dict": {**prefixed(state, "model."), "criterion.weight": torch.ones(10)},
        "hyper_parameters": argparse.Namespace(lr=0.1, path=Path("runs")),
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.99)}},
        "optimizer_states": [{"state": {}}],
    },
    "layers and a loss": lambda state: {**state, "criterion.weight": torch.ones(10)},
    "another order": shuffled,
    "sorted by name": lambda state: dict(sorted(state.items())),
    "reversed": lambda state: dict(reversed(state.items())),
    "no num_batches_tracked": untracked,
    "a tuple": lambda state: (state, 12, 0.99),
    "NumPy scalars": lambda state: {
        "model": state,
        "acc": np.float64(99.1),
        "epochs": np.int64(3),
        "flag": np.bool_(True),
        "curve": [np.float32(0.5), np.float32(0.25)],
    },
    "NumPy arrays": lambda state: {
        "net": state,
        "confusion": np.eye(10),
        "classes": np.arange(10),
    },
    "weights as NumPy arrays": lambda state: {
        "net": {name: value.numpy() for name, value in state.items()}
    },
    "defaultdict": lambda state: {"net": state, "log": defaultdict(list, loss=[1.0])},
    "parameters": lambda state: OrderedDict(
        (name, nn.Parameter(value) if value.is_floating_point() else value)
        for name, value in state.items()
    ),
    "half": lambda state: {name: value.double() for name, value in state.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_weights_are_found_wherever_they_lie(
    wrapping: str, trained: State, expected: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    torch.save(WRAPPINGS[wrapping](trained), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        done = load_checkpoint(path)
    assert done.name == "fast" and done.notes == []
    assert torch.allclose(logits(done.model), expected, atol=1e-4)


def test_other_names_and_the_old_format_are_read(
    trained: State, expected: Tensor, tmp_path: Path
) -> None:
    layers = {"conv1": "a.0", "norm1": "a.1", "conv2": "b.0", "norm2": "b.1"}
    layers |= {"conv3": "c.0", "norm3": "c.1", "fc": "head"}
    renamed = {
        f"{layers[name.partition('.')[0]]}.{name.partition('.')[2]}": value
        for name, value in trained.items()
    }
    path = tmp_path / "net.pth"
    for state in (renamed, shuffled(renamed)):
        torch.save({"net": state}, path, _use_new_zipfile_serialization=False)
        assert torch.allclose(logits(load_checkpoint(path).model), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "taken", "left"),
    [
        (lambda s: {"model": s, "model_ema": broken(s)}, "model", "model_ema"),
        (lambda s: {"ema": broken(s), "net": s}, "net", "ema"),
        (
            lambda s: {
                "state_dict": {**prefixed(broken(s), "ema_model.module."), **prefixed(s, "model.")}
            },
            "state_dict.model",
            "state_dict.ema_model",
        ),
        (lambda s: {"last": s, "teacher": {"net": broken(s)}}, "last", "teacher"),
    ],
)
def test_of_several_networks_the_one_that_was_taken_is_said(
    content: Callable[[State], dict],
    taken: str,
    left: str,
    trained: State,
    expected: Tensor,
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.ckpt"
    torch.save(content(trained), path)
    with pytest.warns(ForeignWeightsWarning, match=f"{taken!r} was taken, not '{left}"):
        done = load_checkpoint(path)
    assert torch.allclose(logits(done.model), expected, atol=1e-4)
    assert len(done.notes) == 1


def broken(state: State) -> State:
    return {name: torch.zeros_like(value) for name, value in state.items()}


def trained_for(mean: float, std: float, state: State) -> State:
    """Return weights that do with pixels of another normalization what `state` does with MNIST's.

    ``(x - MEAN) / STD`` is ``a * y + b`` in ``y = (x - mean) / std``. BatchNorm takes up b.
    """
    factor, shift = std / STD, (mean - MEAN) / STD
    weight = state["conv1.weight"]
    offset = shift * weight.sum((1, 2, 3))
    return {
        **state,
        "conv1.weight": weight * factor,
        "norm1.running_mean": state["norm1.running_mean"] - offset,
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (std < 0))
        for name, (_, std) in list(COMMON_NORMALIZATIONS.items())[1:]
    ],
)
def test_another_normalization_is_found_by_trial(
    name: str, trained: State, expected: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    mean, std = COMMON_NORMALIZATIONS[name]
    torch.save(trained_for(mean, std, trained), path)
    with pytest.warns(ForeignWeightsWarning) as caught:
        done = load_checkpoint(path)
    assert len(caught) == 1 and "found by trial" in str(caught[0].message)
    assert caught[0].filename == __file__, "the warning points into the package"
    shown = warnings.formatwarning(
        caught[0].message, caught[0].category, caught[0].filename, caught[0].lineno
    )
    assert __file__ not in shown and shown.count("\n") == 1, "a line of code is shown with it"
    normalize = done.model.normalize
    assert (normalize.std < 0) == (std < 0)
    if std > 0:  # inverted ones that differ by a factor of two do equally well
        assert name in str(caught[0].message)
        assert (normalize.mean.item(), normalize.std.item()) == pytest.approx((mean, std))
    assert done.notes == [str(caught[0].message)]
    images, labels = trial_digits()
    assert (done.model(images).argmax(1) == labels).float().mean() > 0.98


@pytest.mark.parametrize(
    "content",
    [
        lambda s: (
            prefixed({"normalize.mean": torch.tensor(0.5), **s}, "module.")
            | {"module.normalize.std": torch.tensor(0.5)}
        ),
        lambda s: {"mean": torch.full((1, 1, 1), 0.5), "std": torch.full((1, 1, 1), 0.5), **s},
        lambda s: {"pixel_mean": torch.tensor([127.5]), "pixel_std": torch.tensor([127.5]), **s},
        lambda s: {"model": s, "mean": 0.5, "std": 0.5},
        lambda s: {"model": s, "mean": [0.5], "std": (0.5,)},
        lambda s: {"model": s, "hyper_parameters": {"norm_mean": 0.5, "norm_std": 0.5}},
        lambda s: {"model": s, "normalize": (0.5, 0.5)},
        lambda s: {"model": s, "mean": np.float64(0.5), "std": np.float64(0.5)},
    ],
)
def test_a_files_own_normalization_is_kept(
    content: Callable[[State], dict], trained: State, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    torch.save(content(trained_for(0.5, 0.5, trained)), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        done = load_checkpoint(path)
    assert done.model.normalize.mean.item() == pytest.approx(0.5)
    assert done.model.normalize.std.item() == pytest.approx(0.5)


def test_the_normalization_that_a_network_was_wrapped_with_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "my_net.pt"
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))  # untrained: no trial likes it
    torch.save(net.state_dict(), path)
    with pytest.warns(ForeignWeightsWarning, match="with its own normalization") as caught:
        done = load_checkpoint(path, model=wrap_model(net, mean=0, std=1))
    assert len(caught) == 1
    assert (done.model.normalize.mean, done.model.normalize.std) == (0, 1)


def test_buffers_are_kept_even_if_the_trial_says_otherwise(trained: State, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    own = {"normalize.mean": torch.tensor(1.0), "normalize.std": torch.tensor(-1.0)}
    torch.save({**trained, **own, "normalize.std": torch.tensor(0.5)}, path)
    with pytest.warns(ForeignWeightsWarning, match="with its own normalization"):
        done = load_checkpoint(path)
    assert done.model.normalize.mean.item() == 1.0
    torch.save(
        {**trained, "normalize.mean": torch.tensor(0.5), "normalize.std": torch.zeros(())}, path
    )
    with pytest.raises(ValueError, match=r"net\.pth holds the normalization .*std = 0"):
        load_checkpoint(path)


def test_weights_that_classify_nothing_are_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(build_model("tiny").state_dict(), path)  # with our normalize buffers
    state = {k: v for k, v in build_model("tiny").state_dict().items() if "normalize" not in k}
    torch.save(state, path)
    with pytest.warns(
        ForeignWeightsWarning, match=r"only \d+% of sample digits.*any usual"
    ) as seen:
        done = load_checkpoint(path)
    assert len(seen) == 1 and done.model.normalize.mean.item() == pytest.approx(MEAN)


def test_our_own_checkpoints_are_not_tried(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "net.pt", build_model("tiny"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert load_checkpoint(tmp_path / "net.pt").notes == []


def zipped(names: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, value in names.items():
            archive.writestr(name, value)
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo("net.pth")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    return content.getvalue()


def torchscript() -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Linear(4, 2), torch.zeros(1, 4)), content)
    return content.getvalue()


def whole_network(**options: Any) -> bytes:
    content = io.BytesIO()
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), content, **options)
    return content.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n"
NAMED: dict[str, tuple[Callable[[], bytes], str]] = {
    "LFS": (lambda: POINTER, "a Git LFS pointer.* git lfs pull"),
    "web page": (lambda: b"\n <!DOCTYPE html><html>Not Found", "a web page.*download"),
    "web page of old": (lambda: b"<HTML><body>404", "a web page.*download"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(80), "HDF5.*Keras.*ONNX"),
    "Keras": (
        lambda: zipped({"config.json": b"{}", "model.weights.h5": b"", "metadata.json": b""}),
        "a Keras model.*ONNX",
    ),
    "TorchScript": (torchscript, r"a TorchScript archive.*state_dict\(\)"),
    "whole network": (whole_network, r"a whole network.*Sequential.*state_dict\(\)"),
    "whole network, old": (
        lambda: whole_network(_use_new_zipfile_serialization=False),
        r"a whole network.*state_dict\(\)",
    ),
    "zip": (lambda: zipped({"run/best.pth": b"x"}), r"a zip archive with 'run/best.pth' in it"),
    "other zip": (lambda: zipped({"a.txt": b"x"}), "a zip archive without weights"),
    "npz": (lambda: zipped({"x_train.npy": b"x"}), "an archive of NumPy arrays"),
    "tar": (tarred, "a tar archive: unpack it"),
    "gzip": (lambda: gzip.compress(b"weights"), "compressed.*gunzip"),
    "empty": (lambda: b"", "is empty"),
    "NumPy": (lambda: b"\x93NUMPY" + bytes(80), "a NumPy array"),
    "image": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(50), "an image"),
    "pickle": (lambda: pickle.dumps({"w": 1}, protocol=2), r"torch.save did not write"),
    "text": (lambda: b"accuracy: 99.3%\n", "text: 'accuracy"),
}


@pytest.mark.parametrize("ending", [".pth", ".onnx"])
@pytest.mark.parametrize("kind", NAMED)
def test_files_of_another_kind_are_named_for_what_they_are(
    kind: str, ending: str, tmp_path: Path
) -> None:
    content, words = NAMED[kind]
    path = tmp_path / f"net{ending}"
    path.write_bytes(content())
    if kind == "text" and ending == ".onnx":
        words = "not an ONNX network"
    with pytest.raises(ValueError, match=words) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "weights_only" not in str(caught.value)


class Configuration:
    """A class that only its program knows."""


def test_the_culprit_is_named_and_nobody_is_told_to_switch_protection_off(
    trained: State, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    torch.save({"net": trained, "config": Configuration()}, path)
    with pytest.raises(ValueError, match=r"test_foreign\.Configuration.*could run code") as caught:
        load_checkpoint(path)
    text = repr(caught.value) + str(caught.value)
    assert "weights_only" not in text and "add_safe_globals" not in text


def test_a_wrong_suffix_does_not_matter(trained: State, expected: Tensor, tmp_path: Path) -> None:
    save_file(trained, tmp_path / "net.pth")
    torch.save(trained, tmp_path / "net.safetensors")
    for name in ("net.pth", "net.safetensors"):
        found = load_checkpoint(tmp_path / name).model
        assert torch.allclose(logits(found), expected, atol=1e-4)


def pickled_archive(content: bytes, compression: int = zipfile.ZIP_STORED, **files: bytes) -> bytes:
    """Return a file as torch.save would write it, with any pickle."""
    names = {"net/data.pkl": content, "net/version": b"3\n", "net/byteorder": b"little"}
    return zipped(names | {f"net/data/{name}": value for name, value in files.items()}, compression)


def calling(module: str, name: str, argument: bytes) -> bytes:
    """Return a pickle of {"w": module.name(argument)}."""
    called = b"c" + module.encode() + b"\n" + name.encode() + b"\n" + argument + b"\x85R"
    return b"\x80\x02}(X\x01\x00\x00\x00w" + called + b"u."


def long(number: int) -> bytes:
    content = number.to_bytes(8, "little")
    return b"\x8a" + bytes([len(content)]) + content


HOSTILE = {
    "bytearray": (pickled_archive(calling("builtins", "bytearray", long(2**28))), "bytearray"),
    "bytearray, old names": (
        pickled_archive(calling("__builtin__", "bytearray", long(2**28))),
        "bytearray",
    ),
    "bytearray, bare": (calling("builtins", "bytearray", long(2**28)), "could run code"),
    "storage": (
        pickled_archive(calling("torch.storage", "UntypedStorage", long(2**33))),
        "Storage",
    ),
    "tensor": (pickled_archive(calling("torch", "FloatTensor", long(2**31))), "FloatTensor"),
    "deflated": (
        pickled_archive(b"\x80\x02}.", zipfile.ZIP_DEFLATED, **{"0": bytes(2**28)}),
        r"are to become 268,4",
    ),
    "many lines": (
        pickled_archive(b"\x80\x02}." + bytes(2**27), zipfile.ZIP_STORED),
        "besides its weights",
    ),
    "encoding on encoding": (
        pickled_archive(
            b"\x80\x02c_codecs\nencode\nX\x03\x00\x00\x00abcX\x03\x00\x00\x00hex\x86R."
        ),
        "encode",
    ),
    "a loop": (pickled_archive(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."), "no weights"),
    "a pickle of another protocol": (
        pickled_archive(pickle.dumps({"w": int}, 4)),
        "could run code",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_is_allocated_by_a_size_that_a_file_only_claims(kind: str, tmp_path: Path) -> None:
    content, words = HOSTILE[kind]
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words):
            load_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_dict_that_holds_itself_many_times_over_is_walked_once(tmp_path: Path) -> None:
    inner: dict = {"x": 1}
    for _ in range(60):
        inner = {"a": inner, "b": inner}
    torch.save({"net": inner}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match="no weights"):
        load_checkpoint(tmp_path / "net.pth")


def test_a_safetensors_header_with_too_many_tensors_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"t{number}": entry for number in range(20_000)}).encode()
    path = tmp_path / "net.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    monkeypatch.setattr("safetensors.safe_open", None)  # would end in a TypeError
    with pytest.raises(ValueError, match="more than 10,000 tensors"):
        load_checkpoint(path)
    path.write_bytes((2**24).to_bytes(8, "little") + b"{" + bytes(2**24))
    with pytest.raises(ValueError, match="its header alone has 16,777,216 bytes"):
        load_checkpoint(path)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
@pytest.mark.parametrize("layer", ["conv2.weight", "norm3.running_var", "fc.bias"])
def test_weights_that_are_not_finite_are_refused(
    layer: str, value: float, ending: str, trained: State, tmp_path: Path
) -> None:
    path = tmp_path / f"net{ending}"
    model = build_model("fast")
    with torch.no_grad():
        model.state_dict()[layer].view(-1)[3] = value
    save_checkpoint(path, model)
    with pytest.raises(ValueError, match=rf"net\{ending} holds .* in {layer}.*earlier checkpoint"):
        load_checkpoint(path)
    damaged = {name: tensor.clone() for name, tensor in trained.items()}
    damaged[layer].view(-1)[3] = value
    (save_file if ending == ".safetensors" else torch.save)(damaged, path)
    with pytest.raises(ValueError, match=rf"holds .* in {layer}"):
        load_checkpoint(path)


def test_logits_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = build_model("fast")
    with torch.no_grad():
        for layer in (model.conv1, model.conv2, model.conv3, model.fc):
            layer.weight.fill_(1e14)
    save_checkpoint(tmp_path / "net.pt", model)
    with pytest.raises(ValueError, match=r"net\.pt returns numbers that are not finite"):
        load_checkpoint(tmp_path / "net.pt")

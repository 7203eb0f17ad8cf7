"""Networks as files: they come back as they were, other people's too, and never run code."""

from __future__ import annotations

import json
import math
import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mnist_helpers.checkpoints import load_checkpoint, save_checkpoint
from mnist_helpers.files import atomic_write
from mnist_helpers.models import Normalize, build_model, list_models
from mnist_helpers.recipes import RECIPES, Recipe

HISTORY = [{"epoch": 1, "lr": 0.1, "train_loss": 0.5}, {"epoch": 2, "lr": 0.2, "train_loss": 0.25}]


def some_images(number: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(256, (number, 1, 28, 28), generator=generator, dtype=torch.uint8)


@torch.inference_mode()
def logits(model: nn.Module) -> Tensor:
    return model.eval()(some_images())


def used(model: nn.Module) -> nn.Module:
    """Let BatchNorm see images, so that its buffers matter."""
    with torch.no_grad():
        model.train()(some_images(32))
    return model.eval()


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", list_models())
def test_a_network_comes_back_as_it_was(name: str, ending: str, tmp_path: Path) -> None:
    model = used(build_model(name).to(memory_format=torch.channels_last))
    path = tmp_path / f"net{ending}"
    about = {"recipe": RECIPES[name], "history": HISTORY, "source": "ten images"}
    random_state = torch.get_rng_state()
    save_checkpoint(path, model, temperature=1.25, **about)
    back = load_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.allclose(logits(back.model), logits(model), atol=1e-5)
    state, was = back.model.state_dict(), model.state_dict()
    assert state.keys() == was.keys()
    assert all(torch.equal(state[key], was[key]) for key in was)
    assert (back.name, back.model.name, back.temperature) == (name, name, 1.25)
    assert (back.recipe, list(back.history), back.source) == tuple(about.values())
    assert back.versions["torch"] == str(torch.__version__)
    assert not back.model.training
    assert os.listdir(tmp_path) == [path.name]


def test_only_pt_files_hold_what_a_resumed_run_needs(tmp_path: Path) -> None:
    model = build_model("fast")
    optimizer = torch.optim.AdamW(model.parameters())
    model(some_images()).sum().backward()
    optimizer.step()
    for name in ("net.pt", "net.safetensors"):
        save_checkpoint(tmp_path / name, model, optimizer=optimizer, best_state=model.state_dict())
    resume = load_checkpoint(tmp_path / "net.pt").resume
    assert resume["optimizer"]["state"].keys() == optimizer.state_dict()["state"].keys()
    assert torch.equal(resume["best_state"]["fc.bias"], model.fc.bias)
    assert load_checkpoint(tmp_path / "net.safetensors").resume == {}
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        about = json.loads(file.metadata()["mnist_helpers"])
        assert sorted(file.keys()) == sorted(model.state_dict())
    assert about["model"] == "fast" and about["recipe"] is None


class Seed0(nn.Module):
    """Two convolutions, functional layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(64 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class Seed1(nn.Module):
    """BatchNorm defined after all convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(32), nn.BatchNorm2d(64)
        self.bn3 = nn.BatchNorm2d(128)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.25)
        self.fc1, self.fc2 = nn.Linear(1152, 256), nn.Linear(256, 128)
        self.fc3 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = self.dropout(self.pool(F.relu(norm(conv(x)))))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Seed2(nn.Module):
    """One Sequential, in which keys are numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(1, 32, (3, 3)),
            nn.ReLU(),
            nn.Conv2d(32, 64, (3, 3)),
            nn.ReLU(),
            nn.Conv2d(64, 64, (3, 3)),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 22 * 22, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Seed4(nn.Module):
    """`features` and `classifier`; more than ten numbered layers."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *[nn.Conv2d(1, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)],
            *[nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)],
            *[nn.Flatten(), nn.Identity(), nn.Linear(3136, 128), nn.ReLU(), nn.Dropout(0.5)],
            nn.Linear(128, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Example(nn.Module):
    """As in pytorch/examples, log-softmax included."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, 1), nn.Conv2d(32, 64, 3, 1)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.relu(self.fc1(torch.flatten(self.dropout1(x), 1)))
        return F.log_softmax(self.fc2(self.dropout2(x)), dim=1)


THEIRS = {
    "cnn2": Seed0,
    "mnistnet": Seed1,
    "conv3_nopool": Seed2,
    "cnn2_sgd": Seed4,
    "pytorch_example": Example,
}
WRAPPINGS = {
    "state_dict": lambda state: state,
    "model_state_dict": lambda state: {"epoch": 3, "model_state_dict": state, "loss": 0.1},
    "under state_dict": lambda state: {"state_dict": state, "source": 5},
    "under model": lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": []}},
    "in parallel": lambda state: {f"module.{key}": value for key, value in state.items()},
}


@pytest.mark.parametrize("wrapping", [*WRAPPINGS, "safetensors"])
@pytest.mark.parametrize("name", THEIRS)
def test_the_seeds_files_load(
    name: str, wrapping: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = THEIRS[name]()
    used(nn.Sequential(Normalize(), theirs))
    path = tmp_path / "mnist_cnn.pt"
    untried = "mnist_helpers.checkpoints.try_normalizations"  # since these weights are random
    monkeypatch.setattr(untried, lambda *_: (None, 1.0))
    if wrapping == "safetensors":
        path = path.with_suffix(".safetensors")
        save_file(theirs.state_dict(), path)
    else:
        torch.save(WRAPPINGS[wrapping](theirs.state_dict()), path)
    expected = logits(nn.Sequential(Normalize(), theirs)).softmax(1)
    for asked in (None, name):
        ours = load_checkpoint(path, model=asked)
        assert torch.allclose(logits(ours.model).softmax(1), expected, atol=1e-5)
        assert ours.name == (asked or ("cnn2" if name == "cnn2_sgd" else name))
    assert (ours.recipe, ours.history, ours.source) == (None, [], "unknown")


def test_weights_of_another_shape_or_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(Seed0().state_dict(), path)
    with pytest.raises(ValueError, match=r"net\.pt, of shapes .*3136.* do not fit .*'mnistnet'"):
        load_checkpoint(path, model="mnistnet")
    with pytest.raises(ValueError, match=r"net\.pt should hold a network 'resnet'.*none of cnn2"):
        load_checkpoint(path, model="resnet")
    for change in ({"fc2.weight": torch.zeros(11, 128)}, {"fc3.weight": torch.zeros(10, 10)}):
        torch.save({**Seed0().state_dict(), **change}, path)
        with pytest.raises(ValueError, match=r"net\.pt.* do not fit any architecture"):
            load_checkpoint(path)
    state = Seed0().state_dict()
    del state["conv1.bias"]
    torch.save(state, path)
    with pytest.raises(ValueError, match="do not fit"):
        load_checkpoint(path)


class Exploit:
    """Unpickling this would make a folder."""

    def __init__(self, trap: Path) -> None:
        self.trap = str(trap)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.trap,)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    state = build_model("fast").state_dict()
    torch.save({**state, "extra": Exploit(trap)}, tmp_path / "zip.pt")
    torch.save(Exploit(trap), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Exploit(trap)))
    torch.save(Seed0(), tmp_path / "whole network.pt")
    for path in sorted(tmp_path.glob("*.pt")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on the pickle's protocol
            with pytest.raises(ValueError, match=r"could run code.*state_dict\(\)") as caught:
                load_checkpoint(path)
        assert str(path) in str(caught.value)
    assert not trap.exists()
    with (tmp_path / "plain.pt").open("rb") as file:
        pickle.load(file)
    assert trap.exists(), "the trap does not work, and this test shows nothing"


def files_that_are_no_networks(whole: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "text": b"accuracy: 99.3 %\n",
        "html": b"<!DOCTYPE html><html>Not Found</html>",
        "cut": whole[: len(whole) // 2],
        "cut at the end": whole[:-10],
        "zeros": bytes(1000),
        "a zip of nothing": b"PK\x05\x06" + bytes(18),
        "an image": b"\x89PNG\r\n\x1a\n" + bytes(50),
    }


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_damaged_files_are_named(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{ending}"
    save_checkpoint(path, build_model("fast"))
    for kind, content in files_that_are_no_networks(path.read_bytes()).items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged|not a whole|no|is empty|web page") as caught:
            load_checkpoint(path)
        assert str(path) in str(caught.value), kind
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*missing"):
        load_checkpoint(tmp_path / f"missing{ending}")
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
def test_altered_bytes_give_a_clear_error_or_a_network(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    state = nn.Sequential(nn.Linear(4, 2)).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(len(whole), (150,), generator=generator).tolist()
    for place in [*range(64), *places]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match=r"net\.pt"):  # two weights fit no network
                load_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1, 2],
        torch.zeros(3),
        {"epoch": 3},
        {"model_state_dict": {}},
        {3: torch.zeros(2)},
        {"state": torch.zeros(2), "source": "x"},
        torch.optim.SGD(nn.Linear(2, 2).parameters()).state_dict(),
    ],
    ids=str,
)
def test_whole_files_without_a_network_are_named(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"net\.pt"):
        load_checkpoint(tmp_path / "net.pt")


def change_description(path: Path, change: dict) -> None:
    """Let a file say something else of its network."""
    if path.suffix == ".pt":
        torch.save(torch.load(path, weights_only=True) | change, path)
    else:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["mnist_helpers"]) | change
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        save_file(state, path, metadata={"mnist_helpers": json.dumps(about)})


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": {"epochs": 3, "sharpness": 0.1}}, "recipe.*sharpness.*update the package"),
        ({"recipe": {"optimizer": "lion"}}, "recipe.*lion"),
        ({"model": "vit"}, "'vit', which is none of"),
        ({"model": "cnn2"}, "do not fit the architecture 'cnn2'"),
    ],
)
def test_files_of_another_version_are_named(change, words, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{ending}"
    save_checkpoint(path, build_model("fast"), recipe=replace(Recipe(), epochs=2))
    change_description(path, change)
    with pytest.raises(ValueError, match=words) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"history": 5}, "the history 5, expected a list"),
        ({"history": [5]}, r"the history \[5\], expected a list"),
        ({"history": [{"val_accuracy": "98%"}]}, "history .*'98%'.*, expected numbers"),
        ({"temperature": "abc"}, "the temperature 'abc', expected a number above 0"),
        ({"temperature": 0.0}, r"the temperature 0\.0"),
        ({"temperature": -1.5}, r"the temperature -1\.5"),
        ({"temperature": 1e-320}, "the temperature 1e-320"),  # by which logits become infinite
        ({"temperature": math.nan}, "the temperature nan"),
        ({"temperature": math.inf}, "the temperature inf"),
        ({"source": [1, 2]}, r"the source \[1, 2\], expected a str"),
        ({"versions": "2.9"}, "the versions '2.9', expected a dict"),
        ({"resume": [5]}, r"the resume \[5\], expected a dict"),
    ],
    ids=str,
)
def test_what_a_file_cannot_say_of_its_network_is_refused(
    change: dict, words: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"net{ending}"
    save_checkpoint(path, build_model("fast"))
    change_description(path, change)
    with pytest.raises(ValueError, match=words) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("about", ["[" * 100_000, "1" * 5_000], ids=["deep", "long"])
def test_a_description_that_cannot_be_read_is_refused(about: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(build_model("fast").state_dict(), path, metadata={"mnist_helpers": about})
    with pytest.raises(ValueError, match=r"net\.safetensors is not a whole safetensors file"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        Tensor.to_sparse,
        lambda weight: weight.to("meta"),
        lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8),
        lambda weight: torch.nested.nested_tensor([weight]),
    ],
    ids=["sparse", "meta", "quantized", "nested"],
)
@pytest.mark.filterwarnings("ignore")  # torch remarks on each of them
def test_weights_that_are_no_plain_numbers_are_refused(
    change: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "net.pt"
    state = build_model("fast").state_dict()
    torch.save(state | {"fc.weight": change(state["fc.weight"])}, path)
    with pytest.raises(ValueError, match=r"net\.pt are no plain numbers, but sparse"):
        load_checkpoint(path)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_failed_save_leaves_the_previous_file(ending: str, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / f"net{ending}"
    save_checkpoint(path, build_model("fast"))
    before = path.read_bytes()

    def full(_content: object, part: Path, **_: object) -> None:
        Path(part).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, build_model("fast"))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_replacing(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "table.csv"
    with atomic_write(path) as part:
        assert part.suffix == ".csv" and part.parent == path.parent
        part.write_text("1")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as part:
        part.write_text("2")
        raise KeyboardInterrupt
    assert path.read_text() == "1" and os.listdir(path.parent) == ["table.csv"]
    beside = path.with_name("beside")
    beside.touch()
    assert path.stat().st_mode == beside.stat().st_mode, "readable by fewer than other files"

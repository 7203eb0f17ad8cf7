"""The command line, as a user types it."""

from __future__ import annotations

import csv
import gc
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mnist_helpers import cli
from mnist_helpers.augment import AUGMENTATIONS
from mnist_helpers.batch import LABELS
from mnist_helpers.checkpoints import load_checkpoint, save_checkpoint
from mnist_helpers.cli import app, base, predict
from mnist_helpers.course import FIRST_NOTEBOOK
from mnist_helpers.data import Splits, load_mnist
from mnist_helpers.data.load import SOURCES
from mnist_helpers.evaluation import evaluate
from mnist_helpers.models import build_model, list_models
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.recipes import OPTIMIZERS, PRECISIONS, RECIPES
from mnist_helpers.strokes import draw_strokes, pen_strokes

PACKAGE = "mnist-helpers"
QUICK = ["train", "--model", "tiny", "--epochs", 1, "--val-size", 200, "--no-cuda"]
COMMAND = [sys.executable, "-m", "mnist_helpers"]
WRITTEN = {
    "last.pt",
    "best.pt",
    "model.safetensors",
    "history.csv",
    "README.md",
    "metrics.json",
    "training_curves.png",
    "confusion_matrix.png",
    "sample_predictions.png",
}


def run(*arguments: object, root: Path) -> subprocess.CompletedProcess:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def call(*arguments: object):
    """Run a command in this process; quicker than `run`, where only its words matter."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def clean(shown: subprocess.CompletedProcess) -> str:
    assert shown.returncode == 0, shown.stderr
    warned = shown.stderr.replace("NotMNISTWarning", "")  # the tests' images are not MNIST's
    assert "Traceback" not in warned and "Warning" not in warned, shown.stderr
    return shown.stdout


def draw(name: str, digit: int) -> None:
    draw_strokes(pen_strokes(digit, "round", 200), 200, 12).save(name)


def epochs_in(path: Path) -> int:
    return len(load_checkpoint(path).history) if path.is_file() else 0


def stop(command: list[str], path: Path, epoch: int, by: signal.Signals, root: Path):
    """Start a run, and stop it in the epoch after `epoch`."""
    process = subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and epochs_in(path) < epoch:
        time.sleep(0.05)
    time.sleep(0.05)
    process.send_signal(by)
    _, said = process.communicate()
    return process.returncode, said


@pytest.mark.kill
def test_train_is_stopped_killed_and_resumed(folder: Path, tmp_path: Path, root: Path) -> None:
    arguments = ["train", "--data", folder, "--model", "fast", "--epochs", "6", "--no-cuda"]
    arguments += ["--batch-size", "20", "--val-size", "200", "--lr", "0.005"]
    arguments += ["--augment", "warp", "--seed", "3"]
    through, broken = tmp_path / "through", tmp_path / "broken"
    said = call(*arguments, "--out", through).output
    assert {path.name for path in through.iterdir()} == WRITTEN | {".lock"}
    assert "1,000 images to train, 200 to validate, 500 to test" in said
    assert "Using cpu" in said and "augment warp" in said and str(through) in said
    assert [line for line in said.splitlines() if line.startswith("epoch ")][5:] != []
    assert said.splitlines()[-1].endswith(f" evaluate --checkpoint {through} --data {folder}")

    done = load_checkpoint(through / "model.safetensors")
    assert (done.recipe.epochs, done.recipe.batch_size, done.recipe.lr) == (6, 20, 0.005)
    assert done.recipe.optimizer == RECIPES["fast"].optimizer and done.recipe.seed == 3
    test = load_mnist("idx", folder, 200).test
    result = evaluate(done.model, test)
    assert result.accuracy > 0.8 and f"Test accuracy {result.accuracy:.2%}" in said
    metrics = json.loads((through / "metrics.json").read_text())
    assert metrics["test_accuracy"] == pytest.approx(result.accuracy)
    assert metrics["test_accuracy_95_interval"] == pytest.approx(result.interval)
    assert metrics["confusion"] == result.confusion.tolist() and metrics["model"] == "fast"
    assert metrics["recipe"]["epochs"] == 6 and metrics["test_images"] == 500
    assert metrics["temperature"] == pytest.approx(done.temperature) != 1
    card = (through / "README.md").read_text()
    assert f"{result.accuracy:.2%} of 500 images" in card and "epochs 6" in card
    assert "104,938 parameters" in card and "beware" not in card
    table = pd.read_csv(through / "history.csv")
    assert table["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["val_accuracy"].tolist() == [row["val_accuracy"] for row in done.history]
    for path in through.glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 200 and len(image.convert("L").getcolors(256)) > 10

    command = [*COMMAND, *map(str, arguments), "--out", str(broken)]
    last = broken / "last.pt"
    status, said = stop(command, last, 1, signal.SIGTERM, root)  # as Ctrl-C
    assert status == 130 and "--resume" in said and str(broken) in said
    assert "Traceback" not in said and 1 <= epochs_in(last) < 6
    status, _ = stop([*command, "--resume"], last, epochs_in(last) + 1, signal.SIGKILL, root)
    assert status == -signal.SIGKILL and 2 <= epochs_in(last) < 6
    clean(run(*arguments, "--out", broken, "--resume", root=root))
    first, second = (load_checkpoint(path / "last.pt") for path in (through, broken))
    for key, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key]), key
    assert {path.name for path in broken.iterdir() if path.name[0] != "."} == WRITTEN
    assert call("train", *arguments[1:-2], "--out", broken, "--seed", 4, "--resume").exit_code == 1


def test_without_options_tiny_is_trained_for_four_epochs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = call("train", "--data", folder, "--val-size", 200, "--no-cuda")
    assert shown.exit_code == 0, shown.output
    done = load_checkpoint(tmp_path / "outputs" / "train" / "tiny" / "model.safetensors")
    assert done.name == "tiny" and len(done.history) == done.recipe.epochs == 4


def test_in_a_pipe_each_epoch_is_a_line_and_there_is_no_bar(folder: Path, tmp_path: Path) -> None:
    shown = call(*QUICK, "--data", folder, "--epochs", 2, "--out", tmp_path)
    assert shown.exit_code == 0, shown.output
    epochs = [line for line in shown.stdout.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    row = load_checkpoint(tmp_path / "last.pt").history[1]
    assert f"{row['val_accuracy']:.2%}" in epochs[1] and f"{row['train_loss']:.4f}" in epochs[1]
    assert "it/s" not in shown.output, "a progress bar"


def test_nothing_to_resume_is_an_error(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*QUICK, "--data", folder).exit_code == 0
    shown = call(*QUICK, "--data", folder, "--resume", "--out", "outputs/train/tyni")
    assert shown.exit_code == 1 and "no run to resume in outputs/train/tyni" in shown.stderr
    assert "outputs/train/tiny: name one with --model" in shown.stderr
    assert not Path("outputs/train/tyni").exists()
    assert call(*QUICK, "--data", folder, "--resume").exit_code == 0


def test_what_was_trained_is_evaluated_by_the_command_that_is_named(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = call(*QUICK, "--data", folder)
    assert shown.exit_code == 0 and (tmp_path / "outputs" / "train" / "tiny").is_dir()
    line = shown.stdout.splitlines()[-1]
    arguments = shlex.split(line)[shlex.split(line).index("evaluate") :]
    own = call(*arguments)
    assert own.exit_code == 0 and own.stderr.startswith("Model: tiny (")
    assert "outputs/train/tiny/model.safetensors" in own.stderr
    verdict = next(line for line in shown.stdout.splitlines() if line.startswith("Test accuracy"))
    assert own.stdout.splitlines()[0] == verdict

    pretrained = call("evaluate", "--data", folder)
    assert pretrained.stderr.startswith("Model: fast (") and "pretrained" in pretrained.stderr
    assert "--checkpoint outputs/train/tiny" in pretrained.stderr, "silently another model"
    assert verdict not in pretrained.stdout


def test_a_user_predicts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("good.png", 3)
    draw("other one.png", 7)
    Path("broken.png").write_text("no image")
    Image.new("L", (99, 99), 255).save("empty.png")
    Path("scans").mkdir()
    names = ["broken.png", "good.png", "missing.png", "empty.png", "other one.png", "scans"]
    shown = call("predict", "--no-cuda", *names)
    assert shown.exit_code == 1
    one, two = (MNISTPredictor(device="cpu").predict(name) for name in ("good.png", names[4]))
    assert (one.digit, two.digit) == (3, 7)
    assert shown.stdout.splitlines() == [
        f"good.png:      3  {one.confidence:6.1%}",
        f"other one.png: 7  {two.confidence:6.1%}",
    ]
    model, *complaints = shown.stderr.splitlines()
    assert model.startswith("Model: fast (104,938 parameters, pretrained)")
    for name, line in zip(("broken", "missing", "empty", "scans"), complaints, strict=True):
        assert line.count(name) >= 1 and "Traceback" not in line
    assert complaints[3].endswith("batch scans"), "the command for a folder"
    assert call("predict", "--no-cuda", "good.png").exit_code == 0


def test_predictions_as_json(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("good.png", 3)
    shown = call("predict", "--json", "good.png", "missing.png")
    assert shown.exit_code == 1 and "missing.png" in shown.stderr
    good, missing = json.loads(shown.stdout)
    assert set(missing) == {"image", "error"} and missing["image"] == "missing.png"
    expected = MNISTPredictor().predict("good.png")
    assert good["probabilities"] == pytest.approx(expected.probs.tolist(), abs=2e-6)
    assert (good["image"], good["digit"]) == ("good.png", 3)
    assert good["is_confident"] is expected.is_confident
    assert good["confidence"] == max(good["probabilities"])
    assert call("predict", "--json", "--csv", "a.csv").exit_code == 2


def test_patterns_and_typing_errors(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    for name in ("a.png", "b.png"):
        draw(f"scans/{name}", 1)
    shown = call("predict", "scans/*.png")  # as Windows hands it over
    assert shown.exit_code == 0
    assert [line.split(":")[0] for line in shown.stdout.splitlines()] == [
        str(Path("scans/a.png")),
        str(Path("scans/b.png")),
    ]
    shown = call("predict", "scans/*.jpg")
    assert shown.exit_code == 1 and "no file matches scans/*.jpg" in shown.stderr
    shown = call("predict", "scans/a.pgn")
    assert shown.exit_code == 1 and f"did you mean {Path('scans/a.png')}?" in shown.stderr
    shown = call("predict", "scnas/a.png")
    assert shown.exit_code == 1 and "there is no folder scnas" in shown.stderr
    shown = call("predict", "a" * 300, "scans/a.png")
    assert shown.exit_code == 1 and "aaa" in shown.stderr
    assert shown.stdout.startswith(str(Path("scans/a.png")))
    shown = call("predict", "--csv", "scans/a.pgn")
    assert shown.exit_code == 1 and f"did you mean {Path('scans/a.png')}?" in shown.stderr
    shown = call("batch", "scans/a.png")
    assert shown.exit_code == 1 and "predict scans/a.png" in shown.stderr
    shown = call("predict", "scans/a.png", "--checkpoint", "scans")
    assert shown.exit_code == 1 and "scans is a folder without a training run" in shown.stderr


def test_evaluate(folder: Path) -> None:
    result = evaluate(MNISTPredictor(device="cpu").model, load_mnist("idx", folder, 0).test)
    shown = call("evaluate", "--data", folder, "--no-cuda")
    assert shown.exit_code == 0
    assert f"Test accuracy {result.accuracy:.2%}" in shown.stdout and "precision" in shown.stdout
    assert shown.stderr.startswith("Model: fast (104,938 parameters, pretrained)")
    shown = call("evaluate", "--data", folder, "--no-cuda", "--json")
    said = json.loads(shown.stdout)
    assert said["test_accuracy"] == result.accuracy and said["test_images"] == 500
    assert said["confusion"] == result.confusion.tolist() and said["checkpoint"] is None
    assert said["per_class"]["7"]["recall"] == pytest.approx(result.per_class["recall"][7])


def test_batch_writes_below_the_current_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    draw("scans/3_001.png", 3)
    Path("scans/4_001.png").write_text("no image")
    shown = call("batch", "scans")
    assert shown.exit_code == 0, shown.output
    assert shown.stderr.startswith("Model: fast (104,938 parameters, pretrained)")
    for name in ("results.csv", "results.json", "least_confident.png"):
        path = Path("predictions", "reports", name)
        assert path.is_file() and str(path) in shown.stdout.splitlines()
    assert "no run to resume" in call("batch", "scans", "--resume", "--out", "new").stderr


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_data_folder_that_is_not_there_is_never_replaced_by_the_sample(
    command: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = call(command, "--data", "mnsit")
    assert shown.exit_code == 1 and "sample" not in shown.stdout
    assert "no folder mnsit (--data)" in shown.stderr
    assert "data --data mnsit --download" in shown.stderr
    monkeypatch.setenv("MNIST_HELPERS_DATA", "mnsit")
    shown = call(command)
    assert shown.exit_code == 1 and "mnsit" in shown.stderr and "sample" not in shown.stdout


def test_predict_a_table(digits: Splits, tmp_path: Path) -> None:
    pixels = digits.test.images.flatten(1).numpy()
    pd.DataFrame(pixels, columns=[f"pixel{n}" for n in range(784)]).to_csv(
        tmp_path / "test.csv", index=False
    )
    out = tmp_path / "new" / "submission.csv"
    shown = call("predict", "--csv", tmp_path / "test.csv", "--out", out, "--no-cuda")
    assert shown.exit_code == 0 and "500 digits predicted" in shown.output
    with out.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["ImageId", "Label"]
    assert [int(row[0]) for row in rows[1:]] == list(range(1, 501))
    labels = np.array([int(row[1]) for row in rows[1:]])
    assert (labels == digits.test.labels.numpy()).mean() > 0.98
    shown = call("predict", "--csv", tmp_path / "none.csv")
    assert shown.exit_code == 1 and "none.csv" in shown.output


@pytest.mark.slow
def test_patience_exports_the_best_epoch(folder: Path, tmp_path: Path) -> None:
    shown = call(
        *["train", "--data", folder, "--val-size", 200, "--epochs", 8, "--patience", 1],
        *["--model", "cnn2", "--lr", 0.02, "--no-cuda", "--out", tmp_path],
    )
    assert shown.exit_code == 0, shown.output
    done = load_checkpoint(tmp_path / "model.safetensors")
    best = load_checkpoint(tmp_path / "best.pt")
    assert len(best.history) < len(done.history), "choose a rate at which the last is not best"
    for key, value in best.model.state_dict().items():
        assert torch.equal(value, done.model.state_dict()[key]), key


def test_data_says_what_is_there(folder: Path, tmp_path: Path) -> None:
    shown = call("data", "--data", folder)
    assert shown.exit_code == 0
    assert "1,200 images to train, 500 to test" in shown.output
    assert all(path.name in shown.output for path in folder.iterdir())
    shown = call("data", "--data", tmp_path)
    assert shown.exit_code == 0
    assert str(tmp_path) in shown.output and "--download" in shown.output
    (tmp_path / "train-images-idx3-ubyte").touch()
    shown = call("data", "--data", tmp_path)
    assert shown.exit_code == 1 and "train-labels-idx1-ubyte" in shown.output


def test_data_says_which_tables_are_there(digits: Splits, tmp_path: Path) -> None:
    for name, split in (("mnist_train.csv", digits.train), ("mnist_test.csv", digits.test)):
        rows = np.column_stack([split.labels, split.images.reshape(-1, 784)])
        np.savetxt(tmp_path / name, rows, "%d", ",")
    shown = call("data", "--data", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "mnist_train.csv" in shown.output and "mnist_test.csv" in shown.output
    assert "1,000 images to train, 500 to test" in shown.output
    assert "no MNIST" not in shown.output


def test_data_downloads_only_what_is_not_there_or_damaged(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    fetched = []
    monkeypatch.setattr("mnist_helpers.data.download_mnist", fetched.append)
    shown = call("data", "--data", folder, "--download")
    assert shown.exit_code == 0 and "1,200 images" in shown.output and not fetched
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:20])
    call("data", "--data", tmp_path, "--download")
    assert fetched == [tmp_path]


def test_doctor_in_one_line_each(monkeypatch) -> None:
    shown = call("doctor")
    assert shown.exit_code == 0 and len(shown.output.splitlines()) == 7
    monkeypatch.setattr("mnist_helpers.doctor.OLDEST_PYTHON", (9, 0))
    shown = call("doctor")
    assert shown.exit_code == 1 and "what to do: install Python 9.0" in shown.output


def test_the_version_is_the_packages() -> None:
    shown = call("--version")
    assert shown.exit_code == 0 and shown.output == f"mnist-helpers {metadata.version(PACKAGE)}\n"


@pytest.fixture
def started(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> list[list[str]]:
    """What JupyterLab would have been started with."""
    labapp = pytest.importorskip("jupyterlab.labapp", reason="the extra `lab` is not installed")
    calls: list[list[str]] = []
    monkeypatch.setattr(labapp.LabApp, "launch_instance", calls.append)
    monkeypatch.setenv("JUPYTERLAB_DIR", str(tmp_path_factory.mktemp("jupyterlab")))
    return calls


def test_lab_copies_the_notebooks_and_opens_the_first(
    started: list[list[str]], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    shown = call("lab", "my course", "--no-browser", "--port", 8899, "--ServerApp.ip=0.0.0.0")
    assert shown.exit_code == 0, shown.output
    folder = tmp_path / "my course"
    assert "my course" in shown.output and (folder / FIRST_NOTEBOOK).is_file()
    (flags,) = started
    assert f"--ServerApp.root_dir={folder}" in flags
    assert f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}" in flags
    assert {"--allow-root", "--no-browser", "--port=8899", "--ServerApp.ip=0.0.0.0"} <= set(flags)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert call("lab").exit_code == 0
    assert (tmp_path / "mnist_notebooks" / FIRST_NOTEBOOK).is_file()
    assert not {"--allow-root", "--no-browser"} & set(started[1])


def test_lab_in_a_checkout_works_on_copies_that_git_ignores(
    started: list[list[str]], tmp_path: Path, monkeypatch, root: Path
) -> None:
    for name in ("pyproject.toml", "mnist_helpers/files.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "mnist_helpers")
    assert call("lab").exit_code == 0
    assert (tmp_path / "work" / FIRST_NOTEBOOK).is_file()
    assert f"--ServerApp.root_dir={tmp_path}" in started[0], "links to README and docs lead nowhere"
    assert f"--LabApp.default_url=/lab/tree/work/{FIRST_NOTEBOOK}" in started[0]
    assert "/work/" in (root / ".gitignore").read_text().splitlines()


def test_lab_says_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    shown = call("lab")
    assert shown.exit_code == 1 and "mnist-helpers[lab]" in shown.output
    assert not list(tmp_path.iterdir())
    for words in (["one", "two"], ["--prot", "8"]):
        shown = call("lab", *words)
        assert shown.exit_code == 2 and "one FOLDER" in shown.output
    assert not list(tmp_path.iterdir()), "a mistyped option is no folder"


def test_the_system_s_errors_are_a_path_and_a_reason(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("cv2", reason="the extra `sheet` is not installed")
    monkeypatch.chdir(tmp_path)
    Path("digit.png").touch()
    shown = call("sheet", "make", "digit.png/sheet.pdf")
    assert shown.exit_code == 1 and "digit.png" in shown.output
    assert "Errno" not in shown.output and ".part" not in shown.output


def test_an_error_of_one_image_is_a_path_and_a_reason(tmp_path: Path, monkeypatch) -> None:
    """As of a disk that fails while it is read; one photo of several, and one image of several."""
    pytest.importorskip("cv2", reason="the extra `sheet` is not installed")

    def fail(path: Path, *_: object) -> None:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.chdir(tmp_path)
    draw("digit.png", 3)
    monkeypatch.setattr("mnist_helpers.prediction.to_mnist", fail)
    monkeypatch.setattr("mnist_helpers.sheet.read_sheet", fail)
    for arguments in (("predict", "digit.png"), ("sheet", "read", "digit.png")):
        shown = call(*arguments)
        assert shown.exit_code == 1 and "digit.png: Input/output error" in shown.stderr
        assert "Errno" not in shown.output


def test_an_image_in_a_tables_place_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("digit.png", 3)
    shown = call("predict", "--no-cuda", "--csv", "digit.png")
    assert shown.exit_code == 1 and not Path("submission.csv").exists()
    assert "digit.png is an image (PNG), not a CSV table of digits" in shown.stderr


def test_a_mistyped_checkpoint_is_answered_with_those_that_are_there(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, mistyped = Path("outputs/train/mine"), Path("outputs/train/main")
    run.mkdir(parents=True)
    (run / "model.safetensors").touch()
    for arguments in (
        ("predict", "three.png", "--checkpoint"),
        ("batch", ".", "--checkpoint"),
        ("export", "--onnx", "net.onnx", "--checkpoint"),
        ("train", "--temperature-from"),
    ):
        shown = call(*arguments, mistyped)
        assert shown.exit_code == 1 and f"there is no checkpoint {mistyped}" in shown.stderr
        assert f"there are runs in {run}: name one with --checkpoint" in shown.stderr


def test_that_the_table_of_another_folder_is_replaced_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("first", "second"):
        Path(folder).mkdir()
        draw(f"{folder}/digit.png", 3)
    note = f"Note: the table of {tmp_path / 'first'}, an earlier run, is replaced in predictions"
    for folder, replaces in (("first", False), ("first", False), ("second", True)):
        shown = call("batch", folder, "--no-cuda")
        assert shown.exit_code == 0 and (note in shown.stderr) is replaces


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.touch()
    shown = call("predict", path)
    assert shown.exit_code == 1 and "0 bytes" in shown.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--epochs", "0"], "at least 1"),
        (["train", "--lr", "-1"], "greater than 0"),
        (["train", "--source", "idx", "--data", "nowhere"], "there is no folder"),
        (["train", "--source", "idx", "--data", "."], "no MNIST in"),
        (["train", "--device", "tpu"], "'tpu'"),
        (["train", "--temperature-from", "none.pt"], "no checkpoint none.pt"),
        (["evaluate", "--checkpoint", "none.pt"], "no checkpoint none.pt"),
        (["predict", "three.png", "--checkpoint", "none.pt"], "no checkpoint none.pt"),
        (["batch", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_get_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = call(*arguments)
    assert shown.exit_code == 1 and isinstance(shown.exception, SystemExit)
    assert shown.output.startswith("Error: ") and words in shown.output
    assert len(shown.output.splitlines()) == 1


def test_divergence_gets_one_sentence(folder: Path, tmp_path: Path) -> None:
    shown = call(
        *["train", "--data", folder, "--val-size", 200, "--model", "cnn2_sgd", "--lr", 1e9],
        *["--precision", "fp32", "--no-cuda", "--out", tmp_path],
    )
    assert shown.exit_code == 1 and "lower learning rate" in shown.output


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["train", "--model", "resnet"], "mnistnet"),
        (["train", "--optimizer", "lion"], "adamw"),
        (["train", "--augment", "flip"], "warp"),
        (["train", "--precision", "fp8"], "bf16"),
        (["train", "--source", "web"], "download"),
        (["batch", "scans", "--labels", "file"], "folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_choice_is_answered_with_the_right_ones(arguments: list[str], allowed: str) -> None:
    shown = call(*arguments)
    assert shown.exit_code == 2 and allowed in shown.stderr


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        (base.ModelName, list_models()),
        (base.Optimizer, OPTIMIZERS),
        (base.Augmentation, ("none", *AUGMENTATIONS)),
        (base.Precision, PRECISIONS),
        (base.SourceName, SOURCES),
        (predict.Labels, (*LABELS, "none")),
    ],
    ids=str,
)
def test_choices_are_those_of_the_package(choices: object, names: Iterable[str]) -> None:
    assert get_args(choices) == tuple(names)


def test_wrong_use_says_how() -> None:
    for arguments in (
        ["predict"],
        ["predict", "a.png", "--csv", "b.csv"],
        ["predict", "a.png", "--out", "b.csv"],
        ["fly"],
        ["train", "x"],
    ):
        shown = call(*arguments)
        assert shown.exit_code == 2 and "Usage" in shown.output
    assert call("train", "--epochs", "many").exit_code == 2


def test_help(root: Path) -> None:
    said = clean(run("--help", root=root))
    for command in ("train", "evaluate", "predict", "batch", "data", "doctor"):
        assert f" {command} " in said
        assert call(command, "--help").exit_code == 0
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "300"})
    assert ", ".join(list_models()) in shown.output


@pytest.mark.slow
def test_the_calibration_of_a_held_out_run_is_taken_over(folder: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "held.pt", build_model("cnn2"), temperature=1.75)
    shown = call(
        *["train", "--model", "cnn2", "--data", folder, "--val-size", 0, "--epochs", 1],
        *["--no-cuda", "--temperature-from", tmp_path / "held.pt", "--out", tmp_path / "out"],
    )
    assert shown.exit_code == 0, shown.output
    assert "1,200 images to train, 0 to validate" in shown.output
    assert load_checkpoint(tmp_path / "out" / "model.safetensors").temperature == 1.75
    assert not (tmp_path / "out" / "best.pt").exists()


def test_a_folder_may_have_any_name(folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9_$5_$")
    shutil.copytree(folder, odd)
    out = tmp_path / os.fsdecode(b"out_\xe9")
    arguments = ["--data", odd, "--epochs", 1, "--val-size", 200, "--no-cuda", "--out", out]
    shown = call("train", "--model", "tiny", *arguments)
    assert shown.exit_code == 0, shown.output
    source = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["data"]
    assert source == r"idx files (folder caf\xe9_$5_$), not MNIST's"
    assert source in (out / "README.md").read_text(encoding="utf-8")
    assert r"caf\xe9_$5_$" in call("data", "--data", odd).output


@pytest.mark.slow
def test_synthetic_images_are_added_to_training(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--data", folder, "--val-size", 200, "--epochs", 1, "--no-cuda", "--out", out]
    shown = call(
        "train", "--model", "tiny", *arguments, "--synthetic-digits", 20, "--non-digits", 10
    )
    assert shown.exit_code == 0, shown.output
    assert "1,030 images to train" in shown.output
    source = load_checkpoint(out / "model.safetensors").source
    assert "20 synthetic digits and 10 synthetic non-digits" in source


def test_predicting_an_image_does_without_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `serve` is not installed")
    draw(tmp_path / "7.png", 7)
    code = """
import sys
from mnist_helpers.cli import app
app(["predict", "7.png", "--json"], standalone_mode=False)
assert not {"torch", "pandas", "matplotlib", "onnx"} & set(sys.modules)
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert "fast (104,938 parameters, pretrained)" in shown.stderr
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    monkeypatch.chdir(tmp_path)
    usual = call("predict", "7.png", "--json")
    assert usual.exit_code == 0 and "fast (104,938 parameters, pretrained)" in usual.stderr
    (found,), (expected,) = json.loads(shown.stdout), json.loads(usual.stdout)
    assert found["digit"] == expected["digit"] == 7
    assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=2e-6)


@pytest.mark.slow
def test_a_network_is_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the extra `serve` is not installed")
    path = tmp_path / "fast.onnx"
    shown = call("export", "--onnx", path)
    assert shown.exit_code == 0 and "The model fast" in shown.output
    assert call("evaluate", "--checkpoint", tmp_path / "none.onnx").exit_code == 1
    again = call("export", "--checkpoint", path, "--onnx", tmp_path / "again.onnx")
    assert again.exit_code == 1 and again.output.startswith("Error: ")
    assert "comes from an ONNX file" in again.output and len(again.output.splitlines()) == 1
    assert load_checkpoint(path).temperature == MNISTPredictor().checkpoint.temperature


@pytest.mark.slow
def test_the_card_of_a_run_on_the_sample_says_so(tmp_path: Path) -> None:
    call("train", "--source", "sample", "--model", "tiny", "--epochs", 1, "--out", tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "offline sample" in card and "this is not MNIST's test set" in card


def test_a_label_column_can_be_named(digits: Splits, tmp_path: Path) -> None:
    ten = [int((digits.test.labels == digit).nonzero()[0]) for digit in range(10)]
    rows = [[*range(10)], digits.test.images[ten].flatten(1).numpy()]
    table, out = tmp_path / "ten.csv", tmp_path / "out.csv"
    np.savetxt(table, np.column_stack(rows), fmt="%d", delimiter=",")
    unclear = call("predict", "--csv", table, "--out", out)
    assert unclear.exit_code == 1 and "--label-column" in unclear.output and not out.exists()
    for column in ("0", "none"):  # labels, or numbers of the rows: the pixels are the same
        assert not call("predict", "--csv", table, "--out", out, "--label-column", column).exit_code
        assert len(pd.read_csv(out)) == 10


def documented_commands() -> list[str]:
    """Return what README, docs, notebooks, guides and the Makefile tell a reader to type."""
    root = Path(__file__).resolve().parents[2]
    files = [root / "Makefile", *root.glob("*.md"), *root.glob("docs/*.md")]
    files += root.glob("notebooks/*.ipynb")
    written = r"(?:mnist-helpers|-m mnist_helpers) ([a-z][^`\n#…]*)"
    return [
        line.split("\\n")[0].split('"')[0].strip()
        for file in files
        for line in re.findall(written, file.read_text(encoding="utf-8"))
    ]


def test_every_documented_command_has_the_options_that_it_names() -> None:
    commands = documented_commands()
    assert len(commands) > 20
    assert "predict --csv test.csv --out submission.csv" in commands
    for line in commands:
        words = shlex.split(line.replace("$(APPFLAGS)", "").replace("$(LABFLAGS)", ""))
        shown = call(*words, "--help")  # all options are parsed before the help is shown
        assert shown.exit_code == 0, f"{line}: {shown.output}"


def test_a_process_spares_itself_the_search_for_garbage(monkeypatch) -> None:
    called, at_exit, before = [], [], gc.get_threshold()
    monkeypatch.setattr("atexit.register", at_exit.append)
    monkeypatch.setattr(cli, "app", lambda prog_name: called.append(prog_name))
    try:
        cli.main("digits")
        assert gc.get_threshold()[0] >= 10_000 and gc.isenabled()
    finally:
        gc.set_threshold(*before)
    assert called == ["digits"] and at_exit == [gc.freeze]

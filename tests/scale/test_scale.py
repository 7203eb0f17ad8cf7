"""The jobs on a real Ray cluster: two nodes on this machine, whose workers are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from typer.testing import CliRunner

from mnist_helpers import MNISTPredictor, load_checkpoint
from mnist_helpers.cli import app
from mnist_helpers.data import Batches, Digits, Splits
from mnist_helpers.recipes import recipe_for
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.training import train

ray = pytest.importorskip(
    "ray", reason="the extra `scale` is not installed: the jobs on a Ray cluster are left out"
)
from mnist_helpers import scale  # noqa: E402
from mnist_helpers.scale import cluster, folders, search, state  # noqa: E402

RECIPE = replace(recipe_for("tiny"), epochs=3, precision="fp32")


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[None]:
    """A cluster of two nodes with one CPU each, which this process has joined."""
    from ray.cluster_utils import Cluster

    cluster._listen(to_others=False)
    head = {"num_cpus": 1, "include_dashboard": False}
    nodes = cluster._retry_startup(lambda: Cluster(initialize_head=True, head_node_args=head))
    cluster._retry_startup(lambda: nodes.add_node(num_cpus=1))
    options = {"log_to_driver": False, "logging_level": "error", "runtime_env": scale.runtime_env()}
    ray.init(nodes.address, **options)
    yield
    ray.shutdown()
    nodes.shutdown()


def workers(name: str) -> list[psutil.Process]:
    """The processes of these nodes that run what is called so; those of other clusters stay."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue  # it has just ended
        if title.startswith("ray::") and re.search(name, title):
            found.append(process)
    return found


class Killing:
    """Runs a job, and kills one of its workers as soon as it may."""

    def __init__(self, name: str, when: Callable[[], bool]) -> None:
        self.name, self.when, self.killed, self.over = name, when, 0, False

    def __enter__(self) -> Killing:
        self.thread = threading.Thread(target=self._wait_and_kill)
        self.thread.start()
        return self

    def _wait_and_kill(self) -> None:
        while not self.over and not self.killed:
            found = workers(self.name) if self.when() else []
            if found:
                found[0].kill()
                self.killed += 1
            time.sleep(0.05)

    def __exit__(self, *_error: object) -> None:
        self.over = True
        self.thread.join()


def some_images(folder: Path, number: int) -> Path:
    """Fill a folder with digits, and with what is none."""
    for index in range(number):
        digit = index % 10
        place = folder / str(index % 3)
        place.mkdir(parents=True, exist_ok=True)
        draw_strokes(pen_strokes(digit, variation=index)).save(place / f"{index:04d}_{digit}.png")
    (folder / "broken.png").write_bytes(b"this is no image")
    (folder / "empty.JPG").write_bytes(b"")
    (folder / "notes.txt").write_text("not looked at")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "hidden.png").write_bytes(b"")
    return folder


def test_each_process_has_its_part_of_the_very_same_batches() -> None:
    digits = Digits(
        torch.randint(0, 256, (103, 1, 28, 28), dtype=torch.uint8), torch.arange(103) % 10, "random"
    )
    passes = []
    for rank, world_size in ((0, 1), (0, 2), (1, 2)):
        torch.manual_seed(0)
        passes.append(list(Batches(digits, 10, rank=rank, world_size=world_size)))
    whole, first, second = passes
    assert len(whole) == 11 and len(first) == len(second) == 10, "three left over: too few for two"
    for (images, labels), (ours, _), (_, theirs) in zip(whole[:9], first, second, strict=False):
        assert torch.equal(images[0::2], ours) and torch.equal(labels[1::2], theirs)
    seen = torch.cat([labels for _, labels in first + second])
    assert torch.equal(seen.sort().values, digits.labels.sort().values)
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        Batches(digits, 1, world_size=2)


def test_two_workers_and_a_killed_one_come_to_the_accuracy_of_one_process(
    two_nodes: None, splits: Splits, tmp_path: Path
) -> None:
    few, val = splits.train[:4000], splits.val[:1000]
    alone = [
        train("tiny", few, val, replace(RECIPE, seed=seed), progress=False)[-1]["val_accuracy"]
        for seed in range(4)
    ]
    saved = tmp_path / "ray"
    with Killing("RayTrainWorker|_RemoteTrain", lambda: any(saved.rglob("last.pt"))) as killing:
        history = scale.train_distributed("tiny", few, val, RECIPE, out=tmp_path)
    assert killing.killed == 1
    assert [row["epoch"] for row in history] == [1, 2, 3], "every epoch once, though it was killed"
    spread = max(alone) - min(alone) + 0.01
    assert min(alone) - spread <= history[-1]["val_accuracy"] <= max(alone) + spread
    done = load_checkpoint(tmp_path / "last.pt")
    assert done.recipe == RECIPE and done.source == few.source
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "last.pt", "best.pt"}
    assert len(MNISTPredictor(tmp_path / "last.pt").predict_batch(list(val.images[:5, 0]))) == 5


def test_a_diverging_training_is_not_tried_again(
    two_nodes: None, digits: Splits, tmp_path: Path
) -> None:
    wild = replace(RECIPE, optimizer="sgd", lr=1e9, label_smoothing=0.0)
    with pytest.raises(FloatingPointError, match="lower learning rate"):
        scale.train_distributed("tiny", digits.train, digits.val, wild, out=tmp_path)


def test_more_workers_than_there_are_are_refused_at_once(
    two_nodes: None, digits: Splits, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="num_workers is 3, and the cluster has 2 CPUs"):
        scale.train_distributed("tiny", digits.train, num_workers=3, out=tmp_path)
    with pytest.raises(ValueError, match="the cluster has no GPU"):
        scale.train_distributed("tiny", digits.train, use_gpu=True, out=tmp_path)
    with pytest.raises(ValueError, match=r"cpus is 2\.5, and the cluster has 2 CPUs"):
        scale.tune({"lr": 1e-2}, digits.train, digits.val, cpus=2.5, out=tmp_path)
    with pytest.raises(ValueError, match=r"gpus is 0\.5, and the cluster has no GPU"):
        scale.tune({"lr": 1e-2}, digits.train, digits.val, gpus=0.5, out=tmp_path)
    folder = some_images(tmp_path / "images", 1)
    with pytest.raises(ValueError, match="num_actors is 9, and the cluster has 2 CPUs"):
        scale.predict_folder(folder, tmp_path / "out", num_actors=9)


def test_a_search_ends_though_a_worker_is_killed(
    two_nodes: None, splits: Splits, tmp_path: Path
) -> None:
    from ray import tune

    space = {"lr": tune.loguniform(1e-5, 3e-2), "batch_size": tune.choice([64, 128])}
    few, val = splits.train[:3000], splits.val[:500]
    begun = tmp_path / "ray"
    with Killing("ImplicitFunc|trial", lambda: any(begun.rglob("last.pt"))) as killing:
        table = scale.tune(space, few, val, trials=5, recipe=RECIPE, out=tmp_path)
    assert killing.killed == 1
    assert len(table) == 5 and table["error"].isna().all()
    assert table["val_accuracy"].is_monotonic_decreasing and table["val_accuracy"][0] > 0.9
    assert table["lr"].between(1e-5, 3e-2).all() and set(table["batch_size"]) <= {64, 128}
    assert table["epochs"].max() == 3, "the best is trained to the end"

    again = scale.tune(space, few, val, recipe=RECIPE, out=tmp_path, resume=True)
    pd.testing.assert_frame_equal(table, again)


@pytest.mark.kill
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process")
def test_a_search_is_stopped_by_ctrl_c_and_resumed(tmp_path: Path) -> None:
    """Ray's own handler would end the search, and return trials that were never started."""
    command = [sys.executable, "-m", "mnist_helpers", "tune", "--source", "sample", "--out"]
    command += [str(tmp_path), "--trials", "3", "--epochs", "3", "--val-size", "500"]
    search = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while search.poll() is None and not any(map(epochs_of, tmp_path.glob("ray/*/result.json"))):
        time.sleep(0.1)
    search.send_signal(signal.SIGINT)
    _, said = search.communicate()
    assert search.returncode == 130 and "Traceback" not in said, said
    assert "--resume" in said and not (tmp_path / "trials.csv").exists()
    again = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    table = pd.read_csv(tmp_path / "trials.csv")
    assert len(table) == 3 and table["error"].isna().all() and table["epochs"].max() == 3
    for path in tmp_path.glob("ray/*/result.json"):
        assert epochs_of(path) == sorted(set(epochs_of(path))), "an epoch is reported twice"


def epochs_of(path: Path) -> list[int]:
    """The epochs that a trial has reported, in whole lines."""
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line)["epoch"] for line in lines if line.endswith("\n")]


def test_a_search_for_nothing_is_refused(digits: Splits, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no field of Recipe: learning_rate"):
        scale.tune({"learning_rate": 1}, digits.train, digits.val, out=tmp_path)
    with pytest.raises(ValueError, match="something to search for"):
        scale.tune({}, digits.train, digits.val, out=tmp_path)
    with pytest.raises(ValueError, match="validation images"):
        scale.tune({"lr": 1e-2}, digits.train, digits.val[:0], out=tmp_path)


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_every_image_has_one_row_though_workers_are_killed(
    two_nodes: None, tmp_path: Path, format: str
) -> None:
    folder = some_images(tmp_path / "images", 600)
    out = tmp_path / "out"
    started = time.monotonic()
    preprocessing = lambda: time.monotonic() > started + 2 and bool(workers("_preprocess"))  # noqa: E731
    which = "_preprocess" if format == "csv" else "_Predictor"
    with Killing(which, preprocessing) as killing:
        done = scale.predict_folder(folder, out, format=format, batch_size=16)
    assert killing.killed == 1
    read = pd.read_parquet if format == "parquet" else pd.read_csv
    table = pd.concat([read(path) for path in done["rows"].iterdir()], ignore_index=True)
    expected = {path.relative_to(folder).as_posix() for path in folder.glob("[012]/*.png")}
    assert sorted(table["file"]) == sorted(expected | {"broken.png", "empty.JPG"})
    broken = table[table["error"].notna()]
    assert sorted(broken["file"]) == ["broken.png", "empty.JPG"]
    assert broken[["digit", "confidence", "p0"]].isna().all(axis=None)
    assert (done["images"], done["predicted"], done["failed"]) == (602, 600, 2)

    good = table[table["error"].isna()].set_index("file")
    some = sorted(expected)[::60]
    predictor = MNISTPredictor()
    for name in some:
        prediction = predictor.predict(folder / name)
        assert good.loc[name, "digit"] == prediction.digit
        assert good.loc[name, "confidence"] == pytest.approx(prediction.confidence, abs=1e-4)
    assert sum(done["digits"].values()) == 600


def test_memory_of_the_list_does_not_grow_with_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "ROWS_PER_FILE", 10)
    folder = some_images(tmp_path / "images", 33)
    assert folders._write_names(folder.as_uri(), state.emptied(tmp_path / "names")) == 35
    parts = [pd.read_parquet(path)["file"] for path in sorted((tmp_path / "names").iterdir())]
    assert [len(part) for part in parts] == [10, 10, 10, 5]
    assert pd.concat(parts).is_unique


def test_an_address_of_any_file_system_is_read(two_nodes: None, tmp_path: Path) -> None:
    import zipfile

    folder = some_images(tmp_path / "images", 12)
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            if path.is_file():
                archive.write(path, path.relative_to(tmp_path))
    done = scale.predict_folder(f"zip://images::{tmp_path / 'scans.zip'}", tmp_path / "out")
    assert (done["predicted"], done["failed"]) == (12, 2)


def test_the_commands_do_all_three(
    two_nodes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CliRunner().invoke
    small = ["--model", "tiny", "--epochs", "1", "--source", "sample"]
    where = str(tmp_path / "train")
    result = run(app, ["train", *small, "--distributed", "2", "--out", where])
    assert result.exit_code == 0, result.output
    assert "2 workers with a CPU each" in result.output and "Test accuracy" in result.output
    assert (tmp_path / "train" / "model.safetensors").is_file()

    result = run(app, ["tune", *small, "--trials", "2", "--out", str(tmp_path / "tune")])
    assert result.exit_code == 0, result.output
    assert "python -m mnist_helpers train --model tiny --epochs 1 --lr" in result.output
    assert len(pd.read_csv(tmp_path / "tune" / "trials.csv")) == 2

    some_images(tmp_path / "images", 10)
    monkeypatch.chdir(tmp_path)  # to where the workers are not
    result = run(app, ["batch", "images", "--ray", "--format", "csv", "--out", "out"])
    assert result.exit_code == 0, result.output
    assert "10 of 12 images predicted" in result.output
    assert any((tmp_path / "out" / "rows").iterdir())


def test_a_folder_is_sent_in_full_and_an_address_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders._absolute("scans") == str(tmp_path / "scans")
    assert folders._absolute(str(tmp_path)) == str(tmp_path)
    for address in ("s3://bucket/scans", "zip://scans::archive.zip"):
        assert folders._absolute(address) == address


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_table_is_counted_that_begins_with_thousands_of_unreadable_images(
    tmp_path: Path, format: str
) -> None:
    number = 20_000  # more rows than a reader of CSV looks at to guess what a column holds
    table = pd.DataFrame({"file": [f"a folder of images/{n:030d}.png" for n in range(number)]})
    table["digit"] = pd.array([pd.NA] * (number - 2) + [7, 7], "Int64")
    table["confidence"] = [None] * (number - 2) + [0.99, 0.5]
    table["is_confident"] = pd.array([pd.NA] * (number - 2) + [True, False], "boolean")
    table["error"] = ["is not an image"] * (number - 2) + [None, None]
    if format == "csv":
        table.to_csv(tmp_path / "1.csv", index=False)
    else:
        table.to_parquet(tmp_path / "1.parquet")
    counts = folders._count(tmp_path, format, numbers=False)
    assert (counts["images"], counts["predicted"], counts["not_confident"]) == (number, 2, 1)
    assert counts["failed"] == number - 2 and counts["digits"][7] == 2


def test_none_stays_none_in_the_table_of_a_search_and_in_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = [
        {"lr": 0.02, "augment": "warp"},
        {"lr": 0.01, "augment": None},
        {"lr": 3, "augment": None},
    ]
    drawn = [{"batch_size": 64, "patience": None} | values for values in drawn]
    ends = [({"val_accuracy": 0.97}, None), ({"val_accuracy": 0.98}, None), ({}, "diverged")]
    results = [
        SimpleNamespace(config=config, metrics={"epoch": 1, **metrics}, error=error)
        for config, (metrics, error) in zip(drawn, ends, strict=True)
    ]
    table = search._table(results, drawn[0])
    assert table["augment"].to_list() == [None, "warp", None]
    assert table["error"].to_list() == [None, None, "diverged"]
    assert table["patience"].to_list() == [None] * 3
    assert table["val_accuracy"].dtype == table["lr"].dtype == float
    monkeypatch.setattr(scale, "tune", lambda *_, **__: table)
    command = ["tune", "--source", "sample", "--out", str(tmp_path)]
    assert "--lr 0.01 --batch-size 64 --augment none" in CliRunner().invoke(app, command).output

    failed = table[2:].reset_index(drop=True)
    monkeypatch.setattr(scale, "tune", lambda *_, **__: failed)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "every trial failed" in result.output


def test_of_equally_accurate_trials_the_lowest_loss_comes_first() -> None:
    """A search that is resumed finds the same best trial, in whatever order Ray hands them out."""
    losses = [0.3, 0.1, 0.4, 0.2]
    results = [
        SimpleNamespace(
            config={"lr": loss}, metrics={"val_accuracy": 0.9, "val_loss": loss}, error=None
        )
        for loss in losses
    ]
    for some in (results, results[::-1]):
        assert search._table(some, {"lr": None})["lr"].to_list() == sorted(losses)


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    result = CliRunner().invoke(app, ["batch", "anywhere", "--ray"])
    assert result.exit_code == 1 and "pip install 'mnist-helpers[scale]'" in result.output


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train", "--address", "auto"], "only with --distributed"),
        (["batch", "x", "--address", "auto"], "only with --ray"),
        (["batch", "x", "--ray", "--pattern", "*.png"], "without --ray"),
        (["batch", "x", "--ray", "--labels", "folder"], "without --ray"),
    ],
)
def test_options_that_would_be_ignored_are_refused(command: list[str], message: str) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and message in " ".join(result.output.split())


def test_without_the_extra_the_rest_is_tested_and_the_skips_say_why(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError('as if it were not installed')")
    command = [sys.executable, "-m", "pytest", "-rs", "-q", "-p", "no:cacheprovider", "--nbmake"]
    command += [
        "tests/scale/test_scale.py",
        "tests/scale/test_cluster.py",
        "notebooks/10_scaling_out.ipynb",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert "3 skipped" in done.stdout, done.stdout
    assert len(re.findall("the extra `scale` is (missing|not installed)", done.stdout)) == 3


def test_no_spreadsheet_takes_what_is_in_a_table_for_a_formula() -> None:
    batch = {
        "file": np.array(["=1.png", "2.png"], dtype=object),
        "image": np.zeros((2, 28, 28), dtype=np.uint8),
        "seconds": np.zeros(2),
        "error": np.array(["@x", "y"], dtype=object),
    }
    for escape, start in ((True, "'"), (False, "")):
        rows = folders._Predictor(None, escape)(batch)
        assert rows["file"].tolist() == [start + "=1.png", "2.png"]
        assert rows["error"].tolist() == [start + "@x", "y"]

"""What goes wrong on 500 machines: processes that die, full disks, two at once, wrong data."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mnist_helpers import Digits, Recipe, build_model, load_checkpoint, train, training
from mnist_helpers.checkpoints import save_checkpoint
from mnist_helpers.cli import app
from mnist_helpers.files import exclusive_lock

ROOT = Path(__file__).resolve().parents[1]
RECIPE = Recipe(epochs=8, batch_size=50, lr=0.01, precision="fp32", patience=8, seed=3)
KILLS = 30


def made_up(number: int = 400, seed: int = 0) -> Digits:
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.integers(0, 256, (number, 1, 28, 28), dtype=np.uint8))
    return Digits(images, torch.arange(number) % 10, "made up")


def run(out: str, resume: bool) -> None:
    """Train to the end, in a process of its own."""
    torch.set_num_threads(1)
    digits = made_up()
    validation = made_up(100, 1)
    options = {"out": out, "resume": resume, "device": "cpu", "progress": False}
    train("tiny", digits, validation, RECIPE, **options)


def wait_for_a_save(path: Path, process: multiprocessing.Process) -> None:
    """Wait until a file is replaced, or the process that would do it has ended."""
    former = path.stat().st_mtime_ns if path.exists() else 0
    while process.is_alive() and (not path.exists() or path.stat().st_mtime_ns == former):
        time.sleep(0.001)


@pytest.mark.kill
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_at_any_moment_it_continues_and_ends_in_the_same_weights(tmp_path: Path) -> None:
    """Thirty real ``kill -9``, at random moments of a run that is resumed each time."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["mnist_helpers.training", "torchvision", "test_faults"])
    through = processes.Process(target=run, args=(str(tmp_path / "through"), False))
    through.start()
    through.join()
    assert through.exitcode == 0
    started = time.perf_counter()
    again = processes.Process(target=run, args=(str(tmp_path / "timed"), False))
    again.start()
    again.join()
    whole = time.perf_counter() - started
    expected = load_checkpoint(tmp_path / "through" / "last.pt")

    rng = np.random.default_rng(0)
    kills, finished, seen, number = 0, 0, set(), 0
    while kills < KILLS or not finished:
        folder = tmp_path / f"killed{number}"
        process = processes.Process(target=run, args=(str(folder), True))
        process.start()
        if kills < KILLS:
            if kills % 3:  # once it has saved something new; every third time at any moment
                wait_for_a_save(folder / "last.pt", process)
            process.join(rng.uniform(0, 0.3 * whole))
        else:
            process.join()
        process.kill()  # nothing, if it has just ended
        process.join()
        if process.exitcode == -signal.SIGKILL:
            kills += 1
            for name in ("last.pt", "best.pt"):
                if (folder / name).exists():
                    seen.add(len(load_checkpoint(folder / name).history))
            continue
        assert process.exitcode == 0
        finished += 1
        for name in ("last.pt", "best.pt"):
            there = load_checkpoint(folder / name).model.state_dict()
            through_state = load_checkpoint(tmp_path / "through" / name).model.state_dict()
            assert all(torch.equal(there[key], through_state[key]) for key in there), name
        assert {path.name for path in folder.iterdir()} == {".lock", "best.pt", "last.pt"}
        number += 1
    assert len(expected.history) == RECIPE.epochs
    assert len(seen) >= 3, f"all kills fell into the same epochs: {seen}"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit a file's size")
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path, ending: str) -> None:
    """The system really refuses to write on, at whatever byte: first, middle, last."""
    path = tmp_path / f"net{ending}"
    save_checkpoint(path, build_model("tiny"))
    before, size = path.read_bytes(), path.stat().st_size
    code = (
        "import resource, signal, sys\n"
        "from mnist_helpers.checkpoints import save_checkpoint\n"
        "from mnist_helpers import build_model\n"
        "model = build_model('tiny')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "for room in map(int, sys.argv[2:]):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        save_checkpoint(sys.argv[1], model)\n"
        "    except OSError as error:\n"
        "        print(error)\n"
    )
    rooms = [str(room) for room in (0, 100, size // 2, size - 1)]
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), *rooms], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if path.name in line or "too large" in line]
    assert len(told) == len(rooms), done.stdout
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name], "half a file was left"
    load_checkpoint(path)


def test_a_second_process_is_refused_and_the_first_continues(tmp_path: Path) -> None:
    code = (
        "import sys; from mnist_helpers.files import exclusive_lock\n"
        f"with exclusive_lock({str(tmp_path)!r}):\n"
        "    print('in', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert first.stdout.readline().strip() == b"in"
        with pytest.raises(OSError, match=r"another process is writing to .*--out"):
            train("tiny", made_up(20), recipe=RECIPE, out=tmp_path, device="cpu", progress=False)
        assert not (tmp_path / "last.pt").exists()
        first.kill()
        first.wait()
        (tmp_path / ".mnist_helpers-abc.part.pt").write_bytes(b"half")  # as a killed one leaves it
        (tmp_path / ".thesis.part2.docx").touch()  # of somebody else
        with exclusive_lock(tmp_path):
            left = set(os.listdir(tmp_path))
            assert left == {".lock", ".thesis.part2.docx"}, "half a file is left, or another's gone"
    finally:
        first.communicate()


def test_a_previous_run_is_kept_when_another_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    options = {"recipe": replace(RECIPE, epochs=1), "out": tmp_path, "progress": False}
    train("tiny", made_up(20), **options)
    former = (tmp_path / "last.pt").read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_epoch", interrupted)
    for said in ("is kept as previous.pt", ""):  # the second finds nothing that was learned
        with pytest.raises(KeyboardInterrupt):
            train("tiny", made_up(20), **options)
        assert said in capsys.readouterr().out
        assert (tmp_path / "previous.pt").read_bytes() == former
        assert not load_checkpoint(tmp_path / "last.pt").history


def test_other_data_are_not_resumed_on(tmp_path: Path) -> None:
    options = {"device": "cpu", "progress": False}
    recipe = replace(RECIPE, epochs=1)
    train("tiny", made_up(20), recipe=recipe, out=tmp_path, **options)
    before = (tmp_path / "last.pt").read_bytes()
    other = made_up(20)
    other.labels[0] = 9
    with pytest.raises(ValueError, match=r"last\.pt was trained on other data"):
        train("tiny", other, recipe=recipe, out=tmp_path, resume=True, **options)
    assert (tmp_path / "last.pt").read_bytes() == before
    assert made_up(20).fingerprint() == made_up(20).fingerprint() != other.fingerprint()


def test_an_exploding_loss_is_said_before_it_is_no_number(monkeypatch) -> None:
    plain = training.train_epoch
    monkeypatch.setattr(training, "train_epoch", lambda *given: plain(*given) | {"train_loss": 1e4})
    with pytest.raises(FloatingPointError, match=r"became 10000 in epoch 1.*lower learning rate"):
        train("tiny", made_up(20), recipe=RECIPE, device="cpu", progress=False)


def test_a_gpu_without_room_proposes_a_smaller_batch(monkeypatch) -> None:
    def no_room(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training, "train_epoch", no_room)
    with pytest.raises(MemoryError, match=r"batches of 50: try batch_size=25"):
        train("tiny", made_up(20), recipe=RECIPE, device="cpu", progress=False)


def test_a_missing_digit_is_named(tmp_path: Path) -> None:
    rows = ["label," + ",".join(f"pixel{n}" for n in range(784))]
    rng = np.random.default_rng(0)
    for digit in range(9):
        for _ in range(4):
            rows.append(f"{digit}," + ",".join(map(str, rng.integers(0, 256, 784))))
    for name in ("train.csv", "mnist_test.csv"):
        (tmp_path / name).write_text("\n".join(rows) + "\n")
    (tmp_path / "train.csv").rename(tmp_path / "mnist_train.csv")
    command = ["train", "--source", "csv", "--data", str(tmp_path), "--val-size", "0"]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out"), "--epochs", "1"])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert "has no image of 9" in done.output


def test_every_fault_in_the_table_names_a_test_that_is_there() -> None:
    table = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", table)
    assert len(named) > 30
    assert "|\n\n|" not in table, "an empty line would end the table"
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"

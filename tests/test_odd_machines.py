"""Machines that are unlike most: another file system, a clock that goes back, two at once."""

from __future__ import annotations

import datetime as dates
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_helpers import Digits, load_checkpoint, train
from mnist_helpers.batch import BatchProcessor, processor
from mnist_helpers.recipes import recipe_for
from mnist_helpers.strokes import draw_strokes, pen_strokes

ROOT = Path(__file__).resolve().parents[1]
RECIPE = replace(recipe_for("tiny"), epochs=2, batch_size=50, precision="fp32", patience=2)
MEMORY = Path("/dev/shm")  # a file system of its own, on Linux


def made_up(number: int = 200) -> Digits:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (number, 1, 28, 28), dtype=np.uint8))
    return Digits(images, torch.arange(number) % 10, "made up")


def images(folder: Path) -> Path:
    folder.mkdir()
    for digit in range(10):
        draw_strokes(pen_strokes(digit)).save(folder / f"{digit}.png")
    return folder


@pytest.fixture
def elsewhere() -> Path:
    """A folder on another file system than that of temporary files."""
    import tempfile

    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        pytest.skip("this machine has no second file system to write to")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        if os.stat(folder).st_dev == os.stat(tempfile.gettempdir()).st_dev:
            pytest.skip("temporary files lie on the only file system to write to")
        yield Path(folder)


def test_what_is_written_may_lie_on_another_file_system(elsewhere: Path, tmp_path: Path) -> None:
    """Files are replaced in their own folder: nothing is renamed from one system to another."""
    train("tiny", made_up(), made_up(), RECIPE, out=elsewhere, device="cpu", progress=False)
    again = replace(RECIPE, epochs=2)
    options = {"out": elsewhere, "resume": True, "device": "cpu", "progress": False}
    assert len(train("tiny", made_up(), made_up(), again, **options)) == 2
    assert len(load_checkpoint(elsewhere / "last.pt").history) == 2
    batch = BatchProcessor(out=elsewhere).process_folder(images(tmp_path / "images"))
    assert len(batch.results) == 10
    assert batch.save_results_csv().parent == elsewhere / "reports"


def test_a_clock_that_goes_back_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds are measured by a clock that cannot; a log whose name is taken is added to."""

    class Backwards(dates.datetime):
        @classmethod
        def now(cls, tz: dates.tzinfo | None = None) -> Backwards:
            return cls(2026, 11, 1, 2, 30)

    hours = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(hours)))
    monkeypatch.setattr(processor, "datetime", Backwards)
    options = {"out": tmp_path / "train", "device": "cpu", "progress": False}
    history = train("tiny", made_up(), made_up(), RECIPE, **options)
    assert all(0 <= row["seconds"] < 3000 for row in history)
    folder = images(tmp_path / "images")
    for _ in range(2):
        batch = BatchProcessor(out=tmp_path / "out").process_folder(folder)
        assert (batch.results["seconds"] >= 0).all() and len(batch.results) == 10
    (log,) = (tmp_path / "out" / "logs").iterdir()
    assert log.read_text(encoding="utf-8").count("10 images, 0 done before") == 2


@pytest.mark.kill
def test_of_two_that_train_into_the_same_folder_at_once_one_is_refused(tmp_path: Path) -> None:
    """As two notebooks do that are both open; each has a process of its own."""
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_odd_machines as t\n"
        "from dataclasses import replace\n"
        "recipe = replace(t.RECIPE, epochs=300, patience=300)\n"
        "print('begins', flush=True)\n"
        f"t.train('tiny', t.made_up(), t.made_up(), recipe, out={str(tmp_path)!r}, device='cpu',\n"
        "        progress=False)\n"
    )
    command = [sys.executable, "-c", code]
    both = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    try:
        for one in both:
            assert one.stdout.readline() == "begins\n", one.stderr.read()
        while all(one.poll() is None for one in both):
            time.sleep(0.05)
        refused, going = sorted(both, key=lambda one: one.poll() is None)
        assert "another process is writing to" in refused.stderr.read()
        while going.poll() is None and not (tmp_path / "last.pt").exists():
            time.sleep(0.05)
        assert going.poll() is None, "the other one continues"
        load_checkpoint(tmp_path / "last.pt")
    finally:
        for one in both:
            one.kill()
            one.communicate()


def save_a_sheet(folder: str) -> None:
    """Write the digits of a sheet that is as large as a class's."""
    from mnist_helpers.sheet.reading import SheetDigits
    from mnist_helpers.sheet.saving import save_sheets

    digits = made_up(600)
    crops = list(digits.images[:, 0].numpy())
    sheet = SheetDigits(
        digits.images, digits.labels, digits.source, crops, "a.jpg", list(range(600))
    )
    save_sheets([sheet], folder)


@pytest.mark.kill
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("ready", ["digits.csv", "images/5/0005.png", "crops/3/0003.png"])
def test_a_sheet_whose_saving_was_killed_is_saved_whole_by_the_next(
    ready: str, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    code = "import sys; sys.path.insert(0, 'tests'); import test_odd_machines as t; "
    code += f"t.save_a_sheet({str(folder)!r})"
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while killed.poll() is None and not (folder / ready).exists():
        time.sleep(0.0005)
    killed.kill()
    killed.wait()
    assert (folder / ready).exists()
    for place in (folder, whole):
        save_a_sheet(str(place))
    contents = [
        {path.relative_to(place): path.read_bytes() for path in place.rglob("[!.]*.*")}
        for place in (folder, whole)
    ]
    assert contents[0] == contents[1] and len(contents[1]) > 1200

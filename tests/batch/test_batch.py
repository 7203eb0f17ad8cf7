"""Folders of images: every file is accounted for, and no run is lost."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_helpers.batch import (
    COLUMNS,
    PROBABILITIES,
    BatchProcessor,
    ImageFolder,
    contact_sheet,
    files,
    preprocessing,
    processor,
)
from mnist_helpers.batch.labels import label_of
from mnist_helpers.batch.preprocessing import Preprocessed
from mnist_helpers.data import Splits
from mnist_helpers.files import escape_name, exclusive_lock
from mnist_helpers.formulas import unescape_formula
from mnist_helpers.prediction import MNISTPredictor

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes on Linux")


@pytest.fixture
def batch(predictor: MNISTPredictor, tmp_path: Path) -> BatchProcessor:
    return BatchProcessor(predictor, tmp_path / "out", batch_size=4, threads=2)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def draw(digits: Splits) -> Callable[..., Path]:
    """Write the test split's first image of a digit to a file, as PNG."""

    def write(path: Path, digit: int = 7) -> Path:
        image = digits.test.images[digits.test.labels == digit][0, 0].numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            Image.fromarray(image).save(file, "PNG")
        return path

    return write


def errors(batch: BatchProcessor) -> dict[str, str | None]:
    return {row["file"]: row["error"] for row in batch.rows()}


def test_results_are_what_the_predictor_says(batch, inbox, draw, predictor) -> None:
    paths = [draw(inbox / f"{letter}.png", digit) for digit, letter in enumerate("abcdefghij")]
    table = batch.process_folder(inbox).results
    assert list(table.columns) == COLUMNS
    assert list(table["file"]) == [path.name for path in paths]
    for path, row in zip(paths, table.to_dict("records"), strict=True):
        expected = predictor.predict(path)
        assert row["digit"] == expected.digit
        assert row["confidence"] == pytest.approx(expected.confidence, abs=2e-6)
        assert row["is_confident"] == expected.is_confident
        assert [row[p] for p in PROBABILITIES] == pytest.approx(expected.probs, abs=2e-6)
        assert row["seconds"] > 0
        assert row["error"] is None
    assert table["digit"].tolist().count(3) == 1


@pytest.mark.parametrize("large", [True, False], ids=["photos", "small"])
def test_photos_are_decoded_in_threads_and_small_images_without(
    batch, inbox, draw, monkeypatch, large: bool
) -> None:
    for number in range(6):
        path = draw(inbox / f"{number}.png", number)
        if large:  # bytes after a PNG's end are nothing to a decoder
            path.write_bytes(path.read_bytes() + bytes(files.LARGE))
    threads, real = set(), preprocessing.to_mnist
    both = threading.Barrier(2)

    def decode(path: Path) -> np.ndarray:
        threads.add(threading.current_thread())
        if large and path.stem in "01":
            both.wait(60)  # or nobody decodes the other one
        return real(path)

    monkeypatch.setattr(preprocessing, "to_mnist", decode)
    table = batch.process_folder(inbox).results
    assert table["digit"].tolist() == list(range(6)), "in order, over two batches"
    assert (threading.main_thread() not in threads) == large


def test_csv_json_log_and_contact_sheet(batch, inbox, draw) -> None:
    draw(inbox / "2" / "x.png", 2)
    draw(inbox / "2" / "\\b$_$.png", 7)
    (inbox / "2" / "broken.png").write_bytes(b"no image")
    batch.process_folder(inbox)
    with batch.save_results_csv().open(newline="", encoding="utf-8") as file:
        table = {row["file"]: row for row in csv.DictReader(file)}
    content = json.loads(batch.save_results_json().read_text(encoding="utf-8"))
    assert set(table) == {row["file"] for row in content["results"]}
    assert table["2/x.png"]["digit"] == table["2/x.png"]["label"] == "2"
    assert table["2/broken.png"]["digit"] == "" and table["2/broken.png"]["error"]
    assert content["summary"]["failed"] == 1
    assert content["summary"]["accuracy"] == 0.5
    assert content["summary"]["confusion"][2][7] == 1
    (log,) = batch.logs.iterdir()
    assert "broken.png" in log.read_text(encoding="utf-8")
    with Image.open(batch.save_contact_sheet()) as sheet:
        assert np.asarray(sheet.convert("L")).std() > 0


def test_a_failed_save_leaves_the_previous_json(batch, inbox, draw, monkeypatch) -> None:
    draw(inbox / "a.png")
    path = batch.process_folder(inbox).save_results_json()
    former = path.read_bytes()

    def torn() -> Iterator[dict]:
        yield {"file": "a.png"}
        raise OSError("disk full")

    monkeypatch.setattr(BatchProcessor, "summary", {})
    monkeypatch.setattr(batch, "rows", torn)
    with pytest.raises(OSError, match="disk full"):
        batch.save_results_json()
    assert path.read_bytes() == former


def test_the_contact_sheet_shows_the_least_confident(batch, inbox, draw, monkeypatch) -> None:
    for digit in range(10):
        draw(inbox / f"{'abcdefghij'[digit]}.png", digit)
    table = batch.process_folder(inbox).results.sort_values("confidence")
    shown = []
    nothing = Preprocessed(None, 0, "gone")
    monkeypatch.setattr(contact_sheet, "preprocess", lambda _, name: shown.append(name) or nothing)
    with pytest.raises(ValueError, match="nothing to draw"):
        batch.save_contact_sheet(count=3)
    assert shown == table["file"].head(3).tolist()


def test_nothing_read_yet_and_wrong_arguments_are_said(batch, inbox, predictor) -> None:
    with pytest.raises(ValueError, match="process_folder first"):
        _ = batch.results
    with pytest.raises(NotADirectoryError, match="no folder"):
        batch.process_folder(inbox / "missing")
    with pytest.raises(ValueError, match="no images"):
        batch.process_folder(inbox)
    with pytest.raises(ValueError, match="labels"):
        batch.process_folder(inbox, labels="guess")
    with pytest.raises(ValueError, match="at least 1"):
        BatchProcessor(predictor, batch_size=0)


def test_which_files_are_taken_and_what_is_skipped_is_counted(batch, inbox, draw, capsys) -> None:
    for name in ("a.png", "sub/b.PNG", ".hidden.png", ".git/c.png"):
        draw(inbox / name)
    (inbox / "notes.txt").write_text("a")
    batch.process_folder(inbox)
    assert set(errors(batch)) == {"a.png", "sub/b.PNG"}
    assert +batch.skipped == {"hidden": 2, ".txt": 1}
    batch.print_summary()
    said = capsys.readouterr().out
    assert "2 of 2 images predicted" in said and "1 .txt" in said and "2 hidden" in said
    batch.process_folder(inbox, recursive=False)
    assert set(errors(batch)) == {"a.png"}
    assert batch.skipped["folder"] == 1
    batch.process_folder(inbox, pattern="*.txt")
    assert "not an image" in errors(batch)["notes.txt"]
    batch.process_folder(inbox, pattern="sub/*")
    assert set(errors(batch)) == {"sub/b.PNG"}


def test_its_own_reports_are_no_input(predictor, inbox, draw) -> None:
    draw(inbox / "a.png")
    batch = BatchProcessor(predictor, inbox)
    batch.process_folder(inbox).save_contact_sheet()
    assert len(batch.process_folder(inbox).results) == 1


def bomb() -> bytes:
    """A small PNG that claims to have 100,000 × 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def test_broken_images_are_rows_with_an_error(batch, inbox, draw) -> None:
    good = draw(inbox / "good.png")
    (inbox / "zero.png").touch()
    noise = np.random.default_rng(0).integers(0, 255, (50, 50), np.uint8)
    Image.fromarray(noise).save(inbox / "truncated.png")
    (inbox / "truncated.png").write_bytes((inbox / "truncated.png").read_bytes()[:-900])
    (inbox / "bomb.png").write_bytes(bomb())
    (inbox / "text.jpg").write_text("I am not an image")
    Image.new("L", (40, 40), 255).save(inbox / "empty.png")
    frames = [Image.open(good), Image.new("L", (28, 28))]
    frames[0].save(inbox / "animated.gif", save_all=True, append_images=frames[1:])
    found = errors(batch.process_folder(inbox))
    assert len(found) == 7
    assert found["good.png"] is None
    for name in ("zero.png", "truncated.png", "bomb.png", "text.jpg", "empty.png"):
        assert found[name], name
    assert "too large" in found["bomb.png"]
    assert "the image is empty" in found["empty.png"]
    (log,) = batch.logs.iterdir()
    told = log.read_text(encoding="utf-8")
    assert [told.count(name) for name in found if found[name]] == [1] * 5, "named, and once"
    table = batch.results.set_index("file")
    assert table.loc["zero.png", ["digit", "confidence", *PROBABILITIES]].isna().all()


@pytest.mark.parametrize("error", [MemoryError(), struct.error("short"), RuntimeError("x\nit")])
def test_whatever_a_decoder_raises_is_a_row(batch, inbox, draw, monkeypatch, error) -> None:
    draw(inbox / "a.png"), draw(inbox / "b.png")
    real = preprocessing.to_mnist

    def sometimes(path: Path) -> np.ndarray:
        if path.name == "a.png":
            raise error
        return real(path)

    monkeypatch.setattr(preprocessing, "to_mnist", sometimes)
    found = errors(batch.process_folder(inbox))
    assert type(error).__name__ in found["a.png"] and "\n" not in found["a.png"]
    assert found["b.png"] is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_links_that_lead_nowhere_and_pipes_are_rows(batch, inbox, draw) -> None:
    draw(inbox / "sub" / "good.png")
    (inbox / "link.png").symlink_to(inbox / "sub" / "good.png")
    (inbox / "nowhere.png").symlink_to(inbox / "missing.png")
    (inbox / "loop.png").symlink_to(inbox / "loop.png")
    (inbox / "sub" / "round").symlink_to(inbox)
    os.mkfifo(inbox / "pipe.png")
    found = errors(batch.process_folder(inbox))
    assert {name for name, error in found.items() if error} == {
        "nowhere.png",
        "loop.png",
        "pipe.png",
    }
    assert found["link.png"] is None and found["sub/good.png"] is None
    assert "regular" in found["pipe.png"]
    assert batch.skipped["linked folder"] == 1


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
def test_what_may_not_be_opened_is_a_row(predictor, draw) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        draw(folder / "good.png")
        draw(folder / "secret.png").chmod(0)
        draw(folder / "closed" / "x.png").parent.chmod(0)
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        batch = BatchProcessor(predictor, folder / "out")
        batch.process_folder(folder, pattern="good.png")  # everything is imported, see below
        for path in folder.joinpath("out").rglob("*"):
            path.chmod(0o777)
        user = os.geteuid()
        if user == 0:  # the administrator may open everything: be somebody else for a while
            os.seteuid(65534)
        try:
            found = errors(batch.process_folder(folder))
        finally:
            os.seteuid(user)
            (folder / "closed").chmod(0o700)
        assert found["good.png"] is None
        assert "denied" in found["secret.png"]
        assert "denied" in found["closed"]


@ON_LINUX
def test_any_file_name_survives(batch, inbox, draw) -> None:
    names = [
        "a,b.png",
        'q"q.png',
        "line\nbreak.png",
        "cr\r.png",
        "NA.png",
        "\U0001f600.png",
        " lead.png",
        "=1+1.png",
        "'#;\t.png",
        "\ttab.png",
        "'\n'=.png",
        os.fsdecode(b"caf\xe9.png"),
    ]
    for name in names:
        draw(inbox / name)
    (inbox / os.fsdecode(b"bro\xffken\n.png")).touch()
    (inbox / os.fsdecode(b"notes.caf\xe9")).touch()
    batch.process_folder(inbox)
    expected = {*names[:-1], "caf\\xe9.png", "bro\\xffken\n.png"}
    assert set(batch.results["file"]) == expected
    with batch.save_results_csv().open(newline="", encoding="utf-8") as file:
        names = {row["file"] for row in csv.DictReader(file)}
    assert "'=1+1.png" in names, "no spreadsheet takes it for a formula"
    assert set(map(unescape_formula, names)) == expected
    assert "\n'=1+1.png," in batch.rows_path.read_text(encoding="utf-8")
    content = json.loads(batch.save_results_json().read_bytes().decode("utf-8"))
    assert {row["file"] for row in content["results"]} == expected
    assert content["summary"]["skipped_by_type"] == {".caf\\xe9": 1}
    assert batch.save_contact_sheet().is_file()
    long = os.fsdecode(b"\xe9" + b"e" * 249 + b".png")  # whose escaped form no file may have
    draw(inbox / long)
    images = ImageFolder(inbox)
    assert images.path(escape_name(long)).is_file()
    (inbox / long).unlink()
    assert images.path("caf\\xe9.png").read_bytes() == images.path("NA.png").read_bytes()
    assert len(batch.process_folder(inbox, resume=True).results) == len(expected)


@pytest.mark.parametrize(
    ("name", "sure", "asked"),
    [
        ("7_001.png", 7, 7),
        ("7-12.png", 7, 7),
        ("digit7.png", 7, 7),
        ("Label_3_anna.png", 3, 3),
        ("digit_7_003.png", 7, 7),
        ("7.png", None, 7),
        ("7_first.jpg", None, 7),
        ("img_7.png", None, 7),
        ("1_of_9.png", None, 1),
        ("img_12.png", None, None),
        ("2024-01-01.png", None, None),
        ("12_7.png", None, None),
        ("digit12.png", None, None),
        ("²_1x.png", None, None),
        ("scan.png", None, None),
    ],
)
def test_labels_from_names(name: str, sure: int | None, asked: int | None) -> None:
    assert label_of(name, "auto") == sure
    assert label_of(name, "name") == asked


def test_labels_are_found_only_if_all_have_one(batch, inbox, draw) -> None:
    draw(inbox / "7" / "a.png"), draw(inbox / "2" / "b.png", 2)
    assert batch.process_folder(inbox).labels == "folder"
    assert batch.results["label"].tolist() == [2, 7]
    assert batch.summary["accuracy"] == 1
    assert batch.confusion.tolist() == np.diag([0, 0, 1, 0, 0, 0, 0, 1, 0, 0]).tolist()
    draw(inbox / "c.png")
    batch.process_folder(inbox)
    assert batch.labels is None and "label" not in batch.results
    with pytest.raises(ValueError, match="no labels"):
        _ = batch.confusion
    assert batch.process_folder(inbox, labels="folder").summary["labeled"] == 2
    assert batch.process_folder(inbox, labels=None).labels is None


def test_labeled_images_that_could_not_be_read_are_said(batch, inbox, draw, capsys) -> None:
    draw(inbox / "7" / "a.png"), draw(inbox / "2" / "b.png", 2)
    batch.process_folder(inbox).print_summary()
    said = capsys.readouterr().out
    assert "100.00% of 2 labeled images" in said and "folder names" in said and "more" not in said
    for name in ("2/broken.png", "7/broken.png", "8/broken.png"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_text("no image")
    (inbox / "without.png").write_text("nor is this, and it has no label")
    batch.process_folder(inbox, labels="folder").print_summary()
    said = capsys.readouterr().out
    assert "100.00% of 2 labeled images" in said and "3 more labeled images failed" in said
    assert (batch.summary["labeled"], batch.summary["labeled_failed"]) == (2, 3)


@pytest.mark.parametrize(
    ("labels", "said"),
    [("auto", "7_001.png"), ("folder", "named 0 to 9"), ("name", "digit on its own"), (None, "")],
)
def test_that_no_labels_were_found_is_said(batch, inbox, draw, capsys, labels, said) -> None:
    draw(inbox / "scan.png")
    batch.process_folder(inbox, labels=labels).print_summary()
    shown = capsys.readouterr().out
    assert ("no labels found" in shown) == (labels is not None) and said in shown


def test_a_row_torn_anywhere_is_read_again(batch, inbox, draw) -> None:
    draw(inbox / "a.png"), draw(inbox / "b\nc,d\n.png", 3)
    (inbox / "e\n.png").write_text("broken")
    batch.process_folder(inbox)
    whole = batch.rows_path.read_bytes()
    expected = [{**row, "seconds": 0} for row in batch.rows()]
    second = whole.index(b'"b\nc')
    for end in range(len(whole), second - 1, -7):
        batch.rows_path.write_bytes(whole[:end])
        batch.process_folder(inbox, resume=True)
        assert [{**row, "seconds": 0} for row in batch.rows()] == expected, end


def test_what_is_done_is_not_done_again(batch, inbox, draw, monkeypatch) -> None:
    draw(inbox / "a.png")
    batch.process_folder(inbox)
    draw(inbox / "b.png", 2)
    done = []
    real = preprocessing.to_mnist
    monkeypatch.setattr(
        preprocessing, "to_mnist", lambda path: (done.append(path.name), real(path))[1]
    )
    batch.process_folder(inbox, resume=True)
    assert done == ["b.png"]
    assert batch.results["digit"].tolist() == [7, 2]
    batch.process_folder(inbox)
    assert sorted(done) == ["a.png", "b.png", "b.png"]


@pytest.mark.parametrize("record", ["{", "[]"])
def test_a_damaged_record_of_an_earlier_run_stops_no_new_one(batch, inbox, draw, record) -> None:
    draw(inbox / "a.png")
    batch.process_folder(inbox)
    (batch.reports / "run.json").write_text(record)
    with pytest.raises(ValueError, match="cannot resume"):
        batch.process_folder(inbox, resume=True)
    (batch.reports / "run.json").write_text(record)
    assert batch.process_folder(inbox).results["digit"].tolist() == [7]


def test_rows_of_another_run_are_not_mixed_in(batch, inbox, draw, tmp_path) -> None:
    draw(inbox / "a.png"), draw(tmp_path / "other" / "b.png")
    batch.process_folder(inbox)
    before = batch.rows_path.read_bytes()
    with pytest.raises(ValueError, match=r"cannot resume.*another folder"):
        batch.process_folder(tmp_path / "other", resume=True)
    other = MNISTPredictor(device="cpu")
    other.checkpoint.temperature *= 2
    with pytest.raises(ValueError, match=r"cannot resume.*another model"):
        BatchProcessor(other, batch.out).process_folder(inbox, resume=True)
    assert batch.rows_path.read_bytes() == before


def test_an_interrupted_run_keeps_what_was_done(batch, inbox, draw, monkeypatch, capsys) -> None:
    for number in range(12):
        draw(inbox / f"x{number:02}.png")
    real = batch._predict
    calls = []

    def interrupted(*arguments) -> Iterator[dict]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(batch, "_predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        batch.process_folder(inbox)
    assert "--resume" in capsys.readouterr().out
    assert len(batch.results) == 8
    batch.process_folder(inbox, resume=True)
    assert batch.results["file"].is_unique and len(batch.results) == 12


def test_ctrl_c_in_a_batch_keeps_what_was_ready_and_preprocesses_no_more(
    inbox, draw, tmp_path, predictor, monkeypatch
) -> None:
    batch = BatchProcessor(predictor, tmp_path / "out", batch_size=40, threads=2)
    for number in range(16):
        path = draw(inbox / f"x{number:02}.png")
        path.write_bytes(path.read_bytes() + bytes(files.LARGE))
    prepared, real = [], preprocessing.to_mnist

    class Bar:
        ready = 0

        def update(self) -> None:
            self.ready += 1
            if self.ready == 3:
                raise KeyboardInterrupt

    def slowly(path: Path) -> np.ndarray:
        prepared.append(path)
        time.sleep(0.05)
        return real(path)

    monkeypatch.setattr(preprocessing, "to_mnist", slowly)
    monkeypatch.setattr(processor, "progress_bar", lambda **_: nullcontext(Bar()))
    with pytest.raises(KeyboardInterrupt):
        batch.process_folder(inbox)
    assert batch.results["file"].tolist() == ["x00.png", "x01.png", "x02.png"]
    number = len(prepared)
    assert number < 16, "the rest was preprocessed for nothing"
    time.sleep(0.2)
    assert len(prepared) == number
    monkeypatch.undo()
    assert len(batch.process_folder(inbox, resume=True).results) == 16


COMMAND = [sys.executable, "-m", "mnist_helpers", "batch"]


def rows_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") - 1 if path.is_file() else 0


@pytest.mark.kill
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_killed_command_continues(root, tmp_path, inbox, stop) -> None:
    rng = random.Random(0)
    for number in range(300):  # drawings, which take longer than images of MNIST's own size
        sheet = np.full((200, 200), 255, np.uint8)
        sheet[40:160, 90 + rng.randrange(10) : 110] = 0
        Image.fromarray(sheet).save(inbox / f"x{number:03}.png")
    out = tmp_path / "out"
    command = [*COMMAND, str(inbox), "--out", str(out), "--batch-size", "10", "--no-cuda"]
    rows = out / "reports" / "rows.csv"
    first = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while rows_in(rows) < 20 and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(stop)
    said, _ = first.communicate()
    kept = rows_in(rows)
    assert 20 <= kept < 300, "the run was over before it was stopped"
    assert first.returncode == (130 if stop == signal.SIGINT else -stop)
    assert (b"--resume" in said) == (stop == signal.SIGINT)
    with rows.open("a") as file:
        file.write("x299.png,1,0.9")  # a row that was being written
    again = subprocess.run([*command, "--resume"], cwd=root, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    with (out / "reports" / "results.csv").open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    assert names == sorted(path.name for path in inbox.iterdir())
    logs = [path.read_text() for path in sorted((out / "logs").iterdir())]
    assert len(logs) == 2 and f"300 images, {kept} done before" in logs[1]


@pytest.mark.slow
def test_the_command_succeeds_if_any_image_was_read(root, tmp_path, inbox, draw) -> None:
    (inbox / "broken.png").write_text("no")
    command = [*COMMAND, str(inbox), "--out", str(tmp_path / "out"), "--no-cuda"]
    none = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert none.returncode == 1 and "0 of 1 images predicted" in none.stdout
    assert "Traceback" not in none.stderr
    draw(inbox / "good.png")
    some = subprocess.run([*command, "--labels", "none"], cwd=root, capture_output=True, text=True)
    assert some.returncode == 0
    assert "1 of 2 images predicted; 1 failed" in some.stdout
    assert {path.name for path in (tmp_path / "out" / "reports").iterdir()} == {
        ".lock",
        "rows.csv",
        "run.json",
        "results.csv",
        "results.json",
        "least_confident.png",
    }


def test_two_runs_into_the_same_reports_are_refused(batch, inbox, draw) -> None:
    draw(inbox / "1.png", 1)
    with (
        exclusive_lock(batch.reports),
        pytest.raises(OSError, match=r"another process is writing to .*reports"),
    ):
        batch.process_folder(inbox)
    assert len(batch.process_folder(inbox).results) == 1

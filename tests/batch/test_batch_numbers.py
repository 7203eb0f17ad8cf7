"""Folders of numbers: a row has the text, and its digits' boxes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from mnist_helpers.batch import NUMBER_COLUMNS, BatchProcessor
from mnist_helpers.cli import app
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.scale import folders
from mnist_helpers.strokes import draw_strokes, pen_strokes


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbers, one of them under a name that a spreadsheet would run, and no image."""
    folder = tmp_path_factory.mktemp("numbers")
    for name, text in (("=1+2", "07"), ("year", "198")):
        drawn = [draw_strokes(pen_strokes(int(digit), size=80), 80, 6) for digit in text]
        Image.fromarray(np.hstack([np.asarray(one) for one in drawn])).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_rows_are_what_the_predictor_says(
    predictor: MNISTPredictor, inbox: Path, tmp_path: Path
) -> None:
    batch = BatchProcessor(predictor, tmp_path, numbers=True).process_folder(inbox)
    table = batch.results.set_index("file")
    assert ["file", *table.columns] == NUMBER_COLUMNS
    for name in ("=1+2.png", "year.png"):
        expected, row = predictor.predict_number(inbox / name), table.loc[name]
        assert row["text"] == expected.text and row["is_confident"] == expected.is_confident
        assert row["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
        assert row["boxes"] == [list(box) for box in expected.boxes]
        confidences = [one.confidence for one in expected.predictions]
        assert row["confidences"] == pytest.approx(confidences, abs=1e-6)
    assert table["text"].dropna().to_dict() == {"=1+2.png": "07", "year.png": "198"}
    assert "not an image" in table["error"]["broken.png"]
    summary = batch.summary
    assert (summary["images"], summary["predicted"], summary["failed"]) == (3, 2, 1)
    assert "digits" not in summary and summary["labels"] is None


def test_csv_json_and_figure_of_numbers(
    predictor: MNISTPredictor, inbox: Path, tmp_path: Path
) -> None:
    batch = BatchProcessor(predictor, tmp_path, numbers=True).process_folder(inbox)
    with batch.save_results_csv().open(newline="", encoding="utf-8") as file:
        formula, broken, year = csv.DictReader(file)
    assert formula["file"] == "'=1+2.png" and formula["text"] == "07"
    assert len(json.loads(year["boxes"])) == len(json.loads(year["confidences"])) == 3
    assert broken["text"] == broken["boxes"] == "" and broken["error"]
    results = json.loads(batch.save_results_json().read_text(encoding="utf-8"))["results"]
    assert results[2]["boxes"] == json.loads(year["boxes"])
    with Image.open(batch.save_contact_sheet()) as figure:
        assert np.asarray(figure.convert("L")).std() > 0


def test_what_does_not_fit_numbers_is_refused(
    predictor: MNISTPredictor, inbox: Path, tmp_path: Path
) -> None:
    numbers = BatchProcessor(predictor, tmp_path, numbers=True)
    with pytest.raises(ValueError, match="numbers have none"):
        numbers.process_folder(inbox, labels="folder")
    BatchProcessor(predictor, tmp_path).process_folder(inbox)
    with pytest.raises(ValueError, match="another target"):
        numbers.process_folder(inbox, resume=True)


def test_the_commands_predict_numbers(inbox: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["predict", "--number", str(inbox / "year.png")])
    assert shown.exit_code == 0 and "year.png: 198 " in shown.stdout
    shown = CliRunner().invoke(app, ["predict", "--number", "--json", str(inbox / "year.png")])
    (row,) = json.loads(shown.stdout)
    assert row["text"] == "198" and [digit["digit"] for digit in row["digits"]] == [1, 9, 8]
    assert all(len(digit["box"]) == 4 for digit in row["digits"])
    arguments = ["batch", str(inbox), "--numbers", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "198" in (tmp_path / "reports" / "results.csv").read_text(encoding="utf-8")
    refused = CliRunner().invoke(app, ["predict", "--number", "--csv", "digits.csv"])
    assert refused.exit_code == 2


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_workers_rows_are_those_of_one_machine(
    predictor: MNISTPredictor, inbox: Path, tmp_path: Path, format: str
) -> None:
    """What a cluster's actor makes of a batch of names, written and counted."""
    batch = BatchProcessor(predictor, tmp_path / "here", numbers=True).process_folder(inbox)
    worker = folders._NumberPredictor(None, escape=format == "csv", uri=str(inbox))
    table = worker({"file": np.array(batch.results["file"].tolist(), dtype=object)})
    path = tmp_path / "rows" / f"part.{format}"
    path.parent.mkdir()
    table.to_parquet(path) if format == "parquet" else table.to_csv(path, index=False)
    counts = folders._count(path.parent, format, numbers=True)
    assert counts == pytest.approx({name: batch.summary[name] for name in counts})
    there = pd.read_parquet(path) if format == "parquet" else pd.read_csv(path, dtype="string")
    assert there["text"].dropna().tolist() == ["07", "198"]
    assert there["file"][0] == ("'=1+2.png" if format == "csv" else "=1+2.png")
    assert json.loads(there["boxes"][2]) == batch.results["boxes"][2]

"""The benchmarks: what they count, and how they judge."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import RandomSampler
from typer.testing import CliRunner

from benchmarks import augmentation, busy, confidence, imports, prediction, serving, soak, strokes
from benchmarks import data as passes
from benchmarks.__main__ import app
from benchmarks.baselines import baseline_batches, baseline_dataset, baseline_loader
from benchmarks.common import in_new_process, interleave, predict_baseline
from benchmarks.handwriting import (
    confident_errors,
    format_confident_errors,
    format_table,
    framed_digits,
    list_labeled_images,
    owner_of,
    score,
)
from benchmarks.training import (
    OURS,
    first_above,
    report,
    run_ours,
    runs_folder,
    summarize_runs,
    together,
)
from benchmarks.training import benchmark as race_benchmark
from benchmarks.training import format_table as race_in_words
from mnist_helpers.augment import AUGMENTATIONS
from mnist_helpers.checkpoints import save_checkpoint
from mnist_helpers.data import Splits, load_mnist
from mnist_helpers.decode import encode_png
from mnist_helpers.models import MEAN, STD, build_model
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.preprocess import to_mnist
from mnist_helpers.recipes import recipe_for
from mnist_helpers.serve import load
from mnist_helpers.strokes import draw_strokes, pen_strokes


def test_images_are_found_with_and_without_sets(tmp_path: Path) -> None:
    for name in ("photos/3/a.png", "photos/3/b.txt", "scans/7/c.JPG", "notes/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [(group, label, path.name) for group, label, path in list_labeled_images(tmp_path)]
    assert found == [("photos", 3, "a.png"), ("scans", 7, "c.JPG")]
    (one,) = list_labeled_images(tmp_path / "scans")
    assert one[:2] == ("scans", 7)
    with pytest.raises(ValueError, match="no labeled images"):
        list_labeled_images(tmp_path / "notes")


def test_score_counts_a_refusal_as_an_error_and_compares_with_the_better_usual_way() -> None:
    predictions = pd.DataFrame(
        {
            "set": ["photos"] * 4,
            "label": [1, 2, 3, 4],
            "resized": [0, 0, 0, 4],
            "inverted": [1, 2, 0, 0],
            "ours": [1, 2, 3, None],
        }
    )
    (row,) = score(predictions).to_dict("records")
    assert (row["resized"], row["inverted"], row["ours"]) == (0.25, 0.5, 0.75)
    assert row["errors_left"] == 0.5
    assert row["ours_low"] < 0.75 < row["ours_high"]
    assert format_table(score(predictions))["ours"][0].startswith("75.0% [")


def test_the_usual_way_is_gray_resized_normalized_and_perhaps_inverted(tmp_path: Path) -> None:
    class Spy(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen = images
            return torch.eye(10)[[4]]

    spy = Spy()
    Image.new("RGB", (90, 50), (250, 250, 250)).save(tmp_path / "x.png")
    for invert, value in ((False, 250), (True, 5)):
        assert predict_baseline(spy, tmp_path / "x.png", invert) == 4
        assert spy.seen.shape == (1, 1, 28, 28) and spy.seen.dtype == torch.float32
        assert torch.allclose(spy.seen, torch.tensor((value / 255 - MEAN) / STD))


def test_ways_take_turns() -> None:
    order: list[str] = []
    ways = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    seconds = interleave(ways, 3)
    assert order == ["a", "b"] * 3
    assert list(seconds) == ["a", "b"] and all(len(took) == 3 for took in seconds.values())


def race(name: str, seed: int, accuracies: list[float], epochs: int = 3) -> dict:
    history = [{"seconds": 2.0 + seed, "test_accuracy": value} for value in accuracies]
    return {"name": name, "seed": seed, "parameters": 7, "epochs": epochs, "history": history} | {
        "memory_mb": 100 + seed
    }


def test_a_race_is_summed_up() -> None:
    runs = [
        race("ours", 0, [0.98, 0.991, 0.994]),
        race("ours", 1, [0.985, 0.9931, 0.992]),
        race("theirs", 0, [0.97]),
    ]
    assert first_above(pd.DataFrame(runs[0]["history"]), 0.99) == (4.0, 2)
    assert first_above(pd.DataFrame(runs[0]["history"]), 0.999) is None
    ours, theirs = summarize_runs(runs).to_dict("records")
    assert ours["accuracy"] == pytest.approx(0.993) and ours["memory_mb"] == 101
    assert ours["std"] == pytest.approx(np.std([0.994, 0.992], ddof=1))
    assert (ours["seconds_99.0%"], ours["epochs_99.0%"]) == (5.0, 2.0)
    assert (ours["seconds_99.3%"], ours["epochs_99.3%"]) == (6.0, 2.5)
    assert ours["reached_99.3%"] == 2 and ours["reached_99.5%"] == 0
    assert theirs["extrapolated"] and theirs["recipe_seconds"] == 6.0
    assert np.isnan(theirs["accuracy"]) and np.isnan(theirs["seconds_99.0%"])
    table = summarize_runs(runs).assign(together=[0.9951, np.nan])
    words = race_in_words(table).to_dict("records")
    assert [row["together"] for row in words] == ["99.51%", "–"]
    assert words[0]["test accuracy"] == "99.30% ± 0.14%" and words[0]["s to 99.5%"] == "never"
    assert words[0]["s to 99.3%"] == "6.0 (epoch 2.5)"
    assert words[1]["s in all"] == "6 (extrapolated)" and words[1]["s to 99.0%"] == "–"


def test_an_ensemble_says_the_mean_of_what_its_networks_say(tmp_path: Path) -> None:
    """Each network is wrong once, and undecided there; the other one is confident."""
    sure, torn, labels = [0.1, 0.9], [0.6, 0.4], [1, 1]
    assert np.isnan(together(tmp_path, "ours"))
    for seed, said in enumerate([[sure, torn], [torn, sure]]):
        np.savez(tmp_path / f"ours-{seed}.npz", probabilities=said, labels=labels)
        assert seed or np.isnan(together(tmp_path, "ours")), "one network is no ensemble"
    np.savez(tmp_path / "ours-fp32-0.npz", probabilities=[torn, torn], labels=labels)
    assert together(tmp_path, "ours") == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnistnet", "speedrun_2020", "tiny", "tiny-half"])
def test_each_side_trains_in_a_process_of_its_own(name: str, folder: Path, tmp_path: Path) -> None:
    predictions = tmp_path / f"{name}-1.npz"
    ours = name in OURS
    given = ("--data", folder, *(["--predictions", predictions] if ours else []))
    result = in_new_process("training", name, 1, "--epochs", 1, *given)
    (epoch,) = result["history"]
    if ours:
        kept = np.load(predictions)
        right = kept["probabilities"].argmax(1) == kept["labels"]
        assert right.mean() == pytest.approx(epoch["test_accuracy"])
    assert epoch["seconds"] > 0 and 0.05 < epoch["test_accuracy"] <= 1
    assert (result["name"], result["seed"]) == (name, 1)
    assert result["memory_mb"] > 100 or sys.platform == "win32"
    assert result["recipe"]["seed"] == (1 if ours else 0)
    assert result["recipe"]["augment"] == ("shift" if name == "tiny" else None)


@pytest.mark.slow
def test_a_process_that_fails_says_why(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="nobody"):
        in_new_process("training", "nobody", 1, "--data", folder)


def test_theirs_is_torchvisions_mnist_in_order_or_shuffled(folder: Path) -> None:
    expected = load_mnist("idx", folder, val_size=0).train
    with baseline_dataset(folder) as dataset:
        assert len(dataset) == len(expected)
        image, label = dataset[7]
        assert label == expected.labels[7]
        assert torch.allclose(image * STD + MEAN, expected.images[7] / 255, atol=1e-6)
        kept = Path(dataset.root)
        recipe = recipe_for("pytorch_example")
        for name, device, shuffled, workers in (
            ("pytorch_example", "cpu", False, 0),
            ("pytorch_example", "cuda", True, 1),
            ("mnistnet", "cpu", True, 0),
            ("mnistnet", "cuda", True, 0),
        ):
            loader = baseline_loader(name, dataset, recipe, torch.device(device))
            assert isinstance(loader.sampler, RandomSampler) == shuffled
            assert (loader.num_workers, loader.batch_size) == (workers, 64)
    assert not kept.exists()


def test_the_fastest_published_recipe_has_its_images_in_memory_and_in_order(folder: Path) -> None:
    expected = load_mnist("idx", folder, val_size=0).train
    name, device = "speedrun_2020", torch.device("cpu")
    with baseline_batches(name, recipe_for(name), folder, device) as batches:
        images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        assert len(batches[0][0]) == min(256, len(expected))
    assert torch.equal(labels, expected.labels)
    assert torch.allclose(images * STD + MEAN, expected.images / 255, atol=1e-6)


def test_half_an_epoch_is_half_of_the_images(folder: Path, monkeypatch) -> None:
    trained: list[int] = []

    def counted(_model, images, *_arguments, **_options) -> list:
        trained.append(len(images))
        raise InterruptedError

    monkeypatch.setattr("benchmarks.training.train", counted)
    for name in ("tiny", "tiny-half"):
        with pytest.raises(InterruptedError):
            run_ours(name, 0, None, folder, torch.device("cpu"))
    assert trained[1] == round(trained[0] / 2)


def test_runs_on_a_gpu_are_kept_apart(tmp_path: Path, monkeypatch) -> None:
    written = outputs(monkeypatch, tmp_path)
    (runs_folder(device="cuda") / "tiny-0.json").write_text(
        json.dumps(race("tiny", 0, [0.98, 0.991]))
    )
    with pytest.raises(ValueError, match="no training runs"):
        report(("tiny",))
    report(("tiny",), device="cuda")
    assert {path.name for path in written.glob("train*.*")} == {"train-cuda.json", "train-cuda.png"}


def test_a_race_deletes_the_runs_of_those_who_run_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs(monkeypatch, tmp_path)
    kept = runs_folder()
    for name in ("tiny-0.json", "tiny-0.npz", "fast-0.json"):
        (kept / name).write_text("hours of work")
    monkeypatch.setattr("benchmarks.training.in_new_process", lambda *_: {})
    monkeypatch.setattr("benchmarks.training.report", lambda *_: None)
    with pytest.raises(FileNotFoundError, match=r"no (MNIST|folder)"):
        race_benchmark(("tiny",), seeds=1, data=tmp_path / "nowhere")
    assert len(list(kept.iterdir())) == 3
    race_benchmark(("tiny",), seeds=1, data=folder)
    assert {path.name for path in kept.iterdir()} == {"tiny-0.json", "fast-0.json"}


def test_a_race_on_a_gpu_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(app, ["train", "--device", "cuda"])
    assert done.exit_code == 1 and "no CUDA device here" in done.output


def outputs(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Let benchmarks write below `folder`."""
    monkeypatch.setattr("mnist_helpers.files.project_root", lambda: folder)
    return folder / "outputs" / "benchmarks"


def test_a_pass_over_the_data_is_timed(folder: Path, tmp_path: Path, monkeypatch) -> None:
    written = outputs(monkeypatch, tmp_path)
    table = passes.benchmark(repeats=1, data=folder)
    assert list(table["way"])[-1] == "Batches" and table["times"].iloc[-1] == 1
    assert (table["times"] > 0).all()
    content = json.loads((written / "data.json").read_text())
    assert content["machine"]["threads"] >= 1 and len(content["table"]) == 4
    with Image.open(written / "data.png") as figure:
        assert min(figure.size) > 150


@pytest.mark.load
def test_a_wrong_answer_and_a_server_that_does_not_start_are_noticed(tmp_path: Path) -> None:
    image = load_mnist("sample").train.images[0, 0].numpy()
    with load.server(max_batch_size=1) as address:
        result = asyncio.run(load.load_test(address, [encode_png(image)], [11], 6, 2))
        assert result["wrong"] == 6 and result["errors"] == 0
        result = asyncio.run(load.load_test(address, [b"no image"], [0], 6, 2))
        assert result["errors"] == 6
    with pytest.raises(RuntimeError, match="there is no checkpoint"), load.server(1, tmp_path):
        pass


@pytest.mark.load
def test_serving_is_timed_in_both_ways(folder: Path, tmp_path: Path, monkeypatch) -> None:
    written = outputs(monkeypatch, tmp_path)
    table = serving.benchmark(requests=20, clients=4, repeats=1, data=folder)
    assert list(table["way"]) == ["one by one", "micro-batched"]
    assert (table["errors"] == 0).all() and (table["per_second"] > 0).all()
    assert (written / "serve.png").is_file() and (written / "serve.json").is_file()


@pytest.mark.load
def test_a_soak_knows_right_answers_from_wrong_ones(
    tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two requests of each kind; then one kind is told to expect another digit."""
    written = outputs(monkeypatch, tmp_path)
    table = soak.benchmark(requests=54, clients=4)
    assert table["wrong"].sum() == 0 and (table["requests"] >= 2).all(), table
    assert (written / "soak.json").is_file() and (written / "soak.png").is_file()
    assert "54 requests, 0 wrong answers" in capsys.readouterr().out
    expects = soak._one
    monkeypatch.setattr(soak, "_one", lambda options, digit: expects(options, (digit + 1) % 10))
    wrong = soak.benchmark(requests=27, clients=4).set_index("kind")["wrong"]
    assert set(wrong[wrong > 0].index) == {
        *(f"/predict, {kind}" for kind in (*soak.FORMATS, "JSON")),
    }


def test_imports_are_timed(tmp_path: Path, monkeypatch) -> None:
    written = outputs(monkeypatch, tmp_path)
    monkeypatch.setattr(imports, "STATEMENTS", {"nothing": "pass", "json": "import json"})
    table = imports.benchmark(repeats=2)
    assert list(table["statement"]) == ["nothing", "json"] and (table["median"] > 0).all()
    assert (written / "import.png").is_file()


def test_epochs_beside_busy_processes_are_timed_and_nothing_stays_busy(
    tmp_path: Path, monkeypatch
) -> None:
    written = outputs(monkeypatch, tmp_path)
    seen = []

    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    def spinning() -> int:
        return sum(process.poll() is None for process in started)

    def train(*_: object, **__: object) -> None:
        seen.append((spinning(), "OMP_NUM_THREADS" in os.environ))

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(busy, "train", train)
    monkeypatch.setattr(subprocess, "Popen", Recorded)
    table = busy.benchmark(repeats=2, others=(0, 2), images=10)
    assert seen == 2 * [(0, True), (0, False), (2, True), (2, False)]
    assert table["others"].to_list() == [0, 0, 2, 2] and table["times"][0] == 1
    assert os.environ["OMP_NUM_THREADS"] == "7" and spinning() == 0
    assert (written / "busy.png").is_file() and (written / "busy.json").is_file()


def test_a_first_prediction_is_one(monkeypatch) -> None:
    class Predictor:
        def predict(self, image: np.ndarray) -> None:
            assert to_mnist(image).shape == (28, 28)
            raise StopIteration

    monkeypatch.setattr("mnist_helpers.MNISTPredictor", Predictor, raising=False)
    with pytest.raises(StopIteration):
        exec(imports.STATEMENTS["a first prediction"])


@pytest.mark.slow
@pytest.mark.parametrize(("calls", "made"), [(10, 50), (70, 100)])
def test_one_image_and_a_folder_are_timed_with_the_data_that_are_given(
    calls: int, made: int, digits: Splits, tmp_path: Path, monkeypatch, capsys
) -> None:
    pytest.importorskip("onnx", reason="the extra `serve` is not installed")
    written = outputs(monkeypatch, tmp_path)
    asked = []

    def network(data: Path) -> torch.nn.Module:
        asked.append(data)
        return build_model("cnn2")[1:].eval()

    def in_this_process(module: str, *arguments: object) -> dict:
        monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
        prediction.main()
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    monkeypatch.setattr(prediction, "load_mnist", lambda root: digits)
    monkeypatch.setattr(prediction, "baseline_network", network)
    monkeypatch.setattr(prediction, "in_new_process", in_this_process)
    monkeypatch.setattr(torch, "compile", lambda model: model)
    one, many = prediction.benchmark(calls, folder_images=3, data=tmp_path)
    assert asked == [tmp_path] * 5, "first of all, for one image, and thrice for the folder"
    assert len(one) == 8 and (one["p50"] > 0).all() and len(many) == 2
    assert json.loads((written / "predict.json").read_text())["calls"] == made
    assert (written / "predict.png").is_file()


def test_a_folder_is_read_either_way(tmp_path: Path, splits: Splits, monkeypatch) -> None:
    images = tmp_path / "images"
    prediction.write_images(images, 30, None)
    assert len(list(images.glob("*.png"))) == 30
    monkeypatch.setattr(prediction, "baseline_network", lambda data: build_model("cnn2")[1:].eval())
    for way in ("usual", "ours"):
        result = prediction.time_one_way(way, images)
        assert result["images"] == 30 and result["seconds"] > 0


def test_what_is_empty_or_unclear_is_flagged() -> None:
    sheets = [Image.new("L", (100, 100), 255), draw_strokes(pen_strokes(3))]
    found = confidence.flagged(MNISTPredictor(device="cpu"), sheets)
    assert found.tolist() == [True, False]
    kinds = confidence.non_digit_sheets(2)
    assert {"blank", "letters, other fonts", "scribbles", "numbers"} <= set(kinds)


def test_the_augmentation_table_has_a_row_for_each() -> None:
    rows = [
        {"augment": name, "seed": seed, "validation": 0.99, "handwriting": 0.9 + seed / 100}
        | {"photos": seed}
        for seed in (0, 1)
        for name in ("none", "shift")
    ]
    words = augmentation.format_table(pd.DataFrame(rows))
    assert list(words["augment"]) == ["none", "shift"]
    assert list(words["handwriting"]) == ["90.50% ± 0.71%"] * 2
    assert list(words["errors in photos"]) == ["0.5", "0.5"]


@pytest.mark.slow
def test_each_augmentation_is_trained_with_and_a_candidate(
    digits: Splits, tmp_path: Path, monkeypatch
) -> None:
    written = outputs(monkeypatch, tmp_path)
    monkeypatch.setattr(augmentation, "load_mnist", lambda root: digits)
    offered = list(AUGMENTATIONS)
    table = augmentation.benchmark(pens(tmp_path), seeds=1, epochs=1)
    assert list(table["augment"]) == ["none", *offered, "elastic"]
    assert table["validation"].nunique() > 1 and (written / "augment.png").is_file()
    assert list(AUGMENTATIONS) == offered


def test_errors_are_reported_by_set_and_by_owner() -> None:
    assert (
        owner_of(Path("photos/3/ada__x__1.png")) == "ada" and owner_of(Path("3.png")) == "unknown"
    )
    predictions = pd.DataFrame(
        [
            ("a", "x", 1, 1, True),
            ("a", "y", 2, 3, True),
            ("a", "y", 4, 5, False),
            ("b", "x", 6, -1, False),
        ],
        columns=("set", "owner", "label", "digit", "confident"),
    )
    by_set = confident_errors(predictions, ["set"]).set_index("set")
    assert list(by_set["confident_errors"]) == [1, 0] and list(by_set["images"]) == [3, 1]
    assert by_set.loc["a", "low"] < by_set.loc["a", "accuracy"] == 1 / 3 < by_set.loc["a", "high"]
    by_owner = confident_errors(predictions, ["set", "owner"])
    assert list(by_owner["owner"]) == ["x", "y", "x"] and list(by_owner["accuracy"]) == [1, 0, 0]
    assert format_confident_errors(by_owner)["accuracy"].iloc[0].startswith("100.0% [")
    assert set(framed_digits(1)["set"]) >= {"framed: box", "framed: desk"}


def pens(folder: Path) -> Path:
    """Draw each digit once, as a set of labeled images."""
    for digit in range(10):
        path = folder / "pens" / str(digit) / "a.png"
        path.parent.mkdir(parents=True)
        draw_strokes(pen_strokes(digit)).save(path)
    return folder


@pytest.mark.slow
def test_handwriting_and_confidence_run_on_a_folder(tmp_path: Path, monkeypatch) -> None:
    written = outputs(monkeypatch, tmp_path)
    folder = pens(tmp_path)
    (folder / "non_digits" / "smudges").mkdir(parents=True)
    for name in ("a.png", "b.PNG"):
        Image.new("L", (100, 100), 255).save(folder / "non_digits" / "smudges" / name)
    table = confidence.benchmark(folder, number=5)
    assert table["what"].iloc[1] == "digits, pens" and table["accuracy"].iloc[1] == 1
    (others,) = table[table["what"] == "of other people"].to_dict("records")
    assert others["images"] == 2 and others["flagged"] == 1
    assert (written / "confidence.png").is_file()
    with pytest.raises(ValueError, match="no contestant 'nobody'"):
        race_benchmark(("nobody",))


@pytest.mark.slow
def test_stroke_widths_are_compared_in_the_same_images(tmp_path: Path, monkeypatch) -> None:
    written = outputs(monkeypatch, tmp_path)
    usual = tmp_path / "usual.pt"
    torch.manual_seed(0)
    save_checkpoint(usual, build_model("cnn2"))
    monkeypatch.setattr(strokes, "baseline_checkpoint", lambda data: usual)
    table = strokes.benchmark(pens(tmp_path), number=20)
    assert (written / "strokes.png").is_file() and (written / "strokes.json").is_file()
    shipped = table[table["network"] == "shipped"].set_index(["what", "strokes"])["errors"]
    assert shipped["pen of 8%", "MNIST's width"] == shipped["pens", "MNIST's width"] == 0
    words = strokes.format_table(table)
    assert list(words["what"]) == [*(f"pen of {100 * pen:g}%" for pen in strokes.PENS), "pens"]
    assert list(words.columns[2:4]) == ["MNIST alone, as drawn", "MNIST alone, MNIST's width"]


def test_the_step_is_left_out_and_nothing_else(splits: Splits) -> None:
    thick = draw_strokes(pen_strokes(4, size=400), 400, pen=100)
    without, with_ = strokes.with_and_without_normalized_width(thick)
    assert without.sum() > 1.2 * to_mnist(thick).sum()
    np.testing.assert_array_equal(with_, to_mnist(thick))
    usual = draw_strokes(pen_strokes(4, size=400), 400, pen=30)
    for image in strokes.with_and_without_normalized_width(usual):
        np.testing.assert_array_equal(image, to_mnist(usual))
    already = splits.test.images[0, 0].numpy()
    for image in strokes.with_and_without_normalized_width(already):
        np.testing.assert_array_equal(image, already)

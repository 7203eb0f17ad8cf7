"""One image in, one digit out; and the pretrained weights."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mnist_helpers.checkpoints import load_checkpoint, save_checkpoint
from mnist_helpers.data import Splits, load_mnist
from mnist_helpers.evaluation import calibration, evaluate
from mnist_helpers.logits import softmax
from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.prediction import (
    CONFIDENCE_THRESHOLD,
    PRETRAINED_WEIGHTS,
    MNISTPredictor,
    NumberPrediction,
    Prediction,
    is_confident,
)
from mnist_helpers.preprocess import BlankImageError, to_mnist
from mnist_helpers.strokes import draw_strokes, pen_strokes

CARD = next(PRETRAINED_WEIGHTS.parent.glob("*.md")).read_text(encoding="utf-8")


def sheet(digit: int) -> Image.Image:
    return draw_strokes(pen_strokes(digit, "round", 200), 200, 12)


def test_the_pretrained_weights_are_small_and_say_where_they_come_from() -> None:
    shipped = load_checkpoint(PRETRAINED_WEIGHTS)
    assert shipped.name == "fast"
    assert PRETRAINED_WEIGHTS.stat().st_size < 1e6
    assert shipped.recipe is not None and len(shipped.history) == shipped.recipe.epochs
    assert "MNIST" in shipped.source and shipped.versions.keys() >= {"python", "torch"}
    assert all(value.isfinite().all() for value in shipped.model.state_dict().values())


def test_the_pretrained_weights_are_whole(splits: Splits, predictor: MNISTPredictor) -> None:
    result = evaluate(predictor.model, splits.test)  # 1,000 of the images that it was trained on
    assert "training set" in result.source
    assert result.accuracy >= 0.99


def test_the_pretrained_model_is_as_accurate_as_its_card_says(
    mnist_root: Path, predictor: MNISTPredictor
) -> None:
    result = evaluate(predictor.model, load_mnist("idx", mnist_root).test)
    assert len(result.labels) == 10_000
    assert result.accuracy >= 0.993
    claimed = re.search(r"\| (\d\d\.\d\d) ?% of MNIST's 10,000 test", CARD)
    assert result.accuracy == pytest.approx(float(claimed[1]) / 100, abs=3e-4)
    logits = result.logits / np.float32(predictor.checkpoint.temperature)
    assert calibration(softmax(logits), result.labels).ece < 0.01


def test_the_model_card_says_what_the_network_has_seen() -> None:
    shipped = load_checkpoint(PRETRAINED_WEIGHTS)
    assert f"{count_parameters(shipped.model):,} parameters" in CARD
    assert f"--epochs {shipped.recipe.epochs} " in CARD
    assert f"--augment {shipped.recipe.augment} " in CARD
    assert f"| seed | {shipped.recipe.seed} |" in CARD
    for words in ("offline sample", "training set", "60,000 training images"):
        assert words in CARD


def test_a_prediction_unpacks_and_has_names(predictor: MNISTPredictor) -> None:
    prediction = predictor.predict(sheet(7))
    digit, confidence, probs = prediction
    assert digit == prediction.digit == 7 and type(digit) is int
    assert confidence == prediction.confidence == pytest.approx(probs.max())
    assert type(confidence) is float and confidence > 0.5
    assert probs is prediction.probs and probs.shape == (10,) and probs.dtype == np.float32
    assert probs.sum() == pytest.approx(1) and probs.argmax() == 7
    assert np.array_equal(prediction.image, to_mnist(sheet(7)))
    assert "digit=7" in repr(prediction) and len(repr(prediction)) < 100


def test_confident_from_nine_tenths_on() -> None:
    probs, image = np.zeros(10, np.float32), np.zeros((28, 28), np.uint8)
    assert Prediction(3, CONFIDENCE_THRESHOLD, probs, image).is_confident
    for almost in (0.899, 0.89997, float(np.nextafter(CONFIDENCE_THRESHOLD, 0))):
        assert not Prediction(3, almost, probs, image).is_confident
        assert not is_confident(almost) and not is_confident(np.array([almost]))[0]
    assert is_confident(CONFIDENCE_THRESHOLD) is True and is_confident(0.89997) is False


def test_one_rule_says_what_is_confident() -> None:
    """No other file compares with the threshold, or has one of its own."""
    package = Path(PRETRAINED_WEIGHTS).parents[1]
    comparisons = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in set(package.rglob("*.py")) - {package / "serve" / "page.py"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.strip().startswith(">>>")
        and re.search(r"[<>]=? CONFIDENCE_THRESHOLD\b|onfidence[\w.()\[\]\"]* [<>]=? 0?\.9\b", line)
    ]
    assert len(comparisons) == 1 and comparisons[0].startswith("prediction.py"), comparisons


def test_predictions_are_equal_if_all_of_them_is() -> None:
    def made(digit: int = 3, ink: int = 7, share: float = 0.5) -> Prediction:
        probs, image = np.full(10, share, np.float32), np.full((28, 28), ink, np.uint8)
        return Prediction(digit, 0.95, probs, image)

    assert made() == made()
    assert [made(), made(4)] == [made(), made(4)]
    for other in (made(digit=4), made(ink=8), made(share=0.25), (3, 0.95), None):
        assert made() != other
    number = NumberPrediction("3", [made()], [(0, 0, 5, 5)], 0.9)
    assert number == NumberPrediction("3", [made()], [(0, 0, 5, 5)], 0.9)
    assert number != NumberPrediction("3", [made(ink=8)], [(0, 0, 5, 5)], 0.9)


def test_a_prediction_is_indexed_as_it_unpacks() -> None:
    probs = np.full(10, 0.1, np.float32)
    prediction = Prediction(3, 0.95, probs, np.zeros((28, 28), np.uint8))
    assert len(prediction) == 3 == len(list(prediction))
    assert prediction[0] == 3 and prediction[1] == 0.95 and prediction[-1] is probs
    assert prediction[:2] == (3, 0.95)
    with pytest.raises(IndexError):
        prediction[3]


def test_every_kind_of_image_gives_the_same(predictor: MNISTPredictor, tmp_path: Path) -> None:
    image = sheet(3)
    path = tmp_path / "digit.png"
    image.save(path)
    file = io.BytesIO(path.read_bytes())
    array = np.asarray(image)
    kinds = [image, path, str(path), file.getvalue(), file, array]
    expected = predictor.predict(path)
    for kind in kinds:
        assert predictor.predict(kind).digit == 3
        assert np.allclose(predictor.predict(kind).probs, expected.probs, atol=1e-5)
    many = predictor.predict_batch(iter([path, sheet(7), image]))
    assert [one.digit for one in many] == [3, 7, 3]
    assert np.allclose(many[2].probs, expected.probs, atol=1e-5)
    assert predictor.predict_batch([]) == []


def test_what_cannot_be_read_raises(predictor: MNISTPredictor, tmp_path: Path) -> None:
    with pytest.raises(BlankImageError):
        predictor.predict(Image.new("L", (100, 100), 255))
    (tmp_path / "broken.png").write_text("no image")
    with pytest.raises(ValueError, match=r"broken\.png"):
        predictor.predict(tmp_path / "broken.png")
    with pytest.raises(FileNotFoundError):
        predictor.predict(tmp_path / "missing.png")


def test_an_empty_image_from_a_file_is_named(predictor: MNISTPredictor, tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    Image.new("L", (100, 100), 255).save(path)
    for read, given in (
        (predictor.predict, path),
        (predictor.predict_batch, [sheet(7), str(path)]),
        (predictor.predict_number, path),
    ):
        with pytest.raises(BlankImageError) as caught:
            read(given)
        assert str(caught.value).startswith(f"{path}: the image is empty: ")
    with pytest.raises(BlankImageError, match=r"^the image is empty: "):
        predictor.predict(path.read_bytes())


def test_mnist_images_are_read_as_they_are(predictor: MNISTPredictor, digits: Splits) -> None:
    images = digits.test.images[:40]
    probs = predictor.predict_proba(images)
    assert probs.shape == (40, 10) and probs.dtype == np.float32
    assert np.allclose(probs.sum(1), 1, atol=1e-5)
    for kind in (images[:, 0], images.numpy(), images[:, 0].numpy(), list(images[:, 0].numpy())):
        assert np.allclose(predictor.predict_proba(kind), probs, atol=1e-6)
    many = predictor.predict_batch(images[:, 0].numpy())
    assert np.allclose([one.probs for one in many], probs, atol=1e-5)
    assert predictor.predict_proba(images[:0]).shape == (0, 10)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 28, 28), np.float32),
        np.zeros((28, 28), np.uint8),
        np.zeros((2, 784), np.uint8),
        np.zeros((2, 28, 28, 3), np.uint8),
        np.zeros((2, 3, 28, 28), np.uint8),
        np.zeros((2, 14, 56), np.uint8),
        torch.zeros(2, 27, 28, dtype=torch.uint8),
        torch.zeros(2, 28, 28, dtype=torch.bfloat16),  # which NumPy does not know
    ],
    ids=lambda images: f"{images.dtype} {list(images.shape)}",
)
def test_other_shapes_and_types_are_refused(images, predictor: MNISTPredictor) -> None:
    with pytest.raises(ValueError, match=r"uint8 of shape \[N, 1, 28, 28\]"):
        predictor.predict_proba(images)


def test_probabilities_are_calibrated(tmp_path: Path, digits: Splits) -> None:
    model = build_model("cnn2")
    save_checkpoint(tmp_path / "net.pt", model, temperature=0.01)
    predictor = MNISTPredictor(tmp_path / "net.pt", device="cpu")
    logits = evaluate(model, digits.test).logits
    probs = predictor.predict_proba(digits.test.images)
    assert np.allclose(probs, softmax(logits / np.float32(0.01)), atol=1e-4)
    assert np.allclose(probs.argmax(1), logits.argmax(1))
    assert repr(predictor) == "MNISTPredictor(cnn2, on cpu)"
    with pytest.raises(FileNotFoundError, match="missing"):
        MNISTPredictor(tmp_path / "missing.pt")


def test_a_network_that_is_replaced_is_the_one_that_reads(digits: Splits) -> None:
    predictor = MNISTPredictor(device="cpu")
    images = digits.test.images[:5]
    before = predictor.predict_proba(images)
    model = build_model("fast").train()  # dropout and BatchNorm read otherwise in training mode
    predictor.model = model
    assert predictor.model is model and not model.training
    former = load_checkpoint(PRETRAINED_WEIGHTS)
    assert predictor.checkpoint.recipe is None and predictor.checkpoint.source == "unknown"
    assert predictor.checkpoint.temperature == former.temperature
    temperature = np.float32(former.temperature)
    expected = softmax(evaluate(model, digits.test).logits[:5] / temperature)
    assert np.allclose(predictor.predict_proba(images), expected, atol=1e-5)
    assert not np.allclose(before, expected, atol=1e-2)


FORK = """
import multiprocessing, sys
import numpy as np
from mnist_helpers.prediction import MNISTPredictor, PretrainedPredictor
from mnist_helpers.strokes import draw_strokes, pen_strokes

def inherited(sheet):
    return predictor.predict(sheet).digit

def is_born_without_session(_):  # else it hangs where it ends that
    return getattr(getattr(predictor, "model", predictor), "session", None) is None

sheets = [np.asarray(draw_strokes(pen_strokes(digit), 200, 12)) for digit in (3, 7)] * 2
path = sys.argv[1]
predictor = PretrainedPredictor() if path == "pretrained" else MNISTPredictor(path or None, "cpu")
predictor.predict_proba(np.zeros((300, 28, 28), np.uint8))  # starts threads
expected = [predictor.predict(sheet).digit for sheet in sheets]
fork = multiprocessing.get_context("fork")
with fork.Pool(1) as pool:
    without = pool.map_async(is_born_without_session, [0]).get(300)
with fork.Pool(2) as pool:
    # A guard against a hang, which is what this would show.
    found = [one.digit for one in pool.map_async(predictor.predict, sheets).get(300)]
    also = pool.map_async(inherited, sheets).get(300)
print(without, expected, found, also, sep="\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
@pytest.mark.parametrize("runtime", ["PyTorch", "ONNX", "pretrained"])
def test_a_predictor_works_in_forked_processes_after_use(runtime: str, tmp_path: Path) -> None:
    path = "pretrained" if runtime == "pretrained" else ""
    if runtime != "PyTorch":
        pytest.importorskip("onnx", reason="the extra `serve` is not installed")
    if runtime == "ONNX":
        from mnist_helpers.onnx import export_onnx

        path = str(tmp_path / "fast.onnx")
        export_onnx(load_checkpoint(PRETRAINED_WEIGHTS).model, path)
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    shown = subprocess.run(
        [sys.executable, "-c", FORK, path], capture_output=True, text=True, env=environment
    )
    assert shown.stdout.splitlines() == ["[True]"] + ["[3, 7, 3, 7]"] * 3, shown.stderr

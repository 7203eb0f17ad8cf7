"""Metrics against hand values, scikit-learn and SciPy; calibration; saliency; attacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor, nn

from mnist_helpers.data import Digits, Splits
from mnist_helpers.evaluation import (
    Evaluation,
    accuracy_interval,
    calibration,
    evaluate,
    fit_temperature,
    misclassified,
)
from mnist_helpers.explain import adversarial, saliency
from mnist_helpers.logits import softmax
from mnist_helpers.models import build_model
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.wrapping import wrap_model


@pytest.fixture(scope="module")
def random_evaluation() -> Evaluation:
    """300 predictions, two thirds of them right, and no 9 among the labels."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 9, 300)
    logits = generator.normal(size=(300, 10)).astype(np.float32)
    logits[np.arange(300), labels] += 2
    return Evaluation(labels, logits, "random numbers")


class Constant(nn.Module):
    """Says the logits that it was given, image after image, and notes in which mode."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.at, self.modes = 0, set()

    def forward(self, images: Tensor) -> Tensor:
        self.modes.add(self.training)
        self.at += len(images)
        return self.logits[self.at - len(images) : self.at]


def test_evaluation_by_hand() -> None:
    certain = [[0.0] * digit + [5.0] + [0.0] * (9 - digit) for digit in (3, 1, 1, 7)]
    result = Evaluation(np.array([3, 1, 2, 7]), np.array(certain, np.float32), "")
    assert result.accuracy == 0.75
    assert result.predictions.tolist() == [3, 1, 1, 7]
    right = np.exp(5) / (np.exp(5) + 9)
    assert result.probs[0, 3] == pytest.approx(right) and result.probs.shape == (4, 10)
    wrong = 1 / (np.exp(5) + 9)
    assert result.loss == pytest.approx(-(3 * np.log(right) + np.log(wrong)) / 4, rel=1e-6)
    confusion = np.zeros((10, 10), int)
    confusion[3, 3] = confusion[1, 1] = confusion[7, 7] = confusion[2, 1] = 1
    assert np.array_equal(result.confusion, confusion)
    assert result.per_class.loc[1, ["precision", "recall", "support"]].tolist() == [0.5, 1, 1]
    assert "75.00%" in repr(result) and "1 errors in 4" in repr(result)


def test_evaluations_and_calibrations_are_compared_by_value() -> None:
    def made(first: float = 1.0, source: str = "ten") -> Evaluation:
        logits = np.full((4, 10), first, np.float32)
        return Evaluation(np.array([3, 1, 2, 7]), logits, source)

    assert made() == made() and made() != made(2.0) and made() != made(source="eleven")
    read = made()
    assert read.accuracy == 0 and read == made(), "what was computed from it makes no difference"
    probs = np.eye(10, dtype=np.float32)[[3, 1, 2, 7]]
    one, other = calibration(probs, [3, 1, 2, 7]), calibration(probs, [3, 1, 2, 8])
    assert one == calibration(probs, [3, 1, 2, 7]), "bins without an image hold not-a-number"
    assert one != other


def test_evaluation_against_scikit_learn(random_evaluation: Evaluation) -> None:
    result = random_evaluation
    labels, predictions = result.labels, result.predictions
    assert result.accuracy == metrics.accuracy_score(labels, predictions)
    assert 0.5 < result.accuracy < 0.9
    probs = result.probs.astype(float)
    loss = metrics.log_loss(labels, probs / probs.sum(1, keepdims=True), labels=range(10))
    assert result.loss == pytest.approx(loss, rel=1e-5)
    confusion = metrics.confusion_matrix(labels, predictions, labels=range(10))
    assert np.array_equal(result.confusion, confusion)
    assert result.confusion.shape == (10, 10)
    assert result.confusion.sum(1).tolist() == np.bincount(labels, minlength=10).tolist()
    table = result.per_class
    assert table.index.tolist() == list(range(10)) and table["support"].sum() == 300
    for name, score in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        by_class = score(labels, predictions, labels=range(10), average=None, zero_division=0)
        assert np.allclose(table[name], by_class)
    assert table.loc[9, "recall"] == 0  # there is none, and nothing is divided by it


def test_evaluate_reads_every_image_in_evaluation_mode(digits: Splits) -> None:
    test = digits.test
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(test), 10, generator=generator)
    model = Constant(logits)
    wrapped = wrap_model(model)  # tries it
    model.at = 0
    result = evaluate(wrapped, test, batch_size=64)
    assert np.array_equal(result.logits, logits.numpy())
    assert np.array_equal(result.labels, test.labels.numpy())
    assert result.source == test.source and model.modes == {False}
    assert model.training
    wrapped.eval()
    model.at = 0
    evaluate(wrapped, test)
    assert not model.training


def test_the_batch_size_does_not_matter(digits: Splits) -> None:
    model = build_model("mnistnet")
    first, second = (evaluate(model, digits.test, size) for size in (7, 1000))
    assert np.allclose(first.logits, second.logits, atol=1e-5)


def test_what_cannot_be_evaluated_is_refused(digits: Splits) -> None:
    model = build_model("fast")
    with pytest.raises(ValueError, match="no images"):
        evaluate(model, digits.test[:0])
    unlabeled = Digits(digits.test.images[:2], torch.tensor([3, -1]), "test.csv")
    with pytest.raises(ValueError, match=r"test\.csv has images without labels"):
        evaluate(model, unlabeled)


def test_misclassified_lists_errors_by_loss(random_evaluation: Evaluation) -> None:
    table = misclassified(random_evaluation)
    wrong = random_evaluation.labels != random_evaluation.predictions
    assert sorted(table["index"]) == np.flatnonzero(wrong).tolist() and wrong.sum() > 20
    assert table["loss"].is_monotonic_decreasing
    for row in table.itertuples():
        index = table.at[row.Index, "index"]
        probs = random_evaluation.probs[index]
        assert row.label == random_evaluation.labels[index] != row.predicted == probs.argmax()
        assert row.confidence == pytest.approx(probs.max())
        assert row.loss == pytest.approx(-np.log(probs[row.label]), rel=1e-4)
    perfect = Evaluation(np.arange(10), np.eye(10, dtype=np.float32), "")
    assert len(misclassified(perfect)) == 0
    assert list(misclassified(perfect).columns) == list(table.columns)


@pytest.mark.parametrize(
    ("correct", "total", "level", "low", "high"),
    [
        (81, 263, 0.95, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 17, 1998, table I
        (15, 148, 0.95, 0.0624, 0.1605),
        (0, 20, 0.95, 0.0, 0.1611),
        (29, 29, 0.95, 0.8830, 1.0),
        (9930, 10_000, 0.95, 0.99117, 0.99446),
    ],
)
def test_wilsons_interval(correct: int, total: int, level: float, low: float, high: float) -> None:
    assert accuracy_interval(correct, total, level) == pytest.approx((low, high), abs=6e-5)


def test_wilsons_interval_by_its_formula(random_evaluation: Evaluation) -> None:
    share, number, z = random_evaluation.accuracy, 300, 1.959964
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number)
    half *= np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    assert random_evaluation.interval == pytest.approx((middle - half, middle + half), abs=1e-6)
    low, high = accuracy_interval(211, 300, level=0.5)
    assert random_evaluation.interval[0] < low < share < high < random_evaluation.interval[1]


def drawn_from(probs: np.ndarray, seed: int = 1) -> np.ndarray:
    """Draw labels with the probabilities that are claimed for them."""
    chance = np.random.default_rng(seed).random((len(probs), 1))
    return np.minimum((probs.cumsum(1) < chance).sum(1), 9)


@pytest.fixture(scope="module")
def honest() -> tuple[np.ndarray, np.ndarray]:
    """Return 40,000 rows of logits, and labels drawn from their own probabilities."""
    logits = np.random.default_rng(0).normal(scale=2, size=(40_000, 10)).astype(np.float32)
    return logits, drawn_from(softmax(logits).astype(float))


def test_an_honest_network_is_calibrated(honest) -> None:
    logits, labels = honest
    result = calibration(softmax(logits), labels)
    assert result.ece < 0.01
    table = result.table[result.table["count"] > 500]
    assert (table["confidence"] - table["accuracy"]).abs().max() < 0.05
    assert result.table["count"].sum() == 40_000 and len(result.table) == 15
    middle = result.table.dropna()
    assert (middle["low"] <= middle["confidence"]).all()
    assert (middle["confidence"] <= middle["high"] + 1e-6).all()


def test_an_overconfident_network_is_not(honest) -> None:
    logits, labels = honest
    probs = softmax(3 * logits)
    result = calibration(probs, labels, bins=10)
    gap = probs.max(1).mean() - (probs.argmax(1) == labels).mean()
    assert result.ece == pytest.approx(gap, abs=0.01) and gap > 0.2


def test_calibration_by_hand() -> None:
    probs = np.full((4, 10), 0.0)
    probs[:, 0] = [0.95, 0.9, 0.35, 1.0]
    probs[:, 1] = 1 - probs[:, 0]
    probs[2, 1:] = 0.65 / 9
    result = calibration(probs, np.array([0, 5, 0, 0]), bins=10)
    assert result.table["count"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 1, 2]  # 0.9 falls below 0.9
    last = result.table.iloc[-1]
    assert (last["confidence"], last["accuracy"]) == (pytest.approx(0.975), 1)
    assert result.ece == pytest.approx((2 * 0.025 + 0.9 + 0.65) / 4)
    assert result.table["accuracy"].isna().sum() == 7
    for labels in (np.array([1]), np.array([])):
        with pytest.raises(ValueError, match="probabilities"):
            calibration(probs[:0] if not len(labels) else probs, labels)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_a_known_scaling(factor: float, honest) -> None:
    logits, labels = honest
    temperature = fit_temperature(factor * logits, labels)
    assert temperature == pytest.approx(factor, rel=0.03)
    assert calibration(softmax(factor * logits / np.float32(temperature)), labels).ece < 0.01


def test_a_small_split_without_an_error_does_not_make_confidence_boundless(honest) -> None:
    logits, labels = honest
    right = np.flatnonzero(logits.argmax(1) == labels)
    few, many = (fit_temperature(logits[right[:size]], labels[right[:size]]) for size in (50, 200))
    assert 0.15 < many < few


class Square(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values**2


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return MNISTPredictor(device="cpu").model


def test_saliency_adds_up_to_the_logits_change(network: nn.Module, digits: Splits) -> None:
    for image, _ in digits.test[:2]:
        with torch.inference_mode():
            before, after = network(torch.stack([torch.zeros_like(image), image]))
        for target in (int(after.argmax()), 3):
            shares = saliency(network, image, target, steps=512)
            assert shares.shape == (28, 28) and shares.dtype == np.float32
            change = float(after[target] - before[target])
            assert shares.sum() == pytest.approx(change, abs=0.05 * abs(change) + 0.1)
            assert not shares[image[0].numpy() == 0].any(), "black pixels have no share"


def test_saliency_of_linear_and_quadratic_networks_by_hand(digits: Splits) -> None:
    linear = nn.Linear(784, 10)
    image = digits.test[0][0]
    ink = image[0] / 255
    weight = linear.weight[4].detach().reshape(28, 28)
    plain = {"mean": 0, "std": 1}
    model = wrap_model(nn.Sequential(nn.Flatten(), linear), **plain)
    shares = saliency(model, image.float() / 255, 4, steps=3)
    assert np.allclose(shares, (weight * ink).numpy(), atol=1e-6)
    model = wrap_model(nn.Sequential(nn.Flatten(), Square(), linear), **plain)
    shares = saliency(model, image, 4, steps=2)
    assert np.allclose(shares, (weight * ink**2).numpy(), atol=1e-6), "not between the steps"


def test_saliency_takes_arrays_and_explains_the_prediction(
    network: nn.Module, digits: Splits
) -> None:
    image = digits.test[0][0]
    with torch.inference_mode():
        predicted = int(network(image[None]).argmax())
    expected = saliency(network, image, predicted)
    for kind in (image, image[0], image.numpy(), image[0].numpy(), image.float() / 255):
        assert np.allclose(saliency(network, kind), expected, atol=1e-5)
    assert not np.allclose(saliency(network, image, (predicted + 1) % 10), expected, atol=1e-3)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_fast_gradient_signs_of_a_linear_network_by_hand(digits: Splits) -> None:
    linear = nn.Linear(784, 10)
    model, test = nn.Sequential(nn.Flatten(), linear), digits.test[:3]
    changed = adversarial(wrap_model(model, mean=0, std=1), test, 20)
    probs = model(test.images.float() / 255).softmax(1)
    gradient = (probs - nn.functional.one_hot(test.labels, 10)) @ linear.weight
    expected = test.images.int() + 20 * gradient.sign().int().reshape(-1, 1, 28, 28)
    assert torch.equal(changed.images.int(), expected.clamp(0, 255))
    assert torch.equal(changed.labels, test.labels) and "epsilon 20" in changed.source


def test_adversarial_images_are_near_and_are_read_worse(network: nn.Module, digits: Splits) -> None:
    before, accuracies = network.training, []
    for epsilon in (0, 16, 64):
        changed = adversarial(network, digits.test, epsilon, batch_size=128)
        distance = (changed.images.int() - digits.test.images.int()).abs()
        assert int(distance.max()) == epsilon
        accuracies.append(evaluate(network, changed).accuracy)
    assert accuracies[0] == evaluate(network, digits.test).accuracy
    assert accuracies[0] - 0.1 > accuracies[1] > accuracies[2] + 0.1
    whole = adversarial(network, digits.test, 64)
    assert torch.equal(whole.images, changed.images), "the batch size matters"
    assert network.training == before
    assert all(parameter.grad is None for parameter in network.parameters())


def test_what_cannot_be_attacked_is_refused(network: nn.Module, digits: Splits) -> None:
    for epsilon in (-1, 256, 0.1):
        with pytest.raises(ValueError, match="whole number of gray levels"):
            adversarial(network, digits.test[:1], epsilon)
    unlabeled = Digits(digits.test.images[:2], torch.tensor([3, -1]), "test.csv")
    with pytest.raises(ValueError, match=r"test\.csv has images without labels"):
        adversarial(network, unlabeled, 8)

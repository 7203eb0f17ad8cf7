"""A network of one's own works wherever one of ours does; what does not fit is said."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mnist_helpers import DigitCanvas
from mnist_helpers.batch import BatchProcessor
from mnist_helpers.checkpoints import load_checkpoint, save_checkpoint
from mnist_helpers.data import Digits
from mnist_helpers.evaluation import calibration, evaluate, misclassified
from mnist_helpers.explain import adversarial, saliency
from mnist_helpers.models import MEAN, STD, build_model
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.recipes import Recipe
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.summary import summarize
from mnist_helpers.training import train
from mnist_helpers.trial import trial_digits
from mnist_helpers.tuning import lr_range_test, train_seeds
from mnist_helpers.wrapping import WrappedModel, wrap_model

CPU = {"device": "cpu", "progress": False}
BRIEF = Recipe(epochs=2, batch_size=50, lr=3e-3, precision="fp32")


class MyNet(nn.Module):
    """As in many tutorials: `view`, which fails on another memory format, and log-softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.norm = nn.BatchNorm2d(10)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.norm(self.conv1(x)), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


class Rows(nn.Module):
    """Reads an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, 16, batch_first=True)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x)[0][:, -1])


class Bytes(nn.Module):
    """Takes uint8 images itself, and divides whatever it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1).float() / 255)


NETWORKS = {
    "view and log-softmax": MyNet,
    "flatten": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
    "no flatten": lambda: nn.Sequential(nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10)),
    "softmax": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax(1)),
    "rows": Rows,
    "bytes": Bytes,
    "double": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).double(),
    "lazy": lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(10)),
}


@pytest.fixture(scope="module")
def some() -> Digits:
    return Digits(*trial_digits(), "500 sample digits")


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_trains_predicts_is_saved_and_comes_back(
    kind: str, some: Digits, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = NETWORKS[kind]()
    history = train(net, some[:300], some[300:], BRIEF, out=tmp_path, **CPU)
    assert history[-1]["train_loss"] < history[0]["train_loss"] < 3
    result = evaluate(net, some[300:])
    assert result.accuracy == pytest.approx(history[-1]["val_accuracy"], abs=1e-6)
    assert len(misclassified(result)) == (~result.correct).sum()
    assert calibration(result.probs, result.labels).table["count"].sum() == 200
    predictor = MNISTPredictor(device="cpu", model=net)
    probs = predictor.predict_proba(some.images[300:])
    assert np.allclose(probs, result.probs, atol=1e-4)
    assert predictor.model.network is net and predictor.checkpoint.temperature == 1
    with pytest.raises(ValueError, match="a network of your own: give it an instance"):
        load_checkpoint(tmp_path / "last.pt")
    for name in ("last.pt", "copy.safetensors"):
        if name != "last.pt":
            save_checkpoint(tmp_path / name, net, history=history)
        done = load_checkpoint(tmp_path / name, model=NETWORKS[kind]())
        assert done.name == type(net).__name__ and len(done.history) == 2
        again = MNISTPredictor(tmp_path / name, "cpu", model=NETWORKS[kind]())
        assert np.allclose(again.predict_proba(some.images[300:]), probs, atol=1e-5)


def test_a_run_of_ones_own_network_is_resumed_and_kept(some: Digits, tmp_path: Path) -> None:
    def fresh() -> nn.Module:
        torch.manual_seed(1)
        return MyNet()

    class StopError(Exception):
        pass

    def stop(history: list) -> None:
        if len(history) == 1:
            raise StopError

    whole, parted = fresh(), fresh()
    train(whole, some[:200], recipe=BRIEF, **CPU)
    with pytest.raises(StopError):
        train(parted, some[:200], recipe=BRIEF, out=tmp_path, callbacks=[stop], **CPU)
    parted = fresh()
    train(parted, some[:200], recipe=BRIEF, out=tmp_path, resume=True, **CPU)
    assert torch.equal(parted.fc2.weight, whole.fc2.weight)
    with pytest.raises(ValueError, match="a run of MyNet, not of Rows"):
        train(Rows(), some[:200], recipe=BRIEF, out=tmp_path, resume=True, **CPU)
    train(fresh(), some[:200], recipe=BRIEF, out=tmp_path, **CPU)
    assert len(load_checkpoint(tmp_path / "previous.pt", model=MyNet()).history) == 2


def test_without_a_recipe_it_gets_the_default_one(some: Digits, tmp_path: Path) -> None:
    train(NETWORKS["flatten"](), some[:100], out=tmp_path, **CPU)
    net = NETWORKS["flatten"]()
    assert load_checkpoint(tmp_path / "last.pt", model=net).recipe == Recipe()


def test_a_predictor_takes_another_network(some: Digits) -> None:
    predictor = MNISTPredictor(device="cpu")
    net = MyNet().train()
    predictor.model = net
    assert predictor.checkpoint.name == "MyNet" and not net.training
    expected = evaluate(net, some).logits / np.float32(predictor.checkpoint.temperature)
    found = predictor.predict_proba(some.images)
    assert np.allclose(
        np.log(found), expected - np.logaddexp.reduce(expected, 1)[:, None], atol=1e-3
    )


def test_canvas_and_folders_use_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    predictor = MNISTPredictor(device="cpu", model=MyNet())
    canvas = DigitCanvas(predictor)
    canvas.draw(pen_strokes(3))
    assert canvas.prediction is not None
    sheet = draw_strokes(pen_strokes(7), 100, 8)
    assert canvas.prediction.digit == int(predictor.predict_proba(canvas.image[None]).argmax())
    (tmp_path / "in").mkdir()
    sheet.save(tmp_path / "in" / "7.png")
    processor = BatchProcessor(predictor, out=tmp_path / "out")
    processor.process_folder(tmp_path / "in")
    assert [row["digit"] for row in processor.rows()] == [predictor.predict(sheet).digit]


@pytest.mark.parametrize("kind", ["view and log-softmax", "softmax", "bytes", "no flatten"])
def test_it_is_exported_as_onnx(kind: str, some: Digits, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the extra `serve` is not installed")
    from mnist_helpers.onnx import export_onnx

    torch.manual_seed(0)
    net = NETWORKS[kind]().eval()
    export_onnx(net, tmp_path / "net.onnx")
    found = load_checkpoint(tmp_path / "net.onnx").model(some.images[:7])
    assert torch.allclose(found, wrap_model(net)(some.images[:7]), atol=1e-4)


@pytest.mark.parametrize("kind", ["view and log-softmax", "bytes", "softmax"])
def test_saliency_and_adversarial_examples(kind: str, some: Digits) -> None:
    torch.manual_seed(0)
    net = NETWORKS[kind]()
    image = some.images[0]
    change = saliency(net, image, 3, steps=200).sum()
    logits = wrap_model(net).eval()(torch.stack([image, torch.zeros_like(image)]))[:, 3].detach()
    assert change == pytest.approx(float(logits[0] - logits[1]), abs=0.05)
    net.train()
    worse = adversarial(net, some[:50], 20)
    assert evaluate(net, worse).loss > evaluate(net, some[:50]).loss
    assert net.training


def test_several_seeds_and_the_range_test(some: Digits) -> None:
    recipe = replace(BRIEF, epochs=1)
    for given in (MyNet, MyNet()):
        one, two = train_seeds(given, some[:100], recipe, [0, 1])
        (again,) = train_seeds(given, some[:100], recipe, [0])
        first, second, third = (net.network.fc2.weight for net in (one, two, again))
        assert torch.equal(first, third) and not torch.equal(first, second)
    table = lr_range_test(MyNet, some[:100], recipe, steps=5, device="cpu")
    assert len(table) > 1

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(784, 10)
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.flatten(1)) * self.scale

    with pytest.raises(ValueError, match=r"Scaled has weights but no reset_parameters\(\)"):
        train_seeds(Scaled(), some[:100], recipe, [0])


def test_its_layers_are_listed() -> None:
    table = summarize(MyNet())
    assert table["parameters"].iloc[-1] == sum(p.numel() for p in MyNet().parameters())
    assert "network.conv1" in list(table["layer"])


def test_wrapping_normalizes_and_leaves_ours_alone(some: Digits) -> None:
    net = NETWORKS["flatten"]()
    pixels = some.images[:4].float() / 255
    for options, (mean, std) in (
        ({}, (MEAN, STD)),
        ({"mean": 0, "std": 1}, (0, 1)),
        ({"mean": 0.5, "std": 0.5}, (0.5, 0.5)),
    ):
        wrapped = wrap_model(net, **options)
        expected = net((pixels - mean) / std)
        assert torch.allclose(wrapped(some.images[:4]), expected, atol=1e-5)
        assert torch.allclose(wrapped(pixels), expected, atol=1e-5)
        assert wrap_model(wrapped) is wrapped
    ours = build_model("fast")
    assert wrap_model(ours) is ours
    with pytest.raises(ValueError, match="takes uint8 images"):
        wrap_model(Bytes(), mean=0.5)


def test_trying_a_network_leaves_it_as_it_was() -> None:
    net = MyNet()
    net.norm.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    wrapped = wrap_model(net)
    assert net.training and net.conv1.training and not net.norm.training and wrapped.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_probabilities_become_logits(some: Digits) -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    expected = wrap_model(linear)(some.images[:5]).log_softmax(1)
    for last in (nn.Softmax(1), nn.LogSoftmax(1)):
        found = wrap_model(nn.Sequential(*linear, last))(some.images[:5])
        assert torch.allclose(found.log_softmax(1), expected, atol=1e-5)


class Returns(nn.Module):
    def __init__(self, outputs: object) -> None:
        super().__init__()
        self.outputs = outputs
        self.fc = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> object:
        logits = self.fc(x.flatten(1))
        return self.outputs(logits)


FITTED = r"float images \[N, 1, 28, 28\].*logits \[N, 10\]"


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (
            lambda: nn.Sequential(nn.Conv2d(3, 10, 28), nn.Flatten()),
            r"It takes images \[N, 3, 28, 28\].*expand\(-1, 3",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten(), nn.Linear(4 * 24 * 24, 10)),
            r"raises for them RuntimeError.*It takes images \[N, 3, 28, 28\].*expand\(-1, 3",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(1, 4, 5), nn.Flatten(), nn.Linear(4 * 28 * 28, 10)),
            r"It takes images \[N, 1, 32, 32\].*F\.pad",
        ),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 11)), r"shape \[2, 11\] for 2 images"),
        (lambda: Returns(lambda logits: (logits, 1)), "returns a tuple, not a tensor"),
        (lambda: Returns(lambda logits: logits.argmax(1)), r"shape \[2\] for 2 images"),
        (lambda: Returns(lambda logits: logits[:1]), r"shape \[1, 10\] for 2 images"),
        (lambda: Returns(lambda logits: logits.long()), "returns torch.int64 numbers"),
    ],
)
@pytest.mark.parametrize("use", ["train", "evaluate", "predictor"])
def test_what_does_not_fit_is_said(network, words: str, use: str, some: Digits) -> None:
    net = network()
    with pytest.raises(ValueError, match=words) as caught:
        if use == "train":
            train(net, some[:100], recipe=BRIEF, **CPU)
        elif use == "evaluate":
            evaluate(net, some[:100])
        else:
            MNISTPredictor(device="cpu", model=net)
    caught.match(FITTED)


def test_what_is_no_network_is_said(some: Digits) -> None:
    with pytest.raises(TypeError, match=r"pass a network, MyNet\(\), not its class"):
        evaluate(MyNet, some)
    with pytest.raises(TypeError, match=r"expected a network .* not a dict"):
        evaluate({}, some)


def test_rows_are_counted_whatever_the_batch(some: Digits) -> None:
    """A network that drops rows only in larger batches is caught when it does."""
    net = Returns(lambda logits: logits[:5])
    with pytest.raises(
        ValueError, match=r"Returns returns a tensor of shape \[5, 10\] for 6 images"
    ):
        wrap_model(net)(some.images[:6])
    with pytest.raises(ValueError, match=r"shape \[5, 10\]"):
        MNISTPredictor(device="cpu", model=net).predict_proba(some.images[:6])


def test_numbers_that_are_not_finite_never_become_a_prediction(some: Digits) -> None:
    net = build_model("tiny").eval()
    predictor = MNISTPredictor(device="cpu", model=net)
    with torch.no_grad():
        net.fc.bias[3] = torch.nan
    predictor.model = net
    for use in (predictor.predict_proba, lambda images: evaluate(net, some[:3])):
        with pytest.raises(
            ValueError, match="the network tiny returned numbers that are not finite"
        ):
            use(some.images[:3])
    with pytest.raises(ValueError, match="not finite"):
        predictor.predict(Image.fromarray(255 - some.images[0, 0].numpy()))


def test_weights_saved_elsewhere_fill_ones_own_network(some: Digits, tmp_path: Path) -> None:
    net = MyNet()
    train(net, some, recipe=replace(BRIEF, epochs=12), **CPU)
    path = tmp_path / "theirs.pth"
    torch.save({"net": {f"module.{k}": v for k, v in net.state_dict().items()}, "acc": 0.9}, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = load_checkpoint(path, model=MyNet())
    assert isinstance(done.model, WrappedModel) and done.name == "MyNet"
    assert np.allclose(evaluate(done.model, some).logits, evaluate(net, some).logits, atol=1e-4)
    with pytest.raises(ValueError, match=r"do not fit Rows, whose weights have the shapes"):
        load_checkpoint(path, model=Rows())

"""ONNX: the same network, outside PyTorch."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_helpers.checkpoints import ForeignWeightsWarning, load_checkpoint
from mnist_helpers.data import Splits
from mnist_helpers.evaluation import evaluate, predict_logits
from mnist_helpers.logits import softmax
from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.onnx import OPSET, OnnxNetwork, export_onnx
from mnist_helpers.prediction import (
    PRETRAINED_ONNX,
    PRETRAINED_WEIGHTS,
    MNISTPredictor,
    PretrainedPredictor,
)
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.trial import trial_digits
from mnist_helpers.wrapping import wrap_model

onnx = pytest.importorskip("onnx", reason="the extra `serve` is not installed")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "fast.onnx"
    done = load_checkpoint(PRETRAINED_WEIGHTS)
    export_onnx(done.model, path, {"model": "fast", "temperature": done.temperature})
    return path


def test_onnx_runtime_and_pytorch_agree_on_all_test_images(exported: Path, splits: Splits) -> None:
    ours, theirs = load_checkpoint(PRETRAINED_WEIGHTS), load_checkpoint(exported)
    expected = predict_logits(ours.model, splits.test)
    found = predict_logits(theirs.model, splits.test, batch_size=777)
    assert np.abs(found - expected).max() < 1e-4
    assert theirs.name == "fast" and theirs.temperature == pytest.approx(ours.temperature)
    assert evaluate(theirs.model, splits.test).accuracy > 0.99


def test_the_file_says_its_opset_and_holds_everything(exported: Path) -> None:
    content = onnx.load(exported)
    assert [entry.version for entry in content.opset_import if entry.domain == ""] == [OPSET]
    assert [path.name for path in exported.parent.iterdir()] == ["fast.onnx"]
    batch = content.graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param == "batch" and not batch.dim_value


def test_the_file_says_nothing_of_the_machine_that_wrote_it(exported: Path, root: Path) -> None:
    for path in (exported, PRETRAINED_ONNX):
        content = path.read_bytes()
        assert b"stack_trace" not in content and b"site-packages" not in content
        assert str(root).encode() not in content


def test_both_files_of_the_pretrained_weights_hold_one_network(splits: Splits) -> None:
    """The second is written by `export --onnx mnist_helpers/weights/fast.onnx`."""
    ours, theirs = MNISTPredictor(device="cpu"), PretrainedPredictor()
    noise = np.random.default_rng(0).integers(256, size=(100, 28, 28), dtype=np.uint8)
    for images in (splits.test.images.numpy(), noise):
        expected, found = ours.predict_proba(images), theirs.predict_proba(images)
        assert np.array_equal(found.argmax(1), expected.argmax(1))
        assert np.abs(found - expected).max() < 2e-6
    assert theirs.about["temperature"] == ours.checkpoint.temperature
    assert theirs.about["model"] == ours.checkpoint.name
    assert theirs.about["parameters"] == count_parameters(ours.model)
    assert PRETRAINED_ONNX.stat().st_size < 1e6
    assert np.array_equal(pickle.loads(pickle.dumps(theirs)).predict_proba(noise), found)


def test_a_predictor_runs_it(exported: Path) -> None:
    sheet = draw_strokes(pen_strokes(3))
    expected, found = (
        MNISTPredictor(device="cpu").predict(sheet),
        MNISTPredictor(exported).predict(sheet),
    )
    assert found.digit == expected.digit == 3
    assert found.probs == pytest.approx(expected.probs, abs=1e-5)
    assert "on cpu" in repr(MNISTPredictor(exported))


def test_what_is_no_such_network_is_refused(exported: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    for content in (b"", b"no network", exported.read_bytes()[:5000]):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match=r"broken\.onnx is (not an ONNX network|empty)"):
            load_checkpoint(broken)
    with pytest.raises(FileNotFoundError, match=r"missing\.onnx"):
        load_checkpoint(tmp_path / "missing.onnx")
    with pytest.raises(ValueError, match="holds the network fast, not mnistnet"):
        load_checkpoint(exported, "mnistnet")
    other = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["a"], ["b"])],
            "other",
            [onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [1, 3])],
            [onnx.helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, [1, 3])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    onnx.save(other, broken)
    with pytest.raises(ValueError, match="a network of another kind"):
        load_checkpoint(broken)
    export_onnx(load_checkpoint(PRETRAINED_WEIGHTS).model, broken, {"temperature": "abc"})
    with pytest.raises(ValueError, match=r"broken\.onnx holds the temperature 'abc'"):
        load_checkpoint(broken)
    deep = onnx.load(exported)
    onnx.helper.set_model_props(deep, {"mnist_helpers": "[" * 100_000})
    onnx.save(deep, broken)
    with pytest.raises(ValueError, match=r"broken\.onnx holds a damaged description"):
        load_checkpoint(broken)


def test_a_failed_export_leaves_the_previous_file(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"former")
    with pytest.raises(ValueError, match="training mode"):
        export_onnx(build_model("fast").train(), path)
    with pytest.raises(ValueError, match="comes from an ONNX file: copy that"):
        export_onnx(load_checkpoint(exported).model, path)
    assert path.read_bytes() == b"former"


def test_without_the_extra_it_says_what_to_install(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"mnist-helpers\[serve\]"):
        load_checkpoint(exported)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"mnist-helpers\[serve\]"):
        export_onnx(build_model("fast").eval(), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def foreign_network(
    path: Path,
    weights: np.ndarray,
    *,
    shape: tuple = ("n", 1, 28, 28),
    kind: int | None = None,
    name: str = "input",
    end: str | None = None,
    nodes: tuple = (),
) -> Path:
    """Write a linear network in float as other exporters do."""
    from onnx import TensorProto, helper, numpy_helper

    kind = kind or TensorProto.FLOAT
    layers = [
        helper.make_node("Reshape", [name, "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "W"], ["logits"]),
    ]
    last = "logits"
    for operator in (*nodes, *([end] if end else [])):
        layers.append(helper.make_node(operator, [last], [f"{last}_"]))
        last = f"{last}_"
    types = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}
    graph = helper.make_graph(
        layers,
        "g",
        [helper.make_tensor_value_info(name, kind, list(shape))],
        [helper.make_tensor_value_info(last, kind, [shape[0], 10])],
        [
            numpy_helper.from_array(weights.astype(types[kind]), "W"),
            numpy_helper.from_array(np.array([-1, 784]), "flat"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path
    )
    return path


@pytest.fixture(scope="module")
def linear() -> np.ndarray:
    """Weights [784, 10] of a linear classifier of pixels from 0 to 1, fitted to sample digits."""
    images, labels = trial_digits()
    pixels = images.numpy().reshape(-1, 784) / 255
    targets = np.eye(10)[labels.numpy()] - 0.1
    kernel = pixels @ pixels.T + 10 * np.eye(len(pixels))
    return 20 * pixels.T @ np.linalg.solve(kernel, targets)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"name": "x.1"},
        {"shape": (1, 1, 28, 28)},
        {"shape": (64, 1, 28, 28)},
        {"shape": (None, 28, 28, 1)},
        {"shape": ("batch", 784)},
        {"shape": ("batch", 28, 28)},
        {"shape": ("n", "c", "h", "w")},
        {"kind": 11},
        {"end": "Softmax"},
        {"end": "LogSoftmax"},
    ],
    ids=str,
)
def test_networks_with_float_input_are_read_and_normalized(
    options: dict, linear: np.ndarray, tmp_path: Path
) -> None:
    path = foreign_network(tmp_path / "theirs.onnx", linear, **options)
    with pytest.warns(ForeignWeightsWarning, match="pixels from 0 to 1"):
        predictor = MNISTPredictor(path, "cpu")
    images, labels = trial_digits()
    probs = predictor.predict_proba(images[:130])
    assert probs.shape == (130, 10)
    assert (probs.argmax(1) == labels[:130].numpy()).mean() > 0.9
    expected = softmax((images[:130].numpy().reshape(-1, 784) / 255 @ linear).astype(np.float32))
    assert np.allclose(probs, expected, atol=1e-3)
    assert predictor.predict_proba(images[:0]).shape == (0, 10)
    asked = wrap_model(predictor.model, mean=0.5, std=0.5)
    shifted = (images[:5].numpy().reshape(-1, 784) / 255 - 0.5) / 0.5 @ linear
    assert np.allclose(
        softmax(asked(images[:5]).numpy()), softmax(shifted.astype(np.float32)), atol=1e-3
    )


def test_a_network_with_a_fixed_batch_predicts_any_number(exported: Path, tmp_path: Path) -> None:
    fixed = onnx.load(exported)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(fixed, tmp_path / "fixed.onnx")
    images = trial_digits()[0][:7]
    found = load_checkpoint(tmp_path / "fixed.onnx").model(images)
    assert torch.allclose(found, load_checkpoint(exported).model(images), atol=1e-4)


def test_operators_that_networks_like_ours_do_not_need_are_refused(
    linear: np.ndarray, tmp_path: Path
) -> None:
    path = foreign_network(tmp_path / "theirs.onnx", linear, nodes=("Sign", "Ceil"))
    with pytest.raises(
        ValueError, match=r"operators Ceil, Sign.*OnnxNetwork\(.*operators="
    ) as caught:
        load_checkpoint(path)
    assert "theirs.onnx" in str(caught.value)
    allowed = OnnxNetwork(path, operators=["Sign", "Ceil"])
    assert MNISTPredictor(model=allowed).predict_proba(trial_digits()[0][:3]).shape == (3, 10)


def hostile_network(path: Path, nodes: list, functions: Sequence = (), **constants: object) -> Path:
    """Write a network whose ten logits come from `nodes`, which may do anything."""
    shapes = {"images": ["N", 1, 28, 28], "logits": ["N", 10]}
    images, logits = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    values = {"flat": [-1, 784], "weights": np.ones((784, 10), np.float32)} | constants
    tensors = [onnx.numpy_helper.from_array(np.array(v), k) for k, v in values.items()]
    make = onnx.helper.make_node
    first = [make("Reshape", ["images", "flat"], ["x"]), make("MatMul", ["x", "weights"], ["y"])]
    graph = onnx.helper.make_graph([*first, *nodes], "hostile", [images], [logits], tensors)
    opsets = [onnx.helper.make_opsetid(domain, 18) for domain in ("", "theirs")]
    network = onnx.helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9)
    path.write_bytes(network.SerializeToString())
    return path


def function(domain: str, name: str, called: str) -> object:
    """Make a function that calls another one, or an operator, twice."""
    make, theirs = onnx.helper.make_node, called.startswith("f")
    domain_of = "theirs" if theirs else ""
    nodes = [make(called, [a], [b], domain=domain_of) for a, b in ("ab", "bc")]
    opsets = [onnx.helper.make_opsetid(domain, 18) for domain in ("", "theirs")]
    return onnx.helper.make_function(domain, name, ["a"], ["c"], nodes, opsets)


def test_a_function_of_an_operators_name_does_not_allow_the_operator(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    nodes = [make("ConstantOfShape", ["many"], ["z"]), make("Add", ["y", "z"], ["logits"])]
    for domain in ("", "ai.onnx"):
        own = function(domain, "ConstantOfShape", "Relu")
        path = hostile_network(tmp_path / "net.onnx", nodes, [own], many=[1, 10])
        with pytest.raises(ValueError, match="uses the ONNX operators ConstantOfShape"):
            OnnxNetwork(path)


def test_functions_that_call_functions_are_counted(tmp_path: Path) -> None:
    """Thirty functions, each of which calls the one before it twice: a billion nodes."""
    names = ["Relu", *(f"f{number}" for number in range(30))]
    for number, refused in ((30, True), (3, False)):
        functions = [function("theirs", *pair[::-1]) for pair in pairwise(names)]
        call = onnx.helper.make_node(names[number], ["y"], ["logits"], domain="theirs")
        path = hostile_network(tmp_path / "net.onnx", [call], functions[:number])
        if refused:
            with pytest.raises(ValueError, match=r"net\.onnx.* more than 100,000 nodes"):
                OnnxNetwork(path)
        else:
            assert OnnxNetwork(path)(trial_digits()[0][:3]).shape == (3, 10)


@pytest.mark.slow
def test_a_network_that_asks_for_all_memory_is_refused(tmp_path: Path) -> None:
    """Padding without end; then, in the same process, ordinary networks still predict."""
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["images", "kernel"], ["padded"], pads=[12_000] * 4),
        make("ReduceMean", ["padded"], ["mean"], keepdims=0),
        make("Add", ["y", "mean"], ["logits"]),
    ]
    kernel = np.ones((1, 1, 1, 1), np.float32)
    path = hostile_network(tmp_path / "net.onnx", nodes, kernel=kernel)
    with pytest.raises(ValueError, match=r"net\.onnx is not an ONNX network that can be run"):
        OnnxNetwork(path)
    path = hostile_network(tmp_path / "good.onnx", [make("Relu", ["y"], ["logits"])])
    assert OnnxNetwork(path)(trial_digits()[0]).shape == (len(trial_digits()[0]), 10)


def test_no_other_file_is_read_but_the_weights_beside(linear: np.ndarray, tmp_path: Path) -> None:
    path = foreign_network(tmp_path / "theirs.onnx", linear)
    network = onnx.load(path)
    onnx.save(
        network,
        path,
        save_as_external_data=True,
        location="theirs.onnx.data",
        size_threshold=0,
        convert_attribute=True,
    )
    assert (tmp_path / "theirs.onnx.data").stat().st_size > 30_000
    images = trial_digits()[0][:3]
    expected = OnnxNetwork(foreign_network(tmp_path / "one.onnx", linear))(images)
    assert torch.allclose(OnnxNetwork(path)(images), expected, atol=1e-4)
    (tmp_path / "theirs.onnx.data").rename(tmp_path / "secret")
    with pytest.raises(ValueError, match=r"theirs\.onnx\.data, which is not beside it"):
        load_checkpoint(path)
    for location in ("secret", "../secret", "/etc/passwd", "./theirs.onnx.data"):
        hostile = onnx.load(path, load_external_data=False)
        for tensor in hostile.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        path.write_bytes(hostile.SerializeToString())
        with pytest.raises(ValueError, match=r"keeps weights in the file .*, which is not read"):
            load_checkpoint(path)


def test_another_number_of_rows_is_refused(linear: np.ndarray, tmp_path: Path) -> None:
    """Three images never get one row: the output's declared shape says nothing of it."""
    path = foreign_network(tmp_path / "theirs.onnx", linear)
    network = onnx.load(path)
    network.graph.node.append(
        onnx.helper.make_node("ReduceMean", ["logits"], ["out"], axes=[0], keepdims=1)
    )
    network.graph.output[0].name = "out"
    onnx.save(network, path)
    with pytest.raises(ValueError, match=r"theirs\.onnx.*returned \[1, 10\] for 2 images"):
        load_checkpoint(path)


def test_a_predictor_on_onnx_can_be_pickled_and_copied(exported: Path) -> None:
    predictor = MNISTPredictor(exported, "cpu")
    images = trial_digits()[0][:3]
    expected = predictor.predict_proba(images)
    for again in (pickle.loads(pickle.dumps(predictor)), copy.deepcopy(predictor)):
        assert np.allclose(again.predict_proba(images), expected)
        assert again.checkpoint.temperature == predictor.checkpoint.temperature

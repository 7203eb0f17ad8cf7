"""ONNX: the same network, in other hands."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from mnist_helpers.checkpoints import load_checkpoint
from mnist_helpers.data import Splits
from mnist_helpers.evaluation import evaluate, predict_logits
from mnist_helpers.models import build_model
from mnist_helpers.onnx import OPSET, export_onnx
from mnist_helpers.prediction import SHIPPED_WEIGHTS, MNISTPredictor
from mnist_helpers.strokes import draw_strokes, pen_strokes

onnx = pytest.importorskip("onnx", reason="the extra `serve` is not installed")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "fast.onnx"
    done = load_checkpoint(SHIPPED_WEIGHTS)
    export_onnx(done.model, path, {"model": "fast", "temperature": done.temperature})
    return path


def test_onnx_runtime_and_pytorch_agree_on_all_test_pictures(
    exported: Path, splits: Splits
) -> None:
    ours, theirs = load_checkpoint(SHIPPED_WEIGHTS), load_checkpoint(exported)
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
    assert batch.dim_param and not batch.dim_value


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
        with pytest.raises(ValueError, match=r"broken\.onnx is not an ONNX network"):
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
    fixed = onnx.load(exported)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(fixed, broken)
    with pytest.raises(ValueError, match=r"broken\.onnx has a fixed batch size of 1: expected"):
        load_checkpoint(broken)
    export_onnx(load_checkpoint(SHIPPED_WEIGHTS).model, broken, {"temperature": "abc"})
    with pytest.raises(ValueError, match=r"broken\.onnx holds the temperature 'abc'"):
        load_checkpoint(broken)
    deep = onnx.load(exported)
    onnx.helper.set_model_props(deep, {"mnist_helpers": "[" * 100_000})
    onnx.save(deep, broken)
    with pytest.raises(ValueError, match=r"broken\.onnx holds a damaged description"):
        load_checkpoint(broken)


def test_a_failed_export_leaves_the_former_file(exported: Path, tmp_path: Path) -> None:
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

"""To a model hub and back, through a folder on this machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from huggingface_hub import ModelCard, hub_mixin

from mnist_helpers import HubPredictor, MNISTPredictor, build_model, export_onnx, load_checkpoint
from mnist_helpers.strokes import draw_strokes, pen_strokes


def test_saved_and_loaded_it_answers_the_same(tmp_path: Path) -> None:
    HubPredictor(device="cpu").save_pretrained(tmp_path / "hub", test=(9963, 10_000))
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == [
        "README.md",
        "model.safetensors",
    ]
    again = HubPredictor.from_pretrained(str(tmp_path / "hub"))
    shipped = MNISTPredictor(device="cpu")
    image = draw_strokes(pen_strokes(8))
    assert np.array_equal(again.predict(image).probs, shipped.predict(image).probs)
    assert load_checkpoint(tmp_path / "hub" / "model.safetensors").recipe.epochs == 12


def test_the_card_is_one_that_a_hub_can_read(tmp_path: Path) -> None:
    HubPredictor().save_pretrained(tmp_path, test=(9963, 10_000))
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "mit" and card.data.pipeline_tag == "image-classification"
    assert card.data.eval_results[0].metric_value == pytest.approx(0.9963)
    assert "104,938" in card.text and "99.63% of 10,000" in card.text
    HubPredictor().save_pretrained(tmp_path / "unmeasured")
    assert "not measured" in (tmp_path / "unmeasured" / "README.md").read_text()


def test_what_is_published_has_the_same_card(tmp_path: Path, monkeypatch) -> None:
    published = []

    class Hub:
        def __init__(self, **_options: object) -> None: ...

        def create_repo(self, **_options: object) -> SimpleNamespace:
            return SimpleNamespace(repo_id="somebody/digits")

        def upload_folder(self, *, folder_path: Path, **_options: object) -> None:
            published.append(ModelCard.load(Path(folder_path) / "README.md").text)

    monkeypatch.setattr(hub_mixin, "HfApi", Hub)
    HubPredictor().save_pretrained(tmp_path, test=(9963, 10_000), push_to_hub=True)
    assert published == [ModelCard.load(tmp_path / "README.md").text]
    assert "99.63% of 10,000" in published[0]


def test_a_network_that_was_replaced_is_what_is_saved_and_described(tmp_path: Path) -> None:
    predictor = HubPredictor(device="cpu")
    predictor.save_pretrained(tmp_path, test=(9963, 10_000))
    predictor.model = build_model("tiny")
    predictor.save_pretrained(tmp_path)
    image = draw_strokes(pen_strokes(8))
    again = HubPredictor.from_pretrained(str(tmp_path), device="cpu")
    assert np.array_equal(again.predict(image).probs, predictor.predict(image).probs)
    saved = again.checkpoint
    assert (saved.name, saved.recipe, saved.history) == ("tiny", None, [])
    assert saved.temperature == predictor.checkpoint.temperature
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.model_name == "tiny" and card.data.eval_results is None
    assert "not measured" in card.text and "trained on: unknown" in card.text


def test_what_cannot_be_saved_or_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        HubPredictor.from_pretrained(str(tmp_path))
    export_onnx(MNISTPredictor(device="cpu").model, tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="share its"):
        HubPredictor(tmp_path / "net.onnx").save_pretrained(tmp_path / "x")

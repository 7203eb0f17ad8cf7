"""Images made here: repeatable, of all kinds, and told from digits by the pretrained network."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mnist_helpers import synthetic
from mnist_helpers.data import NON_DIGIT
from mnist_helpers.prediction import CONFIDENCE_THRESHOLD, MNISTPredictor
from mnist_helpers.preprocess import to_mnist
from mnist_helpers.styles import FORMS, OTHER_FORMS, TRAIN_STYLES
from mnist_helpers.synthetic import (
    KINDS,
    OTHER_FONTS,
    OTHER_SYMBOL_FONTS,
    letter,
    non_digits,
    symbol,
    synthetic_digits,
)

OTHERS = {
    "letters in other fonts": lambda rng: letter(rng, OTHER_FONTS),
    "symbols in other fonts": lambda rng: symbol(rng, OTHER_SYMBOL_FONTS),
}


def test_the_seed_repeats_the_images() -> None:
    first, again, other = non_digits(10, 3), non_digits(10, 3), non_digits(10, 4)
    assert first.images.equal(again.images) and not first.images.equal(other.images)
    assert (first.labels == NON_DIGIT).all() and len(first) == 10
    first, again, other = synthetic_digits(10, 3), synthetic_digits(10, 3), synthetic_digits(10, 4)
    assert first.images.equal(again.images) and first.labels.equal(again.labels)
    assert not first.images.equal(other.images)


def test_the_pretrained_network_classifies_synthetic_digits() -> None:
    digits = synthetic_digits(300, seed=99)
    read = MNISTPredictor(device="cpu").predict_proba(digits.images).argmax(1)
    assert (read == digits.labels.numpy()).mean() > 0.97
    assert "ornate" not in TRAIN_STYLES


def test_the_pretrained_network_classifies_forms_that_it_was_not_trained_on() -> None:
    assert not any(set(FORMS[digit]) & set(forms) for digit, forms in OTHER_FORMS.items())
    digits = synthetic_digits(300, seed=99, styles=(), forms=OTHER_FORMS)
    assert set(digits.labels.tolist()) == set(OTHER_FORMS)
    read = MNISTPredictor(device="cpu").predict_proba(digits.images).argmax(1)
    assert (read == digits.labels.numpy()).mean() > 0.97


def test_a_non_digit_that_is_refused_as_empty_is_drawn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sheets = iter([Image.new("L", (100, 100), 90), letter(np.random.default_rng(1))])
    monkeypatch.setattr(synthetic, "KINDS", {"letters": lambda _: next(sheets)})
    assert non_digits(1).images.any()


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_the_pretrained_network_has_low_confidence_on_non_digits(kind: str) -> None:
    rng = np.random.default_rng(99)
    draw = (KINDS | OTHERS)[kind]
    images = np.stack([to_mnist(draw(rng)) for _ in range(60)])
    confidence = MNISTPredictor(device="cpu").predict_proba(images).max(1)
    assert (confidence < CONFIDENCE_THRESHOLD).mean() > 0.7

"""Several digits in a row."""

from __future__ import annotations

import numpy as np
import pytest

from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.preprocess import EmptyPictureError, split_digits, to_mnist
from mnist_helpers.strokes import HANDS, draw_strokes, pen_strokes


def row_of(text: str, hand: str = "round", size: int = 120) -> np.ndarray:
    """Write digits side by side, dark on light."""
    sheets = [draw_strokes(pen_strokes(int(digit), hand, size), size, 8) for digit in text]
    return np.concatenate([np.asarray(sheet) for sheet in sheets], axis=1)


@pytest.fixture(scope="module")
def predictor() -> MNISTPredictor:
    return MNISTPredictor(device="cpu")


@pytest.mark.parametrize("hand", HANDS[:4])
@pytest.mark.parametrize("text", ["2026", "10", "31415", "7", "8640"])
def test_a_number_is_read(predictor: MNISTPredictor, text: str, hand: str) -> None:
    number = predictor.predict_number(row_of(text, hand))
    assert number.text == text
    assert [prediction.digit for prediction in number.predictions] == [int(d) for d in text]


@pytest.mark.parametrize("size", [120, 400])  # the larger row is reduced before it is read
def test_boxes_lie_around_their_digits_from_left_to_right(size: int) -> None:
    sheet = row_of("305", size=size)
    found = split_digits(sheet)
    assert len(found) == 3
    for place, (box, image) in enumerate(found):
        alone = sheet[:, size * place : size * (place + 1)]
        rows, columns = np.nonzero(alone < 128)
        columns += size * place
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.subtract(box, expected)).max() <= 4
        assert image.shape == (28, 28)
        gaps = [  # a centre of mass between two pixels may fall to either
            np.abs(np.roll(image, shift, (0, 1)).astype(int) - to_mnist(alone)).mean()
            for shift in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
        ]
        assert min(gaps) < 12


def test_a_digit_in_two_parts_stays_one() -> None:
    sheet = row_of("5")
    rows, _ = np.nonzero(sheet < 128)
    sheet[rows.min() + 12 : rows.min() + 15] = 255  # the bar does not touch the rest
    assert len(split_digits(sheet)) == 1


def test_an_empty_sheet_says_so(predictor: MNISTPredictor) -> None:
    with pytest.raises(EmptyPictureError):
        predictor.predict_number(np.full((50, 200), 255, np.uint8))


def test_a_number_is_as_sure_as_its_least_sure_digit(predictor: MNISTPredictor) -> None:
    number = predictor.predict_number(row_of("123"))
    assert number.is_confident == all(p.is_confident for p in number.predictions)

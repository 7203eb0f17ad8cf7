"""Several digits in a row."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mnist_helpers.numbers import Row, segment_digits, segment_rows, vote
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.preprocess import BlankImageError, InvalidImageError, to_mnist
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.styles import STYLES


def row_of(text: str, style: str = "round", size: int = 120) -> np.ndarray:
    """Write digits side by side, dark on light."""
    sheets = [draw_strokes(pen_strokes(int(digit), style, size), size, 8) for digit in text]
    return np.concatenate([np.asarray(sheet) for sheet in sheets], axis=1)


@pytest.mark.parametrize("style", STYLES[:4])
@pytest.mark.parametrize("text", ["2026", "10", "31415", "7", "8640"])
def test_a_number_is_read(predictor: MNISTPredictor, text: str, style: str) -> None:
    number = predictor.predict_number(row_of(text, style))
    assert number.text == text
    assert [prediction.digit for prediction in number.predictions] == [int(d) for d in text]


def test_a_texture_is_refused_before_each_of_its_parts_is_tried(predictor: MNISTPredictor) -> None:
    texture = np.where(np.random.default_rng(0).random((500, 500)) < 0.03, 255, 0).astype(np.uint8)
    with pytest.raises(InvalidImageError, match=r"parts as large as a digit.*Crop"):
        predictor.predict_number(texture)
    page = np.concatenate([row_of("31415", size=60)] * 5)
    assert len(predictor.predict_rows(page)) == 5


@pytest.mark.parametrize("size", [120, 400])  # the larger row is reduced before it is read
def test_boxes_lie_around_their_digits_from_left_to_right(size: int) -> None:
    sheet = row_of("305", size=size)
    found = segment_digits(sheet)
    assert len(found) == 3
    for place, (box, image) in enumerate(found):
        alone = sheet[:, size * place : size * (place + 1)]
        rows, columns = np.nonzero(alone < 128)
        columns += size * place
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.subtract(box, expected)).max() <= 4
        assert image.shape == (28, 28)
        gaps = [  # a center of mass between two pixels may fall to either
            np.abs(np.roll(image, shift, (0, 1)).astype(int) - to_mnist(alone)).mean()
            for shift in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
        ]
        assert min(gaps) < 12


def test_a_digit_in_two_parts_stays_one() -> None:
    sheet = row_of("5")
    rows, _ = np.nonzero(sheet < 128)
    sheet[rows.min() + 12 : rows.min() + 15] = 255  # the bar does not touch the rest
    assert len(segment_digits(sheet)) == 1


def test_each_piece_is_asked_about_once(predictor: MNISTPredictor) -> None:
    """In one call for the parts of the largest row, and one for the pieces of each that is cut."""
    row = row_of("30")
    touching = np.full((120, 176), 255, np.uint8)
    touching[:, :120] = row[:, :120]
    touching[:, 56:] = np.minimum(touching[:, 56:], row[:, 120:])
    smaller = np.pad(row_of("41", size=60), ((0, 0), (0, 56)), constant_values=255)
    image = np.concatenate([smaller, touching])
    asked: list[np.ndarray] = []

    def classify(images: np.ndarray) -> np.ndarray:
        asked.append(images)
        return predictor.predict_proba(images)

    (found,) = segment_rows(image, classify, largest=True)
    assert len(found.images) == 2 and len(asked) == 2
    pieces = np.concatenate(asked)
    assert len(np.unique(pieces, axis=0)) == len(pieces)
    np.testing.assert_allclose(
        found.probs, predictor.predict_proba(np.stack(found.images)), atol=1e-5
    )


def test_the_confidence_of_one_digit_is_the_networks(predictor: MNISTPredictor) -> None:
    image = to_mnist(row_of("3"))
    number, digit = predictor.predict_number(image), predictor.predict(image)
    assert number.confidence == digit.confidence < 1


def test_an_empty_sheet_says_so(predictor: MNISTPredictor) -> None:
    with pytest.raises(BlankImageError):
        predictor.predict_number(np.full((50, 200), 255, np.uint8))


def written(text: str, size: int = 120, pen: float = 8) -> np.ndarray:
    """Write digits and marks side by side, dark on light."""
    strokes, at = [], 0.0
    marks = {"-": [(0.2, 0.52), (0.5, 0.5)], ".": [(0.1, 0.8)], ",": [(0.12, 0.78), (0.06, 0.92)]}
    for sign in text:
        own = (
            pen_strokes(int(sign), "round", size)
            if sign.isdigit()
            else [size * np.array(marks[sign])]
        )
        strokes += [stroke + np.array([at, 0]) for stroke in own]
        at += size * {"-": 0.4, ".": 0.1, ",": 0.1}.get(sign, 0.8)
    return np.asarray(draw_strokes(strokes, round(at + 0.3 * size), pen))[:size]


@pytest.mark.parametrize("pen", [4, 12])
@pytest.mark.parametrize("text", ["-3.5", "-7", "1,250.75"])
def test_marks_are_kept_in_the_text_alone(predictor: MNISTPredictor, text: str, pen: float) -> None:
    number = predictor.predict_number(written(text, pen=pen))
    assert number.text == text
    assert number.digits == "".join(sign for sign in text if sign.isdigit())
    assert len(number.boxes) == len(number.predictions) == len(number.digits)


def test_dots_elsewhere_are_no_points(predictor: MNISTPredictor) -> None:
    image = row_of("305").copy()
    for row, column in ((60, 118), (10, 238), (108, 60), (90, 352)):  # between, above, below, after
        image[row : row + 8, column : column + 8] = 0
    assert predictor.predict_number(image).text == "305"


def test_all_rows_are_read_from_top_to_bottom(predictor: MNISTPredictor) -> None:
    """Rows of different lengths and sizes, that slope; the largest is the number."""
    rows = [row_of("41"), row_of("2026"), row_of("38", size=60)]
    image = np.full((400, 640), 255, np.uint8)
    for top, row in zip((20, 150, 290), rows, strict=True):
        image[top : top + row.shape[0], 80 : 80 + row.shape[1]] = row
    turned = Image.fromarray(image).rotate(4, Image.Resampling.BICUBIC, fillcolor=255)
    found = predictor.predict_rows(turned)
    assert [number.text for number in found] == ["41", "2026", "38"]
    assert predictor.predict_number(turned) == found[1]


@pytest.mark.parametrize("width", [2, 5])
@pytest.mark.parametrize("gap", [0, 6])
def test_each_digit_in_a_box_of_its_own(predictor: MNISTPredictor, width: int, gap: int) -> None:
    """A comb, whose boxes share their walls, or boxes apart."""
    cells = []
    for digit in "2026":
        cell = np.asarray(draw_strokes(pen_strokes(int(digit), "round", 120), 120, 8)).copy()
        cell[:width] = cell[-width:] = cell[:, :width] = cell[:, -width:] = 0
        cells.append(np.pad(cell, ((0, 0), (0, gap)), constant_values=255))
    image = np.pad(np.concatenate(cells, 1), 20, constant_values=255)
    number = predictor.predict_number(image)
    assert number.text == "2026"
    assert number.is_confident
    for place, (left, _, right, _) in enumerate(number.boxes):
        start = 20 + place * (120 + gap)
        assert start < left < right < start + 120


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("at", [100, 112])  # through the digits' feet, and below them
def test_a_line_under_a_number_is_no_ink(predictor: MNISTPredictor, dotted: bool, at: int) -> None:
    image = row_of("3052").copy()
    columns = np.arange(image.shape[1])
    inked = columns[(columns // 6) % 2 == 0] if dotted else columns
    image[at : at + 3, inked] = 60
    assert predictor.predict_number(image).text == "3052"


def test_most_digits_that_touch_are_cut_apart(predictor: MNISTPredictor) -> None:
    """Two digits, the second moved so far to the left that they touch."""
    correct = joined = 0
    for first, second in ("10", "25", "47", "36", "81", "90", "62", "53", "74", "08"):
        ink = [
            255 - np.asarray(draw_strokes(pen_strokes(int(d), "round", 120), 120, 8))
            for d in (first, second)
        ]
        ends = [np.flatnonzero(pixels.max(0) > 128)[[0, -1]] for pixels in ink]
        image = np.zeros((120, 240), np.uint8)
        image[:, :120] = ink[0]
        start = ends[0][1] - 3 - ends[1][0]  # they overlap by four columns
        image[:, start : start + 120] = np.maximum(image[:, start : start + 120], ink[1])
        joined += len(segment_digits(image)) == 1
        correct += predictor.predict_number(image).text == first + second
    assert joined >= 6, "most of these pairs touch"
    assert correct >= 6


def test_a_digit_that_is_certain_is_not_cut(predictor: MNISTPredictor) -> None:
    for digit, style in ((d, style) for d in range(10) for style in STYLES[:6]):
        image = draw_strokes(pen_strokes(digit, style, 120), 120, 8)
        assert len(predictor.predict_number(image).text) == 1, (digit, style)


def test_a_dark_thing_beside_a_number_is_left_out(predictor: MNISTPredictor) -> None:
    image = np.pad(row_of("847"), ((20, 140), (30, 60)), constant_values=255).copy()
    image[210:, 90:] = 30
    assert predictor.predict_number(image).text == "847"


def on_dotted_line(text: str, scale: float, pace: int) -> Image.Image:
    """Write a number with a gray pen as a small scan shows it, its feet on a dotted line."""
    row = row_of(text)
    size = (round(scale * row.shape[1]), round(scale * row.shape[0]))
    small = Image.fromarray(row).resize(size, Image.Resampling.BOX)
    pixels = 235 - 0.5 * (255 - np.asarray(small, np.float64))
    foot = np.flatnonzero((pixels < 180).any(1))[-1]
    pixels[foot : foot + 2, ::pace] = np.minimum(pixels[foot : foot + 2, ::pace], 130)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize("pace", [2, 3])
@pytest.mark.parametrize("text", ["2017", "305", "2024"])
def test_ten_pixels_high_on_a_dotted_line(predictor: MNISTPredictor, text: str, pace: int) -> None:
    assert predictor.predict_number(on_dotted_line(text, 0.12, pace)).text == text


def test_the_foot_of_a_digit_on_a_line_is_not_confidently_taken_away(
    predictor: MNISTPredictor,
) -> None:
    """The line takes the foot of a 2 with it, which leaves a 7; with the line it is a 2."""
    number = predictor.predict_number(on_dotted_line("4218", 0.16, 2))
    assert number.text == "4218" or not number.is_confident


def test_ways_that_disagree_leave_less_probability() -> None:
    def way(digit: int, probability: float) -> list[Row]:
        return [Row([(0, 0, 1, 1)], [], {}, [np.eye(10)[digit]], probability)]

    (best,) = vote([way(7, 0.8), way(2, 0.7), way(2, 0.5), way(3, 0.0)])
    assert best.probs[0].argmax() == 2
    assert best.probability == pytest.approx((0.7 + 0.5) / 4)
    assert vote([way(7, 0.8)])[0].probability == 0.8
    assert vote([way(7, 0.0), way(2, 0.0)])[0].probability == 0

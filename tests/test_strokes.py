"""Digits as pen strokes."""

from __future__ import annotations

import numpy as np
import pytest

from mnist_helpers.signs import DOODLES, GREEK, LATIN, OPERATORS
from mnist_helpers.strokes import draw_outlined, draw_strokes, pen_strokes, written
from mnist_helpers.styles import FORMS, OTHER_FORMS, STYLES

TABLES = (FORMS, OTHER_FORMS, LATIN, GREEK, OPERATORS, DOODLES)
ALL_FORMS = [form for table in TABLES for forms in table.values() for form in forms]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("digit", range(10))
def test_strokes_stay_on_the_sheet(digit: int, style: str) -> None:
    for variation in (None, 0, 1):
        points = np.concatenate(pen_strokes(digit, style, 200, variation))
        assert points.min() > 0
        assert points.max() < 200


@pytest.mark.parametrize("form", ALL_FORMS)
def test_forms_stay_on_the_sheet_and_differ(form: str) -> None:
    assert ALL_FORMS.count(form) == 1
    for rng in (None, np.random.default_rng(0)):
        points = np.concatenate(written(form, 200, rng))
        assert points.min() > 0
        assert points.max() < 200


def test_a_variation_repeats_and_differs_from_the_next() -> None:
    first, again, other = (pen_strokes(3, "round", variation=number) for number in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.allclose(first[0][0], other[0][0])


def test_size_scales_the_points() -> None:
    small, large = pen_strokes(8, size=100), pen_strokes(8, size=300)
    np.testing.assert_allclose(np.array(small[0]) * 3, large[0])


@pytest.mark.parametrize(("digit", "style"), [(10, "round"), (-1, "round"), (3, "left")])
def test_unknown_digits_and_hands_are_named(digit: int, style: str) -> None:
    with pytest.raises(ValueError, match=str(digit) if digit != 3 else style):
        pen_strokes(digit, style)


def test_drawing_has_the_size_ink_and_paper_asked_for() -> None:
    sheet = np.asarray(draw_strokes([[(20, 50), (80, 50)]], size=100, pen=10, ink=40, paper=230))
    assert sheet.shape == (100, 100)
    assert sheet[50, 50] == 40
    assert sheet[5, 5] == 230
    column = sheet[:, 50]
    assert (column < 135).sum() == pytest.approx(10, abs=1)  # the pen's width


def test_a_single_point_is_a_dot() -> None:
    sheet = np.asarray(draw_strokes([[(50, 50)]], size=100, pen=20))
    assert (sheet < 128).sum() == pytest.approx(np.pi * 100, rel=0.1)


def test_an_outline_is_dark_around_and_light_inside() -> None:
    strokes = [np.array([[140.0, 60.0], [140.0, 220.0]])]
    sheet = np.asarray(draw_outlined(strokes, pen=28, line=6))
    assert sheet.shape == (280, 280)
    row = sheet[140]
    assert row[140] == 255 and row[100] == 255, "paper inside and outside"
    dark = np.flatnonzero(row < 128)
    assert dark.min() == pytest.approx(120, abs=1) and dark.max() == pytest.approx(159, abs=1)
    assert len(dark) == pytest.approx(12, abs=2)

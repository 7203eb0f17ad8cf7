"""The README's figures: they exist, are small, say in words what they show, and show no mistake."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from mnist_helpers.prediction import MNISTPredictor

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))
import draw_figures  # noqa: E402


@pytest.mark.parametrize("name", draw_figures.FIGURES)
def test_a_figure_is_small_and_described(name: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (alt,) = re.findall(rf"!\[(.+)\]\(docs/{name}\.png\)", text)
    assert len(alt) > 60
    path = ROOT / "docs" / f"{name}.png"
    with Image.open(path) as image:
        assert image.width < 1000
    assert path.stat().st_size < 120_000


def test_what_the_figures_show_is_predicted_correctly(predictor: MNISTPredictor) -> None:
    number = predictor.predict_number(draw_figures.written_number())
    assert number.text == draw_figures.NUMBER and number.is_confident
    found = [predictor.predict(pixels) for pixels in draw_figures.cells().values()]
    assert [one.digit for one in found] == [3, 7, 5] and all(one.is_confident for one in found)


def test_a_figure_is_drawn_and_saved(predictor: MNISTPredictor, tmp_path: Path) -> None:
    figure = draw_figures.draw_cells(predictor)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[::2] == list(draw_figures.cells())
    assert [title[:11] for title in titles[1::2]] == ["predicted 3", "predicted 7", "predicted 5"]
    draw_figures.save(figure, tmp_path / "cells.png")
    plt.close(figure)
    assert (tmp_path / "cells.png").stat().st_size < 120_000

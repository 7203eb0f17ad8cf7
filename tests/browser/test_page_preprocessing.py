"""The static page preprocesses strokes in JavaScript; the predictions are those of Python."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Page

from mnist_helpers import MNISTPredictor, to_mnist
from mnist_helpers.serve.page import STATIC
from mnist_helpers.strokes import HANDS, draw_strokes, pen_strokes

ROOT = Path(__file__).resolve().parents[2]
PENS = (18, 5, 30, 12)


@pytest.fixture(scope="module")
def scripts(browser: Browser) -> Iterator[Page]:
    """A blank page with the scripts that preprocess, and the constants that the build writes."""
    spec = importlib.util.spec_from_file_location("build_page", ROOT / "tools" / "build_page.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = browser.new_page()
    page.add_script_tag(content=f"const MNIST = {json.dumps(tool.constants())};")
    for name in ("pad.js", "mnist.js"):
        page.add_script_tag(content=(STATIC / name).read_text(encoding="utf-8"))
    yield page
    page.close()


def in_browser(page: Page, drawings: list[list[np.ndarray]], pen: float = 18) -> np.ndarray:
    """Return the 28×28 images that the page makes of drawings: uint8 [N, 28, 28]."""
    script = "([drawings, pen]) => drawings.map((strokes) => Array.from(toMnist(strokes, pen)))"
    given = [[np.asarray(stroke).tolist() for stroke in strokes] for strokes in drawings]
    images = page.evaluate(script, [given, pen])
    return np.array(images, dtype=np.uint8).reshape(-1, 28, 28)


@pytest.mark.parametrize("pen", PENS)
def test_predictions_agree_for_all_styles_and_digits(scripts: Page, pen: int) -> None:
    predictor = MNISTPredictor()
    drawings = [
        [np.round(stroke, 1) for stroke in pen_strokes(digit, style, variation=4)]
        for digit in range(10)
        for style in HANDS
    ]
    ours = predictor.probabilities(np.stack([to_mnist(draw_strokes(d, pen=pen)) for d in drawings]))
    theirs = predictor.probabilities(in_browser(scripts, drawings, pen))
    confident = ours.max(1) > 0.9
    assert confident.mean() > 0.9
    assert (theirs.argmax(1) == ours.argmax(1))[confident].all()
    assert (theirs.argmax(1) == ours.argmax(1)).mean() > 0.97
    assert np.median(np.abs(theirs - ours).max(1)) < 0.001


def test_unusual_drawings_too(scripts: Page) -> None:
    """Small ones, ones that leave the sheet, and ones with a speck beside them."""
    predictor = MNISTPredictor()
    drawings = []
    for digit in range(10):
        strokes = pen_strokes(digit, "round")
        drawings += [
            [stroke / 4 + 30 for stroke in strokes],
            [stroke + np.array([-45, 20]) for stroke in strokes],
            [*strokes, np.array([[275.0, 8.0]])],
        ]
    ours = np.stack([to_mnist(draw_strokes(drawing)) for drawing in drawings])
    ours, theirs = (predictor.probabilities(x) for x in (ours, in_browser(scripts, drawings)))
    confident = ours.max(1) > 0.9
    assert confident.mean() > 0.8
    assert (theirs.argmax(1) == ours.argmax(1))[confident].all()


def test_a_point_becomes_a_disc(scripts: Page) -> None:
    (image,) = in_browser(scripts, [[np.array([[80.0, 170.0]])]])
    rows, columns = np.nonzero(image)
    assert (np.ptp(rows), np.ptp(columns)) == (19, 19)
    assert image.max() == 255
    assert image[14, 14] == 255


@pytest.mark.parametrize("strokes", [[], [[[-100, 40], [-90, 60]]]], ids=["none", "off the sheet"])
def test_nothing_on_the_sheet_is_an_error(scripts: Page, strokes: list) -> None:
    with pytest.raises(Error, match="empty"):
        in_browser(scripts, [strokes])

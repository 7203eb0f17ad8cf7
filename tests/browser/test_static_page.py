"""The static page, opened from its folder without any server, in a real browser."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from screens import PATIENCE, SCREENS, SCREENSHOTS, draw

from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.preprocess import to_mnist
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.styles import STYLES

ROOT = Path(__file__).resolve().parents[2]
UNREACHABLE = re.compile("ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ETIMEDOUT|network")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, users_environment: dict[str, str]) -> Path:
    """Build the page; without npm's registry there is no ONNX Runtime Web to build it with."""
    spec = importlib.util.spec_from_file_location("build_page", ROOT / "tools" / "build_page.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    try:
        # The tests' own environment lets nothing out, but npm fetches a package.
        with patch.dict(os.environ, users_environment, clear=True):
            return tool.build(tmp_path_factory.mktemp("page"))
    except RuntimeError as error:
        if UNREACHABLE.search(str(error)):
            pytest.skip(f"npm's registry cannot be reached from here: {error}")
        raise


@pytest.fixture(scope="module", params=SCREENS)
def page(request: pytest.FixtureRequest, browser: Browser, built: Path) -> Iterator[Page]:
    """The page, opened; at the end, nothing may have been asked of any server."""
    context = browser.new_context(**SCREENS[request.param], offline=True)
    context.set_default_timeout(PATIENCE)
    context.screen = request.param
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(built.as_uri())
    expect(page.locator("#answer")).to_contain_text("Draw a digit", timeout=PATIENCE)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    yield page
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    assert problems == []
    context.close()


@pytest.mark.parametrize("digit", [3, 7])
def test_a_drawn_digit_is_read_without_a_server(page: Page, digit: int) -> None:
    page.get_by_role("button", name="Clear").click()
    draw(page, digit)
    expect(page.locator("#answer .digit")).to_have_text(str(digit), timeout=PATIENCE)
    expect(page.locator("#answer .bars tr")).to_have_count(10)
    page.screenshot(path=SCREENSHOTS / f"static_{digit}_{page.context.screen}.png", full_page=True)
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#answer")).to_contain_text("Draw a digit", timeout=PATIENCE)


def test_axe_finds_no_serious_fault(page: Page) -> None:
    draw(page, 2)
    expect(page.locator("#answer .digit")).to_have_text("2", timeout=PATIENCE)
    found = Axe().run(page).response["violations"]
    serious = [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]
    assert serious == []


def test_the_browser_reads_as_python_does(page: Page) -> None:
    """The same strokes: the same digit, and nearly the same probabilities."""
    if page.context.screen != "light":
        return  # once is enough: it does not depend on the screen
    predictor = MNISTPredictor()
    drawings = [
        [np.round(stroke, 1) for stroke in pen_strokes(digit, style, variation=5)]
        for digit in range(10)
        for style in STYLES
    ]
    script = """async (drawings) => {
        const session = await startNetwork();
        const found = [];
        for (const strokes of drawings) {
            const image = toMnist(drawStrokes(strokes));
            found.push([Array.from(image), await probabilities(session, image)]);
        }
        return found;
    }"""
    found = page.evaluate(script, [[s.tolist() for s in strokes] for strokes in drawings])
    images = np.array([image for image, _ in found], dtype=np.uint8).reshape(-1, 28, 28)
    theirs = np.array([probs for _, probs in found])
    assert np.abs(theirs - predictor.predict_proba(images)).max() < 1e-4, "the same network"
    ours = predictor.predict_proba(np.stack([to_mnist(draw_strokes(s)) for s in drawings]))
    sure = ours.max(1) > 0.9
    assert sure.mean() > 0.9
    assert (theirs.argmax(1) == ours.argmax(1))[sure].all()
    assert (theirs.argmax(1) == ours.argmax(1)).mean() > 0.97
    assert np.median(np.abs(theirs - ours).max(1)) < 0.001

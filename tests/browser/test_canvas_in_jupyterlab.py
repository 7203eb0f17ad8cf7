"""Notebook 04 in JupyterLab, in a real browser: digits drawn with the mouse and with a finger."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from screens import KERNEL_PATIENCE as PATIENCE
from screens import SCREENSHOTS, run_in_lab

from mnist_helpers.strokes import pen_strokes


@pytest.fixture(scope="module")
def page(lab: str, browser: Browser) -> Iterator[Page]:
    """Open notebook 04, run all of its cells, and wait until the last one is done."""
    with run_in_lab(lab, browser, "04_prediction.ipynb") as page:
        yield page


@pytest.fixture
def canvas(page: Page) -> Locator:
    """The canvas, wiped."""
    canvas = page.locator(".mnist-digit-canvas").locator("visible=true").first
    canvas.scroll_into_view_if_needed()
    page.get_by_role("button", name="Clear").first.click()
    expect(answer(page)).to_contain_text("Draw a digit", timeout=PATIENCE)
    return canvas


def answer(page: Page) -> Locator:
    """Where the widget says what it has read."""
    return page.locator(".mnist-digit-answer").first


def corner(canvas: Locator) -> np.ndarray:
    """The canvas's top left corner in the window, inside its border."""
    box = canvas.bounding_box()
    return np.array([box["x"] + 1, box["y"] + 1])


def draw(page: Page, canvas: Locator, digit: int, hand: str = "round") -> None:
    """Draw a digit with the mouse, stroke by stroke."""
    start = corner(canvas)
    for stroke in pen_strokes(digit, hand):
        points = start + stroke
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def stroke_count(page: Page) -> Locator:
    """Where the widget says how many strokes the drawing has."""
    return page.locator(".mnist-digit-strokes").first


@pytest.mark.parametrize("digit", [3, 7])
def test_a_digit_drawn_with_the_mouse_is_read(page: Page, canvas: Locator, digit: int) -> None:
    draw(page, canvas, digit, "continental")
    expect(answer(page)).to_contain_text(re.compile(rf"^\s*{digit}\s"), timeout=PATIENCE)
    page.screenshot(path=SCREENSHOTS / f"canvas_{digit}.png")
    widget = page.locator(".jp-OutputArea-output", has=page.locator(".mnist-digit-canvas")).first
    widget.screenshot(path=SCREENSHOTS / f"canvas_{digit}_alone.png")


def test_no_cell_failed_or_warned(page: Page) -> None:
    errors = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]')
    texts = [text for text in errors.all_inner_texts() if "OfflineSampleWarning" not in text]
    assert texts == []
    assert page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0


def test_a_stroke_that_leaves_the_canvas_ends_there(page: Page, canvas: Locator) -> None:
    x, y = corner(canvas)
    page.mouse.move(x + 140, y + 60)
    page.mouse.down()
    page.mouse.move(x + 140, y + 200, steps=5)
    page.mouse.move(x + 140, y - 40, steps=5)  # out at the top, with the button down
    page.mouse.up()  # where the canvas does not hear it
    expect(stroke_count(page)).to_have_text("1 stroke", timeout=PATIENCE)
    for step in range(10):  # back again without a button: nothing may be drawn
        page.mouse.move(x + 30 + 20 * step, y + 240)
    draw(page, canvas, 1)
    expect(stroke_count(page)).to_have_text("2 strokes", timeout=PATIENCE)
    expect(answer(page)).to_contain_text(re.compile(r"^\s*1\s"), timeout=PATIENCE)


def test_undo_takes_one_stroke_back(page: Page, canvas: Locator) -> None:
    draw(page, canvas, 4, "continental")
    expect(stroke_count(page)).to_have_text("3 strokes", timeout=PATIENCE)
    page.get_by_role("button", name="Undo").first.click()
    expect(stroke_count(page)).to_have_text("2 strokes", timeout=PATIENCE)


def test_a_touch_stroke_is_drawn_and_ends(page: Page, canvas: Locator) -> None:
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *points: np.ndarray) -> None:
        places = [{"x": float(x), "y": float(y)} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    start = corner(canvas)
    for stroke in pen_strokes(7, "round"):
        send("touchStart", start + stroke[0])
        for point in stroke[1:]:
            send("touchMove", start + point)
        send("touchEnd")
    expect(stroke_count(page)).to_have_text("2 strokes", timeout=PATIENCE)
    expect(answer(page)).to_contain_text(re.compile(r"^\s*7\s"), timeout=PATIENCE)
    page.screenshot(path=SCREENSHOTS / "canvas_touch.png")

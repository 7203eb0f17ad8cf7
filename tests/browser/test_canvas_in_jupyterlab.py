"""Notebook 05 in JupyterLab, in a real browser: digits drawn with the mouse and with a finger."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from screens import COLOURS, SCREENSHOTS, run_in_lab, write_gif
from screens import KERNEL_PATIENCE as PATIENCE

from mnist_helpers.strokes import pen_strokes


@pytest.fixture(scope="module")
def page(lab: str, browser: Browser) -> Iterator[Page]:
    """Open notebook 05, run all of its cells, and wait until the last one is done."""
    with run_in_lab(lab, browser, "05_prediction.ipynb", scale=2) as page:
        yield page


@pytest.fixture
def canvas(page: Page) -> Locator:
    """The canvas, wiped."""
    canvas = page.locator(".mnist-digit-ink").locator("visible=true").first
    canvas.scroll_into_view_if_needed()
    page.get_by_role("button", name="Clear").first.click()
    expect(answer(page)).to_contain_text("Draw a digit", timeout=PATIENCE)
    return canvas


def answer(page: Page) -> Locator:
    """Where the widget says what it has read."""
    return page.locator(".mnist-digit-answer").first


def corner(canvas: Locator) -> np.ndarray:
    """The canvas's top left corner in the window."""
    box = canvas.bounding_box()
    return np.array([box["x"], box["y"]])


def draw(page: Page, canvas: Locator, digit: int, style: str = "round") -> None:
    """Draw a digit with the mouse, stroke by stroke."""
    start = corner(canvas)
    for stroke in pen_strokes(digit, style):
        points = start + stroke
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def stroke_count(page: Page) -> Locator:
    """Where the widget says how many strokes the drawing has."""
    return page.locator(".mnist-digit-strokes").first


def test_in_a_narrow_window_the_canvas_is_whole(page: Page, canvas: Locator) -> None:
    before = page.viewport_size
    page.set_viewport_size({"width": 800, "height": 1000})
    try:
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        corner = [box["x"] + box["width"] - 5, box["y"] + 5]
        there = "([x, y]) => !!document.elementFromPoint(x, y)?.closest('.mnist-digit-ink')"
        assert page.evaluate(there, corner), "its right edge is cut"
    finally:
        page.set_viewport_size(before)


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


CELLS = (
    """
from mnist_helpers import DigitCanvas
from mnist_helpers.strokes import pen_strokes
canvas = DigitCanvas(collect="digits")
canvas.draw(pen_strokes(7))
canvas""",
    """
import time
from pathlib import Path
print("waiting", flush=True)
while not Path("continue").exists():
    time.sleep(0.1)""",
)
BUSY = "busy: answers when the running cell is done"


def ink_on(canvas: Locator) -> int:
    """How many pixels of the sheet in the browser are dark."""
    return canvas.evaluate(
        "sheet => { const {data} = sheet.getContext('2d').getImageData(0, 0, sheet.width,"
        " sheet.height); let dark = 0; for (let i = 0; i < data.length; i += 4)"
        " dark += data[i] < 128; return dark; }"
    )


@pytest.fixture(scope="module")
def busy_page(notebooks: Path, lab: str, browser: Browser) -> Iterator[Page]:
    """A notebook with a canvas whose kernel is busy until there is a file "continue" beside it."""
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, notebooks / "busy.ipynb")
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(lab.format("busy.ipynb"))
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Idle", timeout=PATIENCE)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item", has_text=re.compile("^Run All Cells")).click()
    expect(page.locator(".jp-OutputArea-output").last).to_contain_text("waiting", timeout=PATIENCE)
    yield page
    (notebooks / "continue").touch()
    context.close()


def test_a_busy_kernel_and_a_closed_notebook(busy_page: Page, notebooks: Path, lab: str) -> None:
    """One story: draw and save while a cell runs, then close the kernel and open it again."""
    page = busy_page
    canvas = page.locator(".mnist-digit-ink").first
    save = page.locator(".mnist-digit-collection button")
    seven = ink_on(canvas)
    assert seven > 1000
    draw(page, canvas, 1)
    assert 500 < ink_on(canvas) < seven, "the drawing by code has to give way to a person's"
    expect(page.locator(".mnist-busy-note").first).to_have_text(BUSY, timeout=PATIENCE)
    expect(answer(page)).to_contain_text("7")  # nothing but the browser can have answered
    save.nth(1).click()
    assert ink_on(canvas) == 0
    draw(page, canvas, 3, "continental")
    expect(page.locator(".mnist-digit-collection")).to_contain_text("1 more as soon as the kernel")
    page.screenshot(path=SCREENSHOTS / "canvas_busy.png")
    assert not (notebooks / "digits").exists()

    (notebooks / "continue").touch()
    expect(answer(page)).to_contain_text(re.compile(r"^\s*3\s"), timeout=PATIENCE)
    expect(page.locator(".mnist-busy-note").first).to_be_empty(timeout=PATIENCE)
    expect(save.nth(1)).to_have_text("1 (1)", timeout=PATIENCE)
    save.nth(3).click()
    expect(save.nth(3)).to_have_text("3 (1)", timeout=PATIENCE)
    assert sorted(path.parent.name for path in notebooks.glob("digits/*/*.png")) == ["1", "3"]

    draw(page, canvas, 4)
    expect(answer(page)).to_contain_text(re.compile(r"^\s*4\s"), timeout=PATIENCE)
    four = ink_on(canvas)
    with page.expect_response(lambda one: "busy.ipynb" in one.url and one.request.method == "PUT"):
        page.keyboard.press("Control+s")
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.locator(".lm-Menu-item", has_text=re.compile("^Shut Down Kernel")).click()
    expect(page.locator("#jp-main-statusbar")).to_contain_text("No Kernel", timeout=PATIENCE)
    page.goto(lab.format("busy.ipynb"))  # alone: a reload brings back what other tests opened
    canvas.wait_for(timeout=PATIENCE)
    expect(answer(page)).to_contain_text(re.compile(r"^\s*4\s"), timeout=PATIENCE)
    assert ink_on(canvas) == four
    note = page.locator(".mnist-busy-note").first
    expect(note).to_contain_text("run this notebook's cells again", timeout=PATIENCE)
    assert page.get_by_text("model not found").count() == 0
    page.screenshot(path=SCREENSHOTS / "canvas_reopened.png")


PARTS = "canvas, table, button, .widget-slider, .mnist-digit-answer, .mnist-digit-strokes"
MARGIN = 20  # around the widget, in pixels of the page
FRAMES = 16  # while the pen is moving


def place(output: Locator) -> dict[str, float]:
    """Return the rectangle that the widget's parts fill, in whole pixels of the page."""
    boxes = [part.bounding_box() for part in output.locator(PARTS).all()]
    edges = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in boxes if b]
    left, top = np.floor(np.min(edges, axis=0))[:2]
    right, bottom = np.ceil(np.max(edges, axis=0))[2:]
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def photograph(page: Page, clip: dict[str, float]) -> Image.Image:
    """Return what is in a rectangle of the page, on a white sheet with a margin."""
    shown = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
    margin = round(MARGIN * shown.width / clip["width"])
    sheet = Image.new("RGB", (shown.width + 2 * margin, shown.height + 2 * margin), "white")
    sheet.paste(shown, (margin, margin))
    return sheet


def wait_until_it_rests(output: Locator) -> None:
    """Wait until nothing in the widget has changed for a moment: an answer comes in parts."""
    before = None
    while before != (now := (output.inner_text(), output.locator("img").get_attribute("src"))):
        before = now
        output.page.wait_for_timeout(200)


def test_the_canvas_at_work_is_recorded(page: Page, canvas: Locator) -> None:
    """What this writes to outputs/screenshots/ becomes docs/canvas.gif and docs/canvas.png."""
    output = page.locator(".jp-OutputArea-output", has=canvas).first
    output.evaluate("output => output.scrollIntoView({block: 'center'})")
    page.evaluate("document.activeElement.blur()")  # no button looks pressed
    strokes = [corner(canvas) + stroke for stroke in pen_strokes(3)]
    page.mouse.move(*strokes[0][0])
    clip = place(output)
    frames = [photograph(page, clip)]
    every = sum(map(len, strokes)) / FRAMES
    drawn = 0
    for stroke in strokes:
        page.mouse.move(*stroke[0])
        page.mouse.down()
        for point in stroke:
            drawn += 1
            wanted = drawn >= len(frames) * every
            if wanted:
                page.wait_for_timeout(150)  # so long that the next move will be read
            page.mouse.move(*point)
            if wanted:
                wait_until_it_rests(output)
                frames.append(photograph(page, clip))
        page.mouse.up()
    expect(answer(page)).to_contain_text(re.compile(r"^\s*3\s+(100|9\d)%"), timeout=PATIENCE)
    expect(stroke_count(page)).to_have_text("2 strokes", timeout=PATIENCE)
    wait_until_it_rests(output)
    frames[-1] = photograph(page, clip)
    still = frames[-1].quantize(COLOURS, dither=Image.Dither.NONE)
    still.save(SCREENSHOTS / "canvas_at_work.png", optimize=True)
    milliseconds = [1000] + [200] * (len(frames) - 2) + [2500]
    path = SCREENSHOTS / "canvas_at_work.gif"
    write_gif(path, frames, milliseconds)
    assert path.stat().st_size < 600_000
    with Image.open(path) as gif:
        assert gif.n_frames == len(frames) == FRAMES + 1 and gif.info["loop"] == 0

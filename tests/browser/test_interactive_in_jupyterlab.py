"""The figures with controls in JupyterLab, in a real browser, moved by keyboard and mouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from screens import KERNEL_PATIENCE as PATIENCE
from screens import SCREENSHOTS, run_in_lab

CELLS = {
    "set-up": """
import numpy as np
from mnist_helpers import *
from mnist_helpers.evaluation import Evaluation
from mnist_helpers.strokes import pen_strokes

test = load_mnist(source="sample").test[:500]
labels = test.labels.numpy()
logits = np.random.default_rng(0).normal(size=(len(labels), 10)).astype(np.float32)
logits[np.arange(len(labels)), labels] += 3
result = Evaluation(labels, logits)""",
    "kernel": """
KernelEditor(test.images[:10])""",
    "maps": """
maps = FeatureMaps()
maps.draw(pen_strokes(7))
maps""",
    "rates": """
LearningRateExplorer({rate: 2.3 * np.exp(-rate * np.arange(50)) for rate in (0.001, 0.01, 0.1)})""",
    "gallery": """
ErrorGallery(test.images, misclassified(result))""",
    "threshold": """
ThresholdSlider(result.probs.max(1), result.correct)""",
    "moved": """
ShiftRotateExplorer(test.images[0])""",
}


@pytest.fixture(scope="module")
def page(notebooks: Path, lab: str, browser: Browser) -> Iterator[Page]:
    """Open a notebook with all of them, and run it."""
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, notebooks / "interactive.ipynb")
    with run_in_lab(lab, browser, "interactive.ipynb") as page:
        yield page


def shown(page: Page, name: str) -> Locator:
    """What a cell shows."""
    output = page.locator(".jp-CodeCell").nth(list(CELLS).index(name)).locator(".jp-OutputArea")
    output.first.scroll_into_view_if_needed()
    return output.first


def figure(output: Locator) -> str:
    """The address of its image, which is another one after each change."""
    return output.locator("img.mnist-live-figure").get_attribute("src")


def changed(output: Locator, before: str) -> None:
    """Wait until the image is another one, and has been drawn."""
    image = output.locator("img.mnist-live-figure")
    expect(image).not_to_have_attribute("src", before, timeout=PATIENCE)
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500


def words(output: Locator) -> Locator:
    return output.locator(".mnist-live-words [role=status]")


def press_on_slider(output: Locator, number: int, key: str, times: int = 1) -> None:
    """Press a key, and see the handle move."""
    handle = output.locator(".noUi-handle").nth(number)
    for _ in range(times):
        before = handle.get_attribute("aria-valuetext")
        handle.press(key)
        expect(handle).not_to_have_attribute("aria-valuetext", before)


def test_a_kernel_is_edited(page: Page) -> None:
    output = shown(page, "kernel")
    before = figure(output)
    fields = output.locator("input[type=number]")
    expect(fields).to_have_count(9)
    fields.nth(0).fill("-4")
    fields.nth(0).press("Enter")
    changed(output, before)
    expect(words(output)).to_contain_text("your own")
    before = figure(output)
    output.get_by_label("Kernel").select_option("sharpen")
    changed(output, before)
    expect(fields.nth(4)).to_have_value("5")
    before = figure(output)
    press_on_slider(output, 0, "ArrowRight")
    changed(output, before)
    output.screenshot(path=SCREENSHOTS / "interactive_kernel.png")


def test_maps_follow_the_pen(page: Page) -> None:
    output = shown(page, "maps")
    maps = output.locator("img.mnist-feature-maps")
    expect(maps).to_have_count(2)
    output.screenshot(path=SCREENSHOTS / "interactive_maps.png")
    before = [maps.nth(number).get_attribute("src") for number in range(2)]
    output.get_by_role("button", name="Clear").click()
    box = output.locator(".mnist-digit-canvas").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 140)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 140, steps=8)
    page.mouse.up()
    expect(output.locator(".mnist-digit-strokes")).to_have_text("1 stroke", timeout=PATIENCE)
    for number in range(2):
        expect(maps.nth(number)).not_to_have_attribute("src", before[number])
    output.screenshot(path=SCREENSHOTS / "interactive_maps_stroke.png")


def test_sliders_move_by_keyboard(page: Page) -> None:
    for name, key, text in (
        ("rates", "ArrowLeft", "Learning rate 0.001"),
        ("threshold", "ArrowLeft", "Threshold 0.899"),
        ("moved", "ArrowRight", "by 1 pixels to the right"),
    ):
        output = shown(page, name)
        before = figure(output)
        press_on_slider(output, 0, key)
        changed(output, before)
        expect(words(output)).to_contain_text(text)
        output.screenshot(path=SCREENSHOTS / f"interactive_{name}.png")


def test_a_digit_is_rotated_and_preprocessed(page: Page) -> None:
    output = shown(page, "moved")
    before = figure(output)
    press_on_slider(output, 2, "ArrowRight", 6)
    expect(words(output)).to_contain_text("turned by 30°")
    changed(output, before)
    before = figure(output)
    output.get_by_label("preprocess it as MNIST was").check()
    changed(output, before)
    output.screenshot(path=SCREENSHOTS / "interactive_moved.png")
    output.get_by_label(
        "preprocess it as MNIST was"
    ).uncheck()  # preprocessed, a moved digit looks the same


def test_the_gallery_shows_a_pair(page: Page) -> None:
    output = shown(page, "gallery")
    output.screenshot(path=SCREENSHOTS / "interactive_gallery.png")
    before = figure(output)
    output.get_by_label("True digit").select_option(index=5)
    changed(output, before)
    expect(words(output)).to_contain_text("true digit 4")
    output.screenshot(path=SCREENSHOTS / "interactive_gallery_4.png")


def test_nothing_failed_or_warned(page: Page) -> None:
    assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
    assert page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0


def test_a_link_to_a_section_jumps_there(lab: str, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(lab.format("03_architecture.ipynb"))
    link = page.locator(".jp-Notebook a[href='#shapes']").first
    heading = page.locator(".jp-Notebook h2", has_text="Shapes")
    link.scroll_into_view_if_needed()
    expect(heading).not_to_be_in_viewport()
    link.click()
    expect(heading).to_be_in_viewport(timeout=PATIENCE)
    page.close()

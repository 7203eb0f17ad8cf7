"""What pages and notebooks are tried with: screens, a hand that draws, a notebook that has run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from mnist_helpers.strokes import pen_strokes

PATIENCE = 120_000  # milliseconds
KERNEL_PATIENCE = 180_000  # slow machines take their time to start a kernel
COLOURS = 64  # of the images for the README
SCREENSHOTS = Path(__file__).resolve().parents[2] / "outputs" / "screenshots"
SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 1050}},
    "dark": {"viewport": {"width": 1280, "height": 1050}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
CHROMIUM_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # In containers root, and often others as well, may not make a sandbox, and shared memory is
    # small. All that is opened are pages of our own.
    "--no-sandbox",
    "--disable-dev-shm-usage",
)


def draw(
    page: Page, digit: int, style: str = "continental", pad: str = ".pad", place: float = 0
) -> None:
    """Draw a digit with the mouse on a sheet, wherever the page has put it.

    It is drawn in a square as high as the sheet, `place` times its height from the left.
    """
    for stroke in pen_strokes(digit, style, 1.0):
        box = page.locator(pad).bounding_box()
        corner = np.array([box["x"] + place * box["height"], box["y"]])
        points = corner + stroke * box["height"]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


@contextmanager
def run_in_lab(lab: str, browser: Browser, name: str, scale: float = 1) -> Iterator[Page]:
    """Open a notebook in JupyterLab, run all of its cells, and wait until the last one is done.

    With a scale of 2, a screenshot has two pixels for each of the page's.
    """
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        device_scale_factor=scale,
        has_touch=True,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(KERNEL_PATIENCE)
    page.goto(lab.format(name))
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Idle", timeout=KERNEL_PATIENCE)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item", has_text=re.compile("^Run All Cells")).click()
    prompts = page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea-prompt")
    expect(prompts.last).to_have_text(re.compile(r"\[\d+\]:"), timeout=KERNEL_PATIENCE)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    yield page
    context.close()


def write_gif(path: Path, frames: list[Image.Image], milliseconds: list[int]) -> None:
    """Write images of one size as a GIF that begins again and again.

    All have the same colors, chosen from all of them and not dithered, so that nothing flickers.
    """
    width, height = frames[0].size
    film = Image.new("RGB", (width, height * len(frames)))
    for number, frame in enumerate(frames):
        film.paste(frame, (0, height * number))
    film = film.quantize(COLOURS, dither=Image.Dither.NONE)
    first, *others = (
        film.crop((0, height * number, width, height * (number + 1)))
        for number in range(len(frames))
    )
    first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0)

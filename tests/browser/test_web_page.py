"""The page in a real browser: draw, upload, read many files; with eyes, keyboard and on a phone."""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect
from screens import CHROMIUM_FLAGS, PATIENCE, SCREENS, SCREENSHOTS, draw

from mnist_helpers import build_model, save_checkpoint
from mnist_helpers.prediction import PRETRAINED_WEIGHTS
from mnist_helpers.serve import create_app, serving
from mnist_helpers.strokes import draw_strokes, pen_strokes


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(create_app()) as address:
        yield address


@pytest.fixture(scope="module", params=SCREENS)
def context(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(**SCREENS[request.param])
    context.set_default_timeout(PATIENCE)
    context.screen = request.param
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """The page, freshly opened; at the end, nothing may have been asked of another server."""
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.locator(".pad").wait_for()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    yield page
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert problems == []
    page.close()


def shot(page: Page, name: str) -> None:
    path = SCREENSHOTS / f"page_{name}_{page.context.screen}.png"
    page.screenshot(path=path, full_page=True)


@pytest.mark.parametrize("digit", [2, 7])
def test_a_digit_drawn_with_the_mouse_is_read(page: Page, digit: int) -> None:
    expect(page.locator("#pad-answer")).to_contain_text("Draw a digit")
    before = page.locator(".pad").bounding_box()
    draw(page, digit)
    expect(page.locator("#pad-answer .digit")).to_have_text(str(digit), timeout=PATIENCE)
    expect(page.locator("#pad-answer .bars tr")).to_have_count(10)
    expect(page.locator(".why figure:visible")).to_have_count(8)  # seven steps, and the map
    assert page.locator(".pad").bounding_box() == before, "the sheet moved under the pen"
    shot(page, f"draw_{digit}")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#pad-answer")).to_contain_text("Draw a digit", timeout=PATIENCE)


def test_what_is_drawn_is_what_is_shown(page: Page) -> None:
    draw(page, 7)
    ratio = page.locator(".pad").evaluate("pad => pad.width / pad.height")
    assert ratio == 1, "the drawing would be stretched"
    for _ in pen_strokes(7, "continental"):
        page.get_by_role("button", name="Undo").click()
    expect(page.locator("#pad-answer")).to_contain_text("Draw a digit", timeout=PATIENCE)


def test_the_keyboard_draws(page: Page) -> None:
    page.locator(".pad").focus()
    for key, times in (("ArrowUp", 12), (" ", 1), ("ArrowDown", 24), (" ", 1), ("ArrowLeft", 5)):
        for _ in range(times):
            page.keyboard.press(key)
    expect(page.locator("#pad-answer .digit")).to_have_text("1", timeout=PATIENCE)
    page.keyboard.press("Backspace")
    expect(page.locator("#pad-answer")).to_contain_text("Draw a digit", timeout=PATIENCE)


def test_a_photo_is_read_and_a_letter_is_doubted(page: Page) -> None:
    page.get_by_role("tab", name="Photo").click()
    rng = np.random.default_rng(0)
    lamp = np.linspace(150, 250, 900)[None, :] * np.linspace(1, 0.8, 1200)[:, None]
    drawn = draw_strokes(pen_strokes(4, "round"), 280, pen=10).resize((900, 1200))
    gray = lamp * (0.2 + 0.8 * np.asarray(drawn) / 255) + rng.normal(0, 3, lamp.shape)
    photo = io.BytesIO()
    Image.fromarray(gray.clip(0, 255).astype(np.uint8)).save(photo, "JPEG")
    page.locator("#photo input[type=file]").first.set_input_files(
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo.getvalue()}
    )
    expect(page.locator("#photo-answer .digit")).to_have_text("4", timeout=PATIENCE)
    page.wait_for_timeout(500)
    shot(page, "photo")
    page.locator("#examples button").last.click()  # a letter
    expect(page.locator("#photo-answer")).to_contain_text("not confident", timeout=PATIENCE)


def test_a_number_is_shown_with_a_box_around_each_digit(page: Page) -> None:
    page.get_by_role("tab", name="Number").click()
    answer = page.locator("#number-answer")
    expect(answer).to_contain_text("Draw a number", timeout=PATIENCE)
    for place, digit in enumerate((2, 0, 7)):
        draw(page, digit, pad=".number-pad", place=0.1 + 0.7 * place)
    expect(answer.locator(".text")).to_have_text("207", timeout=PATIENCE)
    expect(answer.locator("rect")).to_have_count(3)
    expect(answer.locator("svg text")).to_have_text(["2", "0", "7"])
    boxes = [rect.bounding_box() for rect in answer.locator("rect").all()]
    assert all(a["x"] + a["width"] < b["x"] for a, b in itertools.pairwise(boxes))
    shot(page, "number")
    assert serious_faults(page) == {}
    page.get_by_role("button", name="Clear").click()
    expect(answer).to_contain_text("Draw a number", timeout=PATIENCE)
    row = np.hstack([np.asarray(draw_strokes(pen_strokes(digit))) for digit in (4, 1)])
    image = io.BytesIO()
    Image.fromarray(row).save(image, "PNG")
    page.locator("#number-photo input[type=file]").first.set_input_files(
        {"name": "number.png", "mimeType": "image/png", "buffer": image.getvalue()}
    )
    expect(answer.locator(".text")).to_have_text("41", timeout=PATIENCE)


def test_many_files_become_a_table_to_download(page: Page) -> None:
    page.get_by_role("tab", name="Many files").click()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for digit in range(4):
            image = io.BytesIO()
            draw_strokes(pen_strokes(digit, "round")).save(image, "PNG")
            file.writestr(f"class/{digit}.png", image.getvalue())
        file.writestr("class/notes.txt", "no image")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(
        {"name": "class.zip", "mimeType": "application/zip", "buffer": archive.getvalue()}
    )
    rows = page.locator("#table tbody tr")
    expect(rows).to_have_count(5, timeout=PATIENCE)
    expect(rows.first).to_contain_text("class/notes.txt")  # failures stand first
    expect(rows.first).to_contain_text("not an image")
    expect(page.locator("#table tbody img")).to_have_count(4)
    expect(page.locator("#table")).to_contain_text("5 images: 1 failed, 0 not confident")
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, "the page is wider than the screen"
    shot(page, "many")
    assert serious_faults(page) == {}
    with page.expect_download() as download:
        page.get_by_text("Download the table").click()
    rows = Path(download.value.path()).read_text().splitlines()
    assert rows[0] == "image,digit,confidence,confident,error"
    assert [re.match(r"class/(\d)\.png,(\d),0\.\d+,yes,$", row).groups() for row in rows[1:5]] == [
        (str(digit), str(digit)) for digit in range(4)
    ]


def serious_faults(page: Page) -> dict[str, list[str]]:
    """Return what axe-core finds serious or critical, with the elements."""
    return {
        fault["id"]: [node["html"][:200] for node in fault["nodes"]]
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    }


@pytest.mark.parametrize("tab", ["Draw", "Photo", "Many files", "About"])
def test_axe_finds_no_serious_fault(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()
    if tab == "Draw":
        draw(page, 3)
        expect(page.locator("#pad-answer .digit")).to_have_text("3", timeout=PATIENCE)
    page.wait_for_timeout(500)  # colors fade in
    if tab == "About":
        shot(page, "about")
    assert serious_faults(page) == {}


def test_another_network_can_be_chosen(browser: Browser, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "untrained.safetensors", build_model("tiny"))
    checkpoints = [PRETRAINED_WEIGHTS, tmp_path / "untrained.safetensors"]
    with serving(create_app(checkpoints)) as address:
        page = browser.new_page()
        page.goto(address)
        page.locator(".pad").wait_for()
        draw(page, 3)
        expect(page.locator("#pad-answer .digit")).to_have_text("3", timeout=PATIENCE)
        expect(page.locator("#pad-answer")).not_to_contain_text("not confident")
        page.get_by_label("Network").click()
        page.get_by_role("option", name="untrained").click()
        expect(page.locator("#pad-answer")).to_contain_text("not confident", timeout=PATIENCE)
        page.close()


def test_what_the_answer_says_is_read_aloud(page: Page) -> None:
    for tab, answer in (("Draw", "#pad-answer"), ("Photo", "#photo-answer")):
        page.get_by_role("tab", name=tab).click()
        live = page.locator(f'{answer} [aria-live="polite"], {answer}[aria-live="polite"]')
        expect(live).to_have_count(1, timeout=PATIENCE)


def write_video(path: Path, digit: int) -> None:
    """Write what a camera sees that looks at a sheet with a digit, as a video that repeats."""
    sheet = Image.new("L", (640, 480), 235)
    sheet.paste(draw_strokes(pen_strokes(digit), 400, pen=24, ink=20, paper=235), (120, 40))
    colors = bytes([128]) * (640 * 480 // 2)  # none
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n")
        for _ in range(5):
            file.write(b"FRAME\n" + np.asarray(sheet).tobytes() + colors)


@pytest.mark.parametrize("digit", [2, 3, 4, 5, 6, 7, 9])
def test_the_camera_does_not_mirror_a_digit(
    browser: Browser, browser_path: str, address: str, tmp_path: Path, digit: int
) -> None:
    """Each digit that is another one, or none, in the mirror."""
    write_video(tmp_path / "camera.y4m", digit)
    flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    flags += [f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}"]
    with browser.browser_type.launch(
        executable_path=browser_path, args=[*CHROMIUM_FLAGS, *flags]
    ) as with_camera:
        context = with_camera.new_context(permissions=["camera"])
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(address)
        page.get_by_role("tab", name="Photo").click()
        page.get_by_label("Capture from camera").click()
        page.get_by_text("Click to Access Webcam").click()
        page.locator("#photo video").wait_for()
        page.wait_for_function(
            "document.querySelector('#photo video').readyState >= 2"
        )  # it has an image
        page.get_by_label("capture photo").click()
        expect(page.locator("#photo-answer .digit")).to_have_text(str(digit), timeout=PATIENCE)
        expect(page.locator("#photo-answer")).not_to_contain_text("not confident")

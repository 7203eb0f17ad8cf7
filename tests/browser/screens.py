"""What both pages are tried with: screens, and a hand that draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from mnist_helpers.strokes import pen_strokes

PATIENCE = 120_000  # milliseconds
SCREENSHOTS = Path(__file__).resolve().parents[2] / "outputs" / "screenshots"
SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 1050}},
    "dark": {"viewport": {"width": 1280, "height": 1050}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


def draw(page: Page, digit: int, hand: str = "continental") -> None:
    """Draw a digit with the mouse on the sheet, wherever the page has put it."""
    pad = page.locator(".pad")
    for stroke in pen_strokes(digit, hand, 1.0):
        box = pad.bounding_box()
        points = np.array([box["x"], box["y"]]) + stroke * box["width"]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()

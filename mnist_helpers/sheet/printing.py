"""Draws a sheet to print."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..files import atomic_write
from .layout import CODE, CODE_PREFIX, LABEL, MARKER, PAGE, Layout
from .opencv import cv2, marker_dictionary

DPI = 300
LINE, FAINT = 190, 150  # gray values of the boxes and of the labels in them
MAX_NAME = 45  # bytes of a name that the code holds
TITLE = "My own MNIST"
HOW = (
    "Write each digit into its box, without touching the lines.",
    "A mistake: cross it out from corner to corner. Then",
    "photograph the whole page, flat and in even light.",
)


def make_sheet(
    path: str | Path, writer: str = "", per_digit: int = 10, digits: str = "0123456789"
) -> Path:
    """Write a sheet to print: a page with a box for each digit that is to be written.

    Parameters
    ----------
    path : path
        Where to write it: a PDF, or an image such as ``.png``. A file that is there is replaced.
    writer : str, default=""
        Printed on the sheet, and found again by `read_sheet`.
    per_digit : int, default=10
        How many boxes each digit has.
    digits : str, default="0123456789"
        The digits to write, each once.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the name is too long, there is no such sheet, or the file's ending is not known.
    ImportError
        If OpenCV is missing; the message says what to install.

    Examples
    --------
    >>> make_sheet("sheet.pdf", writer="Ada").name
    'sheet.pdf'
    """
    path = Path(path)
    page = draw_sheet(writer, per_digit, digits)
    if path.suffix.lower() not in Image.registered_extensions():
        raise ValueError(f"{path}: write a .pdf or an image such as .png, not {path.suffix!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = Image.registered_extensions()[path.suffix.lower()]
    with atomic_write(path) as part, part.open("wb") as file:
        page.save(file, kind, dpi=(DPI, DPI), resolution=DPI, quality=95)
    return path


def draw_sheet(
    writer: str = "", per_digit: int = 10, digits: str = "0123456789", dpi: int = DPI
) -> Image.Image:
    """Return the page of `make_sheet` as an image of mode "L", 210 by 297 mm large."""
    layout = Layout(per_digit, digits)
    scale = dpi / 25.4
    page = Image.new("L", (round(PAGE[0] * scale), round(PAGE[1] * scale)), 255)
    pen = ImageDraw.Draw(page)
    for number, place in layout.markers.items():
        page.paste(_marker(number, round(MARKER * scale)), _pixels(place, scale))
    left, top, side = CODE
    page.paste(_code(writer, round(side * scale)), _pixels((left, top), scale))
    pen.text(_pixels((26, 26), scale), f"{TITLE}: {writer or 'Name'}", 0, _font(4.5 * scale))
    for row, line in enumerate(HOW):
        pen.text(_pixels((26, 33.5 + 4.5 * row), scale), line, 60, _font(3 * scale))
    width = max(1, round(0.25 * scale))
    small = _font(0.85 * LABEL[1] * scale)
    for box in layout.boxes:
        corners = [*_pixels((box.left, box.top), scale), *_pixels((box.right, box.bottom), scale)]
        pen.rectangle(corners, outline=LINE, width=width)
        pen.text(_pixels((box.left + 0.7, box.top + 0.3), scale), str(box.label), FAINT, small)
    return page


def _pixels(place: tuple[float, float], scale: float) -> tuple[int, int]:
    return round(place[0] * scale), round(place[1] * scale)


def _marker(number: int, side: int) -> Image.Image:
    return Image.fromarray(cv2().aruco.generateImageMarker(marker_dictionary(), number, side))


def _code(writer: str, side: int) -> Image.Image:
    """Return a QR code of the writer's name."""
    name = writer.encode()
    if len(name) > MAX_NAME:
        raise ValueError(f"the writer's name must have at most {MAX_NAME} bytes, not {len(name)}")
    text = CODE_PREFIX + base64.urlsafe_b64encode(name).decode()
    code = cv2().QRCodeEncoder.create().encode(text)
    return Image.fromarray(np.asarray(code)).resize((side, side), Image.Resampling.NEAREST)


def _font(size: float) -> ImageFont.FreeTypeFont:
    from matplotlib.font_manager import findfont

    return ImageFont.truetype(findfont("DejaVu Sans"), max(6, round(size)))

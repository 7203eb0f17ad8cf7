"""Numbers on the printed lines of forms, as small scans show them: 20 pixels high, in JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mnist_helpers.strokes import Strokes, draw_strokes

Rng = np.random.Generator

HEIGHTS = (9, 17)  # of the digits in the scan, in pixels


def draw_dotted_line(
    sheet: Image.Image, ink: int, top: float, foot: float, pixel: float, rng: Rng
) -> None:
    """Print a dotted line that the digits stand on, or that runs below them or through their feet.

    Parameters
    ----------
    sheet : PIL.Image.Image
        Mode "L"; it is printed on.
    ink : int
    top, foot : float
        Of the digits, in pixels of the sheet.
    pixel : float
        How many pixels of the sheet are one of the scan.
    rng : Generator
    """
    at = foot + (foot - top) * rng.uniform(-0.15, 0.25)
    pace, dot = pixel * rng.uniform(2.2, 4), pixel * rng.uniform(0.9, 1.8)
    brush = ImageDraw.Draw(sheet)
    for left in np.arange(pace * rng.uniform(-1, 0), sheet.width, pace):
        brush.rectangle((left, at, left + dot * rng.uniform(0.8, 1.2), at + dot), fill=ink)


def draw_comb(
    sheet: Image.Image, ink: int, top: float, foot: float, pixel: float, rng: Rng
) -> None:
    """Print a line below the digits with ticks of one height at equal distances."""
    at = foot + (foot - top) * rng.uniform(0.05, 0.3)
    pace = (foot - top) * rng.uniform(0.9, 1.2)
    high, wide = (foot - top) * rng.uniform(0.2, 0.6), max(1, round(pixel * rng.uniform(0.5, 1.2)))
    brush = ImageDraw.Draw(sheet)
    brush.line((0, at, sheet.width, at), fill=ink, width=wide)
    for left in np.arange(pace * rng.uniform(0, 1), sheet.width, pace):
        brush.line((left, at - high, left, at), fill=ink, width=wide)


FORMS = {"dotted line": draw_dotted_line, "comb": draw_comb}


def scan_on_form(kind: str, strokes: Strokes, size: float, pen: float, rng: Rng) -> Image.Image:
    """Draw strokes on a form's line, and scan them coarsely.

    Parameters
    ----------
    kind : str
        One of `FORMS`.
    strokes : list of ndarray of shape [n, 2]
        Of digits in a row, 0.64 of `size` high.
    size, pen : float
        In pixels.
    rng : Generator
        Decides the colors, the resolution, and how much there is around the digits.

    Returns
    -------
    PIL.Image.Image
        Mode "L".
    """
    pixel = 0.64 * size / rng.uniform(*HEIGHTS)
    points = np.concatenate(strokes)
    first = points.min(0) - pixel * rng.uniform(2, 6, 2)
    last = points.max(0) + pixel * rng.uniform(2, 9, 2)
    strokes = [stroke - first for stroke in strokes]
    paper, contrast = int(rng.integers(140, 256)), rng.uniform(0.35, 1)
    ink, printed = (int(paper * (1 - contrast * share)) for share in (1, rng.uniform(0.3, 1)))
    wide, high = (last - first).astype(int).tolist()
    sheet = Image.new("L", (wide, high), paper)
    top, foot = (float(end - first[1]) for end in (points[:, 1].min(), points[:, 1].max()))
    FORMS[kind](sheet, printed, top, foot, pixel, rng)
    pen = max(pen, pixel * rng.uniform(1, 2))
    sheet.paste(ink, mask=draw_strokes(strokes, (wide, high), pen, ink=255, paper=0))
    scan = sheet.resize((round(wide / pixel), round(high / pixel)), Image.Resampling.BOX)
    scan = scan.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.8))))
    noisy = np.asarray(scan) + rng.normal(0, rng.uniform(0, 5), scan.size[::-1])
    file = io.BytesIO()
    clipped = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    clipped.save(file, "JPEG", quality=int(rng.integers(50, 96)))
    return Image.open(file).convert("L")

"""What the canvas says of a drawing: a digit with ten bars, or a number with its boxes."""

from __future__ import annotations

from html import escape

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from ..prediction import NumberPrediction, Prediction
from .drawings import PREVIEW

Found = Prediction | NumberPrediction
BOX = "#c2410c"  # the color of boxes
SEEN = 56  # height in pixels of each digit of a number that the network sees


def answer_html(found: Found | None, prompt: str) -> str:
    """Return the prediction and its confidence, or the prompt if there is none."""
    if found is None:
        text = f"<span style='font-size: 1.2em'>{prompt}</span>"
    else:
        what = found.text if isinstance(found, NumberPrediction) else str(found.digit)
        doubt = "" if found.is_confident else " <small>not confident</small>"
        text = (
            f"<span style='font-size: 2.2em'><b>{escape(what)}</b></span> "
            f"{found.confidence:.0%}{doubt}"
        )
    return f"<div role='status' aria-live='polite'>{text}</div>"


def bars_html(found: Found | None) -> str:
    """Return bars: the probability of each of ten digits, or of each digit of a number."""
    if isinstance(found, NumberPrediction):
        pairs = [(one.digit, one.confidence, True) for one in found.predictions]
        return _bars(pairs, "confidence of each digit")
    probs = np.zeros(10) if found is None else found.probs
    best = None if found is None else found.digit
    triples = [(digit, float(share), digit == best) for digit, share in enumerate(probs)]
    return _bars(triples, "probability of each digit")


def _bars(rows: list[tuple[int, float, bool]], label: str) -> str:
    """Return digits with a bar each as an HTML table that follows the notebook's theme."""
    parts = [
        f"<tr><td>{digit}</td><td style='width:120px'><div style='background:"
        f"{'#0173b2' if strong else '#949494'};"
        f"height:12px;width:{max(0.01, share):.0%}'></div></td>"
        f"<td style='text-align:right;min-width:3em'>{share:.0%}</td></tr>"
        for digit, share, strong in rows
    ]
    return f"<table aria-label='{label}'>{''.join(parts)}</table>"


def network_input(found: Found | None) -> np.ndarray | None:
    """Return what the network sees, uint8 ``[28, 28]``, of a number digit beside digit."""
    if isinstance(found, NumberPrediction):
        return np.hstack([one.image for one in found.predictions])
    return None if found is None else found.image


def enlarged(image: np.ndarray | None, side: int = PREVIEW) -> Image.Image:
    """Return what the network sees, or a black image, with visible pixels, `side` of them high."""
    pixels = np.zeros((28, 28), np.uint8) if image is None else image
    size = (side * pixels.shape[1] // 28, side)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def labeled_boxes(found: Found | None) -> list[list]:
    """Return left, top, right, bottom and digit for each digit of a number."""
    if not isinstance(found, NumberPrediction):
        return []
    pairs = zip(found.boxes, found.predictions, strict=True)
    return [[*box, str(one.digit)] for box, one in pairs]


def with_boxes(drawing: Image.Image, found: Found | None) -> Image.Image:
    """Return a drawing with a box around each digit of a number, and the digit above it."""
    boxes = labeled_boxes(found)
    if not boxes:
        return drawing
    drawing = drawing.convert("RGB")
    pen = ImageDraw.Draw(drawing)
    font = ImageFont.truetype(findfont("DejaVu Sans"), 18)
    for left, top, right, bottom, digit in boxes:
        pen.rectangle((left, top, right, bottom), outline=BOX, width=2)
        pen.text((left + 2, top - 2), digit, BOX, font, anchor="ls")
    return drawing

"""Numbers that are uploaded: predicted, and shown with a box around each digit."""

from __future__ import annotations

import html
import logging

from PIL import Image

from ..decode import InvalidImageError, decode_with_scale
from ..prediction import MNISTPredictor, NumberPrediction
from .answers import data_url, message_html
from .microbatch import NetworkError
from .uploads import Limits, check_pixels

SHOWN_SIDE = 800  # pixels: larger images are shown reduced
DOUBT = "not confident: is it one number, and a whole one?"


def predict_uploaded_number(
    content: bytes, predictor: MNISTPredictor, limits: Limits
) -> NumberPrediction:
    """Predict the number in an uploaded file.

    Raises
    ------
    InvalidImageError, BlankImageError
        If it is not an image in one of `FORMATS`, damaged, too large, or empty.
    NetworkError
        If anything else goes wrong, which is logged.
    """
    try:
        check_pixels(content, limits)
        return predictor.predict_number(content)
    except InvalidImageError:
        raise
    except Exception as error:
        logging.getLogger(__name__).exception("a number could not be predicted")
        words = f"the number could not be predicted: {type(error).__name__}: {error}"
        raise NetworkError(words) from error


def number_answer(
    predictor: MNISTPredictor, content: bytes | None, limits: Limits, prompt: str
) -> str:
    """Predict the number in an uploaded image; return the answer as HTML."""
    if not content:
        return message_html(prompt)
    try:
        number = predict_uploaded_number(content, predictor, limits)
    except (InvalidImageError, NetworkError) as error:
        return message_html(str(error))
    doubt = "confident" if number.is_confident else DOUBT
    seen = "".join(
        f'<li><img src="{data_url(Image.fromarray(one.image))}" alt=""><br>'
        f"<b>{one.digit}</b> {one.confidence:.1%}</li>"
        for one in number.predictions
    )
    return (
        f'<div class="number"><div class="text">{html.escape(number.text)}</div>'
        f'<p class="confidence">{number.confidence:.1%}, {doubt}</p>'
        f"{draw_boxes(content, number)}"
        f"<p>What the network sees of each digit:</p><ol>{seen}</ol></div>"
    )


def draw_boxes(content: bytes, number: NumberPrediction) -> str:
    """Return an image with a box around each digit, and the prediction above it, as SVG."""
    pixels, scale = decode_with_scale(content, SHOWN_SIDE)
    height, width = (round(scale * side) for side in pixels.shape[:2])
    size = max(10, round(0.05 * width))  # of the text, in pixels of the image
    words = html.escape(f"the image, with a box around each digit of {number.text}")
    parts = [
        f'<svg viewBox="0 {-size} {width} {height + size}" role="img" aria-label="{words}">',
        f'<image href="{data_url(Image.fromarray(pixels))}" width="{width}" height="{height}"/>',
    ]
    for (left, top, right, bottom), one in zip(number.boxes, number.predictions, strict=True):
        place = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
        label = f'x="{left}" y="{top - size // 5}" font-size="{size}"'
        parts.append(f"<rect {place}/><text {label}>{one.digit}</text>")
    return "".join([*parts, "</svg>"])

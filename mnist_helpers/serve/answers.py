"""What the page says of one image: the digit, its probabilities, and why."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

import numpy as np
from PIL import Image

from ..decode import encode_png
from ..explain import saliency
from ..onnx import OnnxNetwork
from ..prediction import MNISTPredictor, is_confident
from ..preprocess import preprocessing_steps
from .uploads import Limits, check_pixels

SIDE = 112  # of the images that explain a prediction, in pixels
DOUBT = "not confident: is it one digit, and a whole one?"


def answer(
    predictor: MNISTPredictor, content: bytes | None, limits: Limits, prompt: str
) -> tuple[str, str]:
    """Predict an uploaded image; return the answer and its explanation as HTML."""
    if not content:
        return message_html(prompt), ""
    try:
        check_pixels(content, limits)
        steps = preprocessing_steps(content)
    except ValueError as error:
        return message_html(str(error)), ""
    image = list(steps.values())[-1]
    probs = predictor.predict_proba(image[None])[0]
    digit, confidence = int(probs.argmax()), float(probs.max())
    doubt = "confident" if is_confident(confidence) else DOUBT
    bars = "".join(
        f'<tr><th scope="row">{number}</th>'
        f'<td><div class="bar" style="width:{100 * share:.1f}%"></div></td>'
        f"<td>{share:.1%}</td></tr>"
        for number, share in enumerate(probs)
    )
    said = (
        f'<div class="answer"><div class="digit">{digit}</div>'
        f'<p class="confidence">{confidence:.1%}, {doubt}</p>'
        f'<table class="bars"><caption>Probability of each digit</caption>{bars}</table></div>'
    )
    return said, explanation(predictor, steps, digit)


def message_html(message: str) -> str:
    """Return a sentence in the answer's place."""
    return f'<div class="answer"><p class="confidence">{html.escape(message)}</p></div>'


def explanation(predictor: MNISTPredictor, steps: Mapping[str, np.ndarray], digit: int) -> str:
    """Return the preprocessing steps that changed the image, and a saliency map, as HTML."""
    changed = list(steps.items())[:1]
    for name, pixels in steps.items():
        if not np.array_equal(pixels, changed[-1][1]):
            changed.append((name, pixels))
    figures = [
        figure(to_image(pixels), f"{number}. {name}")
        for number, (name, pixels) in enumerate(changed, 1)
    ]
    shown = (
        '<div class="why"><h2>From your image to MNIST’s</h2>'
        f'<div class="steps">{"".join(figures)}</div>'
    )
    if isinstance(predictor.model, OnnxNetwork):
        return f"{shown}<p>A saliency map needs the network in PyTorch.</p></div>"
    image = list(steps.values())[-1]
    overlay = figure(
        overlay_saliency(image, saliency(predictor.model, image, digit)),
        f"saliency: red for {digit}, blue against it",
    )
    return f'{shown}<h2>Why {digit}?</h2><div class="steps">{overlay}</div></div>'


def to_image(pixels: np.ndarray) -> Image.Image:
    """Return a step of the preprocessing as an image of 8 bits."""
    values = np.asarray(pixels, dtype=np.float32)
    top = 255 if pixels.dtype == np.uint8 else max(1.0, float(values.max()))
    return Image.fromarray((values * (255 / top)).clip(0, 255).astype(np.uint8))


def overlay_saliency(image: np.ndarray, weights: np.ndarray) -> Image.Image:
    """Lay the pixels' weights, red for and blue against, over the gray image."""
    import matplotlib

    strong = float(np.quantile(np.abs(weights)[weights != 0], 0.9)) if weights.any() else 1.0
    share = (weights / strong).clip(-1, 1)
    colors = matplotlib.colormaps["RdBu_r"](0.5 + share / 2)[..., :3] * 255
    paper = 255 - 0.3 * image[..., None].astype(np.float32)
    weight = np.abs(share)[..., None] ** 0.5
    return Image.fromarray((weight * colors + (1 - weight) * paper).astype(np.uint8))


def figure(image: Image.Image, caption: str) -> str:
    """Return an image with its caption as HTML, the image within."""
    scale = SIDE / max(image.size)
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    resampling = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    words = html.escape(caption)
    source = data_url(image.resize(size, resampling))
    return f'<figure><img src="{source}" alt="{words}"><figcaption>{words}</figcaption></figure>'


def data_url(image: Image.Image) -> str:
    """Return an image as the address of an ``<img>`` that holds it."""
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()

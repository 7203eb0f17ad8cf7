"""The page: draw a digit, drop a photo, read many files at once."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing is reported to anybody
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
import gradio as gr
import numpy as np
import pandas as pd
from fastapi import FastAPI
from PIL import Image

from ..decode import FORMATS
from ..evaluation import saliency
from ..models import count_parameters
from ..onnx import OnnxNetwork
from ..prediction import CONFIDENT, SHIPPED_NAME, SHIPPED_WEIGHTS, MNISTPredictor
from ..preprocess import preprocessing_steps
from ..strokes import draw_strokes, pen_strokes
from ..synthetic import letter
from .archives import pictures_in
from .uploads import Limits, check_pixels, prepare

SIDE = 112  # of the pictures that explain an answer, in pixels
SHEET = 280  # side of the sheet to draw on, in the units of its strokes
MOST_POINTS = 20_000  # in a drawing
EXAMPLES = ("ink", "chalk", "shadow", "thin pen", "marker", "letter")
PAGE = Path(__file__).parent / "static"
DRAW = "Draw a digit, and the network reads along."
CHOOSE = "Choose a picture of one digit."
THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(  # white on a lighter blue is hard to read
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
)
CSS = """
footer button, footer a, .or { color: var(--body-text-color) !important; opacity: 1 !important; }
button[role="tab"] { color: var(--body-text-color) !important; }
pre, pre code { white-space: pre-wrap !important; overflow: visible !important; }
.prose th, .prose td { word-break: normal !important; overflow-wrap: normal !important; }
#examples .grid-wrap, #examples .gallery-container { min-height: 0 !important; height: auto; }
.gradio-container { width: 100%; max-width: 1000px !important; margin: auto; }
"""
READ_ALOUD = "element.setAttribute('aria-live', 'polite');"  # by screen readers
PAD_STARTS = """
const pad = new Pad(element.querySelector('.pad'), (strokes) => {
  props.value = JSON.stringify(strokes);
  trigger('input');
});
element.querySelector('.pad-undo').addEventListener('click', () => pad.undo());
element.querySelector('.pad-clear').addEventListener('click', () => pad.clear());
"""


# ------------------------------------------------------------------------------------- an answer


def answer(
    predictor: MNISTPredictor, content: bytes | None, limits: Limits, prompt: str
) -> tuple[str, str]:
    """Read an uploaded picture; return the answer and its explanation as HTML."""
    if not content:
        return told(prompt), ""
    try:
        check_pixels(content, limits)
        steps = preprocessing_steps(content)
    except ValueError as error:
        return told(str(error)), ""
    image = list(steps.values())[-1]
    probs = predictor.probabilities(image[None])[0]
    digit, confidence = int(probs.argmax()), float(probs.max())
    doubt = "" if confidence >= CONFIDENT else " – not sure: is it one digit, and a whole one?"
    bars = "".join(
        f'<tr><th scope="row">{number}</th>'
        f'<td><div class="bar" style="width:{100 * share:.1f}%"></div></td>'
        f"<td>{100 * share:.1f} %</td></tr>"
        for number, share in enumerate(probs)
    )
    said = (
        f'<div class="answer"><div class="digit">{digit}</div>'
        f'<p class="sure">{100 * confidence:.1f} % sure{doubt}</p>'
        f'<table class="bars"><caption>Probability of each digit</caption>{bars}</table></div>'
    )
    return said, explanation(predictor, steps, digit)


def told(words: str) -> str:
    """Return a sentence in the answer's place."""
    return f'<div class="answer"><p class="sure">{html.escape(words)}</p></div>'


def explanation(predictor: MNISTPredictor, steps: Mapping[str, np.ndarray], digit: int) -> str:
    """Return the preprocessing steps, and what spoke for the digit, as HTML."""
    figures = [
        figure(to_picture(pixels), f"{number}. {name}")
        for number, (name, pixels) in enumerate(steps.items(), 1)
    ]
    shown = (
        '<div class="why"><h2>From your picture to MNIST’s</h2>'
        f'<div class="steps">{"".join(figures)}</div>'
    )
    if isinstance(predictor.model, OnnxNetwork):
        return f"{shown}<p>What spoke for the digit needs the network in PyTorch.</p></div>"
    image = list(steps.values())[-1]
    overlay = figure(
        highlighted(image, saliency(predictor.model, image, digit)),
        f"red spoke for {digit}, blue against it",
    )
    return (
        f'{shown}<h2>Which strokes spoke for {digit}?</h2><div class="steps">{overlay}</div></div>'
    )


def to_picture(pixels: np.ndarray) -> Image.Image:
    """Return a step of the preprocessing as a picture of 8 bits."""
    values = np.asarray(pixels, dtype=np.float32)
    top = 255 if pixels.dtype == np.uint8 else max(1.0, float(values.max()))
    return Image.fromarray((values * (255 / top)).clip(0, 255).astype(np.uint8))


def highlighted(image: np.ndarray, weights: np.ndarray) -> Image.Image:
    """Lay the pixels' weights, red for and blue against, over the grey picture."""
    import matplotlib

    strong = float(np.quantile(np.abs(weights)[weights != 0], 0.9)) if weights.any() else 1.0
    share = (weights / strong).clip(-1, 1)
    colours = matplotlib.colormaps["RdBu_r"](0.5 + share / 2)[..., :3] * 255
    paper = 255 - 0.3 * image[..., None].astype(np.float32)
    weight = np.abs(share)[..., None] ** 0.5
    return Image.fromarray((weight * colours + (1 - weight) * paper).astype(np.uint8))


def figure(picture: Image.Image, caption: str) -> str:
    """Return a picture with its caption as HTML, the picture within."""
    scale = SIDE / max(picture.size)
    size = (max(1, round(scale * picture.width)), max(1, round(scale * picture.height)))
    kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    file = io.BytesIO()
    picture.resize(size, kind).save(file, "PNG")
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    words = html.escape(caption)
    return f'<figure><img src="{source}" alt="{words}"><figcaption>{words}</figcaption></figure>'


# ---------------------------------------------------------------------------------- several files


def read_files(
    predictor: MNISTPredictor, paths: list[str], limits: Limits, folder: Path
) -> tuple[pd.DataFrame, str]:
    """Read uploaded pictures and zip archives of them; return a table, and its path as CSV.

    What cannot be read is a row with its error.
    """
    rows, images = [], []
    for name, found in pictures_in(paths, limits):
        row: dict = {"picture": name, "digit": None, "confidence": None, "sure": None, "error": ""}
        try:
            if isinstance(found, ValueError):
                raise found
            images.append(prepare(found, limits))
        except ValueError as error:
            row["error"] = str(error)
        else:
            row["at"] = len(images) - 1
        rows.append(row)
    probabilities = predictor.probabilities(np.stack(images)) if images else []
    for row in rows:
        at = row.pop("at", None)
        if at is not None:
            row["digit"] = int(probabilities[at].argmax())
            row["confidence"] = round(float(probabilities[at].max()), 4)
            row["sure"] = "yes" if row["confidence"] >= CONFIDENT else "no"
    table = pd.DataFrame(rows)
    written = table.assign(picture=table["picture"].map(harmless))
    path = Path(tempfile.mkdtemp(dir=folder)) / "digits.csv"
    written.to_csv(path, index=False)
    return table, str(path)


def harmless(name: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


# ------------------------------------------------------------------------------------------- parts


def picture_of(strokes: str) -> bytes | None:
    """Draw the strokes of the page's sheet, points in JSON; return a PNG, or None without any.

    Raises
    ------
    gr.Error
        If they are anything else; only another program than the page would send that.
    """
    try:
        points = [
            np.array(stroke, dtype=np.float64).reshape(-1, 2) for stroke in json.loads(strokes)
        ]
    except (ValueError, TypeError) as error:
        raise gr.Error("strokes are lists of points [x, y]") from error
    if sum(map(len, points)) > MOST_POINTS or not all(np.isfinite(p).all() for p in points):
        raise gr.Error(f"a drawing has at most {MOST_POINTS:,} points, all of them numbers")
    if not any(map(len, points)):
        return None
    file = io.BytesIO()
    draw_strokes([p.clip(-SHEET, 2 * SHEET) for p in points if len(p)], SHEET).save(file, "PNG")
    return file.getvalue()


def examples() -> list[Image.Image]:
    """Return pictures to try, in the order of `EXAMPLES`."""
    rng = np.random.default_rng(3)
    shade = np.linspace(120, 245, 280)[None, :] + rng.normal(0, 4, (280, 280))
    photo = np.asarray(draw_strokes(pen_strokes(4, "open"), pen=14), np.float32) / 255
    return [
        draw_strokes(pen_strokes(7, "continental")),
        draw_strokes(pen_strokes(3, "round"), pen=22, ink=240, paper=40),
        Image.fromarray((shade * (0.25 + 0.75 * photo)).clip(0, 255).astype(np.uint8)),
        draw_strokes(pen_strokes(5, "slanted"), pen=4, ink=60),
        draw_strokes(pen_strokes(2, "looped"), pen=42, ink=30),
        letter(rng),
    ]


def read(name: str) -> str:
    """Return one of the files that this page shares with the static one."""
    return (PAGE / name).read_text(encoding="utf-8")


def about(name: str, predictor: MNISTPredictor) -> str:
    """Return what a network is, in Markdown; the whole card for the one that ships."""
    if name == SHIPPED_NAME:
        return (SHIPPED_WEIGHTS.parent / "README.md").read_text(encoding="utf-8")
    checkpoint = predictor.checkpoint
    on_onnx = isinstance(predictor.model, OnnxNetwork)
    size = "on ONNX Runtime" if on_onnx else f"{count_parameters(predictor.model):,} parameters"
    words = f"## {name}\n\n`{checkpoint.name}`, {size}; trained on: {checkpoint.source}."
    measured = [row["val_accuracy"] for row in checkpoint.history if "val_accuracy" in row]
    if measured:
        words += f" Validation accuracy after its last epoch: {measured[-1]:.2%}."
    return words


# -------------------------------------------------------------------------------------- the page


def create_page(predictors: Mapping[str, MNISTPredictor], limits: Limits) -> gr.Blocks:
    """Return the page as Gradio blocks; the first of the predictors is chosen at first."""
    names = list(predictors)
    kinds = [f".{kind.lower()}" for kind in (*FORMATS, "jpg", "tif", "heic", "zip")]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    pictures = examples()
    folder = tempfile.TemporaryDirectory(prefix="mnist-helpers-")  # of tables; gone at the end

    def drawn(name: str, strokes: str) -> tuple[str, str]:
        return answer(predictors[name], picture_of(strokes), limits, DRAW)

    def seen(name: str, photo: str | None) -> tuple[str, str]:
        content = Path(photo).read_bytes() if photo else None
        return answer(predictors[name], content, limits, CHOOSE)

    def chosen(event: gr.SelectData) -> Image.Image:
        return pictures[event.index]  # and no path: the browser could send any

    def many(name: str, paths: list[str]) -> tuple[dict, dict]:
        table, csv = read_files(predictors[name], paths, limits, Path(folder.name))
        return gr.update(value=table, visible=True), gr.update(value=csv, interactive=True)

    with gr.Blocks(
        title="Read a handwritten digit", analytics_enabled=False, delete_cache=(3600, 3600)
    ) as page:
        gr.Markdown("# Read a handwritten digit")
        name = gr.Dropdown(names, value=names[0], label="Network", visible=len(names) > 1)
        with gr.Tab("Draw"):
            with gr.Row():
                with gr.Column(min_width=300):
                    pad = gr.HTML(
                        value="[]",
                        html_template=read("pad.html"),
                        js_on_load=PAD_STARTS,
                        apply_default_css=False,
                        elem_id="pad",
                    )
                with gr.Column(min_width=300):
                    pad_answer = gr.HTML(
                        told(DRAW),
                        apply_default_css=False,
                        js_on_load=READ_ALOUD,
                        elem_id="pad-answer",
                    )
            pad_why = gr.HTML(apply_default_css=False)
        with gr.Tab("Photo"):
            with gr.Row():
                with gr.Column(min_width=300):
                    photo = gr.Image(
                        sources=["upload", "webcam", "clipboard"],
                        label="A picture of one digit: a file, the camera, or the clipboard",
                        height=360,
                        format="png",
                        type="filepath",  # and no mode: Gradio leaves the file unopened
                        image_mode=None,
                        elem_id="photo",
                    )
                    gr.Markdown("Or one of these:")
                    gallery = gr.Gallery(
                        list(zip(pictures, EXAMPLES, strict=True)),
                        label="Pictures to try",
                        show_label=False,
                        columns=3,
                        height="auto",
                        object_fit="contain",
                        allow_preview=False,
                        interactive=False,
                        buttons=[],
                        elem_id="examples",
                    )
                with gr.Column(min_width=300):
                    photo_answer = gr.HTML(
                        told(CHOOSE),
                        apply_default_css=False,
                        js_on_load=READ_ALOUD,
                        elem_id="photo-answer",
                    )
            photo_why = gr.HTML(apply_default_css=False)
        with gr.Tab("Many files"):
            gr.Markdown("Pictures of one digit each, or zip archives of them: they become a table.")
            files = gr.UploadButton(
                "Choose files", file_count="multiple", file_types=kinds, variant="primary"
            )
            table = gr.Dataframe(
                headers=["picture", "digit", "confidence", "sure", "error"],
                column_widths=[220, 90, 150, 80, 390],
                label="What was read",
                visible=False,
                interactive=False,
                wrap=True,
            )
            csv = gr.DownloadButton("Download the table (CSV)", interactive=False)
        with gr.Tab("About"):
            gr.Markdown("\n\n".join(about(key, value) for key, value in predictors.items()))
        gr.on(
            [pad.input, name.change],
            drawn,
            [name, pad],
            [pad_answer, pad_why],
            trigger_mode="always_last",
            **quiet,
        )
        gr.on([photo.change, name.change], seen, [name, photo], [photo_answer, photo_why], **quiet)
        gallery.select(chosen, None, photo, **quiet)
        files.upload(many, [name, files], [table, csv], api_visibility="private")
    return page


def mount_page(app: FastAPI, page: gr.Blocks, limits: Limits) -> FastAPI:
    """Mount the page at ``/`` of an app, below the routes that the app has already.

    No file of the server can be read through it but what was uploaded to it and what it made.
    """
    page.has_launched = True  # else Gradio takes any path from a client: it checks none before
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        allowed_paths=[],
        max_file_size=limits.bytes,
        footer_links=["settings"],
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        theme=THEME,
        css=CSS + read("page.css"),
        head=f"<script>{read('pad.js')}</script>",
    )

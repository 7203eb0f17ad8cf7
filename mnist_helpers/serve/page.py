"""The page: draw a digit, upload a photo, predict many files at once."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing is reported to anybody
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
import gradio as gr
import gradio.routes
import numpy as np
from fastapi import FastAPI
from PIL import Image

from ..decode import FORMATS, encode_png
from ..models import count_parameters
from ..onnx import OnnxNetwork
from ..prediction import PRETRAINED_NAME, PRETRAINED_WEIGHTS, MNISTPredictor
from ..strokes import draw_strokes, pen_strokes
from ..synthetic import letter
from .answers import answer, data_url, message_html
from .gate import PageGate, block_url_fetching, visitor_files, visitor_folder
from .numbers import number_answer
from .table import predict_uploads, table_html
from .uploads import Limits

SHEET = 280  # side of the sheet to draw on, in the units of its strokes
NUMBER_SHEET = (700, SHEET)  # width and height of the sheet for numbers
MAX_POINTS = 20_000  # in a drawing
TITLE = "Predict a handwritten digit"
QUEUE = 100  # events that wait
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}  # events
SESSIONS = 200  # of visitors that Gradio remembers, 0.1 MB each; the page works without
EXAMPLES = ("ink", "chalk", "shadow", "thin pen", "marker", "letter")
STATIC = Path(__file__).parent / "static"
DRAW = "Draw a digit: the network predicts as you draw."
DRAW_NUMBER = "Draw a number, or choose an image of one."
CHOOSE = "Choose an image of one digit."
KINDS = [f".{kind.lower()}" for kind in (*FORMATS, "jpg", "tif", "heic", "zip")]  # to choose from
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
@media (max-width: 480px) { .tab-container button { padding: 0 5px !important; } }
pre, pre code { white-space: pre-wrap !important; overflow: visible !important; }
.prose th, .prose td { word-break: normal !important; overflow-wrap: normal !important; }
.gradio-container { width: 100%; max-width: 1000px !important; margin: auto; }
"""
ARIA_LIVE = "element.setAttribute('aria-live', 'polite');"  # by screen readers
EXAMPLE_CHOSEN = """
element.querySelectorAll('button').forEach((button, number) => {
  button.addEventListener('click', () => {
    props.value = String(number);
    trigger('input');
  });
});
"""
PAD_STARTS = """
const pad = new Pad(element.querySelector('canvas'), (strokes) => {
  props.value = JSON.stringify(strokes);
  trigger('input');
});
element.querySelector('.pad-undo').addEventListener('click', () => pad.undo());
element.querySelector('.pad-clear').addEventListener('click', () => pad.clear());
"""


def draw_sheet(strokes: str, size: tuple[int, int] = (SHEET, SHEET)) -> bytes | None:
    """Draw the strokes of a sheet of the page, points in JSON; return a PNG, or None without any.

    Raises
    ------
    gr.Error
        If they are anything else; only another program than the page would send that.
    """
    try:
        points = [
            np.array(stroke, dtype=np.float64).reshape(-1, 2) for stroke in json.loads(strokes)
        ]
    except (ValueError, TypeError, RecursionError) as error:
        raise gr.Error("strokes are lists of points [x, y]") from error
    if sum(map(len, points)) > MAX_POINTS or not all(np.isfinite(p).all() for p in points):
        raise gr.Error(f"a drawing has at most {MAX_POINTS:,} points, all of them numbers")
    if not any(map(len, points)):
        return None
    far = max(size)
    return encode_png(draw_strokes([p.clip(-far, 2 * far) for p in points if len(p)], size))


def examples() -> list[Image.Image]:
    """Return images to try, in the order of `EXAMPLES`."""
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


def chosen_example(number: str) -> int:
    """Return which of `EXAMPLES` was chosen.

    Raises
    ------
    gr.Error
        If there is none of this number; only another program than the page would send that.
    """
    if number not in map(str, range(len(EXAMPLES))):
        raise gr.Error(f"there is no example {number!r}")
    return int(number)


def read(name: str) -> str:
    """Return one of the files that this page shares with the static one."""
    return (STATIC / name).read_text(encoding="utf-8")


def about(name: str, predictor: MNISTPredictor) -> str:
    """Return what a network is, in Markdown; the whole card for the pretrained one."""
    if name == PRETRAINED_NAME:
        return (PRETRAINED_WEIGHTS.parent / "README.md").read_text(encoding="utf-8")
    checkpoint = predictor.checkpoint
    on_onnx = isinstance(predictor.model, OnnxNetwork)
    size = "on ONNX Runtime" if on_onnx else f"{count_parameters(predictor.model):,} parameters"
    words = f"## {name}\n\n`{checkpoint.name}`, {size}; trained on: {checkpoint.source}."
    measured = [row["val_accuracy"] for row in checkpoint.history if "val_accuracy" in row]
    if measured:
        words += f" Validation accuracy after its last epoch: {measured[-1]:.2%}."
    return words


def examples_html() -> str:
    """Return the images to try as buttons."""
    buttons = "".join(
        f'<button type="button"><img src="{data_url(image)}" alt="">{name}</button>'
        for image, name in zip(examples(), EXAMPLES, strict=True)
    )
    return f'<div class="examples">{buttons}</div>'


def create_page(predictors: Mapping[str, MNISTPredictor], limits: Limits) -> gr.Blocks:
    """Return the page as Gradio blocks; the first of the predictors is chosen at first."""
    folder = visitor_folder()
    gradio.routes.DEFAULT_TEMP_DIR = str(folder)  # which Gradio chooses when it is imported
    names = list(predictors)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(f"# {TITLE}")
        name = gr.Dropdown(names, value=names[0], label="Network", visible=len(names) > 1)
        with gr.Tab("Draw"):
            _add_pad(name, predictors, limits)
        with gr.Tab("Photo"):
            _add_photo(name, predictors, limits)
        with gr.Tab("Number"):
            _add_number(name, predictors, limits)
        with gr.Tab("Many files"):
            _add_files(name, predictors, limits, folder)
        with gr.Tab("About"):
            gr.Markdown("\n\n".join(about(key, value) for key, value in predictors.items()))
    page.queue(max_size=QUEUE)
    page.state_session_capacity = SESSIONS
    block_url_fetching(page)
    return page


def _add_pad(name: gr.Dropdown, predictors: Mapping[str, MNISTPredictor], limits: Limits) -> None:
    """Add the sheet to draw on, and what the network that `name` holds predicts."""

    def predict_drawing(name: str, strokes: str) -> tuple[str, str]:
        return answer(predictors[name], draw_sheet(strokes), limits, DRAW)

    with gr.Row():
        with gr.Column(min_width=300):
            pad = _live_html(
                "[]", html_template=read("pad.html"), js_on_load=PAD_STARTS, elem_id="pad"
            )
        with gr.Column(min_width=300):
            shown = _live_html(message_html(DRAW), js_on_load=ARIA_LIVE, elem_id="pad-answer")
    why = _live_html()
    gr.on(
        [pad.input, name.change],
        predict_drawing,
        [name, pad],
        [shown, why],
        trigger_mode="always_last",
        **QUIET,
    )


def _add_photo(name: gr.Dropdown, predictors: Mapping[str, MNISTPredictor], limits: Limits) -> None:
    """Add a place for one image, or an example, and what the network predicts for it."""
    images = examples()

    def predict_photo(name: str, photo: str | None) -> tuple[str, str]:
        content = Path(photo).read_bytes() if photo else None
        return answer(predictors[name], content, limits, CHOOSE)

    def choose_example(number: str) -> Image.Image:
        return images[chosen_example(number)]  # and no path: the browser could send any

    with gr.Row():
        with gr.Column(min_width=300):
            photo = _image_input(
                "An image of one digit: a file, the camera, or the clipboard", "photo"
            )
            gr.Markdown("Or one of these:")
            chosen = _live_html(
                "", html_template=examples_html(), js_on_load=EXAMPLE_CHOSEN, elem_id="examples"
            )
        with gr.Column(min_width=300):
            shown = _live_html(message_html(CHOOSE), js_on_load=ARIA_LIVE, elem_id="photo-answer")
    why = _live_html()
    gr.on([photo.change, name.change], predict_photo, [name, photo], [shown, why], **QUIET)
    chosen.input(choose_example, chosen, photo, **QUIET)


def _add_number(
    name: gr.Dropdown, predictors: Mapping[str, MNISTPredictor], limits: Limits
) -> None:
    """Add a wide sheet and a place for an image, and the number that the network predicts."""

    def predict_drawing(name: str, strokes: str) -> str:
        content = draw_sheet(strokes, NUMBER_SHEET)
        return number_answer(predictors[name], content, limits, DRAW_NUMBER)

    def predict_photo(name: str, photo: str | None) -> str:
        content = Path(photo).read_bytes() if photo else None
        return number_answer(predictors[name], content, limits, DRAW_NUMBER)

    pad = _live_html(
        "[]", html_template=read("number_pad.html"), js_on_load=PAD_STARTS, elem_id="number-pad"
    )
    shown = _live_html(message_html(DRAW_NUMBER), js_on_load=ARIA_LIVE, elem_id="number-answer")
    words = "An image of a number: a file, the camera, or the clipboard"
    photo = _image_input(words, "number-photo", height=240)
    pad.input(predict_drawing, [name, pad], shown, trigger_mode="always_last", **QUIET)
    photo.change(predict_photo, [name, photo], shown, **QUIET)


def _image_input(label: str, elem_id: str, height: int = 360) -> gr.Image:
    """Return a place for one image."""
    return gr.Image(
        sources=["upload", "webcam", "clipboard"],
        label=label,
        height=height,
        format="png",
        type="filepath",  # and no mode: Gradio leaves the file unopened
        image_mode=None,
        webcam_options=gr.WebcamOptions(mirror=False),  # a mirrored 2 is a 5
        elem_id=elem_id,
    )


def _add_files(
    name: gr.Dropdown,
    predictors: Mapping[str, MNISTPredictor],
    limits: Limits,
    folder: Path,
) -> None:
    """Add a button for many files, and the table that they become."""

    def predict_files(name: str, paths: list[str]) -> tuple[str, dict]:
        table, csv = predict_uploads(predictors[name], paths, limits, folder)
        return table_html(table), gr.update(value=csv, interactive=True)

    gr.Markdown("Images of one digit each, or zip archives of them, become a table.")
    files = gr.UploadButton(
        "Choose files", file_count="multiple", file_types=KINDS, variant="primary"
    )
    table = _live_html(js_on_load=ARIA_LIVE, elem_id="table")
    csv = gr.DownloadButton("Download the table (CSV)", interactive=False)
    files.upload(predict_files, [name, files], [table, csv], api_visibility="private")


def _live_html(value: str = "", **options: Any) -> gr.HTML:
    """Return a part of the page in HTML of its own."""
    return gr.HTML(value, apply_default_css=False, **options)


def mount_page(app: FastAPI, page: gr.Blocks, limits: Limits) -> FastAPI:
    """Mount the page at ``/`` of an app, below the routes that the app has already.

    No file of the server can be read through it but what was uploaded to it and what it made; of
    what Gradio brings along only what the page needs is served; see `PageGate`.
    """
    page.has_launched = True  # else Gradio takes any path from a client: it checks none before
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        allowed_paths=[],
        max_file_size=limits.bytes,
        footer_links=["settings"],
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        theme=THEME,
        css=CSS + read("page.css"),
        head=f"<script>{read('pad.js')}</script>",
    )
    mounted: Any = app.router.routes[-1]
    mounted.app = PageGate(mounted.app, app, page)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        with visitor_files():
            async with inner(app) as state:
                yield state

    app.router.lifespan_context = lifespan
    return app

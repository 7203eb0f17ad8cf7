"""The static page preprocesses a drawing as Python does: the same gray image, pixel by pixel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnist_helpers import MNISTPredictor, to_mnist
from mnist_helpers.serve.page import STATIC
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.styles import STYLES

NODE = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
SCRIPT = """
const { toMnist, drawStrokes, newImage } = require(process.argv[1]);
const jobs = JSON.parse(require("fs").readFileSync(0));
const answers = jobs.map((job) => {
  try {
    if (job.strokes) return Array.from(drawStrokes(job.strokes, 280, job.pen).data);
    return Array.from(toMnist(newImage(job.width, job.height, Float32Array.from(job.gray))));
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(answers));
"""


def in_javascript(jobs: list[dict]) -> list:
    """Do jobs with mnist.js, in Node, which the development tools bring along."""
    assert NODE, "there is no Node.js: install the extra `dev`"
    done = subprocess.run(
        [NODE, "-e", SCRIPT, str(STATIC / "mnist.js")],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def job(gray: np.ndarray) -> dict:
    return {"gray": gray.ravel().tolist(), "width": gray.shape[1], "height": gray.shape[0]}


@pytest.mark.slow
def test_the_same_sheet_becomes_the_same_image() -> None:
    sheets = [
        np.asarray(draw_strokes(pen_strokes(digit, style, variation=4), pen=pen))
        for digit in range(10)
        for style, pen in zip(STYLES, (18, 5, 30, 12) * 3, strict=True)
    ]
    ours = np.stack([to_mnist(sheet) for sheet in sheets])
    theirs = np.array(in_javascript([job(sheet) for sheet in sheets])).reshape(-1, 28, 28)
    different = (ours != theirs).any((1, 2))
    assert different.mean() < 0.05, f"{different.sum()} of {len(sheets)} differ"
    predictor = MNISTPredictor()
    gap = np.abs(
        predictor.predict_proba(ours) - predictor.predict_proba(theirs.astype(np.uint8))
    ).max(1)
    assert gap.max() < 0.05 and np.median(gap) == 0


@pytest.mark.parametrize(
    "kind", ["wide", "tall", "chalk", "shadow", "half", "border", "speck", "line"]
)
def test_other_sheets_too(kind: str) -> None:
    rng = np.random.default_rng(1)
    sheet = np.asarray(draw_strokes(pen_strokes(5, "round")), dtype=np.float32)
    if kind == "wide":
        sheet = np.pad(sheet, ((0, 0), (40, 150)), constant_values=255)
    elif kind == "tall":
        sheet = np.pad(sheet, ((10, 150), (0, 0)), constant_values=255)
    elif kind == "chalk":
        sheet = 40 + (255 - sheet) * 0.7
    elif kind == "shadow":
        sheet = sheet * np.linspace(0.4, 1, 280)[None] * 0.9 + rng.uniform(0, 8, sheet.shape)
    elif kind == "half":
        sheet = np.pad(sheet, ((10, 150), (40, 150)), constant_values=255)
        sheet *= 1 - 0.5 / (1 + np.exp(-np.linspace(-9, 6, sheet.shape[1])))
    elif kind == "border":
        sheet = sheet[40:, 40:]
    elif kind == "speck":
        sheet[20:24, 250:254] = 0
    else:
        sheet[270:274] = 120
    sheet = sheet.clip(0, 255).astype(np.uint8)
    (theirs,) = in_javascript([job(sheet)])
    different = np.abs(to_mnist(sheet).astype(int) - np.array(theirs).reshape(28, 28))
    assert different.max() <= 2, f"{(different > 2).sum()} pixels differ, by {different.max()}"


def test_the_pen_draws_alike_and_an_empty_sheet_is_told() -> None:
    strokes = [np.round(stroke, 1) for stroke in pen_strokes(8, "looped")]
    shadow = np.tile(220 - 100 / (1 + np.exp(-np.linspace(-4, 4, 280))), (280, 1)).round()
    drawn, *empty = in_javascript(
        [
            {"strokes": [stroke.tolist() for stroke in strokes], "pen": 18},
            job(np.full((280, 280), 255)),
            job(shadow),
        ]
    )
    ours = np.asarray(draw_strokes(strokes, pen=18), dtype=float)
    assert np.abs(np.array(drawn).reshape(280, 280) - ours).mean() < 1
    assert empty == ["the sheet is empty"] * 2

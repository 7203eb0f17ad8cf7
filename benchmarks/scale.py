"""The jobs on a Ray cluster with one worker, and with two."""

from __future__ import annotations

import io
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from mnist_helpers.data import Digits, load_mnist
from mnist_helpers.decode import encode_png
from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.plots.base import BLUE
from mnist_helpers.preprocess import to_mnist
from mnist_helpers.recipes import recipe_for
from mnist_helpers.scale import predict_folder, ray_cluster, train_distributed
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.styles import STYLES

from .common import interleave, publish

WORKERS = (1, 2)
SIDE, BLOCK = 280, 64


def benchmark(
    images: int = 6000, train_images: int = 12_000, repeats: int = 3, data: Path | None = None
) -> pd.DataFrame:
    """Time a folder and a training run on clusters of one and of two CPUs, taking turns.

    The folder has drawings of 280×280. What a folder of a single block takes is the start, and is
    taken off the time for the whole one. The training is `fast`, whose first epoch, in
    which the workers warm up, is not counted. A worker has one CPU and one thread.

    Parameters
    ----------
    images, train_images : int, default=6000, 12000
        In the folder, and to train on.
    repeats : int, default=3
        Of both, with one and with two workers in turn.
    data : path, default=None
        Folder with MNIST.

    Returns
    -------
    DataFrame
        One row for each number of workers: ``workers``, ``start`` (seconds to the folder's first
        image), ``images_per_second``, ``epoch`` (seconds), medians; ``folder_efficiency``
        and ``epoch_efficiency``, 1 if two workers were twice as fast as one.
    """
    digits = load_mnist(root=data).train[:train_images]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder, "whole"), Path(folder, "part")
        draw_folder(whole, images)
        draw_folder(part, BLOCK)
        for repeat in range(repeats):
            for workers in WORKERS:
                with ray_cluster(cpus=workers):
                    row: dict[str, float] = {"repeat": repeat, "workers": workers}
                    row |= read(whole, part, images, Path(folder, "out"))
                    rows.append(row | {"epoch": epoch(digits, workers, Path(folder, "train"))})
                    print(rows[-1])
    table = summarize_runs(pd.DataFrame(rows))
    words = table.copy()
    words["images_per_second"] = table["images_per_second"].map("{:,.0f}".format)
    for column in ("start", "epoch"):
        words[column] = table[column].map("{:.1f} s".format)
    for column in ("folder_efficiency", "epoch_efficiency"):
        words[column] = table[column].map("{:.0%}".format)
    publish("scale", table, words, {"images": images, "runs": rows})
    save_figure(plot_scaling(table), outputs_folder("benchmarks") / "scale.png")
    costs = preprocessing_times()
    words = costs.round({"kilobytes": 1, "milliseconds": 1, "core_hours": 0})
    publish("scale_images", costs, words, {})
    return table


def preprocessing_times(repeats: int = 20) -> pd.DataFrame:
    """Time the preprocessing of three kinds of images, on one core.

    An MNIST image and a drawing as PNG, and a JPEG of 12 megapixels with a camera's noise.

    Returns
    -------
    DataFrame
        ``image``, ``kilobytes``, ``milliseconds`` (median of `to_mnist` from the bytes), and
        ``core_hours`` for 100 million of them.
    """
    rng = np.random.default_rng(0)
    drawing = draw_strokes(pen_strokes(4, variation=1), SIDE)
    large = np.asarray(drawing.resize((4000, 3000)).convert("RGB"), dtype=np.float32)
    photo = np.clip(large * 0.8 + rng.normal(20, 6, large.shape), 0, 255).astype(np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(photo).save(jpeg, "JPEG")
    files = {
        "MNIST's, PNG 28×28": encode_png(to_mnist(drawing)),
        "drawing, PNG 280×280": encode_png(np.asarray(drawing)),
        "photo, JPEG 4000×3000": jpeg.getvalue(),
    }
    took = {  # one after the other: a photo in between would empty the processor's caches
        name: interleave({name: partial(to_mnist, file)}, repeats)[name]
        for name, file in files.items()
    }
    table = pd.DataFrame(
        {
            "image": name,
            "kilobytes": len(files[name]) / 1e3,
            "milliseconds": 1e3 * float(np.median(seconds)),
        }
        for name, seconds in took.items()
    )
    table["core_hours"] = 1e8 * table["milliseconds"] / 1e3 / 3600
    return table


def draw_folder(folder: Path, number: int) -> None:
    """Fill a folder with drawings, of which 500 differ."""
    folder.mkdir()
    files = []
    for index in range(min(number, 500)):
        strokes = pen_strokes(index % 10, STYLES[index % len(STYLES)], SIDE, variation=index)
        files.append(encode_png(np.asarray(draw_strokes(strokes, SIDE))))
    for index in range(number):
        (folder / f"{index:06d}.png").write_bytes(files[index % len(files)])


def read(whole: Path, part: Path, images: int, out: Path) -> dict[str, float]:
    """Return the seconds that the start takes, and images per second from then on."""
    seconds = []
    for folder in (part, whole):
        started = time.perf_counter()
        predict_folder(folder, out, batch_size=BLOCK)
        seconds.append(time.perf_counter() - started)
    rate = (images - BLOCK) / (seconds[1] - seconds[0])
    return {"start": seconds[0], "images_per_second": rate}


def epoch(digits: Digits, workers: int, out: Path) -> float:
    """Return the median seconds of an epoch, without the first."""
    recipe = replace(recipe_for("fast"), epochs=4)
    history = train_distributed("fast", digits, None, recipe, num_workers=workers, out=out)
    return float(np.median([row["seconds"] for row in history[1:]]))


def summarize_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the medians over repeats, and what share of the second worker was of use."""
    table = runs.drop(columns="repeat").groupby("workers").median().reset_index()
    share = table["workers"] / table["workers"].iloc[0]
    rate, took = table["images_per_second"], table["epoch"]
    table["folder_efficiency"] = rate / rate.iloc[0] / share
    table["epoch_efficiency"] = took.iloc[0] / took / share
    return table


def plot_scaling(table: pd.DataFrame) -> np.ndarray:
    """Draw the table of ``benchmark scale``: images per second, and an epoch, by workers."""
    _, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    names = table["workers"].astype(str)
    first = table.iloc[0]
    ideal = table["workers"] / first["workers"]
    panels = (
        ("images_per_second", "images per second from a folder", "{:,.0f}", ideal),
        ("epoch", "seconds per epoch", "{:.1f}", 1 / ideal),
    )
    for ax, (column, label, form, ideal) in zip(axes, panels, strict=True):
        bars = ax.bar(names, table[column], 0.6, color=BLUE, alpha=0.7)
        ax.bar_label(bars, fmt=form, label_type="center")
        ax.plot(names, first[column] * ideal, "_", color="black", markersize=60, label="ideal")
        ax.set(xlabel="workers", ylabel=label)
        ax.margins(y=0.2)
    axes[0].legend(frameon=False, loc="upper left", markerscale=0.3)
    return axes

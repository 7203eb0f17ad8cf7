"""From a file to a digit: one image, and a folder of 5,000, the usual way and ours."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm.auto import tqdm

from mnist_helpers.batch import BatchProcessor
from mnist_helpers.checkpoints import load_checkpoint
from mnist_helpers.data import load_mnist
from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.plots.base import BLUE, ORANGE
from mnist_helpers.prediction import PRETRAINED_WEIGHTS, MNISTPredictor
from mnist_helpers.strokes import draw_strokes, pen_strokes

from .common import (
    BASELINE,
    baseline_network,
    in_new_process,
    peak_memory,
    predict_baseline,
    publish,
)

TURN = 50  # predictions that one way makes before it is the next one's turn
NAMES = {
    "usual": f"usual way, {BASELINE}",
    "eager": "ours, PyTorch",
    "compiled": "ours, torch.compile",
    "onnx": "ours, ONNX Runtime",
}


def benchmark(
    calls: int = 300, folder_images: int = 5000, data: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Time one image from its file to its digit, and a folder of images.

    One image: a PNG of MNIST's (28×28), and a drawing of 280×280, which only ours preprocesses as
    MNIST was. The ways take turns, fifty calls each, of which the first ten calls of a turn, while
    the other's threads go to sleep, are not counted. The folder: PNGs of 28×28; the usual way reads
    one after the other, ours is `BatchProcessor`; each in a process of its own, three times.

    Parameters
    ----------
    calls : int, default=300
        Predictions of each way on each image; rounded up to whole turns.
    folder_images : int, default=5000
        How many PNGs.
    data : path, default=None
        Folder with MNIST.

    Returns
    -------
    one : DataFrame
        ``image``, ``way``, ``p50``, ``p95`` (milliseconds), ``times`` (the usual way's p50 as
        a multiple).
    folder : DataFrame
        ``way``, ``seconds`` (median), ``images_per_second``, ``memory_mb``, ``times``.
    """
    baseline_network(data=data)
    turns = math.ceil(calls / TURN)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images", folder_images, data)
        one = time_single_image(folder, turns, data)
        many = time_folder(folder / "images", data)
    print(words(one, ("p50", "p95"), "{:.2f} ms").to_string(index=False), end="\n\n")
    shown = words(many, ("seconds",), "{:.1f} s")
    shown["images_per_second"] = shown["images_per_second"].map("{:,.0f}".format)
    shown["memory_mb"] = shown["memory_mb"].map("{:.0f}".format)
    details = {"one_image": one.to_dict("records"), "calls": turns * TURN}
    publish("predict", many, shown, details | {"images": folder_images})
    axes = plot_prediction_times(one, many)
    save_figure(axes, outputs_folder("benchmarks") / "predict.png")
    return one, many


def words(table: pd.DataFrame, columns: tuple[str, ...], form: str) -> pd.DataFrame:
    """Return a copy with `columns` written in the given form, and ``times`` as a multiple."""
    shown = table.copy()
    for column in columns:
        shown[column] = shown[column].map(form.format)
    shown["times"] = shown["times"].map("{:.1f}×".format)
    return shown


def write_images(folder: Path, number: int, data: Path | None) -> None:
    """Write the first `number` test images (the training images after them) as PNGs."""
    folder.mkdir(parents=True)
    splits = load_mnist(root=data)
    images = torch.cat((splits.test.images, splits.train.images))[:number, 0].numpy()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:05d}.png")


def time_single_image(folder: Path, turns: int, data: Path | None) -> pd.DataFrame:
    """Time single predictions, the ways in turn."""
    from mnist_helpers.onnx import export_onnx

    drawing = folder / "drawing.png"
    draw_strokes(pen_strokes(7, "continental")).save(drawing)
    images = {"28×28": next((folder / "images").iterdir()), "280×280": drawing}
    network = folder / "fast.onnx"
    export_onnx(load_checkpoint(PRETRAINED_WEIGHTS).model, network)
    usual = baseline_network(data=data)
    compiled = MNISTPredictor(device="cpu")
    compiled.model.compile()
    ways: dict[str, Callable[[Path], object]] = {
        "usual": lambda path: predict_baseline(usual, path),
        "eager": MNISTPredictor(device="cpu").predict,
        "compiled": compiled.predict,
        "onnx": MNISTPredictor(network).predict,
    }
    rows = []
    for kind, path in images.items():
        took: dict[str, list[float]] = {way: [] for way in ways}
        for _ in tqdm(range(turns), desc=kind):
            for way, predict in ways.items():
                took[way] += [1000 * _seconds(predict, path) for _ in range(10 + TURN)][10:]
        p50 = {way: float(np.median(times)) for way, times in took.items()}
        rows += [
            {
                "image": kind,
                "way": NAMES[way],
                "p50": p50[way],
                "p95": float(np.quantile(times, 0.95)),
                "times": p50["usual"] / p50[way],
            }
            for way, times in took.items()
        ]
    return pd.DataFrame(rows)


def _seconds(predict: Callable[[Path], object], path: Path) -> float:
    """Return how long one prediction takes."""
    started = time.perf_counter()
    predict(path)
    return time.perf_counter() - started


def time_folder(folder: Path, data: Path | None, repeats: int = 3) -> pd.DataFrame:
    """Time a folder of images, the ways in turn, each in a process of its own."""
    results: dict[str, list[dict]] = {"usual": [], "ours": []}
    given = ("--data", data) if data else ()
    for _ in tqdm(range(repeats), desc="folders"):
        for way, done in results.items():
            done.append(in_new_process("prediction", way, folder, *given))
    rows = []
    for way, done in results.items():
        seconds = float(np.median([result["seconds"] for result in done]))
        rows.append(
            {
                "way": NAMES.get(way, "ours, BatchProcessor"),
                "seconds": seconds,
                "images_per_second": done[0]["images"] / seconds,
                "memory_mb": max(result["memory_mb"] for result in done),
            }
        )
    table = pd.DataFrame(rows)
    table["times"] = table["seconds"].iloc[0] / table["seconds"]
    return table


def time_one_way(way: str, folder: Path, data: Path | None = None) -> dict:
    """Read all images of a folder; return how many, in what time, with how much memory."""
    if way == "usual":
        model = baseline_network(data=data)
        started = time.perf_counter()
        digits = [predict_baseline(model, path) for path in sorted(folder.glob("*.png"))]
        number = len(digits)
    else:
        with tempfile.TemporaryDirectory() as reports:
            processor = BatchProcessor(out=reports)
            started = time.perf_counter()
            processor.process_folder(folder, labels=None)
            number = sum(1 for _ in processor.rows())
    seconds = time.perf_counter() - started
    return {"images": number, "seconds": seconds, "memory_mb": peak_memory()}


def main() -> None:
    """Read a folder in one way, and print the result as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("way", choices=("usual", "ours"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    print(json.dumps(time_one_way(given.way, given.folder, given.data)))


def plot_prediction_times(one: pd.DataFrame, folder: pd.DataFrame) -> np.ndarray:
    """Draw the tables of ``benchmark predict``: one image by way and size, a folder by way."""
    _, axes = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(3, 2), layout="constrained")
    wide = one.pivot(index="way", columns="image", values="p50").loc[one["way"].unique()]
    upper = one.pivot(index="way", columns="image", values="p95").loc[wide.index] - wide
    for number, (image, color) in enumerate(zip(wide.columns, (BLUE, ORANGE), strict=True)):
        places = np.arange(len(wide)) + (number - 0.5) * 0.38
        axes[0].barh(places, wide[image], 0.36, color=color, label=image)
        axes[0].errorbar(
            wide[image],
            places,
            xerr=(0 * upper[image], upper[image]),
            fmt="none",
            ecolor="black",
            capsize=2,
        )
        ends = wide[image] + upper[image]
        for place, p50, end in zip(places, wide[image], ends, strict=True):
            axes[0].annotate(f" {p50:.2f}", (end, place), va="center", fontsize=8)
    axes[0].set_yticks(range(len(wide)), wide.index)
    axes[0].set(xlabel="milliseconds per image (number: median; line: to the 95th percentile)")
    axes[0].margins(x=0.12)
    axes[0].legend(title="image", frameon=False)
    bars = axes[1].barh(folder["way"], folder["images_per_second"], color=BLUE, alpha=0.7)
    axes[1].bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=9)
    axes[1].set(xlabel="images per second from a folder")
    axes[1].margins(x=0.2)
    for ax in axes:
        ax.invert_yaxis()
    return axes


if __name__ == "__main__":
    main()

"""What all benchmarks share: the usual way, timing, the machine, the files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from PIL import Image, ImageChops
from torch import nn

from mnist_helpers.checkpoints import load_checkpoint
from mnist_helpers.data import load_mnist
from mnist_helpers.device import has_native_bf16
from mnist_helpers.files import atomic_write, outputs_folder
from mnist_helpers.models import MEAN, STD
from mnist_helpers.plots.base import BLUE, axes_or_new
from mnist_helpers.training import train

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "mnistnet"  # the most accurate of the public projects that this series grew from


def baseline_checkpoint(name: str = BASELINE, data: Path | None = None) -> Path:
    """Return the file of a public project's network, trained by its own recipe.

    It is trained at the first call, and kept under ``outputs/benchmarks/`` for the next.
    """
    path = outputs_folder("benchmarks", name) / "last.pt"
    splits = load_mnist(root=data)
    train(name, splits.train, splits.val, out=path.parent, resume=True, device="cpu")
    return path


def baseline_network(name: str = BASELINE, data: Path | None = None) -> nn.Sequential:
    """Return that network without its first layer: it wants normalized images."""
    _normalize, *layers = load_checkpoint(baseline_checkpoint(name, data)).model.children()
    return nn.Sequential(*layers).eval()


@cache
def baseline_transform() -> Callable[[Any], torch.Tensor]:
    """Return the usual transform: `ToTensor`, and `Normalize` with MNIST's statistics."""
    from torchvision import transforms

    return transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])


@torch.inference_mode()
def predict_baseline(network: nn.Module, path: Path, invert: bool = False) -> int:
    """Read an image as most projects do: gray, 28×28, `ToTensor`, `Normalize`, argmax."""
    with Image.open(path) as image:
        small = image.convert("L").resize((28, 28))
    if invert:
        small = ImageChops.invert(small)
    return int(network(baseline_transform()(small).unsqueeze(0)).softmax(1).argmax())


def interleave(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Time each of several ways `repeats` times, one after the other in turn.

    Returns
    -------
    dict
        Seconds of each repeat, by way.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def in_new_process(module: str, *arguments: object) -> dict:
    """Run ``python -m benchmarks.MODULE …``; return the JSON object it prints last.

    A process of its own gives each contestant the same start, and a peak memory of its own.

    Raises
    ------
    RuntimeError
        If it fails; the message is what it said.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_memory() -> float:
    """Return the most memory that this process has held so far, in megabytes (10⁶ bytes).

    Not on Windows, which lacks the module ``resource``: there, not a number.
    """
    if sys.platform == "win32":
        return float("nan")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def hardware_info() -> dict:
    """Describe what a benchmark ran on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "native_bf16": has_native_bf16(torch.device("cpu")),
    }


def publish(name: str, table: pd.DataFrame, words: pd.DataFrame, details: dict) -> None:
    """Print a table in words, and write the numbers with their details as JSON."""
    print(words.to_string(index=False))
    path = outputs_folder("benchmarks") / f"{name}.json"
    content = {"table": table.to_dict("records"), "machine": hardware_info(), **details}
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, indent=1, default=_plain) + "\n", encoding="utf-8")
    print(f"Details and figure: {path}, {path.with_suffix('.png').name}")


def _plain(value: object) -> object:
    """Turn numpy's numbers and paths into what JSON knows."""
    return value.item() if isinstance(value, np.generic) else str(value)


def plot_timings(
    seconds: Mapping[str, Sequence[float]], label: str, ax: Axes | None = None
) -> Axes:
    """Draw how long each of several ways took: a bar to the median, a dot for each repeat."""
    ax = axes_or_new(ax, 7, 0.6 + 0.45 * len(seconds))
    medians = [float(np.median(took)) for took in seconds.values()]
    bars = ax.barh(list(seconds), medians, color=BLUE, alpha=0.55)
    for row, took in enumerate(seconds.values()):
        ax.plot(took, [row] * len(took), ".", color="black", alpha=0.6, markersize=4)
    longest = max(max(took) for took in seconds.values())
    for bar, median, took in zip(bars, medians, seconds.values(), strict=True):
        place = (max(took) + 0.01 * longest, bar.get_y() + bar.get_height() / 2)
        ax.annotate(f"{median:.3g}", place, va="center", fontsize=9)
    ax.set(xlabel=label, xlim=(0, 1.12 * longest))
    ax.invert_yaxis()
    return ax

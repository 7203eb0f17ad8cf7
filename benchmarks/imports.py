"""How long a fresh Python takes to import the package, and what it needs for a first prediction."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd

from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure

from .common import interleave, plot_timings, publish

ONE_IMAGE = "predict(np.eye(28, dtype=np.uint8) * 255)"  # a stroke from corner to corner
STATEMENTS = {
    "nothing": "pass",
    "import mnist_helpers": "import mnist_helpers",
    "import torch": "import torch",
    "import torch, torchvision": "import torch, torchvision",
    "from mnist_helpers import train": "from mnist_helpers import train",
    "a first prediction": "import numpy as np; from mnist_helpers import MNISTPredictor as P; "
    f"P().{ONE_IMAGE}",
    "the same without PyTorch": "import numpy as np; "
    f"from mnist_helpers.prediction import PretrainedPredictor as P; P().{ONE_IMAGE}",
}


def benchmark(repeats: int = 5) -> pd.DataFrame:
    """Time a new Python process for each of `STATEMENTS`, in turn.

    Parameters
    ----------
    repeats : int, default=5
        Processes for each, after one that is not counted.

    Returns
    -------
    DataFrame
        ``statement``, ``median``, ``min``, ``max`` (seconds, with Python's own start).
    """

    def started(statement: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", statement], check=True)

    ways = {name: started(statement) for name, statement in STATEMENTS.items()}
    interleave(ways, 1)  # fills the disk's cache
    seconds = interleave(ways, repeats)
    table = pd.DataFrame(
        {"statement": name, "median": np.median(took), "min": min(took), "max": max(took)}
        for name, took in seconds.items()
    )
    words = table.copy()
    words[["median", "min", "max"]] = words[["median", "min", "max"]].map("{:.2f} s".format)
    publish("import", table, words, {"seconds": seconds})
    ax = plot_timings(seconds, "seconds of a new Python process")
    save_figure(ax, outputs_folder("benchmarks") / "import.png")
    return table

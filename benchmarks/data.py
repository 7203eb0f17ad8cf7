"""One pass over the 60,000 training images: `DataLoader` against tensors taken by index."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from mnist_helpers.data import Batches, data_folder, load_mnist
from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.recipes import recipe_for

from .baselines import baseline_dataset
from .common import interleave, plot_timings, publish

OURS = "Batches"


def benchmark(repeats: int = 5, data: Path | None = None) -> pd.DataFrame:
    """Time a shuffled pass over all batches, without any training.

    All ways give batches of 64. `DataLoader` reads torchvision's `MNIST` with `ToTensor` and
    `Normalize`; `Batches` is ours, without and with the default recipe's random shifts.

    Parameters
    ----------
    repeats : int, default=5
        Passes of each way, in turn.
    data : path, default=None
        Folder with MNIST's idx files.

    Returns
    -------
    DataFrame
        ``way``, ``median``, ``min``, ``max`` (seconds), ``times`` (median as a multiple of ours).
    """
    from torch.utils.data import DataLoader

    from mnist_helpers.augment import AUGMENTATIONS

    folder = data_folder(data)
    train = load_mnist("idx", folder, val_size=0).train
    augment = recipe_for("fast").augment
    assert augment is not None, "the recipe of fast augments"
    shift = AUGMENTATIONS[augment]
    with baseline_dataset(folder) as dataset:
        ways: dict[str, Iterable] = {
            "DataLoader, 0 workers": DataLoader(dataset, 64, shuffle=True),
            "DataLoader, 2 workers": DataLoader(dataset, 64, shuffle=True, num_workers=2),
            f"{OURS}, with shifts": Batches(train, 64, augment=shift),
            OURS: Batches(train, 64),
        }
        seconds = interleave({name: _pass(batches) for name, batches in ways.items()}, repeats)
    table = pd.DataFrame(
        {"way": name, "median": np.median(took), "min": min(took), "max": max(took)}
        for name, took in seconds.items()
    )
    table["times"] = table["median"] / table.set_index("way").at[OURS, "median"]
    words = table.copy()
    words[["median", "min", "max"]] = words[["median", "min", "max"]].map("{:.2f} s".format)
    words["times"] = words["times"].map("{:.1f}×".format)
    publish("data", table, words, {"seconds": seconds})
    ax = plot_timings(seconds, "seconds for one pass over 60,000 images")
    save_figure(ax, outputs_folder("benchmarks") / "data.png")
    return table


def _pass(batches: Iterable) -> Callable[[], None]:
    """Return a function that goes through all batches once."""

    def through() -> None:
        for _images, _labels in batches:
            pass

    return through

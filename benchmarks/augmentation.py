"""What each augmentation does to accuracy: on MNIST's validation split, and on real handwriting."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from mnist_helpers.augment import AUGMENTATIONS, handwriting
from mnist_helpers.data import Digits, load_mnist
from mnist_helpers.evaluation import evaluate, predict_logits
from mnist_helpers.files import outputs_folder
from mnist_helpers.models import build_model
from mnist_helpers.plots import save_figure
from mnist_helpers.plots.base import BLUE
from mnist_helpers.preprocess import to_mnist
from mnist_helpers.recipes import recipe_for
from mnist_helpers.training import train

from .common import publish
from .handwriting import list_labeled_images


@patch.dict(AUGMENTATIONS, elastic=partial(handwriting, elastic=0.6))
def benchmark(
    images: Path, seeds: int = 3, epochs: int = 6, data: Path | None = None
) -> pd.DataFrame:
    """Train the default network with each augmentation and without; read handwriting with it.

    "elastic", `handwriting` with bending as well, is a candidate beside those that are offered.

    Parameters
    ----------
    images : path
        Folder of labeled images: ``[SET/]LABEL/IMAGE``.
    seeds, epochs : int, default=3, 6
        Training runs of each kind, and epochs of each.
    data : path, default=None
        Folder with MNIST.

    Returns
    -------
    DataFrame
        One row per run: ``augment``, ``seed``, ``validation`` and ``handwriting`` (accuracies),
        and the number of errors in each set of images.
    """
    splits = load_mnist(root=data)
    sets, handwriting = load_handwriting(images)
    rows = []
    todo = [(seed, augment) for seed in range(seeds) for augment in (None, *AUGMENTATIONS)]
    for seed, augment in tqdm(todo, desc="training"):
        recipe = replace(recipe_for("fast"), epochs=epochs, augment=augment, seed=seed)
        torch.manual_seed(seed)
        model = build_model("fast")
        train(model, splits.train, None, recipe, device="cpu", progress=False)
        wrong = predict_logits(model, handwriting).argmax(1) != handwriting.labels.numpy()
        row = {"augment": augment or "none", "seed": seed}
        row["validation"] = evaluate(model, splits.val).accuracy
        row["handwriting"] = 1 - wrong.mean()
        rows.append(row | {name: int(wrong[sets == name].sum()) for name in np.unique(sets)})
    table = pd.DataFrame(rows)
    publish("augment", table, format_table(table), {"epochs": epochs})
    save_figure(plot_augment_scores(table), outputs_folder("benchmarks") / "augment.png")
    return table


def load_handwriting(folder: Path) -> tuple[np.ndarray, Digits]:
    """Preprocess labeled images; return the name of each one's set, and the digits."""
    files = list_labeled_images(folder)
    images = np.stack([to_mnist(path) for *_, path in tqdm(files, desc="preprocessing")])
    labels = torch.tensor([label for _, label, _ in files])
    digits = Digits(torch.from_numpy(images).unsqueeze(1), labels, f"images in {folder.name}")
    return np.array([group for group, *_ in files]), digits


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each augmentation: mean and standard deviation over the seeds."""
    groups = table.groupby("augment", sort=False)
    words = pd.DataFrame(index=list(groups.groups))
    for column in ("validation", "handwriting"):
        mean, std = groups[column].mean(), groups[column].std().fillna(0)
        words[column] = [f"{a:.2%} ± {b:.2%}" for a, b in zip(mean, std, strict=True)]
    for column in table.columns[4:]:
        words[f"errors in {column}"] = groups[column].mean().map("{:.1f}".format)
    return words.loc[table["augment"].unique()].reset_index(names="augment")


def plot_augment_scores(table: pd.DataFrame) -> np.ndarray:
    """Draw the table of ``benchmark augment``: a dot for each run, a line at the mean."""
    _, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
    names = list(table["augment"].unique())
    for ax, column in zip(axes, ("validation", "handwriting"), strict=True):
        for place, name in enumerate(names):
            values = table.loc[table["augment"] == name, column]
            ax.plot(values, [place] * len(values), "o", color=BLUE, alpha=0.6)
            ax.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color="black", lw=2)
        ax.set(title=f"accuracy, {column}")
        ax.set_yticks(range(len(names)), names)
        ax.xaxis.set_major_formatter("{x:.2%}")
        ax.tick_params(axis="x", rotation=20)
    axes[0].invert_yaxis()
    return axes

"""Seconds and epochs to an accuracy: the usual recipes as their users run them, against ours."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from tqdm.auto import tqdm

from mnist_helpers.data import data_folder, load_mnist
from mnist_helpers.device import choose_device
from mnist_helpers.evaluation import Evaluation, evaluate
from mnist_helpers.files import atomic_write, outputs_folder
from mnist_helpers.models import build_model
from mnist_helpers.plots import save_figure
from mnist_helpers.plots.base import GRAY, axes_or_new
from mnist_helpers.recipes import RECIPES
from mnist_helpers.training import train

from .baselines import BASELINES, result, run_baseline
from .common import in_new_process, publish

TARGET_ACCURACIES = (0.99, 0.993, 0.995)
ONE_EPOCH = replace(RECIPES["tiny"], epochs=1, augment=None)
OURS = {  # network, recipe, and the share of the training images
    "tiny": ("tiny", RECIPES["tiny"], 1),
    "tiny-epoch": ("tiny", ONE_EPOCH, 1),
    "tiny-half": ("tiny", ONE_EPOCH, 0.5),
    "fast": ("fast", RECIPES["fast"], 1),
    "fast-fp32": ("fast", replace(RECIPES["fast"], precision="fp32"), 1),
    "accurate": ("accurate", RECIPES["accurate"], 1),
}


def benchmark(
    contestants: tuple[str, ...] = (*BASELINES, *OURS),
    seeds: int = 5,
    their_seeds: int | None = None,
    quick: bool = False,
    resume: bool = False,
    data: Path | None = None,
    device: str = "cpu",
) -> pd.DataFrame:
    """Train every contestant with every seed on MNIST's 60,000, each in a process of its own.

    Theirs is what their users run: torchvision's `MNIST`, `ToTensor`, `Normalize`, a `DataLoader`
    without workers, float32, their batch size, optimizer and epochs. ``pytorch_example`` does not
    shuffle on a CPU, and so does not here; on a GPU it does, and has one worker. ``speedrun_2020``
    keeps all images on the device, normalized beforehand, and does not shuffle. Ours is `train`;
    ``tiny-epoch`` takes one epoch without augmentation, ``tiny-half`` half of one, and
    ``fast-fp32`` does without bfloat16. Seconds are those of the training alone; the look at the
    test set after each epoch is not counted.

    Parameters
    ----------
    contestants : tuple of str, default=(*BASELINES, *OURS)
        Names from `BASELINES` and `OURS`.
    seeds, their_seeds : int, default=5, None
        Runs of each of ours, and of each of theirs, which take long (default: as many).
    quick : bool, default=False
        Of theirs train one epoch only, and extrapolate the seconds of the whole recipe from it.
    resume : bool, default=False
        Keep the training runs that an earlier run has finished. Without it, those of `contestants`
        are deleted first.
    data : path, default=None
        Folder with MNIST's idx files.
    device : {"cpu", "cuda", "mps"}, default="cpu"

    Returns
    -------
    DataFrame
        See `summarize_runs`; and ``together``, see `together`.
    """
    unknown = set(contestants) - {*BASELINES, *OURS}
    if unknown:
        raise ValueError(
            f"no contestant {unknown.pop()!r}: choose of {', '.join((*BASELINES, *OURS))}"
        )
    folder = runs_folder(quick, device)
    count = dict.fromkeys(OURS, seeds) | dict.fromkeys(BASELINES, their_seeds or seeds)
    todo = [(seed, name) for seed in range(max(count.values())) for name in contestants]
    todo = [(seed, name) for seed, name in todo if seed < count[name]]
    data = data_folder(data)
    load_mnist("idx", data, val_size=0)  # says what is wrong before anything is deleted
    if not resume:
        for path in [path for name in contestants for path in folder.glob(f"{name}-[0-9]*")]:
            path.unlink()
    for seed, name in tqdm(todo, desc="training"):
        path = folder / f"{name}-{seed}.json"
        if not (resume and path.is_file()):
            given = ["--data", data, "--device", device]
            if name in OURS:
                given += ["--predictions", path.with_suffix(".npz")]
            elif quick:
                given += ["--epochs", 1]
            result = in_new_process("training", name, seed, *given)
            with atomic_write(path) as part:
                part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return report(contestants, quick, device)


def runs_folder(quick: bool = False, device: str = "cpu") -> Path:
    """Return the folder in which `benchmark` leaves its training runs."""
    return outputs_folder("benchmarks", named_for("quick" if quick else "training", device))


def named_for(name: str, device: str) -> str:
    """Return a name for what a device has done; the CPU's goes without saying."""
    return name if device == "cpu" else f"{name}-{device}"


def report(contestants: tuple[str, ...], quick: bool = False, device: str = "cpu") -> pd.DataFrame:
    """Tabulate and draw the training runs that `benchmark` has left."""
    folder = runs_folder(quick, device)
    paths = [path for name in contestants for path in sorted(folder.glob(f"{name}-[0-9]*.json"))]
    if not paths:
        raise ValueError(f"there are no training runs in {folder}: run without --report first")
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    table = summarize_runs(runs)
    table = table.assign(together=[together(folder, name) for name in table["name"]])
    title = named_for("train-quick" if quick else "train", device)
    publish(title, table, format_table(table), {"quick": quick, "runs": runs})
    save_figure(plot_training_race(runs), outputs_folder("benchmarks") / f"{title}.png")
    return table


def summarize_runs(runs: list[dict]) -> pd.DataFrame:
    """Tabulate the training runs, a row for each contestant.

    Parameters
    ----------
    runs : list of dict
        What `run_baseline` and `run_ours` return.

    Returns
    -------
    DataFrame
        ``name``, ``parameters``, ``seeds``, ``epochs`` (of the recipe), ``epoch_seconds`` (median),
        ``recipe_seconds`` (median; extrapolated where `extrapolated`), ``accuracy`` and ``std`` at
        the end, ``memory_mb``; for each of `TARGET_ACCURACIES` ``seconds_99.3`` and ``epochs_99.3``
        (medians over the seeds that reached it) and ``reached_99.3`` (how many did).
    """
    rows = []
    for name, members in pd.DataFrame(runs).groupby("name", sort=False):
        histories = [pd.DataFrame(run) for run in members["history"]]
        epochs = int(members["epochs"].iloc[0])
        each = float(np.median(np.concatenate([history["seconds"] for history in histories])))
        done = len(histories[0]) == epochs
        final = np.array([history["test_accuracy"].iloc[-1] for history in histories])
        row = {
            "name": name,
            "parameters": int(members["parameters"].iloc[0]),
            "seeds": len(members),
            "epochs": epochs,
            "epoch_seconds": each,
            "recipe_seconds": each * epochs,
            "extrapolated": not done,
            "accuracy": final.mean() if done else np.nan,
            "std": final.std(ddof=1) if done and len(final) > 1 else np.nan,
            "memory_mb": float(members["memory_mb"].max()),
        }
        for mark in TARGET_ACCURACIES:
            reached = [found for history in histories if (found := first_above(history, mark))]
            seconds, count = np.median(reached, axis=0) if reached and done else (np.nan, np.nan)
            row |= {
                f"seconds_{mark:.1%}": seconds,
                f"epochs_{mark:.1%}": count,
                f"reached_{mark:.1%}": len(reached) if done else 0,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def together(folder: Path, name: str) -> float:
    """Return the test accuracy of all seeds' networks as an ensemble: the mean of what they say.

    Not a number where there are no two of them, and for theirs, whose predictions are not kept.
    """
    kept = [np.load(path) for path in sorted(folder.glob(f"{name}-[0-9]*.npz"))]
    if len(kept) < 2:
        return np.nan
    mean = np.mean([predictions["probabilities"] for predictions in kept], axis=0)
    return float((mean.argmax(1) == kept[0]["labels"]).mean())


def first_above(history: pd.DataFrame, mark: float) -> tuple[float, int] | None:
    """Return the seconds and epochs after which the test accuracy first reached `mark`."""
    above = np.flatnonzero(history["test_accuracy"] >= mark)
    if not len(above):
        return None
    return float(history["seconds"].iloc[: above[0] + 1].sum()), int(above[0]) + 1


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `summarize_runs` for people, with the ratios to the fastest at 99.3%."""
    words = table[["name", "parameters", "seeds", "epochs"]].copy()
    words["s/epoch"] = [f"{seconds:.1f}" for seconds in table["epoch_seconds"]]
    words["s in all"] = [
        f"{row.recipe_seconds:.0f}{' (extrapolated)' if row.extrapolated else ''}"
        for row in table.itertuples()
    ]
    words["test accuracy"] = [
        "–" if np.isnan(mean) else f"{mean:.2%}" + ("" if np.isnan(std) else f" ± {std:.2%}")
        for mean, std in zip(table["accuracy"], table["std"], strict=True)
    ]
    words["together"] = ["–" if np.isnan(value) else f"{value:.2%}" for value in table["together"]]
    for mark in (f"{mark:.1%}" for mark in TARGET_ACCURACIES):
        words[f"s to {mark}"] = [
            _reached(row[f"seconds_{mark}"], row[f"epochs_{mark}"], row[f"reached_{mark}"], row)
            for row in table.to_dict("records")
        ]
    words["memory"] = [f"{memory:.0f} MB" for memory in table["memory_mb"]]
    return words


def _reached(seconds: float, epochs: float, reached: int, row: dict) -> str:
    """Say when a mark was reached, and by how many of the seeds if not by all."""
    if not reached:
        return "–" if row["extrapolated"] else "never"
    share = "" if reached == row["seeds"] else f", {reached} of {row['seeds']} seeds"
    return f"{seconds:.1f} (epoch {epochs:g}{share})"


def run_ours(
    name: str,
    seed: int,
    epochs: int | None,
    data: Path,
    device: torch.device,
    predictions: Path | None = None,
) -> dict:
    """Train one of `OURS`.

    What it says of the test set in the end is kept in the file `predictions`, for `together`.
    """
    network, recipe, share = OURS[name]
    recipe = replace(recipe, seed=seed, epochs=epochs or recipe.epochs)
    splits = load_mnist("idx", data, val_size=0)
    order = np.random.default_rng(seed).permutation(len(splits.train))
    images = splits.train[order[: round(share * len(order))]] if share < 1 else splits.train
    torch.manual_seed(seed)
    model = build_model(network)
    looks: list[Evaluation] = []

    def look(_history: list) -> None:
        looks.append(evaluate(model, splits.test))

    rows = train(model, images, None, recipe, device=device, callbacks=[look], progress=False)
    history = [
        {"seconds": row["seconds"], "test_accuracy": test.accuracy}
        for row, test in zip(rows, looks, strict=True)
    ]
    done = result(name, seed, model, recipe, history)
    if predictions:
        test = looks[-1]
        np.savez_compressed(predictions, probabilities=test.probs, labels=test.labels)
    return done


def main() -> None:
    """Train once, and print the result as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name")
    parser.add_argument("seed", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--predictions", type=Path)
    given = parser.parse_args()
    device, _ = choose_device(given.device)
    arguments = (given.name, given.seed, given.epochs, given.data, device)
    theirs = given.name in BASELINES
    print(
        json.dumps(run_baseline(*arguments) if theirs else run_ours(*arguments, given.predictions))
    )


def plot_training_race(runs: Sequence[dict], ax: Axes | None = None) -> Axes:
    """Draw test errors over seconds of training, a line for each run of ``benchmark train``."""
    ax = axes_or_new(ax, 8, 4.5)
    names = list(dict.fromkeys(run["name"] for run in runs))
    colors = dict(zip(names, map(plt.get_cmap("tab10"), range(10)), strict=False))
    for run in runs:
        seconds = np.cumsum([row["seconds"] for row in run["history"]])
        errors = [1 - row["test_accuracy"] for row in run["history"]]
        label = run["name"] if run["name"] in names else None
        names = [name for name in names if name != run["name"]]
        ax.plot(seconds, errors, "o-", color=colors[run["name"]], label=label, ms=3, lw=1)
    for mark in (0.01, 0.007, 0.005):
        ax.axhline(mark, color=GRAY, lw=0.8, ls="--", zorder=0)
    ax.set(
        xscale="log", yscale="log", xlabel="seconds of training", ylabel="errors on the test set"
    )
    ax.set_yticks([0.003, 0.005, 0.007, 0.01, 0.02, 0.05])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    ax.yaxis.set_minor_formatter("")
    ax.set_xticks([3, 10, 30, 100, 300])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(frameon=False)
    return ax


if __name__ == "__main__":
    main()

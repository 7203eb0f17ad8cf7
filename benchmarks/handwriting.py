"""Real handwriting that is not MNIST: the usual preprocessing of an image against MNIST's."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image
from tqdm.auto import tqdm

from mnist_helpers.evaluation import accuracy_interval
from mnist_helpers.files import IMAGE_EXTENSIONS, outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.plots.base import BLUE, GRAY, ORANGE, axes_or_new
from mnist_helpers.prediction import MNISTPredictor

from .common import BASELINE, baseline_network, predict_baseline, publish
from .frames import FRAMES, draw_framed

SEED = 1000  # of the framed digits
WAYS = {"resized": "usual way", "inverted": "usual way, inverted", "ours": "ours"}


def benchmark(images: Path, network: str = BASELINE, data: Path | None = None) -> pd.DataFrame:
    """Compare the usual preprocessing of an image with `to_mnist`, on real handwriting.

    The usual way turns an image gray, resizes it to 28×28 and normalizes it; a second column
    inverts it before. Both are classified by `network`; ours is `MNISTPredictor`.

    Parameters
    ----------
    images : path
        Folder of labeled images: ``[SET/]LABEL/IMAGE``. In table and figure a set has the name of
        its folder, so name it in words: ``phone photos/7/image.jpg``.
    network : str, default=BASELINE
        Classifies them. It is trained by its own recipe, and kept under
        ``outputs/benchmarks/`` for the next time.
    data : path, default=None
        Folder with MNIST, to train it on.

    Returns
    -------
    DataFrame
        See `score`. Printed, and kept in ``handwriting.json``, are also our confident errors by set
        and by owner, for these images and for digits of our own pen in `FRAMES`.
    """
    files = list_labeled_images(images)
    usual = baseline_network(network, data)
    predictor = MNISTPredictor()
    readers: dict[str, Callable[[Path], int]] = {
        "resized": lambda path: predict_baseline(usual, path, invert=False),
        "inverted": lambda path: predict_baseline(usual, path, invert=True),
        "ours": lambda path: predictor.predict(path).digit,
    }
    rows = []
    for group, label, path in tqdm(files, desc="classifying"):
        row = {"set": group, "label": label, "file": path.relative_to(images).as_posix()}
        rows.append(row | {way: _read(reader, path) for way, reader in readers.items()})
    table = score(pd.DataFrame(rows))
    ours = pd.DataFrame(
        [(group, owner_of(path), label, path) for group, label, path in files],
        columns=("set", "owner", "label", "image"),
    )
    ours = pd.concat([ours, framed_digits()], ignore_index=True)
    ours = ours.join(pd.DataFrame([_predict(predictor, image) for image in ours["image"]]))
    details = {"network": network, "images": rows}
    for by in (["set"], ["set", "owner"]):
        errors = confident_errors(ours, by)
        print(format_confident_errors(errors).to_string(index=False), end="\n\n")
        details[f"by_{by[-1]}"] = errors.to_dict("records")
    publish("handwriting", table, format_table(table), details)
    save_figure(plot_handwriting(table), outputs_folder("benchmarks") / "handwriting.png")
    return table


def owner_of(path: Path) -> str:
    """Return who wrote an image, where its name begins with that: ``OWNER__NAME``."""
    owner, separator, _ = path.name.partition("__")
    return owner if separator else "unknown"


def framed_digits(per_kind: int = 60) -> pd.DataFrame:
    """Draw digits of our own pen in each of `FRAMES`: columns ``set, owner, label, image``."""
    rows = [
        (
            f"framed: {kind}",
            "our own pen",
            number % 10,
            draw_framed(kind, number % 10, SEED + number),
        )
        for kind in FRAMES
        for number in range(per_kind)
    ]
    return pd.DataFrame(rows, columns=("set", "owner", "label", "image"))


def _predict(predictor: MNISTPredictor, image: Path | Image.Image) -> dict:
    """Return the digit and whether it is confident; no digit, which is an error, if refused."""
    try:
        prediction = predictor.predict(image)
    except (ValueError, OSError):
        return {"digit": -1, "confident": False}
    return {"digit": prediction.digit, "confident": prediction.is_confident}


def confident_errors(predictions: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Tabulate our accuracy with its 95% Wilson interval, and the errors that were confident.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``label``, ``digit``, ``confident``, and those of `by`.
    by : list of str
        ``["set"]``, or ``["set", "owner"]``.

    Returns
    -------
    DataFrame
        The columns of `by`, ``images``, ``accuracy``, ``low``, ``high``, ``confident_errors``.
    """
    rows = []
    for group, members in predictions.groupby(by, sort=False):
        right = members["digit"] == members["label"]
        low, high = accuracy_interval(int(right.sum()), len(members))
        rows.append(
            dict(zip(by, group, strict=True))
            | {"images": len(members), "accuracy": right.mean(), "low": low, "high": high}
            | {"confident_errors": int((~right & members["confident"].astype(bool)).sum())}
        )
    return pd.DataFrame(rows)


def format_confident_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `confident_errors` for people."""
    columns = (table["accuracy"], table["low"], table["high"])
    words = table.drop(columns=["accuracy", "low", "high"])
    values = [f"{a:.1%} [{b:.0%}, {c:.0%}]" for a, b, c in zip(*columns, strict=True)]
    words.insert(len(words.columns) - 1, "accuracy", values)
    return words


def list_labeled_images(folder: Path) -> list[tuple[str, int, Path]]:
    """List the images whose parent folder is a digit: ``(set, label, path)``.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        label = path.parent.name
        if path.suffix.lower() in IMAGE_EXTENSIONS and len(label) == 1 and label.isdigit():
            group = path.parent.parent.relative_to(folder).as_posix()
            found.append((folder.name if group == "." else group, int(label), path))
    if not found:
        raise ValueError(
            f"no labeled images in {folder}: expected folders named 0 to 9, or folders of such"
        )
    return found


def _read(reader: Callable[[Path], int], path: Path) -> int | None:
    """Return the digit that a reader finds; None, which counts as an error, if it refuses."""
    try:
        return reader(path)
    except (ValueError, OSError):
        return None


def score(predictions: pd.DataFrame) -> pd.DataFrame:
    """Tabulate, for each set, each way's accuracy with its 95% interval.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``set``, ``label``, and one column of digits for each way.

    Returns
    -------
    DataFrame
        Columns ``set``, ``images``, and for each way ``way``, ``way_low``, ``way_high`` in
        [0, 1]; ``errors_left``, our errors as a share of those of the better usual way.
    """
    rows = []
    for group, members in predictions.groupby("set"):
        row = {"set": group, "images": len(members)}
        errors = {}
        for way in WAYS:
            right = int((members[way] == members["label"]).sum())
            errors[way] = len(members) - right
            low, high = accuracy_interval(right, len(members))
            row |= {way: right / len(members), f"{way}_low": low, f"{way}_high": high}
        better = min(errors["resized"], errors["inverted"])
        rows.append(row | {"errors_left": errors["ours"] / better if better else np.nan})
    return pd.DataFrame(rows)


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `score` as text: percentages, with 95% intervals."""
    words = table[["set", "images"]].copy()
    for way, name in WAYS.items():
        columns = (table[way], table[f"{way}_low"], table[f"{way}_high"])
        words[name] = [f"{a:.1%} [{b:.0%}, {c:.0%}]" for a, b, c in zip(*columns, strict=True)]
    words["our errors / theirs"] = [f"{share:.2f}" for share in table["errors_left"]]
    return words


def plot_handwriting(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the table of ``benchmark handwriting``: accuracy by set and way, with 95% intervals."""
    ax = axes_or_new(ax, 9, 4)
    ways = (("resized", "usual way", GRAY), ("inverted", "usual way, inverted", ORANGE))
    for number, (way, name, color) in enumerate((*ways, ("ours", "ours", BLUE))):
        low, high = table[way] - table[f"{way}_low"], table[f"{way}_high"] - table[way]
        places = np.arange(len(table)) + (number - 1) * 0.27
        ax.bar(places, table[way], 0.26, yerr=(low, high), capsize=2, color=color, label=name)
    names = [textwrap.fill(name, 14) for name in table["set"]]
    ax.set_xticks(range(len(table)), names, fontsize=9, parse_math=False)
    ax.set(ylabel="accuracy", ylim=(0, 1.05))
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return ax

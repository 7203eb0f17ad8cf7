"""Real handwriting that is not MNIST: the usual preparation of a picture against MNIST's way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..evaluation import accuracy_interval
from ..paths import outputs_folder
from ..prediction import MNISTPredictor
from .common import USUAL, publish, read_usual_way, usual_network

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
WAYS = {"resized": "usual way", "inverted": "usual way, inverted", "ours": "ours"}


def benchmark(pictures: Path, network: str = USUAL, data: Path | None = None) -> pd.DataFrame:
    """Compare the usual preparation of a picture with `to_mnist`, on real handwriting.

    The usual way turns a picture grey, resizes it to 28×28 and normalises it; a second column
    inverts it before. Both are read by `network`; ours is `MNISTPredictor`.

    Parameters
    ----------
    pictures : path
        Folder of labelled pictures: ``[SET/]LABEL/PICTURE``.
    network : str
        Reads the usual way. It is trained by its own recipe, and kept under
        ``outputs/benchmarks/`` for the next time.
    data : path, optional
        Folder with MNIST, to train it on.

    Returns
    -------
    DataFrame
        See `score`.
    """
    files = labelled_pictures(pictures)
    usual = usual_network(network, data)
    predictor = MNISTPredictor()
    readers: dict[str, Callable[[Path], int]] = {
        "resized": lambda path: read_usual_way(usual, path, invert=False),
        "inverted": lambda path: read_usual_way(usual, path, invert=True),
        "ours": lambda path: predictor.predict(path).digit,
    }
    rows = []
    for group, label, path in tqdm(files, desc="reading"):
        row = {"set": group, "label": label, "file": path.relative_to(pictures).as_posix()}
        rows.append(row | {way: _read(reader, path) for way, reader in readers.items()})
    table = score(pd.DataFrame(rows))
    publish("handwriting", table, in_words(table), {"network": network, "pictures": rows})
    from ..plots import plot_handwriting, save_figure

    save_figure(plot_handwriting(table), outputs_folder("benchmarks") / "handwriting.png")
    return table


def labelled_pictures(folder: Path) -> list[tuple[str, int, Path]]:
    """List the pictures whose parent folder is a digit: ``(set, label, path)``.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        label = path.parent.name
        if path.suffix.lower() in PICTURES and len(label) == 1 and label.isdigit():
            group = path.parent.parent.relative_to(folder).as_posix()
            found.append((folder.name if group == "." else group, int(label), path))
    if not found:
        raise ValueError(
            f"no labelled pictures in {folder}: expected folders named 0 to 9, or folders of such"
        )
    return found


def _read(reader: Callable[[Path], int], path: Path) -> int | None:
    """Return the digit that a reader finds; None, which counts as an error, if it refuses."""
    try:
        return reader(path)
    except (ValueError, OSError):
        return None


def score(readings: pd.DataFrame) -> pd.DataFrame:
    """Tabulate, for each set, each way's accuracy with its 95 % interval.

    Parameters
    ----------
    readings : DataFrame
        Columns ``set``, ``label``, and one column of digits for each way.

    Returns
    -------
    DataFrame
        Columns ``set``, ``pictures``, and for each way ``way``, ``way_low``, ``way_high`` in
        [0, 1]; ``errors_left``, our errors as a share of those of the better usual way.
    """
    rows = []
    for group, members in readings.groupby("set"):
        row = {"set": group, "pictures": len(members)}
        errors = {}
        for way in WAYS:
            right = int((members[way] == members["label"]).sum())
            errors[way] = len(members) - right
            low, high = accuracy_interval(right, len(members))
            row |= {way: right / len(members), f"{way}_low": low, f"{way}_high": high}
        better = min(errors["resized"], errors["inverted"])
        rows.append(row | {"errors_left": errors["ours"] / better if better else np.nan})
    return pd.DataFrame(rows)


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `score` for people: per cent, with 95 % intervals."""
    words = table[["set", "pictures"]].copy()
    for way, name in WAYS.items():
        columns = (table[way], table[f"{way}_low"], table[f"{way}_high"])
        words[name] = [f"{a:.1%} [{b:.0%}, {c:.0%}]" for a, b, c in zip(*columns, strict=True)]
    words["our errors / theirs"] = [f"{share:.2f}" for share in table["errors_left"]]
    return words

"""Folders and buckets of any size: names in, a table out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..batch.files import EXTENSIONS
from ..batch.preprocessing import preprocess_timed
from ..batch.rows import PROBABILITIES
from ..checkpoints import load_checkpoint
from ..files import escape_formula, escape_name, exclusive_lock, outputs_folder, unescape_name
from ..prediction import MNISTPredictor, is_confident
from .cluster import check_room, need_ray, ray_cluster
from .state import check_ours, emptied, remove

if TYPE_CHECKING:
    import pandas as pd


ROWS_PER_FILE = 50_000  # rows in one file of a table
FORMATS = ("parquet", "csv")


def predict_folder(
    uri: str | Path,
    out: str | Path | None = None,
    checkpoint: str | Path | None = None,
    *,
    format: str = "parquet",
    num_actors: int = 1,
    use_gpu: bool = False,
    batch_size: int = 256,
    address: str | None = None,
) -> dict[str, Any]:
    """Predict the digit in each image of a folder or bucket, however many there are.

    The names of the images are listed into a table, which streams through the cluster: tasks fetch,
    decode and preprocess, `num_actors` actors with a network each predict, tasks write. None of
    them, nor this process, ever holds more than some batches. An image that cannot be read is a row
    with its error; a task whose worker dies is done again.

    Parameters
    ----------
    uri : str or path
        A folder, or any address that fsspec knows, such as ``s3://bucket/scans``. All machines must
        reach it. Images are taken by their extension (`mnist_helpers.batch.EXTENSIONS`); hidden
        files and folders are left out.
    out : path, default=None
        Folder for ``rows/``, some files with a part of the table each. All machines must reach
        it. If None, ``outputs/predictions``. An earlier table there is replaced.
    checkpoint : path, default=None
        All machines must reach it. If None, the pretrained weights.
    format : {"parquet", "csv"}, default="parquet"
    num_actors : int, default=1
        Actors that predict.
    use_gpu : bool, default=False
        Give each of them a GPU.
    batch_size : int, default=256
        Images that go from hand to hand together.
    address : str, default=None
        See `ray_cluster`.

    Returns
    -------
    dict
        ``rows`` (the folder with the table: `COLUMNS` of `mnist_helpers.batch`), ``images``,
        ``predicted``, ``failed``, ``not_confident``, ``digits`` (how often each was read).

    Raises
    ------
    ValueError
        If there is no such folder, there are no images in it, or `format` is none of the above.
    """
    need_ray()
    import ray.data

    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    uri = _absolute(str(uri))
    out = Path(out).absolute() if out else outputs_folder("predictions")
    network = Path(checkpoint).absolute() if checkpoint else None
    if network:
        load_checkpoint(network)  # says what is wrong with it before anything starts
    check_ours(out / "rows")
    with exclusive_lock(out):
        names = emptied(out / "names")
        listed = _write_names(uri, names)  # before a cluster is started for nothing
        with ray_cluster(address) as resources:
            check_room(resources, "num_actors", num_actors, "GPU" if use_gpu else "CPU")
            rows = emptied(out / "rows")
            with ray.data.DataContext.current(_data_context()):
                table = _table_of_digits(names, uri, network, num_actors, int(use_gpu), batch_size)
                if format == "csv":
                    table = table.map_batches(_escape_formulas, batch_format="pandas")
                getattr(table, f"write_{format}")(str(rows), min_rows_per_file=ROWS_PER_FILE)
    summary = _count(rows, format)
    if summary["images"] != listed:
        raise RuntimeError(f"{rows} has {summary['images']} rows for {listed} images")
    remove(names)
    return {"rows": rows} | summary


def _table_of_digits(
    names: Path, uri: str, checkpoint: Path | None, num_actors: int, gpus: int, batch_size: int
) -> Any:
    """Return the steps from names to rows, as a table that Ray makes while it is written."""
    import ray.data

    return (
        ray.data.read_parquet(str(names))
        .repartition(target_num_rows_per_block=batch_size)  # one task each
        .map_batches(partial(_preprocess, uri=uri), batch_size=batch_size)
        .map_batches(
            _Predictor,
            fn_constructor_args=(checkpoint,),
            batch_size=batch_size,
            compute=ray.data.ActorPoolStrategy(size=num_actors),
            num_cpus=0,  # all of them are left to _preprocess, which takes far longer
            num_gpus=gpus,
        )
    )


def _data_context() -> Any:
    """Return Ray's settings, reserving no CPUs for other steps: `_preprocess` needs them all."""
    from ray.data import DataContext

    context = DataContext.get_current().copy()
    context.op_resource_reservation_enabled = False
    return context


def _absolute(uri: str) -> str:
    """Return the address in full: a worker's current folder is not this process's."""
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def _list_images(uri: str) -> Iterator[str]:
    """List the images at an address, by their path within it, one folder after the other."""
    from fsspec.core import url_to_fs

    files, root = url_to_fs(uri)
    if not files.isdir(root):
        raise ValueError(f"there is no folder {uri}")
    todo = [root]
    while todo:
        folder = todo.pop()
        try:
            found = files.ls(folder, detail=True)
        except PermissionError:  # a row that says so, as for an image
            yield _inside(folder, root)
            continue
        for info in found:
            path = PurePosixPath(info["name"])
            if path.name.startswith(".") or path == PurePosixPath(folder):
                continue
            if info["type"] == "directory":
                todo.append(info["name"])
            elif path.suffix.lower() in EXTENSIONS and _is_file(files, info):
                yield _inside(info["name"], root)


def _inside(path: str, root: str) -> str:
    """Return a path within the folder `root`, as text that any table can hold."""
    return escape_name(path.removeprefix(root).strip("/"))


def _is_file(files: Any, info: dict[str, Any]) -> bool:
    """Return whether this is a file, or a link that is no folder's: whatever else would block."""
    if info["type"] == "file" or not info.get("islink"):
        return info["type"] == "file"
    return files.isfile(info["name"]) or not files.exists(info["name"])


def _write_names(uri: str, to: Path) -> int:
    """Write all images' names into tables of `ROWS_PER_FILE` rows, and return their number."""
    import pandas as pd

    names, number = _list_images(uri), 0
    while part := list(islice(names, ROWS_PER_FILE)):
        pd.DataFrame({"file": part}).to_parquet(to / f"{number:012d}.parquet")
        number += len(part)
    if not number:
        raise ValueError(f"there are no images in {uri}")
    return number


def _preprocess(batch: dict[str, np.ndarray], uri: str) -> dict[str, np.ndarray]:
    """Fetch and preprocess images: a column ``image [N, 28, 28]``, black where that failed."""
    from fsspec.core import url_to_fs

    files, root = url_to_fs(uri)
    done = [preprocess_timed(partial(_fetch, files, root, name)) for name in batch["file"]]
    blank = np.zeros((28, 28), np.uint8)
    return {
        "file": batch["file"],
        "image": np.stack([blank if image is None else image for image, _, _ in done]),
        "seconds": np.array([seconds for _, seconds, _ in done]),
        "error": np.array([error or "" for _, _, error in done], dtype=object),
    }


def _fetch(files: Any, root: str, name: str) -> bytes:
    """Return what is in a file, by the name that `_list_images` gave it."""
    path = f"{root}/{name}"
    if "\\x" in name and not files.exists(path):
        path = f"{root}/{unescape_name(name)}"
    try:
        return files.cat_file(path)
    except IsADirectoryError:
        files.ls(path)  # says why it could not be listed
        raise


class _Predictor:
    """An actor that holds a network, and predicts batches of preprocessed images."""

    def __init__(self, checkpoint: Path | None) -> None:
        torch.set_num_threads(1)
        self.predictor = MNISTPredictor(checkpoint)

    def __call__(self, batch: dict[str, np.ndarray]) -> pd.DataFrame:
        """Return the batch's rows: `COLUMNS` of `mnist_helpers.batch`."""
        import pandas as pd

        probs = self.predictor.predict_proba(batch["image"])
        rows = pd.DataFrame({"file": batch["file"], "digit": probs.argmax(1)})
        rows["confidence"] = probs.max(1)
        rows["is_confident"] = is_confident(rows["confidence"].to_numpy())
        rows[PROBABILITIES] = probs
        kinds = {"digit": "Int64", "is_confident": "boolean"}
        rows = rows.astype(kinds)
        rows.loc[batch["error"] != "", rows.columns[1:]] = pd.NA
        rows["seconds"] = batch["seconds"]
        rows["error"] = pd.Series(batch["error"], dtype="string").replace("", pd.NA)
        return rows


def _escape_formulas(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose texts no spreadsheet takes for formulas."""
    texts = {name: rows[name].map(escape_formula, na_action="ignore") for name in ("file", "error")}
    return rows.assign(**texts).astype({"error": "string"})


def _count(rows: Path, format: str) -> dict[str, Any]:
    """Count what is in the table, part by part."""
    import pyarrow.dataset

    counts: Counter[str] = Counter()
    digits: Counter[int] = Counter()
    # Said, since a CSV file that begins with images that could not be read does not tell.
    columns = pyarrow.schema({"digit": pyarrow.int64(), "is_confident": pyarrow.bool_()})
    for part in pyarrow.dataset.dataset(rows, columns, format).to_batches():
        predicted = part.to_pandas().dropna()
        counts.update(images=part.num_rows, predicted=len(predicted))
        counts.update(not_confident=int((~predicted["is_confident"].astype(bool)).sum()))
        digits.update(predicted["digit"].astype(int))
    return {
        "images": counts["images"],
        "predicted": counts["predicted"],
        "failed": counts["images"] - counts["predicted"],
        "not_confident": counts["not_confident"],
        "digits": {digit: digits[digit] for digit in range(10)},
    }

"""Folders and buckets of any size: names in, a table out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..batch.files import ImageFolder
from ..batch.numbers import NUMBER_COLUMNS, NUMBER_DTYPES, NumberRows
from ..batch.preprocessing import Preprocessed, preprocess
from ..batch.rows import (
    COLUMNS,
    DTYPES,
    PROBABILITIES,
    lists_as_text,
    make_rows,
    without_formulas,
)
from ..batch.summary import count_rows
from ..checkpoints import load_checkpoint
from ..files import exclusive_lock, outputs_folder
from ..prediction import MNISTPredictor
from .cluster import check_resources, need_ray, ray_cluster
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
    numbers: bool = False,
) -> dict[str, Any]:
    """Predict each image of a folder or bucket, however many there are.

    The names of the images are listed into a table, which streams through the cluster: tasks fetch,
    decode and preprocess, `num_actors` actors with a network each predict, tasks write. None of
    them, nor this process, ever holds more than some batches. An image that cannot be read is a row
    with its error; a task whose worker dies is done again.

    Parameters
    ----------
    uri : str or path
        A folder, or any address that fsspec knows, such as ``s3://bucket/scans``. All machines must
        reach it. Which files are images, and which are left out, `ImageFolder` of
        `mnist_helpers.batch` says.
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
    numbers : bool, default=False
        Whether each image shows a number. Finding its digits needs the network: all is done by the
        actors then, of which there are up to one per core.

    Returns
    -------
    dict
        ``rows`` (the folder with the table: `COLUMNS` or `NUMBER_COLUMNS` of `mnist_helpers.batch`,
        lists as JSON), and the counts of `mnist_helpers.batch.summary.count_rows`.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    ValueError
        If there are no images in it, or `format` is none of the above.
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
            check_resources(resources, "num_actors", num_actors, "GPU" if use_gpu else "CPU")
            rows = emptied(out / "rows")
            with ray.data.DataContext.current(_data_context()):
                actor = {"checkpoint": network, "escape": format == "csv"}
                if numbers:
                    most = max(num_actors, int(resources.get("CPU", 1)))
                    table = _table_of_numbers(
                        names, uri, actor, (num_actors, most), int(use_gpu), batch_size
                    )
                else:
                    table = _table_of_digits(
                        names, uri, actor, num_actors, int(use_gpu), batch_size
                    )
                getattr(table, f"write_{format}")(str(rows), min_rows_per_file=ROWS_PER_FILE)
    summary = _count(rows, format, numbers)
    if summary["images"] != listed:
        raise RuntimeError(f"{rows} has {summary['images']} rows for {listed} images")
    remove(names)
    return {"rows": rows} | summary


def _table_of_digits(
    names: Path, uri: str, actor: dict[str, Any], num_actors: int, gpus: int, batch_size: int
) -> Any:
    """Return the steps from names to rows, as a table that Ray makes while it is written."""
    import ray.data

    return (
        ray.data.read_parquet(str(names))
        .repartition(target_num_rows_per_block=batch_size)  # one task each
        .map_batches(partial(_preprocess, uri=uri), batch_size=batch_size)
        .map_batches(
            _Predictor,
            fn_constructor_kwargs=actor,
            batch_size=batch_size,
            compute=ray.data.ActorPoolStrategy(size=num_actors),
            num_cpus=0,  # all of them are left to _preprocess, which takes far longer
            num_gpus=gpus,
        )
    )


def _table_of_numbers(
    names: Path, uri: str, actor: dict[str, Any], actors: tuple[int, int], gpus: int, size: int
) -> Any:
    """Return the steps from names to rows of numbers; `actors` is how few and how many there are.

    With a GPU for each there are no more than the few.
    """
    import ray.data

    few, most = actors
    return (
        ray.data.read_parquet(str(names))
        .repartition(target_num_rows_per_block=size)
        .map_batches(
            _NumberPredictor,
            fn_constructor_kwargs=actor | {"uri": uri},
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(min_size=few, max_size=few if gpus else most),
            num_cpus=0,  # as many actors as cores would leave none to read and to write
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


def _write_names(uri: str, to: Path) -> int:
    """Write all images' names into tables of `ROWS_PER_FILE` rows, and return their number."""
    import pandas as pd

    names, number = ImageFolder(uri).names(), 0
    while part := list(islice(names, ROWS_PER_FILE)):
        pd.DataFrame({"file": part}).to_parquet(to / f"{number:012d}.parquet")
        number += len(part)
    if not number:
        raise ValueError(f"there are no images in {uri}")
    return number


def _preprocess(batch: dict[str, np.ndarray], uri: str) -> dict[str, np.ndarray]:
    """Load and preprocess images: a column ``image [N, 28, 28]``, black where it failed."""
    folder = ImageFolder(uri)
    done = [preprocess(folder, name) for name in batch["file"]]
    blank = np.zeros((28, 28), np.uint8)
    return {
        "file": batch["file"],
        "image": np.stack([blank if image is None else image for image, _, _ in done]),
        "seconds": np.array([seconds for _, seconds, _ in done]),
        "error": np.array([error or "" for _, _, error in done], dtype=object),
    }


class _Predictor:
    """Holds a network, and makes the rows of batch after batch of preprocessed images."""

    def __init__(self, checkpoint: Path | None, escape: bool) -> None:
        torch.set_num_threads(1)
        self.predictor = MNISTPredictor(checkpoint)
        self.escape = escape

    def __call__(self, batch: dict[str, np.ndarray]) -> pd.DataFrame:
        """Return the batch's rows; with `escape` their texts are no formulas of a spreadsheet."""
        columns = (batch["image"], batch["seconds"], batch["error"])
        preprocessed = [
            Preprocessed(None if error else image, float(seconds), error or None)
            for image, seconds, error in zip(*columns, strict=True)
        ]
        rows = make_rows(self.predictor, batch["file"].tolist(), preprocessed)
        return _as_table(map(without_formulas, rows) if self.escape else rows)


class _NumberPredictor:
    """Holds a network, and makes the rows of batch after batch of names."""

    def __init__(self, checkpoint: Path | None, escape: bool, uri: str) -> None:
        torch.set_num_threads(1)
        self.rows = NumberRows(MNISTPredictor(checkpoint))
        self.folder = ImageFolder(uri)
        self.escape = escape

    def __call__(self, batch: dict[str, np.ndarray]) -> pd.DataFrame:
        """Return the rows of a batch of names; see `_Predictor`."""
        names = batch["file"].tolist()
        processed = [self.rows.process(self.folder, name) for name in names]
        rows = map(lists_as_text, self.rows.make(names, processed))
        return _as_table(map(without_formulas, rows) if self.escape else rows, NUMBER_DTYPES)


def _as_table(rows: Iterable[dict[str, Any]], dtypes: dict[str, Any] = DTYPES) -> pd.DataFrame:
    """Return rows as a table whose parts all have the same types, half as large as in memory."""
    import pandas as pd

    small = dict.fromkeys({"confidence", *PROBABILITIES} & dtypes.keys(), "float32")
    texts = {name: "string" for name, kind in dtypes.items() if kind is object}
    columns = COLUMNS if dtypes is DTYPES else NUMBER_COLUMNS
    return pd.DataFrame(list(rows), columns=columns).astype(dtypes | small | texts)


def _count(rows: Path, format: str, numbers: bool) -> dict[str, Any]:
    """Count what is in the table, part by part."""
    import pyarrow.dataset

    # Said, since a CSV file that begins with images that failed does not tell.
    kinds = {"confidence": pyarrow.float64(), "is_confident": pyarrow.bool_()}
    kinds |= {"text": pyarrow.string()} if numbers else {"digit": pyarrow.int64()}
    columns = pyarrow.schema(kinds)
    parts = pyarrow.dataset.dataset(rows, columns, format).to_batches()
    return count_rows(part.to_pandas() for part in parts)

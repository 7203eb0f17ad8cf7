"""Batch inference: a folder of images in, a table out."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import atomic_write, escape_name, exclusive_lock, project_root, short_path
from ..prediction import MNISTPredictor
from ..progress import progress_bar
from .contact_sheet import draw_least_confident, draw_least_confident_numbers
from .files import ImageFolder
from .labels import LABELS, find_labels, label_of
from .numbers import NumberRows
from .rows import (
    DigitRows,
    finished_files,
    lists_as_text,
    start_table,
    strict_json,
    to_csv,
    whole_rows,
    without_formulas,
)
from .summary import count_confusion, count_rows, describe, format_counts, measure_accuracy

if TYPE_CHECKING:
    import pandas as pd

NO_RUN = "there are no predictions yet: call process_folder first"
PART = 10_000  # rows that are counted together


class BatchProcessor:
    """Predicts the digit, or the number, in each image of a folder.

    A broken image becomes a row with its error.

    Rows go to ``reports/rows.csv`` batch by batch, so that memory stays constant and an interrupted
    run can be resumed. A new run replaces the rows of the last one in the same `out`.

    Parameters
    ----------
    predictor : MNISTPredictor, default=None
        If None, the pretrained model.
    out : path, default=None
        Folder for ``reports/`` and ``logs/``. None is ``predictions/`` in the project; see
        `project_root`.
    batch_size : int, default=256
        Images per batch. When a run is killed at most one batch is lost; with Ctrl-C nothing is.
    threads : int, default=None
        Threads that decode large images. None is one per core.
    numbers : bool, default=False
        Whether each image shows a number, several digits in a row.

    Examples
    --------
    >>> from mnist_helpers.strokes import draw_strokes, pen_strokes
    >>> for digit in (3, 7):
    ...     Path("scans", str(digit)).mkdir(parents=True)
    ...     draw_strokes(pen_strokes(digit)).save(f"scans/{digit}/first.png")
    >>> batch = BatchProcessor(out="predictions").process_folder("scans", labels="folder")
    >>> batch.save_results_csv().as_posix()
    'predictions/reports/results.csv'
    """

    def __init__(
        self,
        predictor: MNISTPredictor | None = None,
        out: str | Path | None = None,
        batch_size: int = 256,
        threads: int | None = None,
        numbers: bool = False,
    ) -> None:
        threads = (os.cpu_count() or 1) if threads is None else threads
        if batch_size < 1 or threads < 1:
            raise ValueError(
                f"batch_size ({batch_size}) and threads ({threads}) must be at least 1"
            )
        self.predictor = predictor or MNISTPredictor()
        self._kind = (NumberRows if numbers else DigitRows)(self.predictor)
        self.out = Path(out) if out is not None else project_root() / "predictions"
        self.batch_size, self.threads = batch_size, threads
        self.reports, self.logs = self.out / "reports", self.out / "logs"
        self.rows_path = self.reports / "rows.csv"
        self.labels: str | None = None
        self._labels_wanted: str | None = None
        self._images: ImageFolder | None = None

    def process_folder(
        self,
        folder: str | Path,
        recursive: bool = True,
        pattern: str = "*",
        labels: str | None = "auto",
        resume: bool = False,
    ) -> BatchProcessor:
        """Predict every image in a folder.

        Hidden files and folders are skipped, links to folders are not followed, and what is left
        out is counted in ``skipped``.

        Parameters
        ----------
        folder : path
        recursive : bool, default=True
            Include the folders in the folder.
        pattern : str, default="*"
            Pattern of the file names, such as ``"*.png"``. With ``"*"`` files are selected by their
            extension (`IMAGE_EXTENSIONS` of `mnist_helpers.files`).
        labels : {"auto", "folder", "name"} or None, default="auto"
            Where the label is. ``"folder"``: the name of the parent folder (``7/scan.png``).
            ``"name"``: the start of the file's name, on its own (``7.png``, ``7_scan.png``), or
            its only digit (``img_7.png``). ``"auto"``: the folder or else the name, if all images
            have such a label; of names, only what can hardly mean anything else counts
            (``7_001.png``, ``digit7.png``, ``label-7_b.png``). With labels, `summary` has an
            accuracy; if none are found, `print_summary` says so. Numbers have no labels.
        resume : bool, default=False
            Keep the rows of an interrupted run, and predict only what is missing.

        Returns
        -------
        BatchProcessor
            Itself; see `results`.

        Raises
        ------
        NotADirectoryError
            If there is no such folder.
        ValueError
            If there are no images, `labels` is none of the above or given for numbers, or the rows
            to resume were made from another folder, with other options or by another model.
        OSError
            If another process writes to the same reports.
        """
        if labels is not None and labels not in LABELS:
            raise ValueError(f"labels must be one of {', '.join(LABELS)}, or None, not {labels!r}")
        if self._kind.target == "number":
            if labels not in ("auto", None):
                raise ValueError(f"labels are single digits: numbers have none, not {labels!r}")
            labels = None
        folder = Path(folder)
        images = self._images = ImageFolder(folder)
        own = frozenset((self.reports.resolve(), self.logs.resolve()))  # these are no input
        names = list(images.names(recursive, pattern, own))
        if not names:
            raise ValueError(
                f"no images in {folder} (pattern {pattern!r}, {'with' if recursive else 'without'} "
                f"folders; skipped: {format_counts(self.skipped)})"
            )
        self.labels = find_labels(names) if labels == "auto" else labels
        self._labels_wanted = labels
        settings = {
            "folder": escape_name(folder.resolve()),
            "recursive": recursive,
            "pattern": pattern,
            "model": _fingerprint(self.predictor),
            "target": self._kind.target,
        }
        with exclusive_lock(self.reports), _log(self.logs) as log:
            done = self._start(settings, resume)
            waiting = [name for name in names if name not in done]
            log.info("%s: %d images, %d done before", settings, len(names), len(done))
            log.info("skipped: %s; labels: %s", format_counts(self.skipped), self.labels)
            try:
                self._process(waiting, len(names), log)
            except KeyboardInterrupt:
                print("\nStopped. What was predicted is kept: resume=True (--resume) continues.")
                log.warning("interrupted")
                raise
            log.info("done\n%s", describe(self.summary, labels))
        return self

    def _start(self, settings: dict, resume: bool) -> set[str]:
        """Create the files to write to, and return the names of the images that are done."""
        record = self.reports / "run.json"
        self.reports.mkdir(parents=True, exist_ok=True)
        before = _settings_of(record)
        if resume and self.rows_path.is_file():
            other = [key for key, value in settings.items() if before.get(key) != value]
            if other:
                raise ValueError(
                    f"cannot resume: {self.rows_path} was made with another {' and '.join(other)}: "
                    "start without resume (--resume), or in another folder with out=… (--out)"
                )
            return finished_files(self.rows_path, self._kind.columns)
        if before.get("folder", settings["folder"]) != settings["folder"]:
            note = f"Note: the table of {before['folder']}, an earlier run, is replaced"
            print(f"{note} in {short_path(self.reports)}", file=sys.stderr)
        self.rows_path.unlink(missing_ok=True)
        with atomic_write(record) as part:
            part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        start_table(self.rows_path, self._kind.columns)
        return set()

    def _process(self, names: list[str], total: int, log: logging.Logger) -> None:
        """Predict images batch by batch, and write their rows; what is ready is never lost."""
        images = self._folder()
        process = partial(self._kind.process, images)
        with (
            progress_bar(total=total, initial=total - len(names), unit=" images") as bar,
            ThreadPoolExecutor(self.threads) as pool,
            self.rows_path.open("a", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self._kind.columns)
            for start in range(0, len(names), self.batch_size):
                batch = names[start : start + self.batch_size]
                ready: list[Any] = []
                # Decoding a photo lets other threads run; with small images they'd only wait.
                large = any(map(images.is_large, batch))
                try:
                    for result in (pool.map if large else map)(process, batch):
                        ready.append(result)
                        bar.update()
                except BaseException:  # Ctrl-C
                    pool.shutdown(cancel_futures=True)
                    raise
                finally:
                    rows = self._predict(batch[: len(ready)], ready, log)
                    writer.writerows(map(to_csv, rows))
                    file.flush()

    def _predict(
        self, names: list[str], processed: list[Any], log: logging.Logger
    ) -> list[dict[str, Any]]:
        """Return the images' rows, and log what failed."""
        rows = self._kind.make(names, processed)
        for row in rows:
            if row["error"]:
                named = row["file"] in row["error"]
                log.warning("%s", row["error"] if named else f"{row['file']!r}: {row['error']}")
        return rows

    def _folder(self) -> ImageFolder:
        """Return the folder that was processed."""
        if self._images is None:
            raise ValueError(NO_RUN)
        return self._images

    @property
    def skipped(self) -> Counter[str]:
        """How many files and folders were left out, by kind."""
        return self._images.skipped if self._images else Counter()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows one by one, in constant memory: see `results`.

        Raises
        ------
        ValueError
            If `process_folder` has not been called.
        """
        self._folder()
        for row in map(self._kind.from_csv, whole_rows(self.rows_path)):
            yield row | ({"label": label_of(row["file"], self.labels)} if self.labels else {})

    @property
    def columns(self) -> list[str]:
        """`COLUMNS` or `NUMBER_COLUMNS`, and ``label`` if there are labels."""
        return [*self._kind.columns, "label"] if self.labels else self._kind.columns

    @property
    def results(self) -> pd.DataFrame:
        """All rows as a table with the columns `columns`.

        ``file`` is the path within the folder, ``seconds`` the time the image took, ``p0`` to
        ``p9`` are the probabilities. An image that failed has an ``error`` and no digit (NA).
        A number has its ``text``, and ``boxes`` and ``confidences`` with an entry for each digit.
        """
        return self._table(list(self.rows()))

    def _table(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Return rows as a table."""
        import pandas as pd

        table = pd.DataFrame(rows, columns=self.columns)
        return table.astype(self._kind.dtypes | ({"label": "Int64"} if self.labels else {}))

    @property
    def confusion(self) -> np.ndarray:
        """Counts ``[10, 10]``, row = label, column = digit; needs labels."""
        if not self.labels:
            raise ValueError('there are no labels: process_folder(…, labels="folder" or "name")')
        return count_confusion(self.rows())[0]

    @property
    def summary(self) -> dict[str, Any]:
        """Counts, mean confidence, the digits' frequencies; with labels the accuracy.

        Of the images with a label, ``labeled`` were predicted, ``labeled_failed`` failed.
        """
        rows = self.rows()
        parts = iter(lambda: list(islice(rows, PART)), [])
        return {
            "folder": escape_name(self._folder().address),
            **count_rows(map(self._table, parts)),
            "skipped": self.skipped.total(),
            "skipped_by_type": dict(+self.skipped),
            "labels": self.labels,
            **(measure_accuracy(self.rows()) if self.labels else {}),
        }

    def print_summary(self) -> None:
        """Print how many images were predicted and failed, the confidence, and the accuracy."""
        print(describe(self.summary, self._labels_wanted))

    def save_results_csv(self, path: str | Path | None = None) -> Path:
        """Write the table as CSV. Default: ``reports/results.csv``."""
        path = Path(path) if path is not None else self.reports / "results.csv"
        with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(without_formulas(lists_as_text(row)) for row in self.rows())
        return path

    def save_results_json(self, path: str | Path | None = None) -> Path:
        """Write summary and table as JSON. Default: ``reports/results.json``."""
        path = Path(path) if path is not None else self.reports / "results.json"
        with atomic_write(path) as part, part.open("w", encoding="utf-8") as file:
            file.write(f'{{"summary": {strict_json(self.summary)},\n"results": [')
            for number, row in enumerate(self.rows()):
                file.write(f"{',' if number else ''}\n{strict_json(row)}")
            file.write("\n]}\n")
        return path

    def save_contact_sheet(self, path: str | Path | None = None, count: int = 40) -> Path:
        """Draw the `count` least confident images as the model saw them, numbers with their boxes.

        Default: ``reports/least_confident.png``.

        Raises
        ------
        ValueError
            If no image was predicted.
        """
        path = Path(path) if path is not None else self.reports / "least_confident.png"
        drawn = (self._folder(), self.rows(), path, count)
        if self._kind.target == "number":
            draw_least_confident_numbers(*drawn, self.predictor)
        else:
            draw_least_confident(*drawn)
        return path


def _settings_of(record: Path) -> dict[str, Any]:
    """Return the settings of an earlier run; none if there was none, or its record is damaged."""
    try:
        settings = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _fingerprint(predictor: MNISTPredictor) -> str:
    """Return a hash of all that decides what a predictor says."""
    digest = hashlib.sha256(str(predictor.checkpoint.temperature).encode())
    for name, value in predictor.model.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _log(folder: Path) -> Iterator[logging.Logger]:
    """Open a log file for one run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}.log"
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger(f"{__name__}.{path.stem}")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        handler.close()

"""A folder of pictures in, a table out."""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from .paths import project_root, replacing
from .prediction import CONFIDENT, MNISTPredictor
from .preprocess import to_mnist

if TYPE_CHECKING:
    import pandas as pd

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
PROBABILITIES = [f"p{digit}" for digit in range(10)]
COLUMNS = ["file", "digit", "confidence", "is_confident", *PROBABILITIES, "seconds", "error"]
LABELS = ("folder", "name")


class BatchProcessor:
    """Reads the digit in each picture of a folder; a broken one becomes a row with its error.

    Rows are written to ``reports/rows.csv`` as they are read, so that memory stays constant and an
    interrupted run can go on.

    Parameters
    ----------
    predictor : MNISTPredictor, optional
        Default: the weights that ship.
    out : path, optional
        Folder for ``reports/`` and ``logs/``. Default: ``predictions/`` in the project.
    batch_size : int
        Pictures that are read at once.
    threads : int, optional
        That decode and prepare pictures. Default: one for each processor.

    Examples
    --------
    >>> batch = BatchProcessor()  # doctest: +SKIP
    >>> batch.process_folder("scans", labels="folder")  # doctest: +SKIP
    >>> batch.save_results_csv()  # doctest: +SKIP
    """

    def __init__(
        self,
        predictor: MNISTPredictor | None = None,
        out: str | Path | None = None,
        batch_size: int = 256,
        threads: int | None = None,
    ) -> None:
        self.predictor = predictor or MNISTPredictor()
        self.out = Path(out) if out is not None else project_root() / "predictions"
        self.batch_size = batch_size
        self.threads = threads or os.cpu_count() or 1
        self.reports, self.logs = self.out / "reports", self.out / "logs"
        self.rows_path = self.reports / "rows.csv"
        self.folder: Path | None = None
        self.labels: str | None = None
        self.skipped = 0

    def process_folder(
        self,
        folder: str | Path,
        recursive: bool = True,
        pattern: str = "*",
        labels: str | None = None,
        resume: bool = False,
    ) -> BatchProcessor:
        """Read every picture in a folder.

        Parameters
        ----------
        folder : path
        recursive : bool
            Look into folders in the folder too. Links to folders are not followed.
        pattern : str
            Of file names, such as ``"*.png"``. With the default ``"*"`` files are taken by their
            extension (`EXTENSIONS`), and others are counted as skipped.
        labels : {"folder", "name"}, optional
            Where the true digit stands: in the name of the parent folder (``7/scan.png``), or at
            the start of the file's name, on its own (``7.png``, ``7_scan.png``) or as its only
            digit (``digit7.png``). Then `summary` has an accuracy.
        resume : bool
            Keep the rows of an interrupted run, and read only what is missing.

        Returns
        -------
        BatchProcessor
            Itself; see `results`.

        Raises
        ------
        NotADirectoryError
            If there is no such folder.
        ValueError
            If `labels` is none of the above.
        """
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise NotADirectoryError(f"there is no folder {self.folder}")
        if labels is not None and labels not in LABELS:
            raise ValueError(f"labels must be one of {', '.join(LABELS)}, or None, not {labels!r}")
        self.labels = labels
        self.skipped = 0
        for place in (self.reports, self.logs):
            place.mkdir(parents=True, exist_ok=True)
        done = _finished_rows(self.rows_path) if resume else set()
        total = sum(1 for _ in self._pictures(recursive, pattern))
        self.skipped = 0
        waiting = (
            path for path in self._pictures(recursive, pattern) if self._name(path) not in done
        )
        with _log(self.logs) as log, ThreadPoolExecutor(self.threads) as pool:
            log.info("reading %s: %d pictures, %d done before", self.folder, total, len(done))
            mode = "a" if done else "w"
            with self.rows_path.open(mode, newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if not done:
                    writer.writeheader()
                with tqdm(total=total, initial=len(done), unit=" pictures") as bar:
                    for chunk in _chunks(waiting, self.batch_size):
                        for row in self._read(chunk, pool, log):
                            writer.writerow(row)
                        file.flush()
                        bar.update(len(chunk))
            log.info("done; %d files skipped", self.skipped)
        return self

    def _pictures(self, recursive: bool, pattern: str) -> Iterator[Path]:
        """List the pictures in a fixed order, and count what is left out."""
        for root, folders, names in os.walk(self.folder):
            folders[:] = sorted(folders) if recursive else []
            for name in sorted(names):
                path = Path(root, name)
                taken = path.match(pattern) if pattern != "*" else path.suffix.lower() in EXTENSIONS
                if taken:
                    yield path
                else:
                    self.skipped += 1

    def _name(self, path: Path) -> str:
        """Return a file's path within the folder; bytes that are no UTF-8 come out escaped."""
        name = path.relative_to(self.folder).as_posix()
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    def _read(
        self, paths: list[Path], pool: ThreadPoolExecutor, log: logging.Logger
    ) -> Iterator[dict]:
        """Yield a row for each path, in order."""
        prepared = list(pool.map(_prepare, paths))
        good = [image for image, _, _ in prepared if image is not None]
        start = time.perf_counter()
        probs = iter(self.predictor.probabilities(np.stack(good)) if good else ())
        share = (time.perf_counter() - start) / max(1, len(good))
        for path, (image, seconds, error) in zip(paths, prepared, strict=True):
            row: dict = {"file": self._name(path), "seconds": f"{seconds + share:.6f}"}
            if image is None:
                log.warning("%s: %s", row["file"], error)
                yield row | {"error": error}
                continue
            own = next(probs)
            yield row | {
                "digit": int(own.argmax()),
                "confidence": f"{own.max():.6f}",
                "is_confident": bool(own.max() >= CONFIDENT),
                **{name: f"{p:.6f}" for name, p in zip(PROBABILITIES, own, strict=True)},
            }

    # ------------------------------------------------------------------------------- results

    @property
    def results(self) -> pd.DataFrame:
        """All rows: `COLUMNS`, and ``label`` if labels were asked for. Unreadable: ``digit`` NA."""
        import pandas as pd

        if not self.rows_path.is_file():
            raise ValueError("nothing has been read yet: call process_folder first")
        table = pd.read_csv(
            self.rows_path,
            dtype={"file": str, "error": str, "digit": "Int64", "is_confident": "boolean"},
            keep_default_na=False,
            na_values={name: [""] for name in COLUMNS if name != "file"},
        )
        if self.labels:
            labels = [_label(name, self.labels) for name in table["file"]]
            table["label"] = pd.array(labels, dtype="Int64")
        return table

    @property
    def summary(self) -> dict:
        """Counts, mean confidence, the digits' frequencies; with labels the accuracy."""
        from .evaluation import accuracy_interval

        table = self.results
        read = table[table["error"].isna()]
        result = {
            "folder": str(self.folder),
            "pictures": len(table),
            "read": len(read),
            "unreadable": len(table) - len(read),
            "skipped": self.skipped,
            "not_confident": int((~read["is_confident"]).sum()),
            "mean_confidence": float(read["confidence"].mean()) if len(read) else None,
            "digits": {str(d): int((read["digit"] == d).sum()) for d in range(10)},
        }
        if self.labels:
            known = read.dropna(subset=["label"])
            right = int((known["digit"] == known["label"]).sum())
            result |= {"labelled": len(known), "right": right}
            if len(known):
                result["accuracy"] = right / len(known)
                result["interval"] = accuracy_interval(right, len(known))
        return result

    @property
    def confusion(self) -> np.ndarray:
        """Counts ``[10, 10]``, row = label, column = digit; needs labels."""
        from sklearn.metrics import confusion_matrix

        if not self.labels:
            raise ValueError('no labels were asked for: process_folder(…, labels="folder")')
        known = self.results.dropna(subset=["label", "digit"])
        return confusion_matrix(
            known["label"].astype(int), known["digit"].astype(int), labels=range(10)
        )

    def print_summary(self) -> None:
        """Print what was read, what was not, and how sure it is."""
        summary = self.summary
        print(f"{summary['read']:,} of {summary['pictures']:,} pictures read", end="")
        print(
            f"; {summary['unreadable']:,} could not be read" if summary["unreadable"] else "",
            end="",
        )
        print(f"; {summary['skipped']:,} other files skipped" if summary["skipped"] else "")
        if summary["read"]:
            print(f"mean confidence {summary['mean_confidence']:.1%}", end="")
            print(f"; {summary['not_confident']:,} to be looked at (below {CONFIDENT:.0%})")
            print("digits:", ", ".join(f"{d}: {n:,}" for d, n in summary["digits"].items() if n))
        if "accuracy" in summary:
            low, high = summary["interval"]
            print(
                f"accuracy {summary['accuracy']:.2%} of {summary['labelled']:,} labelled ", end=""
            )
            print(f"(95 % interval {low:.1%} to {high:.1%})")

    def save_results_csv(self, path: str | Path | None = None) -> Path:
        """Write the table as CSV. Default: ``reports/results.csv``."""
        path = Path(path) if path is not None else self.reports / "results.csv"
        with replacing(path) as part:
            self.results.to_csv(part, index=False)
        return path

    def save_results_json(self, path: str | Path | None = None) -> Path:
        """Write summary and table as JSON. Default: ``reports/results.json``."""
        path = Path(path) if path is not None else self.reports / "results.json"
        rows = json.loads(self.results.to_json(orient="records"))
        content = {"summary": self.summary, "results": rows}
        with replacing(path) as part:
            text = json.dumps(content, indent=1, ensure_ascii=False)
            part.write_text(text, encoding="utf-8", errors="backslashreplace")
        return path

    def save_contact_sheet(self, path: str | Path | None = None, count: int = 40) -> Path:
        """Draw the `count` least confident pictures as the network saw them.

        Default: ``reports/least_confident.png``.

        Raises
        ------
        ValueError
            If no picture could be read.
        """
        from .plots import plot_digits, save_figure

        path = Path(path) if path is not None else self.reports / "least_confident.png"
        read = self.results.dropna(subset=["digit"]).nsmallest(count, "confidence")
        if not len(read):
            raise ValueError("no picture could be read: there is nothing to draw")
        titles = [
            f"{digit}, {confidence:.0%}\n{Path(name).name[:16]}"
            for name, digit, confidence in zip(
                read["file"], read["digit"], read["confidence"], strict=True
            )
        ]
        images = [to_mnist(self.folder / name) for name in read["file"]]
        save_figure(plot_digits(np.stack(images), titles=titles, columns=8), path)
        return path


def _prepare(path: Path) -> tuple[np.ndarray | None, float, str | None]:
    """Return a file's MNIST picture, the seconds it took, and what went wrong, if anything."""
    start = time.perf_counter()
    try:
        return to_mnist(path), time.perf_counter() - start, None
    except (ValueError, OSError) as error:
        return None, time.perf_counter() - start, str(error)


def _chunks(paths: Iterable[Path], size: int) -> Iterator[list[Path]]:
    """Cut an iterable into lists of `size`."""
    iterator = iter(paths)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _label(name: str, where: str) -> int | None:
    """Return the true digit that a file's path states, or None; see `process_folder`."""
    path = Path(name)
    if where == "folder":
        text = path.parent.name
    else:
        first = path.stem.replace("-", "_").split("_")[0]
        digits = [letter for letter in path.stem if letter.isdigit()]
        text = first if len(first) == 1 else digits[0] if len(digits) == 1 else ""
    return int(text) if len(text) == 1 and text in "0123456789" else None


def _finished_rows(path: Path) -> set[str]:
    """Return the files that an earlier run has read; a torn last row is cut off."""
    if not path.is_file():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["error"] is not None]
    whole = [row for row in rows if row["error"] or _is_number(row["p9"])]
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(whole)
    return {row["file"] for row in whole}


def _is_number(text: str | None) -> bool:
    """Return whether a cell holds a finite number."""
    try:
        return math.isfinite(float(text or ""))
    except ValueError:
        return False


class _log:
    """A log file for one run, as a context."""

    def __init__(self, folder: Path) -> None:
        self.logger = logging.getLogger(f"{__name__}.{id(self)}")
        self.logger.propagate = False
        self.logger.setLevel(logging.INFO)
        path = folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}.log"
        self.handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def __enter__(self) -> logging.Logger:
        self.logger.addHandler(self.handler)
        return self.logger

    def __exit__(self, *_error: object) -> None:
        self.logger.removeHandler(self.handler)
        self.handler.close()

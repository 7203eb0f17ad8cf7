"""Batch inference: a folder of images in, a table out."""

from __future__ import annotations

import csv
import hashlib
import heapq
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import atomic_write, escape_name, exclusive_lock, project_root, unescape_name
from ..prediction import CONFIDENCE_THRESHOLD, MNISTPredictor, is_confident
from ..progress import progress_bar
from .files import EXTENSIONS, is_large
from .labels import LABELS, find_labels, label_of
from .preprocessing import Preprocessed, preprocess
from .rows import COLUMNS, PROBABILITIES, finished_files, strict_json, whole_rows, without_formulas

if TYPE_CHECKING:
    import pandas as pd


NO_RUN = "there are no predictions yet: call process_folder first"


class BatchProcessor:
    """Predicts the digit in each image of a folder; a broken one becomes a row with its error.

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
    ) -> None:
        threads = (os.cpu_count() or 1) if threads is None else threads
        if batch_size < 1 or threads < 1:
            raise ValueError(
                f"batch_size ({batch_size}) and threads ({threads}) must be at least 1"
            )
        self.predictor = predictor or MNISTPredictor()
        self.out = Path(out) if out is not None else project_root() / "predictions"
        self.batch_size, self.threads = batch_size, threads
        self.reports, self.logs = self.out / "reports", self.out / "logs"
        self.rows_path = self.reports / "rows.csv"
        self._folder: Path | None = None
        self.labels: str | None = None
        self._labels_wanted: str | None = None
        self.skipped: Counter[str] = Counter()

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
            extension (`EXTENSIONS`).
        labels : {"auto", "folder", "name"} or None, default="auto"
            Where the label is. ``"folder"``: the name of the parent folder (``7/scan.png``).
            ``"name"``: the start of the file's name, on its own (``7.png``, ``7_scan.png``), or
            its only digit (``img_7.png``). ``"auto"``: the folder or else the name, if all images
            have such a label; of names, only what can hardly mean anything else counts
            (``7_001.png``, ``digit7.png``, ``label-7_b.png``). With labels, `summary` has an
            accuracy; if none are found, `print_summary` says so.
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
            If there are no images, `labels` is none of the above, or the rows to resume were made
            from another folder, with other options or by another model.
        OSError
            If another process writes to the same reports.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise NotADirectoryError(f"there is no folder {folder}")
        if labels is not None and labels not in LABELS:
            raise ValueError(f"labels must be one of {', '.join(LABELS)}, or None, not {labels!r}")
        self._folder, self.skipped = folder, Counter()
        paths = list(self._list_images(recursive, pattern))
        if not paths:
            raise ValueError(
                f"no images in {folder} (pattern {pattern!r}, "
                f"{'with' if recursive else 'without'} folders; skipped: {_counts(self.skipped)})"
            )
        self.labels = find_labels(map(self._name, paths)) if labels == "auto" else labels
        self._labels_wanted = labels
        settings = {
            "folder": escape_name(folder.resolve()),
            "recursive": recursive,
            "pattern": pattern,
            "model": _fingerprint(self.predictor),
        }
        with exclusive_lock(self.reports), _log(self.logs) as log:
            done = self._start(settings, resume)
            waiting = [path for path in paths if self._name(path) not in done]
            log.info("%s: %d images, %d done before", settings, len(paths), len(done))
            log.info("skipped: %s; labels: %s", _counts(self.skipped), self.labels)
            try:
                self._process(waiting, len(paths), log)
            except KeyboardInterrupt:
                print("\nStopped. What was predicted is kept: resume=True (--resume) continues.")
                log.warning("interrupted")
                raise
            log.info("done\n%s", self._summary_text())
        return self

    def _start(self, settings: dict, resume: bool) -> set[str]:
        """Create the files to write to, and return the names of the images that are done."""
        record = self.reports / "run.json"
        self.reports.mkdir(parents=True, exist_ok=True)
        if resume and self.rows_path.is_file():
            before = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
            other = [key for key, value in settings.items() if before.get(key) != value]
            if other:
                raise ValueError(
                    f"cannot resume: {self.rows_path} was made with another {' and '.join(other)}: "
                    "start without resume (--resume), or in another folder with out=… (--out)"
                )
            return finished_files(self.rows_path)
        self.rows_path.unlink(missing_ok=True)
        with atomic_write(record) as part:
            part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        with self.rows_path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)
        return set()

    def _process(self, paths: list[Path], total: int, log: logging.Logger) -> None:
        """Predict images batch by batch, and write their rows; what is ready is never lost."""
        done = total - len(paths)
        with (
            progress_bar(total=total, initial=done, unit=" images") as bar,
            ThreadPoolExecutor(self.threads) as pool,
            self.rows_path.open("a", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            for start in range(0, len(paths), self.batch_size):
                batch, ready = paths[start : start + self.batch_size], []
                # Decoding a photo lets other threads run; with small images they'd only wait.
                results = (pool.map if any(map(is_large, batch)) else map)(preprocess, batch)
                try:
                    for result in results:
                        ready.append(result)
                        bar.update()
                except BaseException:  # Ctrl-C
                    pool.shutdown(cancel_futures=True)
                    raise
                finally:
                    rows = list(self._read(batch[: len(ready)], ready, log))
                    writer.writerows(map(without_formulas, rows))
                    file.flush()

    @property
    def folder(self) -> Path:
        """The folder that was processed."""
        if self._folder is None:
            raise ValueError(NO_RUN)
        return self._folder

    def _list_images(self, recursive: bool, pattern: str) -> Iterator[Path]:
        """List the images in a fixed order, then folders that cannot be listed.

        Counts what is left out. The folders that this class writes to are no input.
        """
        own = {self.reports.resolve(), self.logs.resolve()}
        unreadable: list[OSError] = []
        for root, folders, names in os.walk(self.folder, onerror=unreadable.append):
            open_ = [name for name in folders if not name.startswith(".")]
            links = [name for name in open_ if Path(root, name).is_symlink()]
            self.skipped["hidden"] += len(folders) - len(open_)
            self.skipped["linked folder"] += len(links)
            inner = [name for name in open_ if name not in links]
            inner = [name for name in inner if Path(root, name).resolve() not in own]
            self.skipped["folder"] += 0 if recursive else len(inner)
            folders[:] = sorted(inner) if recursive else []
            for name in sorted(names):
                path = Path(root, name)
                if name.startswith("."):
                    self.skipped["hidden"] += 1
                elif (
                    path.relative_to(self.folder).match(pattern)
                    if pattern != "*"
                    else path.suffix.lower() in EXTENSIONS
                ):
                    yield path
                else:
                    self.skipped[escape_name(path.suffix) or "without extension"] += 1
        yield from (Path(error.filename) for error in unreadable)

    def _name(self, path: Path) -> str:
        """Return a file's path within the folder; bytes that are no UTF-8 come out escaped."""
        inside = os.fspath(path).removeprefix(os.path.join(self.folder, ""))
        return escape_name(inside.replace(os.sep, "/"))

    def _path(self, name: str) -> Path:
        """Return the file that `_name` gave this name."""
        path = self.folder / name
        return path if path.exists() else self.folder / unescape_name(name)

    def _read(
        self, paths: list[Path], prepared: list[Preprocessed], log: logging.Logger
    ) -> Iterator[dict]:
        """Yield a row for each path, in order."""
        good = [image for image, _, _ in prepared if image is not None]
        start = time.perf_counter()
        read = iter(self.predictor.predict_proba(np.stack(good)).tolist() if good else [])
        share = (time.perf_counter() - start) / max(1, len(good))
        for path, (image, seconds, error) in zip(paths, prepared, strict=True):
            row: dict = {"file": self._name(path)}
            if image is None:
                said = str(error)
                log.warning("%s", said if row["file"] in said else f"{row['file']!r}: {said}")
                yield row | {"seconds": f"{seconds:.6f}", "error": error}
                continue
            probs = next(read)
            confidence = max(probs)
            yield row | {
                "digit": probs.index(confidence),
                "confidence": f"{confidence:.6f}",
                "is_confident": is_confident(confidence),
                **{name: f"{p:.6f}" for name, p in zip(PROBABILITIES, probs, strict=True)},
                "seconds": f"{seconds + share:.6f}",
            }

    def rows(self) -> Iterator[dict]:
        """Yield the rows one by one, in constant memory: see `results`.

        Raises
        ------
        ValueError
            If `process_folder` has not been called.
        """
        if self._folder is None:
            raise ValueError(NO_RUN)
        for row in whole_rows(self.rows_path):
            unread = not row["digit"]
            yield {
                "file": row["file"],
                "digit": None if unread else int(row["digit"]),
                "confidence": None if unread else float(row["confidence"]),
                "is_confident": None if unread else row["is_confident"] == "True",
                **{name: None if unread else float(row[name]) for name in PROBABILITIES},
                "seconds": float(row["seconds"]),
                "error": row["error"] or None,
                **({"label": label_of(row["file"], self.labels)} if self.labels else {}),
            }

    @property
    def results(self) -> pd.DataFrame:
        """All rows: `COLUMNS`, and ``label`` if there are labels.

        ``file`` is the path within the folder, ``seconds`` the time the image took, ``p0`` to
        ``p9`` are the probabilities. An image that failed has an ``error`` and no digit (NA).
        """
        import pandas as pd

        columns = [*COLUMNS, "label"] if self.labels else COLUMNS
        table = pd.DataFrame(list(self.rows()), columns=columns)
        kinds: dict[str, Any] = {name: float for name in ["confidence", *PROBABILITIES, "seconds"]}
        kinds |= {"digit": "Int64", "is_confident": "boolean", "error": object}
        return table.astype(kinds | ({"label": "Int64"} if self.labels else {}))

    @property
    def confusion(self) -> np.ndarray:
        """Counts ``[10, 10]``, row = label, column = digit; needs labels."""
        if not self.labels:
            raise ValueError('there are no labels: process_folder(…, labels="folder" or "name")')
        counts = np.zeros((10, 10), int)
        for row in self.rows():
            if row["label"] is not None and row["digit"] is not None:
                counts[row["label"], row["digit"]] += 1
        return counts

    @property
    def summary(self) -> dict:
        """Counts, mean confidence, the digits' frequencies; with labels the accuracy.

        Of the images with a label, ``labeled`` were predicted, ``labeled_failed`` failed.
        """
        from ..evaluation import accuracy_interval

        digits: Counter[int] = Counter()
        confidence, confident, images, failed = 0.0, 0, 0, 0
        for row in self.rows():
            images += 1
            if row["digit"] is not None:
                digits[row["digit"]] += 1
                confidence += row["confidence"]
                confident += row["is_confident"]
            elif row.get("label") is not None:
                failed += 1
        predicted = digits.total()
        result = {
            "folder": escape_name(self.folder),
            "images": images,
            "predicted": predicted,
            "failed": images - predicted,
            "skipped": self.skipped.total(),
            "skipped_by_type": dict(+self.skipped),
            "not_confident": predicted - confident,
            "mean_confidence": confidence / predicted if predicted else None,
            "digits": {str(digit): digits[digit] for digit in range(10)},
            "labels": self.labels,
        }
        if self.labels:
            confusion = self.confusion
            correct, labeled = int(confusion.trace()), int(confusion.sum())
            result |= {"labeled": labeled, "correct": correct, "confusion": confusion.tolist()}
            result["labeled_failed"] = failed
            if labeled:
                result["accuracy"] = correct / labeled
                result["interval"] = accuracy_interval(correct, labeled)
        return result

    def _summary_text(self) -> str:
        """Return the summary in words."""
        summary = self.summary
        text = f"{summary['predicted']:,} of {summary['images']:,} images predicted"
        if summary["failed"]:
            text += f"; {summary['failed']:,} failed (see the column error)"
        if summary["skipped"]:
            text += f"; skipped: {_counts(self.skipped)}"
        if summary["predicted"]:
            digits = ", ".join(f"{d}: {n:,}" for d, n in summary["digits"].items() if n)
            text += f"\nmean confidence {summary['mean_confidence']:.1%}; "
            low = summary["not_confident"]
            text += f"{low:,} below {CONFIDENCE_THRESHOLD:.0%}"
            text += ": look at these" if low else ""
            text += f"\npredicted digits: {digits}"
        return "\n".join([text, *self._accuracy_text(summary)])

    def _accuracy_text(self, summary: dict) -> list[str]:
        """Return the accuracy in words, or why there is none; nothing if none was asked for."""
        if "accuracy" in summary:
            low, high = summary["interval"]
            failed = summary["labeled_failed"]
            where = {"folder": "folder names", "name": "file names"}[str(self.labels)]
            return [
                f"accuracy {summary['accuracy']:.2%} of {summary['labeled']:,} labeled images "
                f"(labels from the {where}; 95% confidence interval {low:.1%} to {high:.1%})"
                + (f"; {failed:,} more labeled images failed" if failed else "")
            ]
        if self._labels_wanted is None or summary.get("labeled_failed"):
            return []
        return [
            "no labels found, so no accuracy: "
            + {
                "auto": "not every image has its digit in the folder's name (7/scan.png) or the "
                "file's (7_001.png)",
                "folder": "no image is in a folder that is named 0 to 9",
                "name": "no file's name begins with a digit on its own, or has only one",
            }[self._labels_wanted]
        ]

    def print_summary(self) -> None:
        """Print how many images were predicted and failed, the confidence, and the accuracy."""
        print(self._summary_text())

    def save_results_csv(self, path: str | Path | None = None) -> Path:
        """Write the table as CSV. Default: ``reports/results.csv``."""
        path = Path(path) if path is not None else self.reports / "results.csv"
        columns = [*COLUMNS, "label"] if self.labels else COLUMNS
        with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(map(without_formulas, self.rows()))
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
        """Draw the `count` least confident images as the model saw them.

        Default: ``reports/least_confident.png``.

        Raises
        ------
        ValueError
            If no image was predicted.
        """
        from ..plots import plot_digits, save_figure

        path = Path(path) if path is not None else self.reports / "least_confident.png"
        read = (row for row in self.rows() if row["digit"] is not None)
        images, titles = [], []
        for row in heapq.nsmallest(count, read, key=lambda row: row["confidence"]):
            image, _, _ = preprocess(self._path(row["file"]))
            if image is not None:  # else the file has gone or changed since
                name = ascii(Path(row["file"]).stem)[1:-1][-13:].replace("$", r"\$")
                images.append(image)
                titles.append(f"{row['digit']}, {row['confidence']:.0%}\n{name}")
        if not images:
            raise ValueError("no image could be predicted: there is nothing to draw")
        save_figure(plot_digits(np.stack(images), titles=titles, columns=8), path)
        return path


def _fingerprint(predictor: MNISTPredictor) -> str:
    """Return a hash of all that decides what a predictor says."""
    digest = hashlib.sha256(str(predictor.checkpoint.temperature).encode())
    for name, value in predictor.model.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _counts(skipped: Counter[str]) -> str:
    """Return counts in words, such as ``3 .txt, 1 hidden``."""
    return (
        ", ".join(f"{count:,} {kind}" for kind, count in skipped.most_common() if count) or "none"
    )


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

"""A folder of pictures in, a table out."""

from __future__ import annotations

import csv
import hashlib
import heapq
import json
import logging
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .paths import (
    alone_in,
    as_text,
    escape_formula,
    name_of,
    project_root,
    replacing,
    unescape_formula,
)
from .prediction import CONFIDENT, MNISTPredictor, is_confident
from .preprocess import Picture, to_mnist
from .progress import progress_bar

if TYPE_CHECKING:
    import pandas as pd

EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("png", "jpg", "jpeg", "jfif", "bmp", "gif", "tif", "tiff"),
        *("webp", "avif", "heic", "heif", "pbm", "pgm", "pnm", "ppm"),
    )
)
PROBABILITIES = [f"p{digit}" for digit in range(10)]
COLUMNS = ["file", "digit", "confidence", "is_confident", *PROBABILITIES, "seconds", "error"]
Prepared = tuple[np.ndarray | None, float, str | None]  # picture, seconds, error
Batch = tuple[list[Path], list[Prepared]]
LABELS = ("auto", "folder", "name")
LARGE = 1 << 16  # bytes of a file
LARGE_AT_ONCE = 4  # a thread
SURE_NAME = re.compile(r"([0-9])[_-][0-9]+|(?:digit|label)[_-]?([0-9])(?:[_-].*)?", re.IGNORECASE)


class BatchProcessor:
    """Reads the digit in each picture of a folder; a broken one becomes a row with its error.

    Rows go to ``reports/rows.csv`` as they are read, so that memory stays constant and an
    interrupted run can go on. A new run replaces the rows of the last one in the same `out`.

    Parameters
    ----------
    predictor : MNISTPredictor, optional
        Default: the weights that ship.
    out : path, optional
        Folder for ``reports/`` and ``logs/``. Default: ``predictions/`` in the project.
    batch_size : int
        Pictures that are read at once, and at most lost when a run is killed; fewer, where files
        are large.
    threads : int, optional
        That decode large pictures. Default: one for each processor.

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
        self.folder: Path | None = None
        self.labels: str | None = None
        self.skipped: Counter[str] = Counter()

    def process_folder(
        self,
        folder: str | Path,
        recursive: bool = True,
        pattern: str = "*",
        labels: str | None = "auto",
        resume: bool = False,
    ) -> BatchProcessor:
        """Read every picture in a folder.

        Hidden files and folders are skipped, links to folders are not followed, and what is left
        out is counted in ``skipped``.

        Parameters
        ----------
        folder : path
        recursive : bool
            Look into folders in the folder too.
        pattern : str
            Of file names, such as ``"*.png"``. With the default ``"*"`` files are taken by their
            extension (`EXTENSIONS`).
        labels : {"auto", "folder", "name"} or None
            Where the true digit stands. ``"folder"``: the name of the parent folder
            (``7/scan.png``). ``"name"``: the start of the file's name, on its own (``7.png``,
            ``7_scan.png``), or its only digit (``img_7.png``). ``"auto"``: the folder or else the
            name, if all pictures have such a label; of names, only what can hardly mean anything
            else counts (``7_001.png``, ``digit7.png``, ``label-7_b.png``). With labels, `summary`
            has an accuracy.
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
            If there are no pictures, `labels` is none of the above, or the rows to resume were
            made from another folder, with other options or by another network.
        OSError
            If another process writes to the same reports.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise NotADirectoryError(f"there is no folder {folder}")
        if labels is not None and labels not in LABELS:
            raise ValueError(f"labels must be one of {', '.join(LABELS)}, or None, not {labels!r}")
        self.folder, self.skipped = folder, Counter()
        paths = list(self._pictures(recursive, pattern))
        if not paths:
            raise ValueError(
                f"no pictures in {folder} (pattern {pattern!r}, "
                f"{'with' if recursive else 'without'} folders; skipped: {_counts(self.skipped)})"
            )
        self.labels = _find_labels(map(self._name, paths)) if labels == "auto" else labels
        settings = {
            "folder": as_text(folder.resolve()),
            "recursive": recursive,
            "pattern": pattern,
            "network": _fingerprint(self.predictor),
        }
        with alone_in(self.reports), _log(self.logs) as log:
            done = self._start(settings, resume)
            waiting = [path for path in paths if self._name(path) not in done]
            log.info("%s: %d pictures, %d done before", settings, len(paths), len(done))
            log.info("skipped: %s; labels: %s", _counts(self.skipped), self.labels)
            try:
                self._process(waiting, len(paths), log)
            except KeyboardInterrupt:
                print(
                    "\nStopped. What was read is kept: resume=True (or --resume) goes on from it."
                )
                log.warning("interrupted")
                raise
            log.info("done\n%s", self._summary_text())
        return self

    def _start(self, settings: dict, resume: bool) -> set[str]:
        """Prepare the files to write to, and return the names of the files that are done."""
        record = self.reports / "run.json"
        self.reports.mkdir(parents=True, exist_ok=True)
        if resume and self.rows_path.is_file():
            before = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
            other = [key for key, value in settings.items() if before.get(key) != value]
            if other:
                raise ValueError(
                    f"cannot resume: {self.rows_path} was made with another {' and '.join(other)}. "
                    "Start without resume, or with another out folder."
                )
            return _finished(self.rows_path)
        self.rows_path.unlink(missing_ok=True)
        with replacing(record) as part:
            part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        with self.rows_path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)
        return set()

    def _process(self, paths: list[Path], total: int, log: logging.Logger) -> None:
        """Read pictures batch by batch, and write their rows."""
        bar = progress_bar(total=total, initial=total - len(paths), unit=" images")
        with (
            bar,
            _one_processor_left(),
            closing(self._batches(paths)) as batches,
            self.rows_path.open("a", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            for chunk, prepared in batches:
                writer.writerows(map(_without_formulas, list(self._read(chunk, prepared, log))))
                file.flush()
                bar.update(len(chunk))

    def _batches(self, paths: list[Path]) -> Generator[Batch, None, None]:
        """Yield batch after batch of prepared pictures; while one is read, the next is prepared.

        If the caller stops in between, so does the preparing.
        """
        pool, ahead = ThreadPoolExecutor(self.threads), ThreadPoolExecutor(1)

        def prepare(chunk: dict[Path, bool]) -> list[Prepared]:
            large = {
                path: pool.submit(_prepare, path) for path, is_large in chunk.items() if is_large
            }
            return [large[path].result() if path in large else _prepare(path) for path in chunk]

        jobs = ((chunk, ahead.submit(prepare, chunk)) for chunk in self._chunks(paths))
        try:
            for (chunk, job), _next in pairwise(chain(jobs, [None])):  # which submits the next
                yield list(chunk), job.result()
        finally:
            for executor in (pool, ahead):
                executor.shutdown(cancel_futures=True)

    def _chunks(self, paths: list[Path]) -> Iterator[dict[Path, bool]]:
        """Cut paths into batches of `batch_size`, or fewer if there are many large files.

        A photo takes as long as a hundred small pictures: so the progress bar does not stand still.
        Each path comes with whether its file is large.
        """
        chunk, large = {}, 0
        for path in paths:
            chunk[path] = _is_large(path)
            large += chunk[path]
            if len(chunk) == self.batch_size or large == LARGE_AT_ONCE * self.threads:
                yield chunk
                chunk, large = {}, 0
        if chunk:
            yield chunk

    def _pictures(self, recursive: bool, pattern: str) -> Iterator[Path]:
        """List the pictures in a fixed order, then folders that cannot be listed.

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
                    self.skipped[as_text(path.suffix) or "without extension"] += 1
        yield from (Path(error.filename) for error in unreadable)

    def _name(self, path: Path) -> str:
        """Return a file's path within the folder; bytes that are no UTF-8 come out escaped."""
        inside = os.fspath(path).removeprefix(os.path.join(self.folder, ""))
        return as_text(inside.replace(os.sep, "/"))

    def _path(self, name: str) -> Path:
        """Return the file that `_name` gave this name."""
        path = self.folder / name
        return path if path.exists() else self.folder / name_of(name)

    def _read(
        self, paths: list[Path], prepared: list[Prepared], log: logging.Logger
    ) -> Iterator[dict]:
        """Yield a row for each path, in order."""
        good = [image for image, _, _ in prepared if image is not None]
        start = time.perf_counter()
        read = iter(self.predictor.probabilities(np.stack(good)).tolist() if good else [])
        share = (time.perf_counter() - start) / max(1, len(good))
        for path, (image, seconds, error) in zip(paths, prepared, strict=True):
            row: dict = {"file": self._name(path)}
            if image is None:
                log.warning("%s", error if row["file"] in error else f"{row['file']!r}: {error}")
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

    # ------------------------------------------------------------------------------- results

    def rows(self) -> Iterator[dict]:
        """Yield the rows one by one, in constant memory: see `results`.

        Raises
        ------
        ValueError
            If nothing has been read yet.
        """
        if self.folder is None:
            raise ValueError("nothing has been read yet: call process_folder first")
        for row in _whole_rows(self.rows_path):
            unread = not row["digit"]
            yield {
                "file": row["file"],
                "digit": None if unread else int(row["digit"]),
                "confidence": None if unread else float(row["confidence"]),
                "is_confident": None if unread else row["is_confident"] == "True",
                **{name: None if unread else float(row[name]) for name in PROBABILITIES},
                "seconds": float(row["seconds"]),
                "error": row["error"] or None,
                **({"label": _label(row["file"], self.labels)} if self.labels else {}),
            }

    @property
    def results(self) -> pd.DataFrame:
        """All rows: `COLUMNS`, and ``label`` if there are labels.

        ``file`` is the path within the folder, ``seconds`` what the picture took, ``p0`` to ``p9``
        are the probabilities. A picture that could not be read has an ``error`` and no digit (NA).
        """
        import pandas as pd

        columns = [*COLUMNS, "label"] if self.labels else COLUMNS
        table = pd.DataFrame(list(self.rows()), columns=columns)
        kinds = {name: float for name in ["confidence", *PROBABILITIES, "seconds"]}
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

        Of the pictures with a label, ``labelled`` were read, and ``labelled_unreadable`` were not.
        """
        from .evaluation import accuracy_interval

        digits, confidence, sure, pictures, lost = Counter(), 0.0, 0, 0, 0
        for row in self.rows():
            pictures += 1
            if row["digit"] is not None:
                digits[row["digit"]] += 1
                confidence += row["confidence"]
                sure += row["is_confident"]
            elif row.get("label") is not None:
                lost += 1
        read = digits.total()
        result = {
            "folder": as_text(self.folder),
            "pictures": pictures,
            "read": read,
            "unreadable": pictures - read,
            "skipped": self.skipped.total(),
            "skipped_by_kind": dict(+self.skipped),
            "not_confident": read - sure,
            "mean_confidence": confidence / read if read else None,
            "digits": {str(digit): digits[digit] for digit in range(10)},
            "labels": self.labels,
        }
        if self.labels:
            confusion = self.confusion
            right, known = int(confusion.trace()), int(confusion.sum())
            result |= {"labelled": known, "right": right, "confusion": confusion.tolist()}
            result["labelled_unreadable"] = lost
            if known:
                result["accuracy"] = right / known
                result["interval"] = accuracy_interval(right, known)
        return result

    def _summary_text(self) -> str:
        """Return the summary in words."""
        summary = self.summary
        text = f"{summary['read']:,} of {summary['pictures']:,} pictures read"
        if summary["unreadable"]:
            text += f"; {summary['unreadable']:,} could not be read"
        if summary["skipped"]:
            text += f"; skipped: {_counts(self.skipped)}"
        if summary["read"]:
            text += f"\nmean confidence {summary['mean_confidence']:.1%}; "
            text += (
                f"{summary['not_confident']:,} to be looked at (below {CONFIDENT:.0%})\ndigits: "
            )
            text += ", ".join(f"{d}: {n:,}" for d, n in summary["digits"].items() if n)
        if "accuracy" in summary:
            low, high = summary["interval"]
            lost = summary["labelled_unreadable"]
            text += f"\naccuracy {summary['accuracy']:.2%} of {summary['labelled']:,} labelled by "
            text += f"{self.labels}{' that were read' if lost else ''} "
            text += f"(95 % interval {low:.1%} to {high:.1%})"
            text += f"; {lost:,} more labelled could not be read" if lost else ""
        return text

    def print_summary(self) -> None:
        """Print what was read, what was not, and how sure it is."""
        print(self._summary_text())

    def save_results_csv(self, path: str | Path | None = None) -> Path:
        """Write the table as CSV. Default: ``reports/results.csv``."""
        path = Path(path) if path is not None else self.reports / "results.csv"
        columns = [*COLUMNS, "label"] if self.labels else COLUMNS
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(map(_without_formulas, self.rows()))
        return path

    def save_results_json(self, path: str | Path | None = None) -> Path:
        """Write summary and table as JSON. Default: ``reports/results.json``."""
        path = Path(path) if path is not None else self.reports / "results.json"
        with replacing(path) as part, part.open("w", encoding="utf-8") as file:
            file.write(f'{{"summary": {_json(self.summary)},\n"results": [')
            for number, row in enumerate(self.rows()):
                file.write(f"{',' if number else ''}\n{_json(row)}")
            file.write("\n]}\n")
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
        read = (row for row in self.rows() if row["digit"] is not None)
        images, titles = [], []
        for row in heapq.nsmallest(count, read, key=lambda row: row["confidence"]):
            image, _, _ = _prepare(self._path(row["file"]))
            if image is not None:  # else the file has gone or changed since
                name = ascii(Path(row["file"]).stem)[1:-1][-13:].replace("$", r"\$")
                images.append(image)
                titles.append(f"{row['digit']}, {row['confidence']:.0%}\n{name}")
        if not images:
            raise ValueError("no picture could be read: there is nothing to draw")
        save_figure(plot_digits(np.stack(images), titles=titles, columns=8), path)
        return path


# -------------------------------------------------------------------------------------------- parts


@contextmanager
def _one_processor_left() -> Iterator[None]:
    """Let PyTorch take all processors but one, on which meanwhile pictures are prepared.

    If both wanted it, all of PyTorch's threads would wait for the one that has it, and spin.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _is_large(path: Path) -> bool:
    """Return whether a file repays being decoded in a thread of its own.

    Python runs one thread at a time, except where a library lets go of its lock for long, as
    decoding a photo does. With small pictures threads would only wait for each other.
    """
    try:
        return path.stat().st_size >= LARGE
    except OSError:  # the reason is told when it is prepared
        return False


def _prepare(path: Path) -> Prepared:
    """Prepare the picture in a file; see `timed_to_mnist`."""
    return timed_to_mnist(lambda: _regular(path))


def _regular(path: Path) -> Path:
    """Return the path, if a picture can be read from there."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        os.listdir(path)  # says why it could not be listed
    if not stat.S_ISREG(mode):  # a pipe would be waited for without end
        raise ValueError(f"{path} is no regular file")
    return path


def timed_to_mnist(load: Callable[[], Picture]) -> Prepared:
    """Return a picture as MNIST's, the seconds it took, and what went wrong, if anything."""
    start = time.perf_counter()
    try:
        return to_mnist(load()), time.perf_counter() - start, None
    except Exception as error:  # whatever a decoder raises, the other pictures are to be read
        kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        text = as_text(" ".join(f"{kind}{error}".split())) or type(error).__name__
        return None, time.perf_counter() - start, text


def _label(name: str, where: str) -> int | None:
    """Return the true digit that a file's path states, or None; see `process_folder`."""
    path = Path(name)
    sure = SURE_NAME.fullmatch(path.stem)
    if where == "folder":
        text = path.parent.name
    elif sure:
        text = sure[1] or sure[2]
    elif where == "auto":
        text = ""
    else:
        first = path.stem.replace("-", "_").split("_")[0]
        digits = [letter for letter in path.stem if letter.isdigit()]
        text = first if len(first) == 1 else digits[0] if len(digits) == 1 else ""
    return int(text) if len(text) == 1 and text in "0123456789" else None


def _find_labels(names: Iterable[str]) -> str | None:
    """Return where all of these files state their digit: in the folder, in the name, or nowhere."""
    names = list(names)
    for where, strictly in (("folder", "folder"), ("name", "auto")):
        if all(_label(name, strictly) is not None for name in names):
            return where
    return None


def _whole_rows(path: Path) -> Iterator[dict]:
    """Yield a table's rows, but for a last one that was cut off in the middle."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        ends = file.read() == b"\n"
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        before = None
        for row in csv.DictReader(file):
            if before is not None:
                yield before
            before = {
                name: unescape_formula(value) if isinstance(value, str) else value
                for name, value in row.items()
            }
        if before is not None and ends and before["error"] is not None:
            yield before


def _finished(path: Path) -> set[str]:
    """Return the files that an earlier run has read, and cut a torn last row off."""
    names = set()
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in _whole_rows(path):
            writer.writerow(_without_formulas(row))
            names.add(row["file"])
    return names


def _fingerprint(predictor: MNISTPredictor) -> str:
    """Return a hash of all that decides what a predictor says."""
    digest = hashlib.sha256(str(predictor.checkpoint.temperature).encode())
    for name, value in predictor.model.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _without_formulas(row: dict) -> dict:
    """Return a row whose texts no spreadsheet takes for formulas."""
    return {
        name: escape_formula(value) if isinstance(value, str) else value
        for name, value in row.items()
    }


def _json(value: object) -> str:
    """Return a value as strict JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


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

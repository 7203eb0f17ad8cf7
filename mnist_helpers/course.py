"""The course's notebooks, copied to a folder of the user's and kept up to date there."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import count
from pathlib import Path

from .files import atomic_write, notebooks_folder, short_path

FIRST_NOTEBOOK = "01_dataset.ipynb"
WIDGETS_SAVED = Path(__file__).parent / "widgets" / "mnist_helpers.json"  # JupyterLab's settings
RECORD = ".mnist_helpers_notebooks.json"  # file name → digest of the version given last


def copy_notebooks(folder: str | Path) -> list[str]:
    """Copy the course's notebooks to a folder, or bring the copies there up to date.

    What was edited is never overwritten. A notebook counts as edited if a cell's source differs
    from the version that was copied; outputs and metadata don't count. Deleting a copy brings the
    original back the next time.

    Parameters
    ----------
    folder : path
        Created if it is missing.

    Returns
    -------
    list of str
        One sentence for each change:

        - a new file is copied, and an unedited one replaced by its new version;
        - beside an edited one the new version is written, once, as ``01_dataset.new.ipynb``;
        - one that is no longer part of the course is deleted, unless it was edited.

    Raises
    ------
    FileNotFoundError
        If the package was installed without its notebooks.
    OSError
        If the folder cannot be written to.

    Examples
    --------
    >>> copy_notebooks("my_notebooks")
    ['Copied ... files to my_notebooks.']
    """
    source, folder = notebooks_folder(), Path(folder)
    if folder.resolve() == source.resolve():
        return []
    folder.mkdir(parents=True, exist_ok=True)
    record, copied, messages = _read_record(folder), 0, []
    originals = [path for path in sorted(source.iterdir()) if path.suffix in (".ipynb", ".md")]
    for original in originals:
        target = folder / original.name
        if not target.exists():
            _copy(original, target)
            copied += 1
        else:
            messages += _update(original, target, record.get(original.name))
        record[original.name] = digest(original)
    for name in sorted(set(record) - {path.name for path in originals}):
        messages += _retire(folder / name, record.pop(name))
    with atomic_write(folder / RECORD) as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return ([f"Copied {copied} files to {short_path(folder)}."] if copied else []) + messages


def digest(path: Path) -> str:
    """Return a hash of a notebook's cells (type and source, without empty ones), or of a file."""
    content = path.read_bytes()
    if path.suffix == ".ipynb":
        try:
            cells = [
                (cell["cell_type"], "".join(cell["source"]))
                for cell in json.loads(content)["cells"]
            ]
        except (ValueError, KeyError, TypeError):  # not a notebook: its bytes are what it is
            pass
        else:
            content = json.dumps([cell for cell in cells if cell[1].strip()]).encode()
    return hashlib.sha256(content).hexdigest()


def _update(original: Path, target: Path, given: str | None) -> list[str]:
    """Replace an unedited copy, or write the new version beside an edited one.

    `given` is the digest of the version that the user was given last.
    """
    new, now = digest(original), digest(target)
    if now == new:
        return []
    if now == given:
        _copy(original, target)
        return [f"Updated {target.name}, which you had not edited."]
    if new == given:  # edited, and nothing is new
        return []
    beside = _beside(target, given)
    _copy(original, beside)
    return [f"Kept {target.name} with your edits; the new version is {beside.name}."]


def _beside(target: Path, given: str | None) -> Path:
    """Return where to write a new version beside `target`: never over something edited."""
    names = (f"{target.stem}.new{number or ''}{target.suffix}" for number in count())
    paths = (target.with_name(name) for name in names)
    return next(path for path in paths if not path.exists() or digest(path) == given)


def _retire(target: Path, given: str) -> list[str]:
    """Delete a copy that is no longer part of the course, unless it was edited."""
    if not target.exists():
        return []
    if digest(target) != given:
        return [f"{target.name} is no longer part of the course; yours, with your edits, stays."]
    target.unlink()
    return [f"Deleted {target.name}, which is no longer part of the course."]


def _copy(original: Path, target: Path) -> None:
    """Copy a file's content, so that the copy can be written to whatever the original's mode."""
    with atomic_write(target) as part:
        shutil.copyfile(original, part)


def _read_record(folder: Path) -> dict[str, str]:
    """Return which versions the user was given; without a (whole) record, none."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def enable_widget_state_saving() -> str | None:
    """Tell this environment's JupyterLab to save widgets when it saves their notebook.

    Opened again without its kernel, a notebook then shows them as they were, and not "model not
    found". What users set themselves comes before it.

    Returns
    -------
    str or None
        Why it could not be done.
    """
    from jupyterlab.commands import get_app_dir

    wanted = WIDGETS_SAVED.read_text(encoding="utf-8")
    path = Path(get_app_dir()) / "settings" / "overrides.d" / WIDGETS_SAVED.name
    try:
        if not path.is_file() or path.read_text(encoding="utf-8") != wanted:
            with atomic_write(path) as part:
                part.write_text(wanted, encoding="utf-8")
    except OSError as error:
        return f"Widgets are not saved with the notebooks: {error}"
    return None

"""Labels that the names of files and folders state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

LABELS = ("auto", "folder", "name")
SURE_NAME = re.compile(r"([0-9])[_-][0-9]+|(?:digit|label)[_-]?([0-9])(?:[_-].*)?", re.IGNORECASE)


def label_of(name: str, where: str) -> int | None:
    """Return the label that a file's path states, or None; see `process_folder`."""
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


def find_labels(names: Iterable[str]) -> str | None:
    """Return where all of these files state their label: in the folder, in the name, or nowhere."""
    names = list(names)
    for where, strictly in (("folder", "folder"), ("name", "auto")):
        if all(label_of(name, strictly) is not None for name in names):
            return where
    return None

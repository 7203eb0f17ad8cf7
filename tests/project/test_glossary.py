"""The glossary has every term that a notebook lists, once, in order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def entries() -> list[str]:
    """Return the glossary's entries, in lower case and without code marks."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return [cell.lower().replace("`", "") for cell in cells if cell not in ("term", "---")]


def known_terms() -> set[str]:
    """Return each name of each entry, and the plural's and the abbreviation's singular."""
    names = {name.strip() for entry in entries() for name in re.split(r"[,()/]", entry)}
    return names | {f"{name}s" for name in names} | set(entries())


def test_entries_are_sorted_and_stand_once() -> None:
    assert entries() == sorted(entries()) and len(set(entries())) == len(entries()) > 100


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_terms_of_a_notebook_are_in_the_glossary(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (listed,) = [
        paragraph
        for cell in cells
        for paragraph in "".join(cell["source"]).split("\n\n")
        if "**Terms**" in paragraph
    ]
    terms = [term.lower().strip("`") for term in re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", listed)]
    assert len(terms) >= 8
    missing = [term for term in terms if not known_terms() & {term, term.removesuffix("s")}]
    assert not missing, f"add to docs/glossary.md: {missing}"

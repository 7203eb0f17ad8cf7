"""Whether links lead somewhere: those of a folder of web pages, and of a repository's documents.

    python tools/check_links.py outputs/book    # pages: files, anchors, nothing from elsewhere
    python tools/check_links.py                 # Markdown and notebooks of this repository

Links to other servers are only looked at, never followed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import nbformat
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
# What a browser fetches by itself when it shows a page.
LOADS = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "input": "src",
    "object": "data",
    "script": "src",
    "source": "src",
    "track": "src",
    "video": "src",
}
LOADED_RELATIONS = {"stylesheet", "preload", "modulepreload", "prefetch", "icon", "manifest"}
IN_STYLE = re.compile(r"""@import\s+(?:url\()?\s*["']?([^"')\s;]+)|url\(\s*["']?([^"')]+)""")


@dataclass
class Page:
    """What one page links to, what it loads, and what can be linked to in it."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    """Collects a `Page`."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.page.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if values.get(LOADS.get(tag, "")):
            self.page.loads.append(values[LOADS[tag]])
        if tag == "link" and set(values.get("rel", "").lower().split()) & LOADED_RELATIONS:
            self.page.loads.append(values.get("href", ""))
        elif tag in {"a", "area", "link"} and "href" in values:
            self.page.links.append(values["href"])
        self.page.loads += [part.split()[0] for part in values.get("srcset", "").split(",") if part]
        self.page.loads += styled(values.get("style", ""))
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if self._style:
            self.page.loads += styled(data)


def styled(text: str) -> list[str]:
    """Return the addresses that a style sheet loads."""
    return [first or second for first, second in IN_STYLE.findall(text)]


def read_page(path: Path) -> Page:
    """Read one page."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def is_elsewhere(address: str) -> bool:
    """Whether an address is on another server."""
    return address.startswith("//") or urlsplit(address).scheme not in {"", "data"}


def is_well_formed(address: str) -> bool:
    """Whether an address on another server looks like one."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme == "mailto":
        return "@" in parts.path
    return parts.scheme in {"http", "https"} and bool(re.fullmatch(r"[\w.:-]+", parts.netloc))


def is_anchor(parts: SplitResult, page: Page) -> bool:
    """Whether what follows an address's # is in the page."""
    return unquote(parts.fragment) in page.anchors


def broken_html(folder: Path) -> list[str]:
    """Return what is wrong with the links of a folder's pages, a line for each."""
    pages = {path.resolve(): read_page(path) for path in sorted(folder.rglob("*.html"))}
    wrong = []
    for path, page in pages.items():
        name = path.relative_to(folder.resolve()).as_posix()
        wrong += [f"{name} loads {load}" for load in page.loads if is_elsewhere(load)]
        for link in page.links:
            if is_elsewhere(link):
                if not is_well_formed(link):
                    wrong.append(f"{name} links to {link}, which is no address")
                continue
        for link in dict.fromkeys([*page.links, *page.loads]):
            if is_elsewhere(link) or link.startswith("data:"):
                continue
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                wrong.append(f"{name} links to {link}, where no file is")
            elif parts.fragment and target in pages and not is_anchor(parts, pages[target]):
                wrong.append(f"{name} links to {link}, where no such anchor is")
    for path in sorted(folder.rglob("*.css")):
        for address in styled(path.read_text(encoding="utf-8")):
            if is_elsewhere(address):
                wrong.append(f"{path.relative_to(folder).as_posix()} loads {address}")
    return wrong


def read_document(path: Path) -> Page:
    """Read a Markdown file, or the Markdown of a notebook."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    else:
        texts = [path.read_text(encoding="utf-8")]
    page = Page()
    for text in texts:
        _read_markdown(text, page)
    return page


def _read_markdown(text: str, page: Page) -> None:
    """Add to `page` what a Markdown text links to, and its headings."""
    reader = _Reader()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "html_block":
            reader.feed(token.content)
        for child in token.children or []:
            if child.type == "html_inline":
                reader.feed(child.content)
            page.links += [
                str(child.attrs[name]) for name in ("href", "src") if name in child.attrs
            ]
        if before is not None and before.type == "heading_open":
            words = "".join(child.content for child in token.children or [])
            page.anchors.add(slug(words, page.anchors))
    page.links += [*reader.page.links, *reader.page.loads]
    page.anchors |= reader.page.anchors


def slug(heading: str, taken: set[str]) -> str:
    """Return the anchor that GitHub, and the book, give to a heading."""
    base = name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    number = 0
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def broken_documents(root: Path, paths: list[Path]) -> list[str]:
    """Return what is wrong with the links of Markdown files and notebooks, a line for each."""
    pages = {path.resolve(): read_document(path) for path in paths}
    wrong = []
    for path, page in pages.items():
        name = path.relative_to(root.resolve()).as_posix()
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if is_elsewhere(link):
                if not is_well_formed(link):
                    wrong.append(f"{name} links to {link}, which is no address")
            elif not target.exists() or not target.is_relative_to(root.resolve()):
                wrong.append(f"{name} links to {link}, where nothing is")
            elif parts.fragment and target in pages and not is_anchor(parts, pages[target]):
                wrong.append(f"{name} links to {link}, where no such heading is")
    return wrong


def documents(root: Path = ROOT) -> list[Path]:
    """Return the Markdown files and notebooks under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", "*.md", "*.ipynb"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return [root / name for name in listed.stdout.split("\0") if (root / name).is_file() and name]


def main() -> int:
    """Check what the command line names."""
    wrong = broken_html(Path(sys.argv[1])) if sys.argv[1:] else broken_documents(ROOT, documents())
    print("\n".join(wrong) or "all links lead somewhere")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

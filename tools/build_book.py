"""Build the book: the course as static HTML, which needs neither Python nor a network to be read.

    make book    # executes what changed, builds outputs/book/index.html, checks its links
    .venv/bin/python tools/build_book.py --linkcheck    # also asks the servers it links to

Notebooks are committed without outputs, so their executed copies are taken, those of `make run`.
One is executed again if it, or a file of the package, has changed since, and only then.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import nbformat
from check_links import broken_html
from links import repository
from run_notebooks import ROOT, WIDGET, is_fresh, run

import mnist_helpers

REPOSITORY = repository()  # None while the project has no address
BOOK = ROOT / "docs" / "book"
FRONT = BOOK / "index.md"
DOCUMENTS = ("README.md", "docs/*.md", "docs/*.png", "mnist_helpers/weights/README.md")
LOADED_BY_HTML = "docs/canvas.*"  # Sphinx copies only what Markdown shows
NOTEBOOKS = "notebooks/[0-9]*.ipynb"
CANVAS = (
    "*In Jupyter a canvas to draw on is here, and the network predicts as you draw. "
    "It looks like this:*"
)
CANVAS_IN_WORDS = (
    "A 3, drawn with two strokes on a white canvas. Beside it the 3 as the network sees it, and a "
    "bar for each of the ten probabilities: that of the 3 is at 100%. Below are buttons to undo, "
    "to clear and to upload an image, and a slider for the pen."
)
OTHER_WIDGET = "*In Jupyter this is a control to play with.*"
FIGURE_WITH_CONTROLS = "*In Jupyter this figure has controls to play with. It begins like this:*"
NO_WORDS = """it draws a figure that no words stand for. Say in its metadata what there is to see:
    "mystnb": {"image": {"alt": "Line chart: ..."}}"""


def sources(root: Path = ROOT) -> list[Path]:
    """Return the files that become pages, or stand on one."""
    return [path for pattern in (*DOCUMENTS, NOTEBOOKS) for path in sorted(root.glob(pattern))]


def lay_out(folder: Path, executed: Path) -> list[str]:
    """Write what Sphinx reads into `folder`, in the repository's layout, so that links hold.

    Of each notebook its copy in `executed` is taken if there is one, else the notebook itself.
    What is returned says what is wrong with them.
    """
    errors = []
    for path in sources():
        name = path.relative_to(ROOT)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(adapt_text(path.read_text(encoding="utf-8"), path), encoding="utf-8")
        elif path.suffix == ".ipynb":
            copy = executed / path.name
            notebook = nbformat.read(copy if copy.exists() else path, as_version=4)
            errors += adapt_notebook(notebook, path)
            nbformat.write(notebook, target)
        else:
            shutil.copy(path, target)
    for path in ROOT.glob(LOADED_BY_HTML):
        target = folder / "_extra" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    front = adapt_text(FRONT.read_text(encoding="utf-8"), FRONT)
    (folder / FRONT.name).write_text(front, encoding="utf-8")
    shutil.copy(BOOK / "conf.py", folder)
    (folder / "_static").mkdir()
    shutil.copy(BOOK / "book.css", folder / "_static")
    (folder / "api.md").write_text(api(), encoding="utf-8")
    return errors


def adapt_text(text: str, path: Path) -> str:
    """Return Markdown with the links that a book needs.

    Badges, images on other servers, become their words. The list of notebooks is the
    book's first page. What is in the repository and not in the book is linked to there, or, while
    that has no address, only named.
    """
    text = re.sub(r"\)\n\[!\[", r") ·\n[![", text)  # badges in a row
    text = re.sub(r"\[!\[([^\]]+)\]\([^)]+\)\]", r"[\1]", text)
    pages = sources()
    place = ROOT if path == FRONT else path.parent

    def adapt(match: re.Match) -> str:
        words, (link, _, anchor) = match[1], match[2].partition("#")
        target = (path.parent / link).resolve()
        if not link:
            return f"[{words}](#{heading_anchors(path).get(anchor, anchor)})"
        if re.match(r"[a-z]+:", link):
            return match[0]
        if target == ROOT / "notebooks" / "README.md":
            target = ROOT / "index.md"
        elif target not in pages:
            name = target.relative_to(ROOT).as_posix()
            if REPOSITORY is None:
                return words
            return f"[{words}]({REPOSITORY}/blob/main/{name}{anchor and '#'}{anchor})"
        there = Path(os.path.relpath(target, place)).as_posix()
        anchor = heading_anchors(target).get(anchor, anchor)
        return f"[{words}]({there}{anchor and '#'}{anchor})"

    return re.sub(r"\[([^\[\]]*)\]\(([^)\s]+)\)", adapt, text)


@cache
def heading_anchors(path: Path) -> dict[str, str]:
    """Return, for each id that stands before a heading of a notebook, what MyST calls the heading.

    The ids are those that links name: JupyterLab jumps to them, and they stay when a heading
    changes. MyST knows headings only.
    """
    if path.suffix != ".ipynb":
        return {}
    text = "\n\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    found = re.findall(r'<a id="([^"]+)"></a>\n\n#+ (.+)', text)
    return {name: anchor(heading) for name, heading in found}


def anchor(heading: str) -> str:
    """Return the anchor that MyST gives a heading: GitHub's.

    Examples
    --------
    >>> anchor("Shapes: padding and stride")
    'shapes-padding-and-stride'
    """
    return re.sub(r"[^\w\- ]", "", heading.lower().replace(" ", "-"))


def adapt_notebook(notebook: nbformat.NotebookNode, path: Path) -> list[str]:
    """Make a notebook readable where no kernel runs; return which cells lack a figure's words.

    These, its alternative text, are in the cell's metadata, where myst-nb looks for them. Those
    of the notebook itself are taken: its copy is not executed again because of a word.
    """
    written = {cell.source: cell.metadata for cell in nbformat.read(path, as_version=4).cells}
    errors = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            cell.source = adapt_text(cell.source, path)
            continue
        cell.metadata = written.get(cell.source, cell.metadata)
        words = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        if cell.metadata.get("jupyter", {}).get("source_hidden"):  # folded in JupyterLab, too
            cell.metadata["tags"] = ["hide-input"]
        outputs = []
        for output in cell.get("outputs", []):
            adapted, alt = adapt_output(output)
            outputs += adapted
            if alt:
                cell.metadata.setdefault("mystnb", {"image": {"alt": alt}})
            elif adapted == [output] and "image/png" in output.get("data", {}) and not words:
                errors.append(f"{path.name}, cell {index}: {NO_WORDS}")
        cell.outputs = outputs
    return errors


def adapt_output(
    output: nbformat.NotebookNode,
) -> tuple[list[nbformat.NotebookNode], str | None]:
    """Return what takes an output's place where no kernel runs, and its alternative text if new."""
    data = output.get("data", {})
    own = output.get("metadata", {}).get("image/png", {}).get("alt")
    if data.get("text/plain", "").startswith("DigitCanvas"):
        image = shown("image/png", canvas_image())
        return [shown("text/markdown", CANVAS), image], CANVAS_IN_WORDS
    if own:  # a figure with controls
        image = shown("image/png", data["image/png"])
        return [shown("text/markdown", FIGURE_WITH_CONTROLS), image], own
    if WIDGET in data and "%|" in data.get("text/plain", ""):
        return [], None  # a progress bar that has long reached its end
    if WIDGET in data:
        return [shown("text/markdown", OTHER_WIDGET)], None
    if 'class="output_html"' in data.get("text/html", ""):  # source code, shown by name
        return [shown("text/markdown", f"```python\n{data['text/plain']}\n```")], None
    return [output], None


def shown(kind: str, content: str) -> nbformat.NotebookNode:
    """Return an output of a cell that shows this."""
    return nbformat.v4.new_output("display_data", {kind: content})


def canvas_image() -> str:
    """Return the image of the canvas as notebooks hold images."""
    return base64.b64encode((ROOT / "docs" / "canvas.png").read_bytes()).decode()


def api() -> str:
    """Return a page with every public name of the package, by module."""
    lines = [
        "# The package",
        "",
        "Every name here can be imported from `mnist_helpers` itself. It was made from the",
        "docstrings, which `help(name)` shows too.",
    ]
    for module, names in mnist_helpers._PUBLIC.items():
        lines += ["", f"## {module}", "", "```{eval-rst}"]
        for name in names:
            found = getattr(mnist_helpers, name)
            if inspect.isclass(found):
                lines += [f".. autoclass:: mnist_helpers.{name}", "   :members:", ""]
            elif callable(found):
                lines += [f".. autofunction:: mnist_helpers.{name}", ""]
            else:  # a table of things by name
                keys = ", ".join(f"``{key}``" for key in found)
                lines += [f".. py:data:: mnist_helpers.{name}", "", f"   By name: {keys}.", ""]
        lines.append("```")
    return "\n".join(lines) + "\n"


def execute(executed: Path) -> list[str]:
    """Execute the notebooks that changed; return what went wrong."""
    errors = []
    for path in sorted(ROOT.glob(NOTEBOOKS)):
        if is_fresh(path, executed):
            print(f"{path.name}: unchanged since it was executed", flush=True)
            continue
        print(f"{path.name}: executing", flush=True)
        if error := run(path, executed):
            errors.append(error)
    return errors


def sphinx(*arguments: str | Path) -> int:
    """Call Sphinx in a process of its own, and return its exit status."""
    return subprocess.run([sys.executable, "-m", "sphinx", *map(str, arguments)]).returncode


def build(out: Path, executed: Path) -> list[str]:
    """Build the book into `out`, which is replaced; return what is wrong with it."""
    with tempfile.TemporaryDirectory() as temporary:
        source, html = Path(temporary, "source"), Path(temporary, "build", "html")
        if errors := lay_out(source, executed):
            return errors
        status = sphinx("-q", "-W", "--keep-going", source, html)
        if not (html / "objects.inv").exists():  # what it writes last
            return ["Sphinx did not build the book"]
        shutil.rmtree(html / ".doctrees", ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(html, out)
    return ["Sphinx warned: see above"] * bool(status) + broken_html(out)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "book")
    parser.add_argument(
        "--executed", type=Path, default=ROOT / "outputs" / "notebooks", help="executed copies"
    )
    parser.add_argument("--no-run", action="store_true", help="take what is there, and run nothing")
    parser.add_argument("--linkcheck", action="store_true", help="ask the servers that we link to")
    arguments = parser.parse_args()
    if arguments.linkcheck:
        with tempfile.TemporaryDirectory() as temporary:
            lay_out(Path(temporary, "source"), arguments.executed)
            return sphinx("-b", "linkcheck", Path(temporary, "source"), Path(temporary, "checked"))
    errors = [] if arguments.no_run else execute(arguments.executed)
    if errors:
        print(*errors, "The book was not built: fix the cell and try again.", sep="\n\n")
        return 1
    errors = build(arguments.out, arguments.executed)
    if errors:
        print(*errors, sep="\n")
        return 1
    print(f"The book is in {arguments.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The book: its pages stand on their own, and links lead somewhere, there and in the repository."""

from __future__ import annotations

import re
import sys
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import sync_playwright

import mnist_helpers
from mnist_helpers import exercises

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from build_book import (
    CANVAS,
    CANVAS_IN_WORDS,
    FIGURE_WITH_CONTROLS,
    OTHER_WIDGET,
    WIDGET,
    adapt_notebook,
    adapt_text,
    build,
    canvas_image,
    main,
)
from check_links import (
    broken_documents,
    broken_html,
    documents,
    read_document,
    read_page,
    slug,
)
from run_notebooks import is_fresh, run

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def text(folder: Path, name: str) -> str:
    """Return a page of the book."""
    return (folder / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book of the notebooks as committed; the first one has outputs of every kind."""
    executed = tmp_path_factory.mktemp("executed")
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    cell = next(cell for cell in notebook.cells if "load_mnist()" in cell.source)
    canvas = "DigitCanvas(children=(HBox(children=(Canvas(height=280)"
    code = {"text/html": '<style>pre {}</style><div class="output_html">…</div>'}
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="55,000 images"),
        nbformat.v4.new_output("execute_result", {WIDGET: {}, "text/plain": canvas}),
        nbformat.v4.new_output("display_data", {WIDGET: {}, "text/plain": "  0%|     | 0/860"}),
        nbformat.v4.new_output("display_data", {WIDGET: {}, "text/plain": "IntSlider(value=3)"}),
        nbformat.v4.new_output("execute_result", {**code, "text/plain": "def read_idx(path): ..."}),
        nbformat.v4.new_output("execute_result", {"text/html": "<table><td>97.1%</td></table>"}),
    ]
    controls = nbformat.v4.new_output("execute_result", {"image/png": canvas_image()})
    controls.metadata = {"image/png": {"alt": "Threshold 0.900"}}
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    last.outputs = [controls]
    figure = next(cell for cell in notebook.cells if "mystnb" in cell.metadata)
    figure.outputs = [nbformat.v4.new_output("display_data", {"image/png": canvas_image()})]
    figure.metadata = {}  # a copy that was executed before the words were written
    nbformat.write(notebook, executed / NOTEBOOKS[0].name)
    out = tmp_path_factory.mktemp("book") / "html"
    assert build(out, executed) == []
    return out


def test_every_document_has_a_page(book: Path) -> None:
    pages = [f"notebooks/{path.stem}.html" for path in NOTEBOOKS]
    pages += ["index.html", "README.html", "api.html", "search.html", "searchindex.js"]
    pages += ["docs/faults.html", "docs/teaching.html", "mnist_helpers/weights/README.html"]
    assert [name for name in pages if not (book / name).is_file()] == []
    assert set(pages[: len(NOTEBOOKS)]) <= set(read_page(book / "index.html").links)


def test_no_page_loads_anything_from_elsewhere_and_links_hold(book: Path) -> None:
    assert broken_html(book) == []
    loads = [load for path in book.rglob("*.html") for load in read_page(path).loads]
    assert len(loads) > 100, "the check sees what pages load"
    assert not re.search(r"mathjax|require\.js|unpkg|jsdelivr|cdnjs", " ".join(loads), re.I)


def test_the_canvas_at_work_is_shown_moving_and_still(book: Path) -> None:
    for name in ("README.html", "index.html"):
        loads = read_page(book / name).loads
        assert {"docs/canvas.gif", "docs/canvas.png"} <= set(loads), name  # broken_html: they exist


def test_outputs_can_be_read_without_jupyter(book: Path) -> None:
    page = text(book, f"notebooks/{NOTEBOOKS[0].stem}.html")
    for kept in ("55,000 images", "97.1%", CANVAS.strip("*"), OTHER_WIDGET.strip("*")):
        assert kept in page
    cells = nbformat.read(NOTEBOOKS[0], as_version=4).cells
    words = next(cell.metadata.mystnb.image.alt for cell in cells if "mystnb" in cell.metadata)
    assert f'alt="{words}"' in unescape(page) and f'alt="{CANVAS_IN_WORDS}"' in page
    assert FIGURE_WITH_CONTROLS.strip("*") in page and 'alt="Threshold 0.900"' in page
    assert re.search(r'<span class="k">def</span>.*read_idx', page), "code is in the theme's colors"
    for raw in ("DigitCanvas(children", "0/860", "IntSlider", "output_html", "widget-view"):
        assert raw not in page


def test_a_figure_without_words_is_an_error_that_names_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "01_new.ipynb"
    written, forgotten = (nbformat.v4.new_code_cell(f"plt.plot([{n}])\nplt.show()") for n in (1, 2))
    written.metadata = {"mystnb": {"image": {"alt": "A point"}}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(), written, forgotten])
    nbformat.write(notebook, path)
    assert adapt_notebook(notebook, path) == [], "as committed they show nothing"
    for cell in (written, forgotten):
        cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": canvas_image()})]
    (error,) = adapt_notebook(notebook, path)
    assert error.startswith("01_new.ipynb, cell 2:") and '"mystnb": {"image": {"alt":' in error
    assert written.metadata == {"mystnb": {"image": {"alt": "A point"}}}


def test_cells_that_are_folded_in_jupyterlab_are_folded_in_the_book() -> None:
    path = next((ROOT / "notebooks").glob("06_*.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    adapt_notebook(notebook, path)
    hidden = [cell for cell in notebook.cells if "hide-input" in cell.metadata.get("tags", [])]
    assert "check_environment" in hidden[0].source and "PRETRAINED_WEIGHTS" in hidden[1].source
    assert len(hidden) == 2


def test_solutions_are_folded(book: Path) -> None:
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        wanted = sum("<summary>Solution</summary>" in cell.source for cell in cells)
        page = text(book, f"notebooks/{path.stem}.html")
        assert page.count("<summary>Solution</summary>") == wanted >= 3
        assert not re.search(r"<details[^>]*\bopen\b", page)


def test_formulas_need_no_script(book: Path) -> None:
    page = text(book, f"notebooks/{NOTEBOOKS[1].stem}.html")
    assert '<div class="formula"><math' in page and "<mfrac>" in page
    assert r"\left" not in page


def test_every_public_name_is_explained(book: Path) -> None:
    anchors = read_page(book / "api.html").anchors
    names = {f"mnist_helpers.{name}" for name in mnist_helpers.__all__ if name[0] != "_"}
    assert names <= anchors


def test_search_works_from_a_folder(book: Path, browser_path: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((book / "search.html").as_uri() + "?q=dropout")
        found = page.locator("#search-results ul.search a", has_text="03 · The architecture").first
        assert "notebooks/03_architecture.html" in (found.get_attribute("href") or "")
        browser.close()
    assert errors == []


def test_links_are_adapted_to_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "notebooks" / "01_dataset.ipynb"
    badge = "[![Open in Colab](https://example.org/badge.svg)](https://example.org/01.ipynb)"
    words = "[Open in Colab](https://example.org/01.ipynb)"
    assert adapt_text(badge, path) == words
    assert adapt_text(f"{badge}\n{badge}", path) == f"{words} ·\n{words}"
    assert adapt_text("[list](README.md)", path) == "[list](../index.md)"
    kept = "[next](03_architecture.ipynb) [up](#get-it) [out](https://example.org)"
    assert adapt_text(kept, path) == kept
    assert adapt_text("[r](04_gpu_training.ipynb#dataset-and-dataloader)", path) == (
        "[r](04_gpu_training.ipynb#where-does-the-time-go)"
    ), "an id before a heading becomes the heading's own"
    monkeypatch.setattr("build_book.REPOSITORY", "https://github.com/someone/digits")
    there = "[l](https://github.com/someone/digits/blob/main/LICENSE)"
    assert adapt_text("[l](../LICENSE)", path) == there
    monkeypatch.setattr("build_book.REPOSITORY", None)
    assert adapt_text("see [the `licence`](../LICENSE).", path) == "see the `licence`."


@pytest.mark.slow
def test_only_what_changed_is_executed_again(tmp_path: Path) -> None:
    path, out = tmp_path / "tiny.ipynb", tmp_path / "out"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)")])
    nbformat.write(notebook, path)
    assert not is_fresh(path, out)
    assert run(path, out) is None and is_fresh(path, out)
    notebook.cells.append(nbformat.v4.new_code_cell("1 / 0"))
    nbformat.write(notebook, path)
    assert not is_fresh(path, out)
    error = run(path, out)
    assert error.startswith("tiny.ipynb, cell 1:") and "ZeroDivisionError" in error
    assert not is_fresh(path, out), "one that failed is executed again"
    (out / path.name).write_text('{"cells": [')
    assert not is_fresh(path, out)


@pytest.mark.slow
def test_a_failing_notebook_is_named_and_no_book_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in ("print('fine')", "1 / 0")]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "01_bad.ipynb")
    out = tmp_path / "book"
    monkeypatch.setattr("build_book.ROOT", tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["build_book", "--out", str(out), "--executed", str(tmp_path / "executed")]
    )
    assert main() == 1
    shown = capsys.readouterr().out
    assert "01_bad.ipynb, cell 1:" in shown and "ZeroDivisionError" in shown
    assert "The book was not built" in shown and not out.exists()


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('<a href="b.html">', "b.html, where no file is"),
        ('<a href="#c">', "#c, where no such anchor is"),
        ('<a href="other.html#c">', "other.html#c, where no such anchor is"),
        ('<a href="https://">', "which is no address"),
        ('<a href="https://a b/">', "which is no address"),
        ('<a href="javascript:run()">', "which is no address"),
        ('<img src="a.png">', "a.png, where no file is"),
        ('<img src="https://example.org/a.png">', "loads https://example.org/a.png"),
        ('<img srcset="//example.org/a.png 2x">', "loads //example.org/a.png"),
        ('<script src="//example.org/a.js"></script>', "loads //example.org/a.js"),
        ('<link rel="stylesheet" href="https://example.org/a.css">', "loads https://example.org"),
        ('<iframe src="https://example.org/"></iframe>', "loads https://example.org/"),
        ('<p style="background: url(https://example.org/a.png)">', "loads https://example.org"),
        ("<style>@import 'https://example.org/a.css';</style>", "loads https://example.org"),
    ],
)
def test_broken_pages_are_seen(tmp_path: Path, body: str, wrong: str) -> None:
    good = '<p id="here"><a href="other.html#there">b</a><a href="https://example.org/a?b#c">'
    (tmp_path / "other.html").write_text('<p id="there">')
    (tmp_path / "page.html").write_text(good)
    assert broken_html(tmp_path) == []
    (tmp_path / "page.html").write_text(good + body)
    (line,) = broken_html(tmp_path)
    assert line.startswith("page.html ") and wrong in line


def test_style_sheets_that_load_from_elsewhere_are_seen(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text('@font-face { src: url("https://example.org/a.woff2") }')
    assert broken_html(tmp_path) == ["a.css loads https://example.org/a.woff2"]


@pytest.mark.parametrize(
    ("added", "wrong"),
    [
        ("[a](b.md)", "b.md, where nothing is"),
        ("![a](b.png)", "b.png, where nothing is"),
        ("[a][b]\n\n[b]: c.md", "c.md, where nothing is"),
        ('<img src="b.png">', "b.png, where nothing is"),
        ("[a](#nowhere)", "#nowhere, where no such heading is"),
        ("[a](n.ipynb#nowhere)", "n.ipynb#nowhere, where no such heading is"),
        ("[a](../out.md)", "../out.md, where nothing is"),
        ("[a](http://)", "which is no address"),
    ],
)
def test_broken_documents_are_seen(tmp_path: Path, added: str, wrong: str) -> None:
    root, path = tmp_path / "root", tmp_path / "root" / "a.md"
    root.mkdir()
    (tmp_path / "out.md").write_text("outside")
    cell = nbformat.v4.new_markdown_cell("# Get it\n\n[back](a.md#what-is-it-1)")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), root / "n.ipynb")
    good = (
        "# What is it?\n\n## What `is` it\n\n[a](n.ipynb#get-it) [b](#what-is-it) `[c](d.md)`\n\n"
    )
    path.write_text(good)
    assert broken_documents(root, [path, root / "n.ipynb"]) == []
    path.write_text(good + added)
    (line,) = broken_documents(root, [path, root / "n.ipynb"])
    assert line.startswith("a.md ") and wrong in line


def test_anchors_are_those_of_github() -> None:
    assert slug("Exercise 01.1 · How large?", set()) == "exercise-011--how-large"
    assert slug("A", {"a", "a-1"}) == "a-2"


def test_links_in_the_repository_lead_somewhere() -> None:
    paths = documents()
    assert {ROOT / "README.md", ROOT / "docs" / "teaching.md", *NOTEBOOKS} <= set(paths)
    assert broken_documents(ROOT, paths) == []


def test_links_to_sections_of_notebooks_lead_to_an_id() -> None:
    """JupyterLab calls headings otherwise than GitHub: it only jumps to what has this very id."""
    for path in documents():
        for link in map(urlsplit, read_document(path).links):
            target = (path.parent / link.path).resolve() if link.path else path
            if not link.scheme and link.fragment and target.suffix == ".ipynb":
                cells = nbformat.read(target, as_version=4).cells
                place = f'<a id="{link.fragment}"></a>\n\n#'
                assert any(place in cell.source for cell in cells), f"{path.name}: {link.geturl()}"


def test_the_teachers_guide_lists_every_exercise_and_notebook() -> None:
    guide = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\d-\d) (.+?) \| (★{1,3}) \|", guide, re.MULTILINE)
    assert [name for name, _, _ in rows] == exercises.list_exercises()
    notebooks = "".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS)
    for name, title, _ in rows:
        assert f"### Exercise {name.replace('-', '.')} · {title}" in notebooks, name
    for path in NOTEBOOKS:
        assert f"../notebooks/{path.name})" in guide, path.name

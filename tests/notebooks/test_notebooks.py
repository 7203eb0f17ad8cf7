"""The notebooks as files, and the tool that runs them; `pytest --nbmake` runs them themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks_numbered_without_gap() -> None:
    numbers = [int(path.stem[:2]) for path in NOTEBOOKS]
    assert numbers == list(range(1, len(NOTEBOOKS) + 1)) and numbers
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem) for path in NOTEBOOKS)


def test_their_readme_lists_them_in_order() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = list(dict.fromkeys(re.findall(r"\]\((\d\d_\w+\.ipynb)\)", text)))
    assert listed == [path.name for path in NOTEBOOKS]


@every_notebook
def test_file_is_valid_and_asks_for_kernel_python3(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.get("id") for cell in notebook.cells]
    assert None not in ids and len(set(ids)) == len(ids), "each cell needs an id of its own"


@every_notebook
def test_nothing_of_a_run_is_kept(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert "widgets" not in notebook.metadata
    assert "execution" not in notebook.metadata, "no time limit or allow_errors of its own"
    for index, cell in enumerate(notebook.cells):
        assert not cell.get("outputs"), f"cell {index} has outputs: make format"
        assert not cell.get("execution_count"), f"cell {index} has a count: make format"
        assert not set(cell.metadata) & {"execution", "ExecuteTime", "nbmake"}, f"cell {index}"


@every_notebook
def test_no_cell_names_an_absolute_path(path: Path) -> None:
    absolute = re.compile(r"""["'`(](/(home|Users|root|tmp|work|mnt|content)/|[A-Za-z]:[\\/])""")
    for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
        found = absolute.search(cell.source)
        assert found is None, f"cell {index} names {found[0]}…"


@every_notebook
def test_code_is_python_that_3_10_can_read(path: Path) -> None:
    transform = TransformerManager().transform_cell
    for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "code":
            assert cell.source.strip(), f"cell {index} is empty"
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
            compile(transform(cell.source), f"{path.name}[{index}]", "exec", flags)
            ast.parse(re.sub(r"\bawait ", "", transform(cell.source)), feature_version=(3, 10))


@every_notebook
def test_it_begins_like_all_of_them(path: Path) -> None:
    """Its links and its first code cell are those of the repository's address: test_links.py."""
    title, first, *others = nbformat.read(path, as_version=4).cells
    assert title.source.startswith(f"# {path.stem[:2]} · ")
    assert first.metadata.jupyter.source_hidden, "the set-up cell is folded"
    prose = [cell.source for cell in others if cell.cell_type == "markdown"]
    head = "\n".join(["", title.source, *prose]).split("\n## ")[:2]  # with the first section
    for part in ("You will learn", "Time to run", "Before this"):
        assert part in "".join(head), f"its head does not say: {part}"


def test_the_first_page_of_the_course_has_a_canvas_and_a_map() -> None:
    title, _set_up, canvas, course_map, *_ = nbformat.read(NOTEBOOKS[0], as_version=4).cells
    assert "draw a digit" in title.source.lower() and len(title.source) < 700
    assert canvas.source.endswith("DigitCanvas()")
    linked = re.findall(r"\]\((\d\d_\w+\.ipynb)\)", course_map.source)
    assert linked == [path.name for path in NOTEBOOKS[1:]]


@every_notebook
def test_nothing_depends_on_the_folder_it_lies_in(path: Path) -> None:
    """`make lab` opens a copy elsewhere: files are found by the project, not by the place."""
    for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "code":
            found = re.search(
                r"""(?:open|Path|read_\w+)\(\s*f?["'](?:\.\.|\w)[^"']*["']""", cell.source
            )
            assert found is None, f"cell {index}: {found[0]} is a path beside the notebook"
            assert "os.chdir" not in cell.source and "getcwd" not in cell.source


# What draws a figure here, besides our own `plot_...`: the last names of calls. Figures with
# controls and canvases bring words of their own.
DRAWS = {"LiveHistory", "bar", "barh", "figure", "hist", "imshow", "plot", "show", "subplots"}


def draws_a_figure(source: str) -> bool:
    """Whether a cell calls something that draws, or ends with a PIL image."""
    tree = ast.parse(re.sub(r"\bawait ", "", TransformerManager().transform_cell(source)))
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {call.rpartition(".")[2] for call in called}
    image = ast.unparse(tree).rpartition("\n")[2].startswith("Image.")
    return image or bool(names & DRAWS) or any(name.startswith("plot_") for name in names)


@every_notebook
def test_each_figure_is_put_into_words(path: Path) -> None:
    """Its alternative text, which the book shows, is where myst-nb looks for it."""
    for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
        words = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        if cell.cell_type == "code" and draws_a_figure(cell.source):
            assert words, f"cell {index} draws a figure: say in its metadata what there is to see"
            assert 40 <= len(words) <= 400, f"cell {index}: {len(words)} characters"
            assert words == " ".join(words.split()) and words[-1] == ".", f"cell {index}: {words}"
        else:
            assert "mystnb" not in cell.metadata, f"cell {index} has words for a figure, and none"


def test_no_two_figures_have_the_same_words() -> None:
    cells = [cell for path in NOTEBOOKS for cell in nbformat.read(path, as_version=4).cells]
    words = [cell.metadata.mystnb.image.alt for cell in cells if "mystnb" in cell.metadata]
    assert words and len(set(words)) == len(words)


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of these code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, path)
    return path


def run_notebooks(*paths: Path, out: Path) -> subprocess.CompletedProcess:
    """Call the tool behind `make run`."""
    command = [sys.executable, str(ROOT / "tools" / "run_notebooks.py"), "--out", str(out)]
    return subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_make_run_keeps_copies_and_figures(tmp_path: Path) -> None:
    good = write_notebook(
        tmp_path / "good.ipynb",
        'import sys, os; print(sys.executable, os.getcwd(), sep="\\n")',
        "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
    )
    before = good.read_bytes()
    done = run_notebooks(good, out=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert re.search(r"good +\d+\.\d s  ok", done.stdout)
    assert good.read_bytes() == before
    copy = nbformat.read(tmp_path / "out" / "good.ipynb", as_version=4)
    assert copy.cells[0].outputs[0].text.splitlines() == [sys.executable, str(tmp_path)]
    assert (tmp_path / "out" / "good" / "01-0.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_copy_shows_a_widgets_image_and_not_the_widget(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "controls.ipynb",
        "import numpy as np\nfrom mnist_helpers import KernelEditor\n"
        "KernelEditor(np.zeros((28, 28), np.uint8))",
        "import ipywidgets\nipywidgets.IntSlider()",
    )
    assert run_notebooks(path, out=tmp_path / "out").returncode == 0
    cells = nbformat.read(tmp_path / "out" / "controls.ipynb", as_version=4).cells
    drawn, bare = (cell.outputs[0].data for cell in cells)
    assert set(drawn) == {"image/png", "text/plain"}
    assert "application/vnd.jupyter.widget-view+json" in bare
    assert (tmp_path / "out" / "controls" / "00-0.png").exists()


@pytest.mark.slow
def test_make_run_shows_the_failing_cell_and_continues(tmp_path: Path) -> None:
    bad = write_notebook(tmp_path / "bad.ipynb", "print('before')", "digit = 1 / 0", "print('no')")
    good = write_notebook(tmp_path / "good.ipynb", "print('fine')")
    done = run_notebooks(bad, good, out=tmp_path / "out")
    assert done.returncode == 1
    assert "digit = 1 / 0" in done.stderr and "ZeroDivisionError" in done.stderr
    assert re.search(r"bad .* FAILED", done.stdout) and re.search(r"good .* ok", done.stdout)
    cells = nbformat.read(tmp_path / "out" / "bad.ipynb", as_version=4).cells
    assert cells[0].outputs[0].text == "before\n" and not cells[2].outputs


@pytest.mark.slow
def test_network_is_closed_in_kernels_too(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "net.ipynb",
        "from urllib.request import urlopen\n"
        "try:\n    urlopen('https://example.org', timeout=60)\n"
        "except OSError as error:\n    print('refused:', error)",
    )
    assert run_notebooks(path, out=tmp_path / "out").returncode == 0
    (output,) = nbformat.read(tmp_path / "out" / "net.ipynb", as_version=4).cells[0].outputs
    assert output.text.startswith("refused:")

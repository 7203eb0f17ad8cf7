"""Progress bars and the clock, in a terminal and in a notebook."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mnist_helpers.progress import NotebookBar, TextBar, elapsed, progress_bar

CELLS = (
    "from mnist_helpers.progress import elapsed, progress_bar",
    "for _ in progress_bar(range(7), desc='seven'): pass",
    "with elapsed('waiting'): pass",
    """
with progress_bar(total=10, mininterval=0) as bar:
    bar.update(3)
    raise KeyboardInterrupt""",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_tqdms_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    bar = progress_bar(range(3), desc="three")
    assert isinstance(bar, TextBar) and not isinstance(bar, NotebookBar)
    assert list(bar) == [0, 1, 2]
    assert "100%" in terminal.getvalue()


def test_a_pipe_gets_lines_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar(range(3), desc="three")) == [0, 1, 2]
    with elapsed("waiting"):
        pass
    assert capsys.readouterr().err == "waiting…\n"


def test_the_clock_ends_with_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with pytest.raises(RuntimeError, match="no"), elapsed("waiting"):
        raise RuntimeError("no")
    assert "waiting, done: 00:00" in terminal.getvalue()


@pytest.mark.slow
def test_a_saved_notebook_says_how_a_bar_ended(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute(cwd=str(tmp_path))
    (seven,), (waiting,), interrupted = (cell.outputs for cell in notebook.cells[1:])
    assert seven.data["text/plain"].startswith("seven, done: 7/7 in 00:0"), "and no blocks"
    assert waiting.data["text/plain"].startswith("waiting, done: 00:")
    assert interrupted[0].data["text/plain"].startswith("ended early: 3/10 in 00:0")
    assert "widget" not in str(notebook), "a widget does not outlive its kernel"

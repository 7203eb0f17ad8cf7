"""The notebooks' copies in a user's folder: brought up to date, and never at an edit's expense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnist_helpers import course
from mnist_helpers.course import copy_notebooks, enable_widget_state_saving
from mnist_helpers.files import notebooks_folder


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of two notebooks and a README, whose versions a test decides."""
    folder = tmp_path / "course"
    folder.mkdir()
    monkeypatch.setattr(course, "notebooks_folder", lambda: folder)
    write(folder / "01_dataset.ipynb", "one")
    write(folder / "02_learning.ipynb", "two")
    (folder / "README.md").write_text("read me")
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "mine"


def write(path: Path, *sources: str, outputs: tuple = (), **metadata: object) -> None:
    cells = [
        {"cell_type": "code", "source": [text], "outputs": list(outputs), "metadata": {}}
        for text in sources
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4}))


def sources(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def test_all_is_copied_once(source: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine.parent)
    assert copy_notebooks(mine) == ["Copied 3 files to mine."]
    assert names(mine) == names(source)
    assert copy_notebooks(mine) == []


def test_an_unedited_copy_is_updated_though_it_was_run(source: Path, mine: Path) -> None:
    copy_notebooks(mine)
    write(mine / "01_dataset.ipynb", "one", "", outputs=("7",), kernelspec="python3")
    assert copy_notebooks(mine) == [], "outputs, metadata and an empty cell are no edit"
    write(source / "01_dataset.ipynb", "one, improved")
    (said,) = copy_notebooks(mine)
    assert "Updated 01_dataset.ipynb" in said
    assert sources(mine / "01_dataset.ipynb") == ["one, improved"]


def test_an_edited_copy_is_kept_and_what_is_new_is_offered_once(source: Path, mine: Path) -> None:
    copy_notebooks(mine)
    edited, beside = mine / "01_dataset.ipynb", mine / "01_dataset.new.ipynb"
    write(edited, "my answer")
    assert copy_notebooks(mine) == [] and not beside.exists(), "nothing is new"
    write(source / "01_dataset.ipynb", "one, improved")
    (said,) = copy_notebooks(mine)
    assert "01_dataset.ipynb" in said and beside.name in said
    assert sources(edited) == ["my answer"] and sources(beside) == ["one, improved"]
    beside.unlink()
    assert copy_notebooks(mine) == [] and not beside.exists(), "it was offered already"
    write(source / "01_dataset.ipynb", "one, once more")
    copy_notebooks(mine)
    assert sources(edited) == ["my answer"] and sources(beside) == ["one, once more"]
    write(source / "01_dataset.ipynb", "the fourth")
    copy_notebooks(mine)
    assert sources(beside) == ["the fourth"], "an unedited offer makes room for the next"
    write(beside, "edited too")
    write(source / "01_dataset.ipynb", "the fifth")
    copy_notebooks(mine)
    assert sources(beside) == ["edited too"]
    assert sources(mine / "01_dataset.new1.ipynb") == ["the fifth"]
    beside.replace(edited)
    write(edited, "the fifth")  # taken over
    write(source / "01_dataset.ipynb", "the sixth")
    assert "Updated 01_dataset.ipynb" in copy_notebooks(mine)[0]


def test_files_of_the_users_own_are_kept(source: Path, mine: Path) -> None:
    mine.mkdir()
    (mine / "README.md").write_text("my project")
    write(mine / "01_dataset.ipynb", "from elsewhere")
    (mine / "02_learning.ipynb").write_text("{")  # half a notebook
    said = copy_notebooks(mine)
    assert len(said) == 3 and (mine / "README.md").read_text() == "my project"
    assert sources(mine / "01_dataset.ipynb") == ["from elsewhere"]
    assert (mine / "02_learning.ipynb").read_text() == "{"
    assert sources(mine / "02_learning.new.ipynb") == ["two"]


def test_a_deleted_copy_comes_back(source: Path, mine: Path) -> None:
    copy_notebooks(mine)
    write(mine / "02_learning.ipynb", "spoiled")
    (mine / "02_learning.ipynb").unlink()
    copy_notebooks(mine)
    assert sources(mine / "02_learning.ipynb") == ["two"]


def test_what_the_course_no_longer_has_goes_unless_it_was_edited(source: Path, mine: Path) -> None:
    copy_notebooks(mine)
    write(mine / "02_learning.ipynb", "my answer")
    for name in ("01_dataset.ipynb", "02_learning.ipynb"):
        (source / name).unlink()
    said = copy_notebooks(mine)
    assert "Deleted 01_dataset.ipynb" in said[0] and "02_learning.ipynb" in said[1]
    assert names(mine) == ["02_learning.ipynb", "README.md"]
    assert copy_notebooks(mine) == [], "it is said once"


def test_a_damaged_record_costs_nothing(source: Path, mine: Path) -> None:
    copy_notebooks(mine)
    write(mine / "01_dataset.ipynb", "my answer")
    (mine / course.RECORD).write_text("[")
    copy_notebooks(mine)
    assert sources(mine / "01_dataset.ipynb") == ["my answer"]


def test_the_originals_are_no_copies(source: Path) -> None:
    before = names(source)
    assert copy_notebooks(source) == []
    assert names(source) == before and not (source / course.RECORD).exists()


def test_the_course_begins_where_the_command_opens_it() -> None:
    assert (notebooks_folder() / course.FIRST_NOTEBOOK).is_file()


def test_jupyterlab_is_told_to_save_widgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = pytest.importorskip("jupyterlab_server.settings_utils")
    monkeypatch.setenv("JUPYTERLAB_DIR", str(tmp_path))
    assert enable_widget_state_saving() is None
    found, _errors = settings._get_overrides(str(tmp_path / "settings"))
    assert found["@jupyter-widgets/jupyterlab-manager:plugin"] == {"saveState": True}


def test_where_jupyterlab_cannot_be_told_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jupyterlab")
    (tmp_path / "lab").write_text("in the way")
    monkeypatch.setenv("JUPYTERLAB_DIR", str(tmp_path / "lab"))
    assert "Widgets are not saved" in enable_widget_state_saving()

"""The notebooks' exercises: right answers pass, common wrong ones get their hint."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest

from mnist_helpers import exercises
from mnist_helpers.exercises.engine import _SOLUTIONS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))


def solutions() -> list[tuple[str, str, str]]:
    """Collect ``(exercise, name of the answer, solution's code)`` from the notebooks.

    They are folded below ``exercises.check("02-1", answer)`` or ``exercises.use("02-6", fit)``.
    """
    found = []
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        for cell, following in pairwise(cells):
            name = re.search(r'exercises\.(?:check|use)\("([\w-]+)", (\w+)\)', cell.source)
            code = re.search(r"<details>.*?```python\n(.*?)```", following.source, re.DOTALL)
            if name:
                assert code, f"{path.name}: exercise {name[1]} has no folded solution after it"
                found.append((name[1], name[2], code[1]))
    return found


def test_every_exercise_stands_in_a_notebook_and_every_notebook_has_three() -> None:
    names = [name for name, *_ in solutions()]
    assert sorted(names) == exercises.list_exercises()
    for path in NOTEBOOKS:
        assert sum(name.startswith(path.name[:2]) for name in names) >= 3, path.name


@pytest.mark.parametrize(
    ("name", "answer", "code"), solutions(), ids=[name for name, *_ in solutions()]
)
def test_solution_is_accepted(name: str, answer: str, code: str) -> None:
    space: dict = {}
    exec(code, space)
    assert exercises.hint_for(name, space[answer]) is None


@pytest.mark.parametrize("number", sorted(_SOLUTIONS))
def test_worked_solution_that_a_notebook_continues_with_is_the_one_that_it_folds(number) -> None:
    worked = inspect.getsource(_SOLUTIONS[number]).partition("\n")[2].strip()
    folded = [code for name, _, code in solutions() if name == number]
    assert len(folded) == 1 and worked in folded[0]


@pytest.mark.parametrize("number", sorted(_SOLUTIONS))
def test_use_continues_with_the_worked_solution(number: str, capsys) -> None:
    def gap(*arguments):
        raise NotImplementedError

    used = exercises.use(number, gap)
    assert used is not gap and exercises.hint_for(number, used) is None
    assert "not written yet" in capsys.readouterr().out


def test_check_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    said = ((None, "not answered"), ("bacbc", "right!"), ("bacb", "not yet. 5 letters"))
    for answer, words in said:
        exercises.check("02-7", answer)
        assert words in capsys.readouterr().out


def test_unknown_exercise_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="04-1"):
        exercises.check("99-1", 1)


COMPARED = [
    ((None, 97.7, "%"), "No prediction"),
    ((90, 97.7, "%", 2), "Predicted 90%, came out 97.7%: too low. Why?"),
    ((99.9, 97.7, "%", 2), "too high"),
    ((96, 97.7, "%", 2), "came out 97.7%: well predicted."),
    ((np.float32(2.2), 2.337), "Predicted 2.2, came out 2.337: well predicted."),
    ((2.0, 2.337), "too low"),
    ((50, 12.34, " times"), "Predicted 50 times, came out 12.34 times: too high"),
    ((0, 0), "well predicted"),
    ((1, 0), "too high"),
    (("95%", 97.7, "%"), "One number was asked for, this is '95%'."),
    ((" Lower", "lower"), "Well predicted: lower."),
    (("higher", "lower"), "Predicted higher, but: lower."),
    ((3, "lower"), "Predicted 3, but: lower."),
    (([28, 14], (28, 14)), "Well predicted: (28, 14)."),
    (((27, 13), (28, 14)), "Predicted (27, 13), but: (28, 14)."),
    ((28, (28, 14)), "Predicted 28, but"),
]


@pytest.mark.parametrize(("arguments", "words"), COMPARED)
def test_a_prediction_is_put_beside_what_came_out(arguments: tuple, words: str, capsys) -> None:
    exercises.compare(*arguments)
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_every_notebook_checks_a_prediction_that_stands_in_the_same_cell(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    compared = [cell.source for cell in cells if "exercises.compare(" in cell.source]
    assert compared
    for source in compared:
        assert source.startswith("my_prediction = None  # "), source[:80]
    predicted = [cell.source for cell in cells if cell.source.startswith("my_prediction")]
    assert predicted == compared, "asked for and not compared"


def test_an_answer_that_raises_an_error_is_told_the_shapes_of_the_trial() -> None:
    hint = exercises.hint_for("01-4", lambda images, pixels: images[:, :, 28 - pixels])
    assert hint is not None
    assert re.search(r"raised IndexError: .* \(in a trial with \[3, 5, 5\], 2\)$", hint)
    hint = exercises.hint_for("10-6", lambda images, rate, seconds: images / 0)
    assert hint == "Your answer raised ZeroDivisionError: division by zero"

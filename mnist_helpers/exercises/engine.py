"""Self-checks of the notebooks' exercises, and of what readers predict before they run a cell.

In a notebook: ``exercises.check("03-1", answer)`` says right or wrong, and if wrong, why. Each
check is a function that takes an answer, and returns None if it is right and a hint if it is not.
``exercises.compare(my_prediction, outcome)`` puts a prediction beside what came out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np

Check = Callable[[Any], str | None]
Answer = TypeVar("Answer")
_CHECKS: dict[str, Check] = {}
_SOLUTIONS: dict[str, Any] = {}


class Hint(Exception):
    """What is wrong with an answer, found out before its check compares anything."""


def exercise(name: str) -> Callable[[Check], Check]:
    """Register a check under the notebook's and the exercise's number, such as ``"03-1"``."""

    def register(function: Check) -> Check:
        _CHECKS[name] = function
        return function

    return register


def solution(name: str) -> Callable[[Answer], Answer]:
    """Register the worked solution that `use` continues with until the learner's own passes."""

    def register(worked: Answer) -> Answer:
        _SOLUTIONS[name] = worked
        return worked

    return register


def list_exercises() -> list[str]:
    """Return the names that `check` takes."""
    return sorted(_CHECKS)


def check(name: str, answer: Any) -> None:
    """Say whether an answer is right, and if not, why.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    if answer is None:
        print(f"Exercise {name}: not answered yet. Replace None with your answer.")
        return
    hint = hint_for(name, answer)
    print(f"Exercise {name}: right!" if hint is None else f"Exercise {name}: not yet. {hint}")


def use(name: str, answer: Answer) -> Answer:
    """Return the learner's answer if it passes its check, and the worked solution otherwise.

    One printed line says which of the two the notebook continues with, and what is wrong with an
    answer that does not pass.

    Parameters
    ----------
    name : str
        The exercise, such as ``"02-6"``.
    answer : function or class
        The learner's own. A gap that is not filled yet raises `NotImplementedError`.

    Returns
    -------
    function or class
        `answer`, or the worked solution that is folded below the exercise.

    Raises
    ------
    ValueError
        If there is no such exercise, or it has no worked solution.
    """
    if name not in _SOLUTIONS:
        raise ValueError(f"no worked solution {name!r}: there are {', '.join(sorted(_SOLUTIONS))}")
    hint = hint_for(name, answer)
    if hint is None:
        print(f"Exercise {name}: correct! The notebook continues with yours.")
        return answer
    print(f"Exercise {name}: {hint} The worked solution is used until yours passes.")
    return _SOLUTIONS[name]


def compare(
    prediction: Any, outcome: float | str | tuple, unit: str = "", near: float | None = None
) -> None:
    """Print a reader's prediction beside what came out.

    Parameters
    ----------
    prediction : float, str, tuple or None
        Of the same kind as `outcome`; None for one that nobody has made.
    outcome : float, str or tuple
    unit : str
        Follows each number, such as "%".
    near : float, optional
        How far off a number may be to count as well predicted (default: a tenth of `outcome`).
    """
    if prediction is None:
        print("No prediction yet: replace None with yours before you run such a cell.")
    elif isinstance(outcome, (str, tuple)):
        same = _plainly(prediction) == _plainly(outcome)
        print(f"Well predicted: {outcome}." if same else f"Predicted {prediction}, but: {outcome}.")
    else:
        print(_compare_numbers(prediction, float(outcome), unit, near))


def _plainly(value: Any) -> Any:
    """Return words in lower case without spaces around them, and a list as a tuple."""
    return value.strip().lower() if isinstance(value, str) else tuple(np.ravel(value).tolist())


def _compare_numbers(prediction: Any, outcome: float, unit: str, near: float | None) -> str:
    """Say how far off a predicted number is."""
    try:
        predicted = number(prediction)
    except Hint as hint:
        return str(hint)
    said = f"Predicted {predicted:.4g}{unit}, came out {outcome:.4g}{unit}"
    if abs(predicted - outcome) <= (0.1 * abs(outcome) if near is None else near):
        return f"{said}: well predicted."
    return f"{said}: too {'low' if predicted < outcome else 'high'}. Why?"


def hint_for(name: str, answer: Any) -> str | None:
    """Return None for a right answer, a hint for a wrong one."""
    if name not in _CHECKS:
        raise ValueError(f"no exercise {name!r}: there are {', '.join(list_exercises())}")
    try:
        return _CHECKS[name](_watched(answer) if callable(answer) else answer)
    except Hint as hint:
        return str(hint)
    except Exception as error:  # what came back may be anything
        return f"Your answer is not of the kind that was asked for: {error}"


def _watched(answer: Callable) -> Callable:
    """Wrap the reader's function, to tell its errors from those of a check."""

    @wraps(answer)
    def watched(*arguments: Any) -> Any:
        try:
            result = answer(*arguments)
        except Hint:
            raise
        except NotImplementedError as error:
            raise Hint("not written yet.") from error
        except Exception as error:  # the reader's own code may raise anything
            said = f"Your answer raised {type(error).__name__}: {error}"
            raise Hint(said + _called_with(arguments)) from error
        if result is None:
            raise Hint("Your function returns nothing: is there a `return`?")
        return result

    return watched


def _called_with(arguments: Sequence[Any]) -> str:
    """Name the shapes that a call was tried with; empty if no argument has one."""
    if not any(getattr(argument, "shape", ()) for argument in arguments):
        return ""
    said = []
    for argument in arguments:
        shape = getattr(argument, "shape", None)
        short = repr(argument) if isinstance(argument, (int, float, str)) else ""
        said.append(str(list(shape)) if shape else short or f"a {type(argument).__name__}")
    return f" (in a trial with {', '.join(said)})"


def expect_function(answer: Any) -> str | None:
    """Return a hint if the answer is no function."""
    if callable(answer):
        return None
    return f"A function was asked for, this is {answer!r}. Pass it without calling it."


def number(value: Any) -> float:
    """Return one number as a float, or raise a hint."""
    if not isinstance(value, str):
        try:
            return float(value.detach() if hasattr(value, "detach") else value)
        except (TypeError, ValueError):
            pass
    shape = getattr(value, "shape", None)
    what = repr(value) if shape is None else f"an array of shape {tuple(shape)}"
    raise Hint(f"One number was asked for, this is {what}.")


def recall_hint(answer: Sequence[str], letters: str, hints: Sequence[str]) -> str | None:
    """Check the letters of an exercise "Recall", and return the hints of the wrong ones.

    Parameters
    ----------
    answer : str or sequence of str
        The learner's letters; case, spaces and commas don't count.
    letters : str
        The correct letters, one for each question.
    hints : sequence of str
        One for each question.
    """
    given = [letter for letter in "".join(map(str, answer)).lower() if letter not in " ,;"]
    if len(given) != len(letters):
        return f"{len(letters)} letters were asked for, one for each question, not {len(given)}."
    wrong = [hint for hint, got, right in zip(hints, given, letters, strict=True) if got != right]
    return " ".join(wrong) or None

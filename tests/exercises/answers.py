"""The tests that each notebook's exercises have: a module of tests imports them.

It has two tables: ``CORRECT``, which maps an exercise to answers that pass, and ``WRONG``, of
``(exercise, answer, what its hint says)``. `conftest.py` makes a test of each row.
"""

from __future__ import annotations

import re

import pytest
import torch

from mnist_helpers import exercises

__all__ = [
    "test_a_check_leaves_the_random_numbers_as_they_were",
    "test_correct_answer_passes",
    "test_wrong_answer_gets_its_hint",
]


def test_correct_answer_passes(name: str, answer) -> None:
    assert exercises.hint_for(name, answer) is None


def test_wrong_answer_gets_its_hint(name: str, answer, hint: str) -> None:
    found = exercises.hint_for(name, answer)
    assert found is not None
    assert re.search(hint, found), found


def test_a_check_leaves_the_random_numbers_as_they_were(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for name, answers in request.module.CORRECT.items():
        exercises.hint_for(name, answers[0])
    assert torch.equal(torch.rand(3), expected)

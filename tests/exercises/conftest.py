"""Each row of a module's tables of answers is a test; see `answers.py`."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("answers")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests of `answers` the rows of the module that imports them."""
    if metafunc.function.__module__ != "answers":
        return
    if "hint" in metafunc.fixturenames:
        metafunc.parametrize(("name", "answer", "hint"), metafunc.module.WRONG)
    elif "answer" in metafunc.fixturenames:
        rows = [(name, one) for name, all_ in metafunc.module.CORRECT.items() for one in all_]
        metafunc.parametrize(("name", "answer"), rows)

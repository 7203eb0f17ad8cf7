"""A helper's source in a notebook: one with colors, several side by side."""

from __future__ import annotations

import pytest

from mnist_helpers import show_source
from mnist_helpers.augment import random_shift, to_float


def test_one_source_has_its_docstring_cut_to_a_sentence() -> None:
    source = show_source(random_shift).data
    assert source.startswith("def random_shift(") and "unfold" in source
    assert "Keeps the dtype" not in source, "the rest of the docstring"


def test_several_stand_side_by_side_in_columns_that_wrap() -> None:
    shown = show_source(random_shift, to_float)
    html, text = shown._repr_html_(), repr(shown)
    assert "def random_shift(" in text and "def to_float(" in text, "for those who see no HTML"
    assert html.count("flex:1 1") == 2 and "flex-wrap:wrap" in html
    assert html.index("random_shift") < html.index("to_float")


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(TypeError, match="at least one"):
        show_source()

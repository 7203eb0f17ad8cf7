"""The benchmark of numbers: what it draws, and how it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.numbers import GAPS, draw_number, labeled_numbers, score


@pytest.mark.parametrize("kind", GAPS)
def test_a_seed_gives_a_number(kind: str) -> None:
    text, image = draw_number(kind, 3)
    assert draw_number(kind, 3)[0] == text != draw_number(kind, 4)[0]
    np.testing.assert_array_equal(image, draw_number(kind, 3)[1])
    assert np.ptp(np.asarray(image)) > 50
    assert text.isdigit() == (kind != "with marks")


def test_only_confident_errors_count_as_such() -> None:
    numbers = pd.DataFrame(
        [
            ("pen", "close", "12", text, sure)
            for text, sure in (("12", True), ("1", True), ("2", False))
        ],
        columns=["set", "by", "text", "predicted", "confident"],
    )
    kind, everything = score(numbers).to_dict("records")
    assert kind["numbers"] == 3 and kind["accuracy"] == pytest.approx(1 / 3)
    assert (kind["confident"], kind["confident_errors"]) == (2, 1)
    assert everything == kind | {"by": "all"}


def test_a_folder_lists_its_numbers_by_owner(tmp_path: Path) -> None:
    rows = "set,label,file\na,012,a/Ada__x.png\nb,3,b/3/Ada__y.png\n"
    (tmp_path / "manifest.csv").write_text(rows)
    assert labeled_numbers(tmp_path) == [("a", "Ada", "012", tmp_path / "a" / "Ada__x.png")]

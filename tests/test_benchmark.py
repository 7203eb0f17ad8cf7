"""The benchmarks: what they count, and how they judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mnist_helpers.benchmark import in_words, labelled_pictures, read_usual_way, score


def test_pictures_are_found_with_and_without_sets(tmp_path: Path) -> None:
    for name in ("photos/3/a.png", "photos/3/b.txt", "scans/7/c.JPG", "notes/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [(group, label, path.name) for group, label, path in labelled_pictures(tmp_path)]
    assert found == [("photos", 3, "a.png"), ("scans", 7, "c.JPG")]
    (one,) = labelled_pictures(tmp_path / "scans")
    assert one[:2] == ("scans", 7)
    with pytest.raises(ValueError, match="no labelled pictures"):
        labelled_pictures(tmp_path / "notes")


def test_score_counts_a_refusal_as_an_error_and_compares_with_the_better_usual_way() -> None:
    readings = pd.DataFrame(
        {
            "set": ["photos"] * 4,
            "label": [1, 2, 3, 4],
            "resized": [0, 0, 0, 4],
            "inverted": [1, 2, 0, 0],
            "ours": [1, 2, 3, None],
        }
    )
    (row,) = score(readings).to_dict("records")
    assert (row["resized"], row["inverted"], row["ours"]) == (0.25, 0.5, 0.75)
    assert row["errors_left"] == 0.5
    assert row["ours_low"] < 0.75 < row["ours_high"]
    assert in_words(score(readings))["ours"][0].startswith("75.0% [")


def test_the_usual_way_is_grey_resized_and_perhaps_inverted(tmp_path: Path) -> None:
    class Spy(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen = images
            return torch.eye(10)[[4]]

    spy = Spy()
    Image.new("RGB", (90, 50), (250, 250, 250)).save(tmp_path / "x.png")
    assert read_usual_way(spy, tmp_path / "x.png", invert=False) == 4
    assert spy.seen.shape == (1, 1, 28, 28)
    assert spy.seen.dtype == torch.uint8
    assert np.unique(spy.seen) == [250]
    read_usual_way(spy, tmp_path / "x.png", invert=True)
    assert np.unique(spy.seen) == [5]

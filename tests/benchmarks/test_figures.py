"""Figures of the benchmarks are tested by what is drawn: bars, texts and points, never pixels."""

from __future__ import annotations

from itertools import pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from benchmarks.augmentation import plot_augment_scores
from benchmarks.common import plot_timings
from benchmarks.confidence import plot_confidence_scores
from benchmarks.handwriting import plot_handwriting
from benchmarks.prediction import plot_prediction_times
from benchmarks.strokes import plot_stroke_scores
from benchmarks.training import plot_training_race
from mnist_helpers.plots import save_figure


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")


def test_a_name_with_dollars_is_no_formula(tmp_path) -> None:
    name = "cost_$5_$"
    ways = ("resized", "inverted", "ours")
    sets = {way + end: [0.5] for way in ways for end in ("", "_low", "_high")} | {"set": [name]}
    save_figure(plot_handwriting(pd.DataFrame(sets)), tmp_path / "sets.png")
    table = {"what": [name], "flagged": [0.1], "low": [0.1], "high": [0.1], "accuracy": [1.0]}
    curves = {name: (np.array([0.9]), np.array([True]))}
    axes = plot_confidence_scores(pd.DataFrame(table), curves)
    save_figure(axes, tmp_path / "confidence.png")
    assert axes[0].get_yticklabels()[0].get_text() == name


def test_handwriting_draws_a_bar_for_each_way_and_set():
    table = pd.DataFrame({"set": ["scans", "photos"]})
    for way, accuracies in (("resized", [0.1, 0.2]), ("inverted", [0.7, 0.3]), ("ours", [1, 0.9])):
        table[way] = accuracies
        table[f"{way}_low"], table[f"{way}_high"] = table[way] - 0.05, table[way] + 0.05
    ax = plot_handwriting(table)
    assert [bar.get_height() for bar in ax.patches] == [0.1, 0.2, 0.7, 0.3, 1, 0.9]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["scans", "photos"]


def test_names_of_sets_do_not_overlap() -> None:
    names = ["drawn at 28×28, dark on light", "scans, 32×32 black and white", "phone photos"] * 2
    ways = {
        way + end: 0.5 for way in ("resized", "inverted", "ours") for end in ("", "_low", "_high")
    }
    ax = plot_handwriting(pd.DataFrame({"set": names} | ways))
    ax.figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in ax.get_xticklabels()]
    for left, right in pairwise(boxes):
        assert left.x1 + 5 < right.x0


def test_timings_show_the_median_and_every_repeat() -> None:
    ax = plot_timings({"ours": [1.0, 3.0, 2.0], "theirs": [9.0]}, "seconds")
    assert [bar.get_width() for bar in ax.patches] == [2.0, 9.0]
    assert [list(line.get_xdata()) for line in ax.lines] == [[1.0, 3.0, 2.0], [9.0]]
    assert [text.get_text() for text in ax.texts] == ["2", "9"]
    assert ax.get_xlim()[1] > 9


def test_prediction_times_have_a_bar_for_each_way_and_image() -> None:
    one = pd.DataFrame(
        {
            "way": ["a", "a", "b", "b"],
            "image": ["28×28", "280×280"] * 2,
            "p50": [1.0, 2.0, 3.0, 4.0],
            "p95": [2.0, 3.0, 4.0, 5.0],
        }
    )
    folder = pd.DataFrame({"way": ["a", "b"], "images_per_second": [10.0, 100.0]})
    left, right = plot_prediction_times(one, folder)
    assert sorted(bar.get_width() for bar in left.patches) == [1, 2, 3, 4]
    assert {text.get_text().strip() for text in left.texts} == {"1.00", "2.00", "3.00", "4.00"}
    assert [bar.get_width() for bar in right.patches] == [10, 100]


def test_the_race_has_a_line_for_each_run_and_a_label_for_each_name() -> None:
    history = [{"seconds": 2.0, "test_accuracy": 0.98}, {"seconds": 3.0, "test_accuracy": 0.995}]
    runs = [{"name": name, "history": history} for name in ("ours", "ours", "theirs")]
    ax = plot_training_race(runs)
    drawn = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(drawn) == 3 and list(drawn[0].get_xdata()) == [2, 5]
    assert np.allclose(drawn[0].get_ydata(), [0.02, 0.005])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "theirs"]


def test_augmentations_are_compared_dot_by_dot() -> None:
    table = pd.DataFrame(
        {
            "augment": ["none", "shift"] * 2,
            "seed": [0, 0, 1, 1],
            "validation": [0.99, 0.992, 0.98, 0.994],
            "handwriting": [0.9, 0.95, 0.92, 0.97],
        }
    )
    left, right = plot_augment_scores(table)
    assert [label.get_text() for label in left.get_yticklabels()] == ["none", "shift"]
    dots = [line for line in right.lines if line.get_marker() == "o"]
    assert [sorted(line.get_xdata()) for line in dots] == [[0.9, 0.92], [0.95, 0.97]]


def test_errors_are_drawn_over_the_width_of_pens_alone() -> None:
    table = pd.DataFrame(
        [
            {"what": what, "pen": pen, "network": network, "strokes": strokes, "errors": pen}
            for what, pen in (("pen of 1%", 0.01), ("pen of 25%", 0.25), ("photos", np.nan))
            for network in ("MNIST alone", "shipped")
            for strokes in ("as drawn", "MNIST's width")
        ]
    )
    ax = plot_stroke_scores(table)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1%", "25%"]
    assert [list(line.get_xdata()) for line in ax.lines] == [[0.01, 0.25]] * 4
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names[1] == "MNIST alone, MNIST's width"
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 4


def test_confidence_shows_shares_and_what_they_cost() -> None:
    table = pd.DataFrame(
        {
            "what": ["digits", "noise"],
            "flagged": [0.01, 0.9],
            "low": [0.0, 0.8],
            "high": [0.02, 0.95],
            "accuracy": [0.99, np.nan],
        }
    )
    curves = {"digits": (np.array([0.9, 0.5, 0.8]), np.array([True, False, True]))}
    left, right = plot_confidence_scores(table, curves)
    assert [bar.get_width() for bar in left.patches] == [0.01, 0.9]
    (line,) = right.lines
    assert np.allclose(line.get_ydata(), [0, 0, 1 / 3])
    assert np.allclose(line.get_xdata(), [1 / 3, 2 / 3, 1])

"""Tuning: the range test finds a range, and the statistics are the textbook's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from mnist_helpers.data import Digits, Splits
from mnist_helpers.recipes import RECIPES
from mnist_helpers.tuning import lr_range_test, mcnemar, mean_confidence_interval, train_seeds

RECIPE = RECIPES["tiny"]


def test_the_range_test_falls_rises_and_stops(digits: Splits) -> None:
    table = lr_range_test("tiny", digits.train, RECIPE, 1e-5, 100, 120, "cpu")
    assert list(table.columns) == ["lr", "loss", "smooth"]
    assert np.allclose(table["lr"], np.geomspace(1e-5, 100, 120)[: len(table)])
    best = int(table["smooth"].idxmin())
    assert table["smooth"][best] < 0.75 * table["smooth"][0]
    assert 1e-4 < table["lr"][best] < 10
    assert len(table) < 120, "it continues although the loss has diverged"


def test_the_range_test_repeats_and_leaves_the_random_numbers_alone(digits: Splits) -> None:
    before = torch.get_rng_state()
    first = lr_range_test("tiny", digits.train, RECIPE, steps=5, device="cpu")
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    assert first.equals(lr_range_test("tiny", digits.train, RECIPE, steps=5, device="cpu"))
    with pytest.raises(ValueError, match="lowest < highest"):
        lr_range_test("tiny", digits.train, RECIPE, 1, 0.1)


def test_seeds_give_different_networks_and_each_the_same_again(digits: Splits) -> None:
    few: Digits = digits.train[:300]
    before = torch.get_rng_state()
    first = train_seeds("tiny", few, RECIPE, [0, 1])
    assert torch.equal(before, torch.get_rng_state())
    assert not any(network.training for network in first)
    again = train_seeds("tiny", few, replace(RECIPE, seed=7), [1])
    weights = [network.fc.weight for network in (*first, *again)]
    assert not torch.equal(weights[0], weights[1]) and torch.equal(weights[1], weights[2])


def test_the_interval_is_students() -> None:
    values = [0.99, 0.991, 0.993, 0.989, 0.992]
    low, high = mean_confidence_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    narrow = mean_confidence_interval(values, 0.5)
    assert low < narrow[0] < np.mean(values) < narrow[1] < high
    with pytest.raises(ValueError, match="more seeds"):
        mean_confidence_interval([0.99])


def test_mcnemar_counts_and_judges() -> None:
    first = [True] * 90 + [True] * 8 + [False] * 2 + [False] * 3
    second = [True] * 90 + [False] * 8 + [True] * 2 + [False] * 3
    found = mcnemar(first, second)
    assert (found.both, found.only_first, found.only_second, found.neither) == (90, 8, 2, 3)
    by_hand = 2 * sum(stats.binom.pmf(k, 10, 0.5) for k in range(3))
    assert found.p == pytest.approx(by_hand) == mcnemar(second, first).p
    assert mcnemar(first, first).p == 1
    with pytest.raises(ValueError, match="same images"):
        mcnemar(first, second[1:])

"""Digits that touch: cuts, the pieces between them, and the best path."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from mnist_helpers.cuts import NO_NUMBER, Pieces, find_cuts, pieces_between
from mnist_helpers.strokes import draw_strokes, pen_strokes


def random_pieces(seed: int, cuts: int = 2) -> Pieces:
    """Return what may be a digit between all pairs of cuts, with random sizes and probabilities."""
    rng = np.random.default_rng(seed)
    start, stop = np.array(list(combinations(range(cuts + 2), 2))).T
    return Pieces(
        start,
        stop,
        width=0.5 * (stop - start),
        height=rng.uniform(0.7, 1, len(start)),
        probs=rng.dirichlet(np.full(10, 0.1), len(start)),
        crossed=np.array([0, *rng.uniform(0, 2, cuts), 0]),
    )


def test_the_best_path_is_that_of_all() -> None:
    """Against each way from the first cut to the last, with each digit for each piece."""
    for seed in range(5):
        pieces = random_pieces(seed)
        weights = pieces.weights()
        number = {span: at for at, span in enumerate(zip(pieces.start, pieces.stop, strict=True))}
        numbers: dict[tuple[int, ...], float] = defaultdict(float)
        ways: dict[tuple[int, ...], float] = defaultdict(float)
        for inner in [some for size in range(3) for some in combinations((1, 2), size)]:
            ends = (0, *inner, 3)
            path = tuple(number[span] for span in pairwise(ends))
            for digits in product(range(10), repeat=len(path)):
                weight = float(np.prod(weights[list(path), list(digits)]))
                numbers[digits] += weight
                ways[path] = max(ways[path], weight)
        path, probability = pieces.best()
        assert tuple(path) == max(ways, key=lambda way: ways[way])
        digits = tuple(weights[path].argmax(1).tolist())
        everything = sum(numbers.values()) + NO_NUMBER
        assert probability == pytest.approx(numbers[digits] / everything)


def test_what_is_undecided_wide_or_low_is_less_probable() -> None:
    def probability(certainty: float = 0.99, width: float = 0.6, height: float = 1.1) -> float:
        probs = np.full((1, 10), (1 - certainty) / 9)
        probs[0, 4] = certainty
        ends, size = np.array([0]), np.array([1])
        crossed = np.zeros(2)
        return Pieces(ends, size, np.array([width]), np.array([height]), probs, crossed).best()[1]

    usual = probability()
    assert 0.95 < usual < 0.99
    for other in (probability(certainty=0.5), probability(width=1.3), probability(height=0.5)):
        assert other < 0.99 * usual


@pytest.mark.parametrize("digits", [(0, 0), (4, 2), (7, 1), (3, 5)])
def test_a_cut_separates_digits_that_touch(digits: tuple[int, int]) -> None:
    """Of the pieces, one is nearly the first digit alone, and one the second."""
    ink = [np.asarray(draw_strokes(pen_strokes(one, size=120), 120, 8)) < 128 for one in digits]
    first, second = (pixels[:, pixels.any(0)] for pixels in ink)
    both = np.zeros((2, 120, first.shape[1] + second.shape[1] - 5), bool)
    both[0, :, : first.shape[1]] = first
    both[1, :, -second.shape[1] :] = second
    mask = both.any(0)
    pieces = [piece for *_, piece in pieces_between(mask, find_cuts(mask))]
    for digit in both:
        assert max((piece & digit).sum() / (piece | digit).sum() for piece in pieces) > 0.9

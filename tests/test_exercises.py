"""The notebooks' exercises: right answers pass, common wrong ones get their hint."""

from __future__ import annotations

import base64
import math
import re
import struct
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binom

from mnist_helpers import exercises

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9]*.ipynb"))


def solutions() -> list[tuple[str, str]]:
    """Collect ``(exercise, solution's code)`` from the notebooks, in which they are folded."""
    found = []
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        for cell, following in pairwise(cells):
            name = re.search(r'exercises\.check\("([\d-]+)"', cell.source)
            code = re.search(r"<details>.*?```python\n(.*?)```", following.source, re.DOTALL)
            if name:
                assert code, f"{path.name}: exercise {name[1]} has no folded solution after it"
                found.append((name[1], code[1]))
    return found


def test_every_exercise_stands_in_a_notebook_and_every_notebook_has_three() -> None:
    names = [name for name, _ in solutions()]
    assert sorted(names) == exercises.list_exercises()
    for path in NOTEBOOKS:
        assert sum(name.startswith(path.name[:2]) for name in names) >= 3, path.name


@pytest.mark.parametrize(("name", "code"), solutions(), ids=lambda value: value[:5])
def test_solution_is_accepted(name: str, code: str) -> None:
    space: dict = {}
    exec(code, space)
    assert exercises.hint_for(name, space["answer"]) is None


def no_zero_grad(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss


WRONG = [
    ("01-1", 47_040_000, "header is missing"),
    ("01-1", 47_040_008, "each of the three"),
    ("01-1", 784, "One byte"),
    ("01-2", lambda c: struct.unpack(f"<{c[3]}I", c[4 : 4 + 4 * c[3]]), "largest byte"),
    ("01-2", lambda c: list(struct.unpack(f">{c[3]}I", c[4 : 4 + 4 * c[3]])), "tuple"),
    ("01-2", lambda c: struct.unpack(">3I", c[4:16]), "yours gives"),
    ("01-3", lambda x, y, z: y[((z[:, None] - x[None]) ** 2).sum(2).argmin(1)], "single picture"),
    ("01-3", lambda x, y, z: 3, "shape"),
    ("02-1", lambda s, k, p, t: (s + 2 * p - k) // t, "One too few"),
    ("02-1", lambda s, k, p, t: (s + 2 * p - k) / t + 1, "round down"),
    ("02-1", lambda s, k, p, t: s, "yours gives"),
    ("02-2", 18_432, "biases"),
    ("02-2", 640, "input channels"),
    ("02-3", lambda image: image[::2, ::2], "first value"),
    ("02-3", lambda image: image.reshape(3, 2, 4, 2).mean((1, 3)), "mean"),
    ("02-3", lambda image: image, "3×4"),
    ("03-1", 214, "left over"),
    ("03-1", 214.8, "whole"),
    ("03-1", 55_000, "Divide"),
    ("03-2", 2.3, "function"),
    ("03-2", lambda z, y: F.cross_entropy(z, y, reduction="sum"), "mean"),
    ("03-2", lambda z, y: -F.cross_entropy(z, y), "sign"),
    ("03-2", lambda z, y: 1 - z.softmax(1)[torch.arange(len(y)), y].mean(), "logarithm"),
    ("03-2", lambda z, y: -z[torch.arange(len(y)), y].mean(), "softmax"),
    ("03-2", lambda z, y: 1 / 0, "ZeroDivisionError"),
    ("03-3", lambda m, o, x, y: F.cross_entropy(m(x), y), "not changed"),
    ("03-3", no_zero_grad, "zero_grad"),
    ("03-4", lambda step, steps, peak: peak, "tenth"),
    ("03-4", lambda step, steps, peak: peak * min(1, 10 * step / steps), "end"),
    ("03-4", lambda step, steps, peak: 2 * peak, "peak"),
    ("04-1", lambda image: -image, "Negative"),
    ("04-1", lambda image: image < 128, "greys"),
    ("04-1", lambda image: 255.0 - image, "dtype"),
    ("04-2", lambda image: tuple(np.argwhere(image > 0).mean(0)), "weigh"),
    ("04-2", lambda image: (12, 14.5), "box"),
    ("04-3", lambda c, right, risk: 0.5, "wrong"),
    ("04-3", lambda c, right, risk: 0.95, "too few"),
    ("04-3", lambda c, right, risk: 2.0, "nothing"),
    ("05-1", lambda m, d: m[d, d] / m[:, d].sum(), "precision"),
    ("05-1", lambda m, d: m[d, d] / m.sum(), "this digit only"),
    ("05-2", 9930, "below"),
    ("05-2", 9940, "still"),
    ("05-2", 9999, "fewer"),
    ("05-3", lambda c, right: abs(c.mean() - right.mean()), "without its sign"),
    ("06-1", 0.96, "measured"),
    ("06-1", (0.9, 1.0), "whole interval"),
    ("06-2", lambda new, old, s: np.concatenate([new, old[:40]]), "whole mix"),
    ("06-2", lambda new, old, s: old, "All of the new"),
    ("06-3", lambda y, a, b: (a == y).mean() - (b == y).mean(), "difference"),
    ("06-3", lambda y, a, b: ((a == y) & (b != y)).mean(), "not by all"),
    ("07-1", lambda lr, loss: lr[loss.argmin()], "a tenth of it"),
    ("07-1", lambda lr, loss: loss.min() / 10, "a loss"),
    ("07-1", lambda lr, loss: lr.max() / 10, "not for the highest"),
    ("07-2", lambda a, b: binom.cdf(min(a, b), a + b, 0.5), "one side only"),
    ("07-2", lambda a, b: 2 * binom.cdf(a, a + b, 0.5), "should not matter"),
    ("07-2", lambda a, b: 2 * binom.cdf(min(a, b), a + b, 0.5), "counts twice"),
    ("07-2", lambda a, b: 0.5, "For 2 and 8"),
    ("07-3", lambda std, half: (1.96 * std / half) ** 2, "round up"),
    ("07-3", lambda std, half: int((1.96 * std / half) ** 2), "just too few"),
    ("07-3", lambda std, half: math.ceil(1.96 * std / half), "square the ratio"),
    ("08-1", lambda content: base64.b64encode(content).decode(), "a dictionary"),
    ("08-1", lambda content: {"image": base64.b64encode(content)}, "decode() the base64"),
    ("08-1", lambda content: {"image": content.hex()}, "hexadecimal"),
    ("08-2", lambda times: times.mean(), "That is the mean"),
    ("08-2", lambda times: np.percentile(times, 5), "the fast ones"),
    ("08-2", lambda times: np.percentile(times, 0.95), "takes per cent"),
    ("08-3", lambda rate, seconds: rate / seconds, "Think of one second"),
    ("08-3", lambda rate, seconds: rate + seconds, "it is 50"),
    ("09-1", lambda g, counts: g.mean(0), "the plain mean"),
    ("09-1", lambda g, counts: g, "of shape (2,)"),
    ("09-1", lambda g, counts: counts @ g, "number of all pictures"),
    ("09-2", lambda workers, serial: workers, "the rest"),
    ("09-2", lambda workers, serial: serial + (1 - serial) / workers, "how many times faster"),
    ("09-2", lambda workers, serial: workers * (1 - serial), "not speeds"),
    ("09-3", lambda n, rate, seconds: n // (rate * seconds), "round up"),
    ("09-3", lambda n, rate, seconds: n // (rate * seconds) + 1, "just enough"),
    ("09-3", lambda n, rate, seconds: n / rate, "for one second"),
]


@pytest.mark.parametrize(("name", "answer", "word"), WRONG)
def test_wrong_answers_get_their_hint(name: str, answer: object, word: str) -> None:
    hint = exercises.hint_for(name, answer)
    assert hint is not None
    assert word in hint


def test_check_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    for answer, words in ((None, "not answered"), (215, "right!"), (7, "not yet. Divide")):
        exercises.check("03-1", answer)
        assert words in capsys.readouterr().out


def test_unknown_exercise_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="03-1"):
        exercises.check("99-1", 1)

"""An epoch beside busy processes: with a thread per core, and with one per free core, as usual."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from mnist_helpers.data import Digits
from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.recipes import recipe_for
from mnist_helpers.training import train

from .common import interleave, plot_timings, publish

FIXED, FREE = "all cores", "free cores"  # threads


def benchmark(
    repeats: int = 5, others: Sequence[int] = (0, 1, 5), images: int = 40_960
) -> pd.DataFrame:
    """Time a run of one epoch of `tiny` beside each of `others` busy processes, in turn.

    Parameters
    ----------
    repeats : int, default=5
    others : sequence of int, default=(0, 1, 5)
        Numbers of busy processes; the first is what the others are compared with.
    images : int, default=40_960
        Random ones: what they show changes no time.

    Returns
    -------
    DataFrame
        ``others``, ``threads``, ``median``, ``min``, ``max`` (seconds), ``times`` (median of the
        repeats' ratios to the first row's way).
    """
    digits, recipe = random_digits(images), replace(recipe_for("tiny"), epochs=1)

    def epoch(count: int, threads: str) -> Callable[[], object]:
        def run() -> None:
            with busy_processes(count), fixed_threads(threads == FIXED):
                train("tiny", digits, recipe=recipe, device="cpu", progress=False)

        return run

    ways = [(count, threads) for count in others for threads in (FIXED, FREE)]
    names = {way: f"beside {way[0]}, {way[1]}" for way in ways}
    seconds = interleave({names[way]: epoch(*way) for way in ways}, repeats)
    base = seconds[names[ways[0]]]
    rows = []
    for count, threads in ways:
        took = seconds[names[count, threads]]
        ratios = np.median(np.divide(took, base))
        row = {"others": count, "threads": threads, "median": np.median(took)}
        rows.append(row | {"min": min(took), "max": max(took), "times": ratios})
    table = pd.DataFrame(rows)
    words = table.copy()
    words[["median", "min", "max"]] = words[["median", "min", "max"]].map("{:.2f} s".format)
    words["times"] = words["times"].map("{:.2f}".format)
    publish("busy", table, words, {"seconds": seconds, "images": images})
    ax = plot_timings(seconds, "seconds of a run of one epoch")
    save_figure(ax, outputs_folder("benchmarks") / "busy.png")
    return table


def random_digits(count: int) -> Digits:
    """Return images of noise, with random labels."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return Digits(pixels, torch.randint(10, (count,), generator=generator), "random")


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run this many processes that compute without end."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


@contextmanager
def fixed_threads(fixed: bool) -> Iterator[None]:
    """Have training use all threads, whatever cores are free, if `fixed`."""
    before = os.environ.pop("OMP_NUM_THREADS", None)
    if fixed:
        os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS", None)
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before

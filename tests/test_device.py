"""Threads follow the cores that are free, unless the user has decided."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import psutil
import pytest
import torch
from torch import nn

from mnist_helpers import device, train
from mnist_helpers.data import Splits
from mnist_helpers.device import stay_on_loopback, threads_for_free_cores
from mnist_helpers.recipes import recipe_for


class CoreTimes(NamedTuple):
    idle: float


class Machine:
    """A machine of four cores, whose clocks a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.now = self.idle = self.own = 100.0
        clocks = {"perf_counter": lambda: self.now, "process_time": lambda: self.own}
        for name, clock in clocks.items():
            monkeypatch.setattr(time, name, clock)
        monkeypatch.setattr(psutil, "cpu_times", lambda: CoreTimes(self.idle))

    def passes(self, seconds: float, idle: float, own: float) -> None:
        """Let time pass, with some cores idle, and some computing for this process."""
        self.now += seconds
        self.idle += idle * seconds
        self.own += own * seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    with monkeypatch.context() as patched:
        yield Machine(patched)
    torch.set_num_threads(before)


@pytest.fixture
def model() -> nn.Module:
    return nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("idle", "own", "threads"),
    [(0, 4, 4), (2, 2, 4), (0, 3.3, 3), (1, 1, 2), (0, 0.6, 1), (0, 0.1, 1), (12, 4, 4)],
)
def test_there_are_as_many_threads_as_free_cores(machine, model, idle, own, threads) -> None:
    with threads_for_free_cores(model):
        machine.passes(1, idle, own)
        model(torch.zeros(1, 2))
        assert torch.get_num_threads() == threads


def test_they_are_counted_again_and_at_most_twice_a_second(machine, model) -> None:
    seen = []
    with threads_for_free_cores(model):
        for idle in (0, 0, 3, 3):
            machine.passes(0.3, idle, own=1)
            model(torch.zeros(1, 2))
            seen.append(torch.get_num_threads())
    assert seen == [4, 1, 1, 4] and torch.get_num_threads() == 4


def test_what_they_were_comes_back_after_an_error(machine, model) -> None:
    with pytest.raises(RuntimeError, match="lost"), threads_for_free_cores(model):
        machine.passes(1, 0, 1)
        model(torch.zeros(1, 2))
        assert torch.get_num_threads() == 1
        raise RuntimeError("lost")
    assert torch.get_num_threads() == 4
    machine.passes(1, 0, 1)
    model(torch.zeros(1, 2))
    assert torch.get_num_threads() == 4, "nothing is counted afterwards"


def test_what_the_user_has_set_stays(machine, model, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with threads_for_free_cores(model):
        machine.passes(1, 0, 1)
        model(torch.zeros(1, 2))
        assert torch.get_num_threads() == 4


def test_a_sandbox_that_tells_nothing_changes_nothing(machine, model) -> None:
    machine.idle = 0.0
    with threads_for_free_cores(model):
        machine.passes(1, 0, 1)
        model(torch.zeros(1, 2))
        assert torch.get_num_threads() == 4


def test_another_device_needs_no_threads(machine) -> None:
    model = nn.Linear(2, 2, device="meta")
    with threads_for_free_cores(model):
        machine.passes(1, 0, 1)
        model(torch.zeros(1, 2, device="meta"))
        assert torch.get_num_threads() == 4


def test_training_follows_the_free_cores(machine, digits: Splits, monkeypatch) -> None:
    monkeypatch.setattr(device, "SECONDS_BETWEEN_COUNTS", 0)
    clock = itertools.count().__next__  # continues while no core is free
    machine.monkeypatch.setattr(time, "perf_counter", clock)
    seen = []
    recipe = replace(recipe_for("tiny"), epochs=1, batch_size=500)
    callbacks = [lambda history: seen.append(torch.get_num_threads())]
    train("tiny", digits.train, None, recipe, device="cpu", callbacks=callbacks, progress=False)
    assert seen == [1] and torch.get_num_threads() == 4


def test_what_this_process_computes_counts_as_free() -> None:
    started_at = time.process_time()
    started, before = time.perf_counter(), device._core_seconds()
    while time.process_time() - started_at < 0.2:
        pass
    passed, elapsed = device._core_seconds() - before, time.perf_counter() - started
    assert 0.2 <= passed + 0.02 <= elapsed * (psutil.cpu_count() or 1) + 0.1


def test_gloo_stays_on_this_machine_unless_the_user_says_otherwise(monkeypatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    stay_on_loopback()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    monkeypatch.setattr("sys.platform", "linux")
    stay_on_loopback()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"

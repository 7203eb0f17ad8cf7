"""How a run is laid out: workers, threads, order; and what it will take, said before it begins."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec

import pytest
from kinds import BROWSERS, EXTRAS, MNIST, NO_MNIST

# About how many seconds a test takes on a quiet core, on average over a file (`--durations=0` tells
# them). They order the files, the longest first, and estimate how long a run takes.
SECONDS = {
    "notebooks": 30.0,
    "notebooks/10_scaling_out.ipynb": 80.0,
    "tests/browser": 2.0,
    "tests/batch/test_batch.py": 0.7,
    "tests/benchmarks/test_benchmarks.py": 2.0,
    "tests/project/test_book.py": 0.7,
    "tests/cli/test_cli.py": 0.8,
    "tests/scale/test_cluster.py": 0.8,
    "tests/project/test_colab.py": 7.0,
    "tests/data/test_download.py": 0.5,
    "tests/test_faults.py": 2.7,
    "tests/test_odd_machines.py": 3.0,
    "tests/test_prediction.py": 0.5,
    "tests/notebooks/test_notebooks.py": 0.2,
    "tests/scale/test_scale.py": 6.0,
    "tests/serve/test_serve.py": 0.4,
    "tests/project/test_set_up.py": 1.5,
    "tests/project/test_supply_chain.py": 1.5,
    "tests/test_training.py": 0.3,
}
SECONDS_FAST = {  # of the tests that --fast keeps; of all, where a file does not stand above
    "tests/cli/test_cli.py": 0.25,
    "tests/data/test_any_table.py": 1.5,
    "tests/exercises/test_architecture.py": 0.12,
    "tests/sheet/test_sheet.py": 0.5,
    "tests/test_evaluation.py": 0.15,
    "tests/test_foreign.py": 0.12,
    "tests/test_number.py": 0.1,
    "tests/test_onnx.py": 0.16,
    "tests/test_prediction.py": 0.1,
    "tests/test_synthetic.py": 0.5,
    "tests/test_training.py": 0.16,
    "tests/test_wrapping.py": 0.1,
    "tests/widgets/test_interactive.py": 0.2,
}
SECONDS_ELSEWHERE = 0.05
LONG = 20.0  # a file that takes longer is begun early in a random order, too
STARTUP = 15.0  # a worker imports the package and collects
GB_PER_WORKER = 2.5  # a worker and what it starts: kernels, servers, a browser


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def pytest_xdist_auto_num_workers() -> int:
    """Return a worker for each core, if the memory suffices."""
    import psutil

    memory = psutil.virtual_memory().available / 1e9
    return max(1, min(cores(), int(memory / GB_PER_WORKER)))


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores among the workers: threads of OpenMP spin while they wait for each other.

    A process on its own gets all. Said in the environment, their number stays as it is whatever
    else this machine does, and with it the last digits of what tests compute.
    """
    if not hasattr(config, "workerinput"):
        workers = _workers(config) or 1
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // workers)))


def _workers(config: pytest.Config) -> int:
    """Return how many processes run tests beside each other, or 0 if this one runs them."""
    return len(config.option.tx or ()) if config.option.dist != "no" else 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first for workers; for a single process the notebooks last, in order.

    The latter since a broken function had better show in its own test first. A random order stays,
    but for workers the long files come before the others, or one of them would work on alone.
    """
    if hasattr(config, "workerinput"):
        seconds = seconds_of_files([item.nodeid for item in items], config.option.fast)
        if config.option.random_order_enabled:
            items.sort(key=lambda item: seconds[_file(item.nodeid)] < LONG)
        else:
            items.sort(key=lambda item: -seconds[_file(item.nodeid)])
    elif not config.option.random_order_enabled:
        items.sort(key=lambda item: (item.path.suffix == ".ipynb", _order(item)))


def _order(item: pytest.Item) -> str:
    return item.path.name if item.path.suffix == ".ipynb" else ""


def _file(nodeid: str) -> str:
    return nodeid.split("::")[0]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which kinds of tests cannot run on this machine, and why."""
    lines = []
    if not config.stash[MNIST]:
        lines.append(f"skipped here: mnist ({NO_MNIST})")
    if not any(map(shutil.which, BROWSERS)):
        verb = "fails" if os.environ.get("CI") else "skipped"
        lines.append(f"{verb} here: browser (none of {', '.join(BROWSERS)} is on the PATH)")
    for kind, (extra, module) in EXTRAS.items():
        if find_spec(module) is None:  # importing Ray takes seconds
            lines.append(f"skipped here: {kind} (the extra `{extra}` is not installed)")
    return lines


class Announcement:
    """Says once, as soon as the tests are known, how many there are and how long they take."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.made = False

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Announce what a worker has collected; all of them collect the same."""
        self._announce(ids)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Announce what this process has collected."""
        if session.items:
            self._announce([item.nodeid for item in session.items])

    def _announce(self, ids: Sequence[str]) -> None:
        if self.made:
            return
        self.made = True
        workers = _workers(self.config)
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        how = f"{workers} workers" if workers else "one after the other"
        seconds = seconds_of_files(ids, self.config.option.fast).values()
        longest = max(sum(seconds) / max(workers, 1), *seconds)
        minutes = round((STARTUP + longest) / 60 + 0.5)  # rounded up
        reporter.ensure_newline()
        reporter.write_line(
            f"{len(ids):,} tests, {how}: about {minutes} minute{'s'[: minutes > 1]} "
            "on a machine that does nothing else"
        )


def seconds_of_files(ids: Sequence[str], fast: bool = False) -> dict[str, float]:
    """Return about how many seconds these tests take, file by file."""
    known = SECONDS_FAST if fast else SECONDS_FAST | SECONDS
    return {
        file: count * known.get(file, known.get(file.rpartition("/")[0], SECONDS_ELSEWHERE))
        for file, count in Counter(map(_file, ids)).items()
    }


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Announce in the process that has the terminal."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Announcement(session.config))

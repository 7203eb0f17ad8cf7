"""A Ray cluster: joined, or started on this machine and out of others' reach."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..device import stay_on_loopback

if TYPE_CHECKING:
    import psutil

ATTEMPTS = 3  # to start a cluster here
RETRIES = 3  # times that a job continues after losing a worker


def need_ray() -> None:
    """Say how to install Ray where it is missing; keep it from reporting home and from chatting."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Tune's own handler would keep Ctrl-C from the caller.
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    try:
        import ray.data
        import ray.train
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "this needs Ray: pip install 'mnist-helpers[scale]' (make lab installs it)"
        ) from error


@contextmanager
def ray_cluster(address: str | None = None, cpus: int | None = None) -> Iterator[dict[str, float]]:
    """Join a Ray cluster for as long as the block lasts.

    Parameters
    ----------
    address : str, default=None
        Of a running cluster, as ``ray start`` prints it; "auto" finds the one that this machine
        belongs to. Without it, a cluster that this process has joined already is used and left
        running; else one is started on this machine, without dashboard and usage reports and
        out of other machines' reach, and stopped again.
    cpus : int, default=None
        Of a cluster that is started here. If None, all that this machine has.

    Yields
    ------
    dict
        What the cluster has, by name: ``CPU``, ``GPU``, ``memory`` in bytes, …

    Raises
    ------
    ImportError
        If Ray is not installed.
    ConnectionError
        If there is no cluster at the address.
    TimeoutError
        If this machine is too busy to start one.
    """
    need_ray()
    import ray

    logging.getLogger("ray").setLevel(logging.WARNING)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    joined = ray.is_initialized()
    if not joined:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        on_sigterm = signal.getsignal(signal.SIGTERM)
        _listen(to_others=address is not None)
        if address:
            _check_reachable(address)
            ray.init(address, **quiet)
        else:
            stay_on_loopback()
            quiet["runtime_env"] = runtime_env()
            _retry_startup(
                lambda: ray.init("local", num_cpus=cpus, include_dashboard=False, **quiet)
            )
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # by Ray's own, this process would abort
    try:
        yield ray.cluster_resources()
    finally:
        if not joined:
            ray.shutdown()


def runtime_env() -> dict[str, str] | None:
    """Return what workers on this machine need where the path of Python has a space.

    Ray hands that path to a shell as it is: workers with settings of their own, as Ray Train gives
    them, never start, and the job waits forever.
    """
    quoted = shlex.quote(sys.executable)
    if sys.platform == "win32" or quoted == sys.executable:
        return None
    return {"py_executable": quoted}


def _retry_startup(start: Callable[[], Any]) -> Any:
    """Start Ray's processes; again, if they were too slow to find each other.

    They wait for each other for 15 seconds, whatever one sets, which is too short on a busy
    machine (ray-project/ray, issue 65983). The next time they are in memory, and quicker.
    """
    import ray

    before = _processes()
    for left in reversed(range(ATTEMPTS)):
        try:
            return start()
        except Exception as error:  # that is all that Ray says it is
            ray.shutdown()
            _end_ray_processes(spare=before)
            if "timed out during startup" not in str(error):
                raise
            if not left:
                raise TimeoutError(
                    f"Ray did not start in {ATTEMPTS} attempts: this machine is too busy. Close "
                    "what else computes on it, and try again"
                ) from error


def _processes() -> set[psutil.Process]:
    """Return the processes that this one has started, and those that they have."""
    import psutil

    return set(psutil.Process().children(recursive=True))


def _end_ray_processes(spare: set[psutil.Process]) -> None:
    """End what a failed start has left running: Ray does not."""
    import psutil

    for process in _processes() - spare:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if f"{os.sep}ray{os.sep}" in " ".join(process.cmdline()):
                process.kill()


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing listens: Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto"
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(
            f"there is no Ray cluster at {address} ({error}): start one there with "
            "'ray start --head', or leave the address out"
        ) from error


def _listen(to_others: bool) -> None:
    """Say whether Ray listens to other machines, whose orders it would take.

    Ray has this switch for Windows and macOS, and reads it when it is imported, which may have
    been before. It is private to Ray: pyproject.toml allows no version that the tests have not
    seen obey it.
    """
    from ray._private import ray_constants

    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = str(int(to_others))
    ray_constants.ENABLE_RAY_CLUSTER = to_others


def check_resources(resources: dict[str, float], name: str, number: float, kind: str) -> None:
    """Refuse to wait forever for what the cluster does not have."""
    there = resources.get(kind, 0)
    if not 0 < number <= there:
        raise ValueError(
            f"{name} is {number:g}, and the cluster has {there:g} {kind}s: ask for no more"
            if there
            else f"{name} is {number:g}, and the cluster has no {kind}"
        )

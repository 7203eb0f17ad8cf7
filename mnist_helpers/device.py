"""Where to compute and how precisely; what memory and processes need for it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

SECONDS_BETWEEN_COUNTS = 0.5  # of free cores; the system counts in hundredths

if hasattr(os, "register_at_fork"):  # not on Windows
    # Of PyTorch's threads a forked child has none, and would wait for them forever.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def choose_device(device: str | torch.device = "auto") -> tuple[torch.device, str]:
    """Pick where to compute, and say why.

    Parameters
    ----------
    device : str or torch.device, default="auto"
        "auto" takes a CUDA GPU, else Apple's MPS, else the CPU.

    Returns
    -------
    device : torch.device
    reason : str
        One sentence for the user.

    Raises
    ------
    ValueError
        If a device is asked for that this machine does not have, or that is no CPU, CUDA or MPS.

    Examples
    --------
    >>> choose_device("cpu")
    (device(type='cpu'), 'Using cpu, as asked for.')
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if str(device) == "auto":
        if cuda:
            return torch.device("cuda"), f"Using the GPU {torch.cuda.get_device_name()}."
        if mps:
            return torch.device("mps"), "Using this Mac's GPU (MPS)."
        threads = torch.get_num_threads()
        return torch.device("cpu"), f"Using the CPU ({threads} threads): there is no GPU here."
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"no device {device!r}: choose one of auto, cpu, cuda, mps") from error
    there = {"cpu": 1, "cuda": cuda * torch.cuda.device_count(), "mps": int(mps)}
    if (chosen.index or 0) >= there.get(chosen.type, 0):
        raise ValueError(f"there is no {str(chosen).upper()} device here: use 'auto' or 'cpu'")
    return chosen, f"Using {chosen}, as asked for."


def has_native_bf16(device: torch.device) -> bool:
    """Return whether `device` multiplies bfloat16 numbers faster than float32, as it reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu" and platform.machine() in ("x86_64", "AMD64"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager:
    """Return the context in which a network computes in the recipe's precision."""
    wanted = precision == "bf16" or (precision == "auto" and has_native_bf16(device))
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


@contextmanager
def threads_for_free_cores(model: nn.Module) -> Iterator[None]:
    """Have `model` compute with as many threads as there are free cores, counted twice a second.

    The threads of OpenMP meet at the end of each layer, and those that wait spin. Where a busy
    process has one of the cores, in each layer all wait for the thread that shares it, and an epoch
    takes longer than with a thread less (docs/results.md has the seconds). Shorter spinning helps
    little, and can only be set before torch is imported, by ``GOMP_SPINCOUNT``; the number of
    threads can be set at any time.

    It is never more than `torch.get_num_threads` says at the start, and stays as it is where the
    user has set ``OMP_NUM_THREADS``, where the model isn't on the CPU, and in the sandboxes that
    don't say what their cores do.
    """
    import psutil

    most, device = torch.get_num_threads(), next(model.parameters()).device
    fixed = most == 1 or "OMP_NUM_THREADS" in os.environ or not any(psutil.cpu_times())
    if fixed or device.type != "cpu":
        yield
        return
    started, before = time.perf_counter(), _core_seconds()

    def count_free_cores(*_: object) -> None:
        nonlocal started, before
        passed = time.perf_counter() - started
        if passed >= SECONDS_BETWEEN_COUNTS:
            free = (_core_seconds() - before) / passed
            torch.set_num_threads(max(1, min(most, round(free))))
            started, before = time.perf_counter(), _core_seconds()

    handle = model.register_forward_pre_hook(count_free_cores)
    try:
        yield
    finally:
        handle.remove()
        torch.set_num_threads(most)


def _core_seconds() -> float:
    """Return how long all cores together have been idle, or computed for this process."""
    import psutil

    times = psutil.cpu_times()
    return times.idle + getattr(times, "iowait", 0.0) + time.process_time()


def stay_on_loopback() -> None:
    """Have processes that train together over gloo, started from here on, listen to nobody else.

    By itself gloo listens at the address that this machine's name stands for, which other machines
    may reach. What the environment says already stays.
    """
    if sys.platform != "win32":  # where network interfaces have other names
        loopback = "lo0" if sys.platform == "darwin" else "lo"
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)


@contextmanager
def retain_freed_memory() -> Iterator[None]:
    """Have the C library keep what is freed meanwhile, and hand it back to the system at the end.

    Each training step frees what the next one asks for again. By itself glibc hands large pieces
    back at once, and the system fills them with zeros again, page by page. Without glibc nothing
    changes.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt"):
        yield
        return
    mmap_threshold, trim_threshold = -3, -1  # their numbers in malloc.h
    libc.mallopt(mmap_threshold, 2**30)
    libc.mallopt(trim_threshold, 2**30)
    try:
        yield
    finally:
        libc.mallopt(mmap_threshold, 2**25)  # as far as both grow by themselves
        libc.mallopt(trim_threshold, 2**26)
        libc.malloc_trim(0)

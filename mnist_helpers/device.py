"""Where to compute and how precisely; what memory and processes need for it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

if hasattr(os, "register_at_fork"):  # not on Windows
    # Of PyTorch's threads a forked child has none, and would wait for them for ever.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def choose_device(device: str | torch.device = "auto") -> tuple[torch.device, str]:
    """Pick where to compute, and say why.

    Parameters
    ----------
    device : str or torch.device
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
    """Return whether `device` multiplies bfloat16 numbers faster than float32, by its own word."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu" and platform.machine() in ("x86_64", "AMD64"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager:
    """Return the context in which a network computes in the recipe's precision."""
    wanted = precision == "bf16" or (precision == "auto" and has_native_bf16(device))
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


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

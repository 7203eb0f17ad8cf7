"""Install an optional part of the package into the running kernel, where it is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib import invalidate_caches, metadata

from packaging.requirements import Requirement


def missing_of(extra: str) -> list[Requirement]:
    """Return what an extra asks for and this environment does not have.

    Raises
    ------
    ValueError
        If there is no such extra.
    """
    known = metadata.metadata("mnist-helpers").get_all("Provides-Extra") or []
    if extra not in known:
        raise ValueError(f"no extra {extra!r}: there are {', '.join(sorted(known))}")
    stated = [Requirement(line) for line in metadata.requires("mnist-helpers") or []]
    return [need for need in stated if _belongs(need, extra) and not _is_there(need)]


def _belongs(need: Requirement, extra: str) -> bool:
    """Whether a requirement is asked for by this extra alone."""
    return (
        need.marker is not None
        and need.marker.evaluate({"extra": extra})
        and not need.marker.evaluate({"extra": ""})
    )


def _is_there(need: Requirement) -> bool:
    """Whether a requirement is installed in a version that fits."""
    try:
        return need.specifier.contains(metadata.version(need.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def install_extra(extra: str) -> None:
    """Install what an extra asks for and is missing; what is there stays, PyTorch above all.

    Parameters
    ----------
    extra : str
        Such as "serve" or "scale".

    Raises
    ------
    ValueError
        If there is no such extra.
    RuntimeError
        If pip cannot install it.
    """
    missing = [str(Requirement(str(need).partition(";")[0])) for need in missing_of(extra)]
    if not missing:
        return
    print(f"Installing {', '.join(missing)} …", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", *missing]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["pip says nothing"]
        raise RuntimeError(f"the extra {extra!r} could not be installed: {lines[-1]}")
    invalidate_caches()

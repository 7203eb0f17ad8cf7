"""The command line: ``python -m mnist_helpers train | evaluate | predict | batch | …``."""

from __future__ import annotations  # noqa: I001  (the order below is that of the help)

import atexit
import gc
import signal

from . import train, predict, sheet, system
from .base import app

__all__ = ["app", "main", "predict", "sheet", "system", "train"]


def main(prog_name: str | None = None) -> None:
    """Run the command that the command line names, as a process of its own.

    Importing PyTorch and its company creates a million objects that stay to the end. Python's
    garbage collector went through them again and again, for a second during the imports and for
    another when the process ended. Now it runs less often, and not at the end.

    SIGTERM is Ctrl-C: what is ready is kept, nothing half-written stays, and the last words say how
    to continue.

    Parameters
    ----------
    prog_name : str, default=None
        How messages call the program; by default as it was called.
    """
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name=prog_name)

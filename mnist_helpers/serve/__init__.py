"""The web app: a page to draw on for people, a REST interface for programs.

What it needs, the extra ``serve``, is loaded when one of its names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULE_OF = {
    "create_app": "app",
    "find_checkpoints": "app",
    "run": "server",
    "serving": "server",
    "Limits": "uploads",
    "MicroBatcher": "microbatch",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import the module that defines a name when the name is first asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mnist_helpers"):
            raise
        raise ImportError(
            "the page and the API need the extra `serve`: pip install 'mnist-helpers[serve]'"
        ) from error

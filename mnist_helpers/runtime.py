"""ONNX Runtime's sessions: networks that compute without PyTorch, which takes long to import."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import Any

MAX_MEMORY = 2**31  # bytes in which all ONNX networks of a process compute
EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
NEEDED = "ONNX needs the extra `serve`: pip install 'mnist-helpers[serve]'"


def start_session(content: bytes, path: Path) -> Any:
    """Return an ONNX Runtime session that runs a network and reads no other file."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(NEEDED) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: they are raised, too
    _limit_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    with tempfile.TemporaryDirectory() as empty:
        options.add_session_config_entry(EXTERNAL_DATA_FOLDER, empty)
        try:
            return onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a class of exceptions for each kind of damage
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{path} is not an ONNX network that can be run: {reason}") from error


_OWNERS: weakref.WeakSet[Any] = weakref.WeakSet()  # of sessions in this process


def end_before_fork(owner: Any) -> None:
    """Set the `session` of `owner` to None before each fork; it starts another when it needs one.

    A forked child has none of the session's threads, and would wait for them.
    """
    _OWNERS.add(owner)


def _end_sessions() -> None:
    for owner in list(_OWNERS):
        owner.session = None


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_end_sessions)


@cache
def _limit_memory() -> None:
    """Let ONNX Runtime take no more than `MAX_MEMORY`, where a small file could ask for all."""
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = {"max_mem": MAX_MEMORY, "arena_extend_strategy": 1}
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(as_requested))


def saved_about(session: Any, path: str | Path) -> dict[str, Any]:
    """Return what was kept with the network, if anything was."""
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        about = json.loads(metadata.get("mnist_helpers", "{}"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds a damaged description of its network: {error}") from error
    return about if isinstance(about, dict) else {}

"""Files with weights, read into plain values: what they are is told first, and none runs code.

Nothing is allocated by a size that the file only claims to have, and a file of another kind (a Git
LFS pointer, a web page, a TorchScript archive) is named for what it is, with what to do.
"""

from __future__ import annotations

import json
import threading
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from .pickles import SAVE_WEIGHTS, check_pickles

MAX_HEADER = 2**23  # of a safetensors file
MAX_TENSORS = 10_000
MAX_UNPACKED = 2**26  # bytes of a compressed archive; PyTorch's are not compressed

SIGNATURES = {  # what a file begins with, what it is then, and what to do
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "run git lfs pull"),
    b"\x89HDF\r\n\x1a\n": (
        "an HDF5 file, such as Keras writes",
        "its weights are not PyTorch's: train the network again with mnist_helpers, or export it "
        "as ONNX (tf2onnx)",
    ),
    b"\x93NUMPY": ("a NumPy array, not a network", SAVE_WEIGHTS),
    b"\x1f\x8b": ("compressed (gzip)", "unpack it first: gunzip"),
    b"BZh": ("compressed (bzip2)", "unpack it first: bunzip2"),
    b"\xfd7zXZ\x00": ("compressed (xz)", "unpack it first: unxz"),
    b"\x28\xb5\x2f\xfd": ("compressed (zstd)", "unpack it first: unzstd"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it first"),
    b"Rar!": ("a RAR archive", "unpack it first"),
    b"\x89PNG": ("an image, not a network", "give it as the image to predict"),
    b"\xff\xd8\xff": ("an image, not a network", "give it as the image to predict"),
    b"%PDF": ("a PDF document, not a network", "fetch the file with the weights"),
}
WEB_PAGE = (
    "a web page, not the file itself",
    "download the file: on GitHub with the button Download raw file, on Hugging Face with the "
    "arrow beside its name",
)
_safe_globals_lock = threading.Lock()  # PyTorch's list of harmless names is one for all threads


def identify(path: Path) -> str:
    """Return whether a file is "torch", "safetensors" or "onnx", whatever its name says.

    Raises
    ------
    ValueError
        If it is something else; the message says what, and what to do.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(512)
        if not start:
            raise ValueError(f"{path} is empty: fetch or save it again")
        for signature, (kind, advice) in SIGNATURES.items():
            if start.startswith(signature):
                raise ValueError(f"{path} is {kind}: {advice}")
        if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
            raise ValueError(f"{path} is {WEB_PAGE[0]}: {WEB_PAGE[1]}")
        if start[257:262] == b"ustar":
            raise ValueError(f"{path} is a tar archive: unpack it first, and give the file in it")
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _check_archive(file, path)
            return "torch"
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and length <= size - 8:
        return "safetensors"
    if start.startswith(b"\x80"):  # a pickle, as PyTorch wrote them before version 1.6
        return "torch"
    if path.suffix == ".onnx" or _looks_like_onnx(start):
        return "onnx"
    if path.suffix == ".safetensors":
        raise ValueError(f"{path} is not a whole safetensors file: fetch or save it again")
    if _is_text(start):
        shown = start.decode(errors="replace").strip().partition("\n")[0]
        raise ValueError(f"{path} is not a whole PyTorch file but text: {shown[:60]!r}")
    raise ValueError(f"{path} is not a whole PyTorch file: fetch or save it again")


def _looks_like_onnx(start: bytes) -> bool:
    """Whether bytes begin as ONNX files do: with the format's version and the producer's name."""
    return len(start) > 2 and start[0] == 0x08 and start[1] < 32 and start[2] in (0x12, 0x3A, 0x42)


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in start)


def read_file(path: Path, kind: str) -> dict[str, Any]:
    """Read a PyTorch or safetensors file into plain values.

    Parameters
    ----------
    path : path
    kind : {"torch", "safetensors"}
        What `identify` says.

    Returns
    -------
    dict
        Weights are tensors on the CPU; those of a safetensors file stand under "state".

    Raises
    ------
    ValueError
        If it is damaged, holds more than weights and plain values, or claims to hold more than it
        can.
    """
    content = _read_safetensors(path) if kind == "safetensors" else _read_torch(path)
    if isinstance(content, (list, tuple)):  # such as (state_dict, epoch)
        content = {str(place): item for place, item in enumerate(content)}
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected a state_dict")
    return content


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise ValueError(f"{path} is no network: its header alone has {length:,} bytes")
        header = file.read(length)
    if header.count(b'"data_offsets"') > MAX_TENSORS:
        raise ValueError(f"{path} is no network: it holds more than {MAX_TENSORS:,} tensors")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("mnist_helpers", "{}"))
            names = list(file.keys())
            return {**about, "state": {name: file.get_tensor(name) for name in names}}
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error


def _read_torch(path: Path) -> Any:
    """Read what `torch.save` wrote, after a look at what it would make of it."""
    stand_ins = check_pickles(path)
    try:
        with (
            path.open("rb") as file,  # given a path, PyTorch goes by its suffix
            _safe_globals_lock,
            torch.serialization.safe_globals(stand_ins),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # PyTorch remarks on pickles of other programs
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything
        # PyTorch's own words can advise to switch its protection off: they are not repeated.
        raise ValueError(
            f"{path} is damaged, or not a whole PyTorch file: fetch or save it again"
        ) from error


def _check_archive(file: BinaryIO, path: Path) -> None:
    """Refuse a zip archive that is none of `torch.save`'s."""
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except Exception as error:  # a damaged archive raises anything
        raise ValueError(f"{path} is not a whole PyTorch file: {error}") from error
    names = [entry.filename for entry in entries]
    ends = {name.partition("/")[2] for name in names}
    if "constants.pkl" in ends or any(end.startswith("code/") for end in ends):
        raise ValueError(
            f"{path} is a TorchScript archive, which is a program: save the weights in it with "
            "torch.save(torch.jit.load(path).state_dict(), new_path)"
        )
    if "data.pkl" not in ends:
        raise ValueError(f"{path} is {_other_archive(names)}")
    declared = sum(entry.file_size for entry in entries)
    limit = path.stat().st_size
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        limit = max(limit, MAX_UNPACKED)
    if declared > limit:
        raise ValueError(
            f"{path} is no file of PyTorch's: its {path.stat().st_size:,} bytes are to become "
            f"{declared:,}. Fetch it again, or {SAVE_WEIGHTS}"
        )


def _other_archive(names: list[str]) -> str:
    """Say what an archive is in which PyTorch did not save."""
    inside = [name for name in names if name.endswith((".pt", ".pth", ".ckpt", ".safetensors"))]
    if {"config.json", "model.weights.h5"} <= set(names):
        return "a Keras model: its weights are not PyTorch's; export it as ONNX (tf2onnx)"
    if any(name.endswith("serialized_exported_program.json") for name in names) or any(
        "archive_format" in name for name in names
    ):
        return f"a program exported by torch.export: {SAVE_WEIGHTS}"
    if names and all(name.endswith(".npy") for name in names):
        return f"an archive of NumPy arrays (npz), not a network: {SAVE_WEIGHTS}"
    if inside:
        return f"a zip archive with {inside[0]!r} in it: unpack it first, and give that file"
    return "a zip archive without weights of a network"

"""Files with weights, read into plain values: what they are is told first, and none runs code.

Nothing is allocated by a size that the file only claims to have, and a file of another kind (a Git
LFS pointer, a web page, a TorchScript archive) is named for what it is, with what to do.
"""

from __future__ import annotations

import codecs
import io
import json
import pickletools
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

MAX_PICKLE = 2**26  # bytes of the part of a file that is not weights
MAX_HEADER = 2**23  # of a safetensors file
MAX_TENSORS = 10_000
MAX_UNPACKED = 2**26  # bytes of a compressed archive; PyTorch's are not compressed

SAVE_WEIGHTS = "save the weights alone: torch.save(model.state_dict(), path)"
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
PLAIN = {  # what PyTorch writes for weights and plain values
    *("collections OrderedDict", "collections Counter", "builtins set", "__builtin__ set"),
    *("builtins complex", "__builtin__ complex", "_codecs encode"),
    *(
        "torch Size",
        "torch device",
        "torch.nn.parameter Parameter",
        "torch.serialization _get_layout",
    ),
    *(f"torch._utils _rebuild_{kind}" for kind in ("tensor", "tensor_v2", "tensor_v3")),
    *(f"torch._utils _rebuild_{kind}" for kind in ("parameter", "parameter_with_state")),
    "torch._tensor _rebuild_from_type_v2",
    *(f"torch {name}" for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)),
    *(
        f"{kind.__module__} {kind.__name__}"
        for kind in torch._storage_classes
        if kind.__module__ != "torch.storage"  # of these a file could ask for any size
    ),
}
NO_NUMBERS = {  # tensors whose values cannot simply be taken over
    *(f"torch._utils _rebuild_{kind}" for kind in ("qtensor", "sparse_tensor", "nested_tensor")),
    "torch._utils _rebuild_meta_tensor_no_storage",
    "torch._utils _rebuild_wrapper_subclass",
}
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
    stand_ins = _check_pickles(path)
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


class _Opaque:
    """Stands where a file has something that does not matter for its weights, such as options."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class _PlainDict:
    """Stands for a kind of dict that PyTorch does not know."""

    def __new__(cls, *_: object) -> dict:  # type: ignore[misc]
        return {}


def _scalar(kind: _DType, value: object = b"") -> object:
    """Stand for NumPy's function of this purpose, which allocates whatever the file says."""
    content = value if isinstance(value, bytes) else b""
    if kind.name.startswith("O") or np.dtype(kind.name).itemsize != len(content):
        return None
    return np.frombuffer(content, kind.name)[0].item()


class _DType:
    """Stands for a dtype of NumPy's: its name."""

    def __init__(self, name: object = "O", *_: object) -> None:
        self.name = str(name)[:8]

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "="):
            self.name = state[1] + self.name


class FileArray:
    """Stands for an array of NumPy's, with `values` from the file and no more memory."""

    def __init__(self, *_: object) -> None:
        self.values = np.zeros(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, is_fortran, content = state
        if isinstance(content, bytes) and not kind.name.startswith("O"):
            flat = np.frombuffer(content, kind.name)
            self.values = flat.reshape(shape, order="F" if is_fortran else "C")


def _stand_in(name: str) -> Any:
    """Return what takes the place of a name in a file, or None if it cannot be left out."""
    module, _, name = name.partition(" ")
    root = module.partition(".")[0]
    if root == "numpy":
        if name == "scalar":
            return _scalar
        if name == "_reconstruct":
            return FileArray
        if name == "dtype" or module == "numpy.dtypes":
            return _DType
        if name in ("ndarray", "bool_", "bool", "float64", "float32", "int64", "int32"):
            return _Opaque
    if name in ("defaultdict", "AttributeDict", "EasyDict", "Munch", "DictConfig"):
        return _PlainDict
    configuration = {"argparse", "pathlib", "datetime", "types", "omegaconf", "typing", "enum"}
    ignorable = {"Namespace", "SimpleNamespace", "Any"}
    if root in configuration - {"types"} or name in ignorable:
        return _Opaque
    if root in ("lightning", "pytorch_lightning", "lightning_fabric", "torchmetrics"):
        return _Opaque
    if root in ("builtins", "__builtin__") and name in ("int", "float", "list", "dict", "str"):
        return _Opaque
    return None


def _check_pickles(path: Path) -> list[Callable | tuple[Callable, str]]:
    """Return stand-ins for what a file names besides weights and plain values.

    Raises
    ------
    ValueError
        If it names something without which it cannot be read, or claims impossible sizes.
    """
    found: set[str] = set()
    strings: set[str] = set()
    try:
        for operation, argument in _operations(path):
            if operation in ("GLOBAL", "INST"):
                found.add(argument)
            elif "STACK_GLOBAL" in operation:
                found.add("a newer pickle's name")
            elif isinstance(argument, str) and len(argument) < 20:
                strings.add(argument)
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is damaged, or not a whole PyTorch file: {error}") from error
    except Exception as error:  # a damaged pickle raises anything
        raise ValueError(f"{path} is damaged, or not a whole PyTorch file: {error}") from error
    if "_codecs encode" in found and any(map(_is_bytes_codec, strings)):
        found.add("_codecs encode to something else than text")
    if found & NO_NUMBERS:
        raise ValueError(
            f"the weights in {path} are no plain numbers, but sparse, quantized or without values: "
            "save ordinary ones"
        )
    others = sorted(found - PLAIN)
    stand_ins = {name: _stand_in(name) for name in others}
    culprits = [name for name, stand_in in stand_ins.items() if stand_in is None]
    if culprits:
        raise ValueError(f"{path} {_describe_culprits(culprits)}")
    # PyTorch asks for names of Python 2 by those of Python 3.
    return [
        (stand_in, name.replace(" ", ".").replace("__builtin__.", "builtins."))
        for name, stand_in in stand_ins.items()
    ]


def _describe_culprits(culprits: list[str]) -> str:
    """Say what is wrong with a file that names these."""
    listed = ", ".join(name.replace(" ", ".").removeprefix("builtins.") for name in culprits[:3])
    modules = [name for name in culprits if name.startswith("torch.nn.modules")]
    if modules:
        own = [name.partition(" ")[2] for name in culprits if not name.startswith("torch")]
        name = f"the class {own[0]}" if own else modules[0].partition(" ")[2]
        return (
            f"holds a whole network ({name}) and not only its weights: loading it could run code. "
            f"In the program that made it, {SAVE_WEIGHTS}"
        )
    return (
        f"was not loaded: it holds more than weights and plain values ({listed}), and loading it "
        f"could run code. In the program that made it, {SAVE_WEIGHTS}"
    )


def _is_bytes_codec(name: str) -> bool:
    """Whether a name is that of an encoding from bytes to bytes, which can be applied for ever."""
    try:
        return not codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False


def _operations(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name and argument of each operation of a file's pickles, without executing any."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.partition("/")[2] == "data.pkl":
                    _check_pickle_size(entry.file_size, path)
                    with archive.open(entry) as file:
                        content = io.BytesIO(file.read(entry.file_size))
                    yield from _pickle_operations(content)
        return
    with path.open("rb") as file:  # before PyTorch 1.6: three pickles, weights, names of weights
        start = file.read(min(MAX_PICKLE, path.stat().st_size))
    content = io.BytesIO(start)
    for number in range(5):
        if number == 1 and _magic_number(start) is None:
            raise ValueError(
                f"{path} is a pickle that torch.save did not write; loading it could run code. "
                f"In the program that made it, {SAVE_WEIGHTS}"
            )
        yield from _pickle_operations(content)


def _magic_number(start: bytes) -> int | None:
    """Return the number with which `torch.save` begins, if `start` begins with it."""
    magic = torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")
    return torch.serialization.MAGIC_NUMBER if magic in start[:16] else None


def _pickle_operations(content: io.BytesIO) -> Iterator[tuple[str, Any]]:
    for operation, argument, _ in pickletools.genops(content):
        yield operation.name, argument


def _check_pickle_size(size: int, path: Path) -> None:
    if size > MAX_PICKLE:
        raise ValueError(f"{path} is no network: it holds {size:,} bytes besides its weights")

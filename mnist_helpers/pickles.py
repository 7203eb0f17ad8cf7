"""What loading a pickled file would do, found out without doing it."""

from __future__ import annotations

import codecs
import io
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

MAX_PICKLE = 2**26  # bytes of the part of a file that is not weights
SAVE_WEIGHTS = "save the weights alone: torch.save(model.state_dict(), path)"
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


def check_pickles(path: Path) -> list[Callable | tuple[Callable, str]]:
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
    """Whether a name is that of an encoding from bytes to bytes, which can be applied forever."""
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

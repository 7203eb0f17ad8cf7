"""Pickles of plain values and NumPy's arrays, of which nothing is ever run.

A pickle is a program: loading it calls what it names. Here every name stands for a stand-in of our
own, which takes down what it is given; arrays are made of that at the end, from bytes and a dtype
of numbers. All other names are refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

_NUMBERS = re.compile(r"[<>|=]?[buif]\d{1,2}|bool")


class _DType:
    """A dtype of numbers."""

    def __init__(self, name: str, *_ignored: object) -> None:
        if not isinstance(name, str) or not _NUMBERS.fullmatch(name):
            raise ValueError(f"an array of {name!r} is none of numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array, whose content follows as its state."""

    array: np.ndarray

    def __setstate__(self, state: tuple) -> None:
        shape, dtype, by_columns, content = state[-4:]
        self.array = _from_bytes(content, dtype, shape, "F" if by_columns else "C")


def _from_bytes(
    content: bytes | str, dtype: _DType, shape: tuple, order: Literal["C", "F"] = "C"
) -> np.ndarray:
    """Return an array over bytes, which old pickles keep as text."""
    data = content.encode("latin-1") if isinstance(content, str) else content
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _reconstruct(*_ignored: object) -> _Array:
    return _Array()


def _scalar(dtype: _DType, content: bytes | str) -> np.generic:
    return _from_bytes(content, dtype, (1,))[0]


def _encode(text: str, *_ignored: object) -> bytes:
    return str(text).encode("latin-1")


class _StandIn:
    """Stands for a name of NumPy; a pickle can call it, but neither change it nor look into it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable | None) -> None:
        self._call = call

    def __call__(self, *args: object) -> object:
        if self._call is None:
            raise ValueError("it calls what is none of its own")
        return self._call(*args)

    def __setstate__(self, _state: object) -> None:
        raise ValueError("it changes what is none of its own")


_STAND_INS = {
    ("numpy", "dtype"): _StandIn(_DType),
    ("numpy", "ndarray"): _StandIn(None),  # named, as the type to make, and never called
    ("_codecs", "encode"): _StandIn(_encode),
}
for _core in ("numpy.core", "numpy._core"):
    _STAND_INS[f"{_core}.multiarray", "_reconstruct"] = _StandIn(_reconstruct)
    _STAND_INS[f"{_core}.multiarray", "scalar"] = _StandIn(_scalar)
    _STAND_INS[f"{_core}.numeric", "_frombuffer"] = _StandIn(_from_bytes)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise ValueError(f"it names {module}.{name}, which is refused: it could run code")
        return _STAND_INS[module, name]


def load_plain_pickle(content: bytes) -> Any:
    """Load lists, tuples and dictionaries of NumPy's arrays, numbers and text.

    Raises
    ------
    ValueError
        If the pickle is damaged, or holds anything else.
    """
    try:
        _check_numbers(content)
        return _plain(_Unpickler(io.BytesIO(content), encoding="latin1").load())
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle can call anything with anything
        raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error


def _check_numbers(content: bytes) -> None:
    """Raise a `ValueError` if a pickle has longer values, or a greater number, than it is itself.

    It numbers what it refers to again, and loading it takes memory by the largest of the numbers.
    """
    argument: Any
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > len(content):
            raise ValueError(
                f"it is damaged: it has a {argument:,}th value in {len(content):,} bytes"
            )


def _plain(value: Any, depth: int = 0) -> Any:
    """Replace stand-ins by the arrays that they stand for."""
    if depth > 3:
        raise ValueError("it is nested too deeply")
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, (tuple, list)) and len(value) <= 10:
        return type(value)(_plain(item, depth + 1) for item in value)
    if isinstance(value, dict) and len(value) <= 10:
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    return value

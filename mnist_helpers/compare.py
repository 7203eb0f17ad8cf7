"""Equality of results that hold arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


class ArrayEquality:
    """Equality, field by field, for a dataclass with arrays or tables among its fields.

    The ``__eq__`` that a dataclass generates asks whether ``array == array`` is true, and NumPy,
    PyTorch and pandas refuse to answer. Use it with ``@dataclass(eq=False)``. Not-a-number equals
    itself, so that every result equals its copy.
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return all(_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]  # arrays can change


def _equal(one: Any, other: Any) -> bool:
    """Return whether two values are of the same type and equal in every element."""
    if type(one) is not type(other):
        return False
    if hasattr(one, "equals"):  # a pandas table
        return bool(one.equals(other))
    if hasattr(one, "detach"):  # a tensor
        one, other = one.detach().cpu().numpy(), other.detach().cpu().numpy()
    if isinstance(one, np.ndarray):
        numbers = one.dtype.kind in "fc"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=numbers)
    return bool(one == other)

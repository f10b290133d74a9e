"""What a session takes besides NumPy arrays: lists of numbers, and the arrays of other libraries, as PyTorch's tensors.

Nothing is rounded but a Python float to the float that an input is, and nothing is wrapped around.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from astroedge.session import Array

_LIST_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}
"""For an input's kind of dtype, the kinds that NumPy may find in a list of Python numbers."""


def plain(value: object) -> Array | None:
    """An array without what a subclass made of its attributes and methods; None for anything else.

    A masked array is none: its mask would be lost.
    """
    if type(value) is np.ndarray:
        return value
    # Where nobody has imported numpy.ma, which `np.ma` would do, there is no masked array.
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())
    if not isinstance(value, np.ndarray) or isinstance(value, masked):
        return None
    return np.ndarray.view(value, np.ndarray)


def as_array(value: object, dtype: np.dtype[Any]) -> Array | None:
    """`value` as a plain array: an array as it is, a list of numbers in `dtype`, another library's array as NumPy's.

    None for anything else, for lists whose rows differ in length, and for numbers that `dtype` does not hold.
    """
    array = plain(value)
    if array is not None or isinstance(value, np.generic | np.ndarray):
        return array
    if isinstance(value, list | tuple):
        return _of_numbers(value, dtype)
    return _of_library(value) if hasattr(type(value), "__array__") else None


def _of_numbers(value: Any, dtype: np.dtype[Any]) -> Array | None:
    try:
        found = np.array(value)
    except (ValueError, OverflowError):  # rows of several lengths, integers of more than 64 bits
        return None
    if found.dtype.kind not in _LIST_KINDS[dtype.kind] and found.size:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        held = found.astype(dtype)
    same = np.isfinite(held) == np.isfinite(found) if dtype.kind == "f" else held == found
    return held if np.all(same) else None


def _of_library(value: Any) -> Array | None:
    """The array that an object makes of itself; None where it can't, as a tensor on a GPU or one with gradients."""
    try:
        return plain(np.asarray(value))
    except Exception:  # whatever the library raises
        return None

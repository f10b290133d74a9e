"""Flat buffers where compiled code wants them: starting at a multiple of `ALIGNMENT` bytes."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.limits import ALIGNMENT


def aligned_zeros(nbytes: int) -> NDArray[np.uint8]:
    """A zeroed 1-D uint8 array of `nbytes` whose first byte is aligned; NumPy alone guarantees only 16 bytes.

    Memory is really there after a size of 0 too, because compiled code takes no NULL.
    """
    block = np.zeros(nbytes + ALIGNMENT, dtype=np.uint8)
    start = -address_of(block) % ALIGNMENT
    return np.ndarray((nbytes,), np.uint8, block.data, start)  # an empty slice would not start at `start`


def address_of(array: NDArray[np.generic]) -> int:
    """The address of the first byte."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # an array is a buffer
    except (TypeError, ValueError):  # not writeable, with gaps, or empty: four times slower, and takes every array
        address: int = array.__array_interface__["data"][0]
        return address

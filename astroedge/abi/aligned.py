"""Flat buffers where compiled code wants them: starting at a multiple of `ALIGNMENT` bytes, large ones in huge pages.

A processor remembers where a few thousand pages lie, and a step reads rows of weights and of states all over many times
as many pages of 4 KiB: an AstroSNN of 25 million int8 weights took 2 to 4 % longer with its state and the ends of its
weights in such pages.
"""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress

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


HUGE_PAGE = 2 << 20  # bytes, where the system has them


def in_huge_pages(nbytes: int) -> int:
    """So many bytes, up to the end of the last huge page."""
    return -(-nbytes // HUGE_PAGE) * HUGE_PAGE


def huge_zeros(nbytes: int) -> NDArray[np.uint8]:
    """The same from the beginning of a huge page to, beyond what is shown, the end of one; of this process alone.

    The system places only mappings of whole huge pages so, and not everywhere.

    Raises OSError or OverflowError where there is not so much memory.
    """
    memory = mmap.mmap(-1, in_huge_pages(nbytes) + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    block = np.frombuffer(memory, np.uint8)
    start = -address_of(block) % HUGE_PAGE
    return block[start : start + nbytes]


def address_of(array: NDArray[np.generic]) -> int:
    """The address of the first byte."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # an array is a buffer
    except (TypeError, ValueError):  # not writeable, with gaps, or empty: four times slower, and takes every array
        address: int = array.__array_interface__["data"][0]
        return address

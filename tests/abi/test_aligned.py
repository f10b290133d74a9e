"""Buffers of compiled code: where they begin, and that large ones lie in whole huge pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astroedge.abi.aligned import HUGE_PAGE, address_of, aligned_zeros, huge_zeros, in_huge_pages
from tests.support.memory_maps import mapping_of

SIZES = [1, 4096, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1, 2 * HUGE_PAGE + 4097]


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1000])
def test_a_small_buffer_begins_at_a_cache_line(size: int) -> None:
    """It is zeroed, and there even where it is empty."""
    buffer = aligned_zeros(size)
    assert (buffer.nbytes, address_of(buffer) % 64, buffer.any()) == (size, 0, False)


@pytest.mark.parametrize("size", SIZES)
def test_a_large_buffer_has_huge_pages_of_its_own(size: int) -> None:
    """It begins one, and its last one is mapped whole and advised to be huge, as far as the system knows of them."""
    buffer = huge_zeros(size)
    begin = address_of(buffer)
    assert (buffer.nbytes, begin % HUGE_PAGE, buffer.any(), buffer.flags.writeable) == (size, 0, False, True)
    low, high, flags = mapping_of(begin)
    assert low <= begin
    assert begin + in_huge_pages(size) <= high
    assert "hg" in flags or not Path("/sys/kernel/mm/transparent_hugepage").exists()
    buffer[:] = 7
    assert np.count_nonzero(buffer == 7) == size


def test_too_much_is_refused() -> None:
    """What no address reaches is an error of the system."""
    with pytest.raises((OSError, OverflowError)):
        huge_zeros(2**62)

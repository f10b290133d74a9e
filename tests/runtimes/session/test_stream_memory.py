"""Where a stream's state lies: a large one in huge pages of its own, which no bit depends on."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.abi.aligned import HUGE_PAGE, address_of
from astroedge.errors import IncompatibleError
from astroedge.runtimes import load
from astroedge.runtimes.session import stream_memory
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from tests.support.builds import build_of
from tests.support.graphs import random_inputs, shift_register

DELAY = 3


def large_register() -> StepGraph:
    """A shift register whose state, 516 KiB, is worth a huge page."""
    return shift_register(44_000, DELAY)


def test_a_large_state_begins_a_huge_page() -> None:
    """And shifts as it should; a small one shares a page with others."""
    given = random_inputs(large_register(), 5)
    with load(build_of(large_register)) as session, load(build_of(shift_register)) as small:
        assert isinstance(session, CompiledSession)
        assert isinstance(small, CompiledSession)
        assert address_of(session.state) % HUGE_PAGE == 0
        assert address_of(small.state) % HUGE_PAGE != 0
        outputs = session.run(**given)
    np.testing.assert_array_equal(outputs["y"][DELAY:], given["x"][:-DELAY])


def test_a_state_without_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no memory for it, a bundle does not fit into this machine."""

    def refuse(size: int) -> np.ndarray:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(stream_memory, "huge_zeros", refuse)
    with pytest.raises(IncompatibleError, match=r"do not fit into this machine's memory .*Cannot allocate"):
        load(build_of(large_register))

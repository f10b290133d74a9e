"""A peer that is missing, refuses or crashes is an error that says so, and the run can go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.peers import Peer
from benchmarks.processes.stream import ProcessError
from tests.benchmarks.peers.subjects import recurrent

FAILING = Peer("failing", "fp32", "Fails.", module="tests.benchmarks.peers.failing", packages=("numpy",))


def test_a_missing_package_and_a_missing_program_are_named() -> None:
    """`available` gives the reason, and `open` raises it."""
    peer = replace(FAILING, packages=("numpy", "astroedge-of-nobody"), programs=("no-such-compiler",))
    assert peer.available() == "astroedge-of-nobody and no-such-compiler not installed"
    assert list(peer.versions()) == ["numpy"]
    with pytest.raises(ProcessError, match="no-such-compiler not installed"), peer.open(recurrent(), 1):
        pass


def test_a_refused_network_is_an_error_with_the_reason() -> None:
    """What a peer raises while it prepares the network is the message."""
    assert FAILING.available() is None
    subject = replace(recurrent(), name="refused")
    with (
        pytest.raises(ProcessError, match="failing: ValueError: no kernel for GroupQueryAttention"),
        FAILING.open(subject, 1),
    ):
        pass


def test_a_crash_is_an_error_with_the_last_words() -> None:
    """A process that dies is reported with its exit code and the end of what it printed."""
    subject = replace(recurrent(), name="crashing")
    with pytest.raises(ProcessError, match=r"exit code 7: .*out of registers"), FAILING.open(subject, 1):
        pass

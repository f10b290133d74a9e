"""Every peer steps the network it is given, with its state carried over."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.runtimes.checking.reference import ReferenceSession
from benchmarks.peers import PEERS, Peer
from tests.benchmarks.peers.subjects import TICKS, SmallSubject, convolutional, recurrent

# Largest difference from ONNX Runtime in float32, relative to the largest output.
TOLERANCES = {"fp32": 1e-5, "int8": 0.05}
FIRST, BLOCK = 10, 20
pytestmark = pytest.mark.compiles  # torch.compile does, in a process of its own

INT8_PEERS = [name for name, peer in PEERS.items() if peer.precision == "int8"]


def installed(name: str) -> Peer:
    """The peer of this name; the test is skipped where it is not installed."""
    reason = PEERS[name].available()
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    return PEERS[name]


def assert_steps_as_the_reference(peer: Peer, subject: SmallSubject, threads: int) -> None:
    """Single ticks, a timed block and single ticks again give what ONNX Runtime gives in float32."""
    reference = ReferenceSession(subject.graph)
    expected = reference.run(**subject.inputs)[subject.graph.spec.outputs[0].name]
    with peer.open(subject, threads) as stream:
        outputs = [stream.tick({"x": x}) for x in subject.inputs["x"][:FIRST]]
        times = stream.time_block({"x": subject.inputs["x"][FIRST : FIRST + BLOCK]})
        outputs += [stream.tick({"x": x}) for x in subject.inputs["x"][FIRST + BLOCK :]]
        assert stream.memory()["peak"] > 2**20
    assert times.shape == (BLOCK,)
    assert times.dtype == np.float64
    assert (times > 0).all()
    ticks = [*range(FIRST), *range(FIRST + BLOCK, TICKS)]
    bound = TOLERANCES[peer.precision] * np.abs(expected).max()
    np.testing.assert_allclose(np.stack(outputs), expected[ticks], rtol=0, atol=bound)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_steps_a_recurrent_network_as_the_reference_does(name: str) -> None:
    """Outputs agree from the first tick, which reads a state that is not zero, to the last, on one thread."""
    assert_steps_as_the_reference(installed(name), recurrent(), threads=1)


@pytest.mark.parametrize("name", INT8_PEERS)
def test_a_peer_quantises_convolutions(name: str) -> None:
    """A convolutional network in 8 bits stays near float32, on two threads."""
    assert_steps_as_the_reference(installed(name), convolutional(), threads=2)


def test_every_peer_is_found_by_its_name() -> None:
    """Names are the keys, precisions are in the names, and every peer says how it is prepared."""
    for name, peer in PEERS.items():
        assert peer.name == name
        assert name.endswith("int8") == (peer.precision == "int8")
        assert len(peer.recipe) > 40
        assert peer.packages

"""Random PyTorch networks: what export and compile make of them is what PyTorch computes.

`python -m tests.conformance.random_networks NUMBER SEED` draws many more.
"""

from __future__ import annotations

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.conformance.network_description import Net
from tests.conformance.random_agreement import check_network, tuned
from tests.conformance.random_networks import KERNELS, networks


@settings(max_examples=3)
@given(networks(exact=True), st.sampled_from(KERNELS))
def test_exact_network_is_bit_for_bit_what_pytorch_computes(net: Net, kernels: str) -> None:
    """Free-running over 200 ticks all outputs and states are PyTorch's, in ONNX Runtime and compiled, on ties too."""
    check_when_tuned(net, kernels)


@settings(max_examples=3)
@given(networks(exact=False), st.sampled_from(KERNELS))
def test_rounding_network_follows_its_graph(net: Net, kernels: str) -> None:
    """Forced over 200 ticks the compiled step stays within rounding of ONNX Runtime, and that of PyTorch."""
    check_when_tuned(net, kernels)


def check_when_tuned(net: Net, kernels: str) -> None:
    """Check the network with gains at which it fires; a failure shows it as it was checked."""
    net = tuned(net)
    note(repr(net))
    check_network(net, kernels)

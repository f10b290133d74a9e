"""Whose every call of a tick is: known by products, spikes, states and weights, never by TVM's names."""

from __future__ import annotations

from tests.support.builds import build_of
from tests.support.graphs import recurrent_net, token_net


def test_calls_are_named_by_their_modules() -> None:
    """Products have the name of their weight, neurons that of their states and spikes, lists that of what fired."""
    kernels = build_of(recurrent_net, kernels="event").manifest.kernels
    assert all(kernel.module for kernel in kernels if kernel.kind == "event-gemv")
    neurons = {kernel.module for kernel in kernels if "greater_equal" in kernel.operators}
    assert neurons == {"layers.0", "layers.1"}
    lists = [kernel for kernel in kernels if kernel.kind == "active-list"]
    assert {kernel.module for kernel in lists} >= {"layers.0", "layers.1"}
    assert all(kernel.spikes and kernel.row == 4 for kernel in lists)


def test_of_a_table_only_the_rows_picked_are_read() -> None:
    """A call that picks a row of 32 numbers from a table of 17 does not read the table."""
    kernels = build_of(token_net).manifest.kernels
    (pick,) = [kernel for kernel in kernels if "take" in kernel.operators]
    assert pick.module == "lif"
    assert 4 * 32 <= pick.nbytes < 4 * 17 * 32

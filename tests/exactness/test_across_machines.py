"""Networks that run free for 10,000 ticks have the same bits on every processor."""

from __future__ import annotations

import pytest

from astroedge.targets.weight_format import PRECISIONS
from tests.arm.arm_root import ArmRoot
from tests.exactness.across_machines import TICKS, compare
from tests.exactness.machines import available
from tests.networks import HIGHEST_RATE, LOWEST_RATE, NETWORKS

# `make exactness` runs the others too.
CHOSEN = ("x86-64-v2", "x86-64-v4", "raspberry-pi-4")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("network", [name for name in NETWORKS if name not in ("astrosnn", "reductions")])
def test_every_machine_computes_the_same_bits(root: ArmRoot, network: str, precision: str) -> None:
    """State and outputs hash alike at ticks 1, 10, … 10,000 on x86-64 and ARM, from C and Python; all neurons fire."""
    machines = [machine for machine in available() if machine.target in CHOSEN]
    outcome = compare(network, precision, machines, TICKS)
    assert outcome.agrees, outcome.hashes
    assert all(len(lines) == len("10,000") - 1 for lines in outcome.hashes.values())
    assert outcome.rates is None or LOWEST_RATE <= outcome.rates[0] <= outcome.rates[1] <= HIGHEST_RATE

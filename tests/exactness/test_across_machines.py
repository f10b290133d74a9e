"""Networks that run free for thousands of ticks have the same bits on every processor."""

from __future__ import annotations

import pytest

from tests.exactness.across_machines import compare
from tests.support.arm_root import ArmRoot
from tests.support.machines import available
from tests.support.networks import HIGHEST_RATE, LOWEST_RATE

# `make exactness` runs every network for 10,000 ticks on more machines.
CHOSEN = ("native", "x86-64-v3", "raspberry-pi-5")
TICKS_HERE = {"demo": 600, "adaptive-threshold": 5_000, "gru": 1_200, "convolutional": 3_000}


@pytest.mark.parametrize("network", TICKS_HERE)
def test_every_machine_computes_the_same_bits(root: ArmRoot, network: str) -> None:
    """State and outputs hash alike from tick 1 to the last, at every precision, from C and Python; all neurons fire."""
    machines = [machine for machine in available() if machine.target in CHOSEN]
    for precision, outcome in compare(network, machines, TICKS_HERE[network]).items():
        assert outcome.agrees, (precision, outcome.hashes)
        assert all(len(lines) >= 4 for lines in outcome.hashes.values())
        assert outcome.rates is None or LOWEST_RATE <= outcome.rates[0] <= outcome.rates[1] <= HIGHEST_RATE

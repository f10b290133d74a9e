"""What a board could reach, estimated from how fast it reads memory. Nothing here was measured on a board.

A token costs at least the bytes it must touch over the bandwidth of the memory. How near a runtime comes to that is
taken from the machine that was measured: the share of its own bandwidth, all cores at work. Where a board's cores are
too slow to keep up with its memory, it stays below the estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Gigabytes a second as published, the peak of the memory: LPDDR4X-4267 with 32 bits, LPDDR5 with 128 and with 256 bits.
BOARDS = {"Raspberry Pi 5": 17.1, "Jetson Orin Nano Super": 102.4, "Jetson AGX Orin": 204.8}


def reached_share(contender: Mapping[str, Any], bandwidth: float) -> float:
    """The bytes that a token touches over its time, as a share of `bandwidth` in GB/s; above 1 where a cache serves."""
    share: float = contender["touched_bytes"] / contender["median"] / 1e3 / bandwidth
    return share


def tokens_per_second(contender: Mapping[str, Any], bandwidth: float, board: float) -> float:
    """What a board of `board` GB/s could do at the share of `bandwidth` that was reached where it was measured."""
    share = min(reached_share(contender, bandwidth), 1.0)
    estimate: float = share * board * 1e9 / contender["touched_bytes"]
    return estimate

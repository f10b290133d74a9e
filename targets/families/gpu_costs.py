"""What a step waits for on a GPU, chip by chip: estimates from published measurements, not from runs of steps.

Latencies in cycles are those of Jia et al., "Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking" (2018;
Pascal, Volta) and of Luo et al., "Benchmarking and Dissecting the NVIDIA Hopper GPU Architecture via Microbenchmarking"
(2024; Ampere, Ada, Hopper), at the clock of a usual card, or of a Jetson's middle power mode. What all blocks wait for
each other is as Zhang et al. measured it (2020, "A Study of Single and Multi-device Synchronization Methods in NVIDIA
GPUs"): some round trips to the second cache, and a little for each block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BLOCKS_A_MULTIPROCESSOR = 4
"""Blocks that run at once on one: 65,536 registers for 128 threads of up to 128."""

_TRIPS = 6  # to the second cache and back: arriving, two fences, looking, and threads that wait for the one that does
_GHZ_LOAD_OPERATION_COUNT = {
    60: (1.3, 235, 6, 56),
    70: (1.4, 195, 4, 80),
    72: (1.1, 200, 4, 6),
    75: (1.4, 190, 4, 14),
    80: (1.4, 230, 4, 56),
    86: (1.6, 220, 4, 16),
    87: (0.9, 230, 4, 4),
    89: (2.2, 270, 4, 20),
    90: (1.7, 270, 4, 114),
}
"""Of a compute capability, times ten: the clock; cycles of a load from the second cache, and between two operations of
which one needs the other; multiprocessors of the smallest GPU sold. Others are like the one before."""


@dataclass(frozen=True)
class GpuCosts:
    """Nanoseconds: `load` until a thread has what another block wrote, `operation` between two that need each other.

    `blocks` blocks of threads run at once, on `multiprocessors`.
    """

    load: float
    operation: float
    multiprocessors: int

    @property
    def blocks(self) -> int:
        """Blocks of threads that run at once."""
        return self.multiprocessors * BLOCKS_A_MULTIPROCESSOR

    def barrier(self, blocks: int) -> float:
        """Nanoseconds of a wait of so many blocks for each other: each adds to one number, half an operation apart."""
        return _TRIPS * self.load + blocks * self.operation / 2


def gpu_costs(chips: Sequence[str], multiprocessors: int = 0) -> GpuCosts:
    """What a step waits for on GPUs of these `chips` ("sm_87"), the slowest of them, of so many multiprocessors.

    0 multiprocessors are those of the smallest GPU of these chips.
    """
    rows = [_row(int(chip.removeprefix("sm_"))) for chip in chips]
    load = max(cycles / clock for clock, cycles, _, _ in rows)
    operation = max(cycles / clock for clock, _, cycles, _ in rows)
    return GpuCosts(load, operation, multiprocessors or min(count for *_, count in rows))


def _row(capability: int) -> tuple[float, int, int, int]:
    known = [number for number in _GHZ_LOAD_OPERATION_COUNT if number <= capability]
    return _GHZ_LOAD_OPERATION_COUNT[max(known, default=min(_GHZ_LOAD_OPERATION_COUNT))]

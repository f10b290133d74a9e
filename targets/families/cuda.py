"""NVIDIA's GPUs beside a processor: they compute a tick, and an ordinary library of the processor launches it.

Their kernels are their own (`targets/kernels/cuda`), so what kernels of vectors ask is answered with no.
"""

from __future__ import annotations

from collections.abc import Mapping


class Cuda:
    """A GPU with cooperative launches: compute capability 6.0 and later."""

    least_l3_bytes = 0
    reads_rows = False
    adds_from_memory = False
    multiply_add: Mapping[int, str] = {}
    byte_dots: Mapping[str, tuple[str, int]] = {}
    single_addition = 1.0
    adds_widened = False
    permute: Mapping[int, str] = {}
    half_attribute = ""
    fences_halves = True
    fused_feature = "none"  # a flag that no processor has

    def vector_registers(self, vector_bits: int) -> int:
        """What kernels of vectors take for a tile: little, since a tile is the work of one thread."""
        return 16

    def loop_lanes(self, vector_bits: int) -> int:
        """A thread computes one number at a time."""
        return 1

    def packs_lanes(self, vector_bits: int) -> bool:
        """A thread has no vectors."""
        return False

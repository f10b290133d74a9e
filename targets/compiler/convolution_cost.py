"""What a convolution costs either way, in cycles of one core: good enough to choose between kernels and their shapes.

Fitted on an AVX-512 processor (benchmarks/results/convolutions.md). A vector of 16 numbers is added or multiplied and
added in one cycle there, and in as many more as a target has narrower vectors.
"""

from __future__ import annotations

from math import ceil

from astroedge.targets.board_file import Target
from astroedge.targets.kernels.authoring import register_floats
from astroedge.targets.kernels.convolution import Convolution
from astroedge.targets.kernels.dense_conv import conv_tile, planes_size, runs_size
from astroedge.targets.kernels.event_conv import LANES, most_together, weights_size

STRETCH = 14.0  # to begin with another stretch of the list: a branch that is hard to predict
ADD_CHAIN = 2.5  # between two additions to one register
LIST = 0.6  # for every input element: finding the active ones
COPY = 0.4  # for every element copied or transposed
BYTES_A_CYCLE = 20  # of cached weights that a matrix product gets through: what other calls are measured by


def event_cost(conv: Convolution, rate: float, together: int, target: Target) -> float:
    """Cycles of the event-driven kernels at a firing rate, with the windows of `together` outputs walked in one go."""
    rows, columns = conv.kernel
    run = conv.has_runs
    walks = conv.batch * conv.groups * conv.out_height * ceil(conv.out_width / together)
    stretches = rows * (1 if run else columns * ceil(conv.group_inputs / conv.blocking.channels))
    elements = rate * conv.group_inputs * rows * (columns + (together - 1) * conv.strides[1])
    vectors = together * ceil(conv.group_outputs / LANES) * _narrowness(target)
    beyond_cache = max(0.0, 1 - target.l1_bytes / (4 * weights_size(conv, together)))
    walk = stretches * STRETCH + elements * max(vectors * (1 + beyond_cache / 2), ADD_CHAIN)
    inside = float(conv.fan_out().sum()) / (conv.out_pixels * rows * columns)
    moved = conv.batch * (LIST * conv.channels * conv.pixels + COPY * conv.outputs * conv.out_pixels)
    return float(walks * walk * inside + moved)


def dense_cost(conv: Convolution, target: Target) -> float:
    """Cycles of the dense kernels."""
    sums = runs_size(conv) / LANES * conv.taps * _narrowness(target)
    return float(sums) * (1 + 1 / conv_tile(conv, target).channels ** 2) + COPY * (planes_size(conv) + runs_size(conv))


def windows_together(conv: Convolution, rate: float, target: Target) -> int:
    """How many neighbouring windows are best walked in one go at a firing rate."""
    most = most_together(conv, register_floats(target) // 2)
    return min(range(1, most + 1), key=lambda together: event_cost(conv, rate, together, target))


def _narrowness(target: Target) -> float:
    """Registers that hold 16 numbers."""
    return 512 / float(target.vector_bits)

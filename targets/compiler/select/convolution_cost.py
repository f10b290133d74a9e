"""What a convolution costs either way, in cycles of one core: good enough to choose between kernels and their shapes.

Fitted on an AVX-512 processor, to convolutions of 2 to 128 channels firing at 3 to 30 %. A vector of 16 numbers is
added, or multiplied and added, in one cycle there, and in as many more as a target has narrower vectors.
"""

from __future__ import annotations

from math import ceil

from astroedge.targets.boards.board_file import Target
from astroedge.targets.kernels.convolutions.channel_conv import channel_tile, chunk_widths, window_counts
from astroedge.targets.kernels.convolutions.column_strips import ColumnStrips
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.dense_conv import conv_tile, planes_size, runs_size
from astroedge.targets.kernels.convolutions.event_conv import most_together, weights_size
from astroedge.targets.kernels.convolutions.event_windows import LANES
from astroedge.targets.kernels.convolutions.pixel_copy import PixelCopy
from astroedge.targets.kernels.convolutions.row_conv import has_rows, reads_images
from astroedge.targets.tir_builder import register_floats

STRETCH = 18.0  # to begin with another stretch of a list, walked or copied: a branch that is hard to predict
ADD = 1.2  # for every vector added, with its share of the loop
ELEMENT = 2.2  # the least for an element of a list
COPIED = 0.4  # for every element of a strip copied
FUSED = 0.6  # for every vector multiplied and added in one instruction, with its share of the loads
LIST = 0.6  # for every input element: finding the active ones
COPY = 0.4  # for every element copied or transposed
FAR_COPY = 2.5  # the same where source and copy do not fit in the L2 cache
BYTES_A_CYCLE = 20  # of cached weights that a matrix product gets through: what other calls are measured by


def event_cost(conv: Convolution, rate: float, together: int, target: Target, integer: bool = False) -> float:
    """Cycles of the event-driven kernels at a firing rate, with the windows of `together` outputs walked in one go.

    `integer` says that integers are added, twice as many to a vector.
    """
    strips = ColumnStrips(conv, together)
    moved = conv.batch * LIST * conv.channels * conv.pixels
    moved += _copying(conv.batch * conv.outputs * conv.out_pixels, target)
    if conv.has_strips:
        row_elements = _row_elements(conv, rate, strips)
        moved += conv.batch * strips.count * conv.height * (STRETCH + COPIED * row_elements)
    return event_sums(conv, rate, together, target, integer) + moved


def _row_elements(conv: Convolution, rate: float, strips: ColumnStrips) -> float:
    """Active elements in a row of the windows that are walked in one go."""
    return rate * conv.group_inputs * (conv.kernel[1] + strips.beside)


def event_sums(conv: Convolution, rate: float, together: int, target: Target, integer: bool = False) -> float:
    """The part of `event_cost` that is adding weights."""
    rows, columns = conv.kernel
    strips = ColumnStrips(conv, together)
    walks = conv.batch * conv.groups * conv.out_height * strips.count
    row_elements = _row_elements(conv, rate, strips)
    vectors = together * ceil(conv.group_outputs / (2 * LANES if integer else LANES)) * _narrowness(target)
    beyond_cache = max(0.0, 1 - target.l1_bytes / (weights_size(conv, together) * (1 if integer else 4)))
    inside = float(conv.fan_out().sum()) / (conv.out_pixels * rows * columns)
    walk = _stretches(conv) * STRETCH + inside * rows * row_elements * max(
        ADD * vectors * (1 + beyond_cache / 4), ELEMENT
    )
    return walks * walk


def _stretches(conv: Convolution) -> int:
    """Stretches of a list in a window."""
    rows, columns = conv.kernel
    if conv.has_strips:
        return conv.block_count
    return rows if conv.has_runs else rows * columns * ceil(conv.group_inputs / conv.blocking.channels)


def dense_cost(conv: Convolution, target: Target, fused: bool = False) -> float:
    """Cycles of the better dense kernels; `fused` says that they multiply and add in one instruction."""
    planes = plane_cost(conv, target, fused)
    return min(planes, channel_cost(conv, target, fused)) if conv.groups == 1 else planes


def dense_sums(conv: Convolution, target: Target, fused: bool = False) -> float:
    """The part of `dense_cost` that is multiplying and adding."""
    planes, channels = plane_cost(conv, target, fused), channel_cost(conv, target, fused)
    if conv.groups == 1 and channels < planes:
        return _channel_sums(conv, target, fused)
    return _plane_sums(conv, target, fused)


def channel_cost(conv: Convolution, target: Target, fused: bool = False) -> float:
    """Cycles of the dense kernels in vectors of output channels."""
    moved = _copying(conv.batch * conv.outputs * conv.out_pixels, target)
    return _channel_sums(conv, target, fused) + COPY * PixelCopy(conv).size + moved


def _channel_sums(conv: Convolution, target: Target, fused: bool) -> float:
    tile = channel_tile(conv, target)
    vectors = ceil(conv.outputs / LANES) * _narrowness(target)
    widths = {rest: width for fewer, width in chunk_widths(conv, tile) for rest in range(fewer + 1, width + 1)}
    sums = 0
    for windows, taps in window_counts(conv):
        whole, rest = divmod(windows, tile.windows)
        sums += taps * (whole * tile.windows + (widths[rest] if rest else 0))
    return conv.batch * vectors * sums * (FUSED if fused else 1)


def plane_cost(conv: Convolution, target: Target, fused: bool = False) -> float:
    """Cycles of the dense kernels in vectors of output pixels."""
    sums = _plane_sums(conv, target, fused)
    if has_rows(conv):
        return sums + (0 if reads_images(conv) else COPY * planes_size(conv))
    return sums + COPY * planes_size(conv) + _copying(runs_size(conv), target)


def _plane_sums(conv: Convolution, target: Target, fused: bool) -> float:
    work = conv.taps * _narrowness(target) * (FUSED if fused else 1) * (1 + 1 / conv_tile(conv, target).channels ** 2)
    if has_rows(conv):
        return conv.batch * conv.outputs * conv.out_height * ceil(conv.out_width / LANES) * work
    return runs_size(conv) / LANES * work


def _copying(elements: int, target: Target) -> float:
    """Cycles of storing sums and copying them to where they belong."""
    return elements * (COPY if 2 * 4 * elements <= target.l2_bytes else FAR_COPY)


def windows_together(conv: Convolution, rate: float, target: Target, integer: bool = False) -> int:
    """How many neighbouring windows are best walked in one go at a firing rate."""
    most = most_together(conv, register_floats(target) // 2)
    return min(range(1, most + 1), key=lambda together: event_cost(conv, rate, together, target, integer))


def _narrowness(target: Target) -> float:
    """Registers that hold 16 numbers."""
    return 512 / float(target.vector_bits)

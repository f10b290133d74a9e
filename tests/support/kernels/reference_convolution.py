"""Convolutions in NumPy float32, one rounding an operation, in the order that every kernel must keep."""

from __future__ import annotations

from itertools import chain, product

import numpy as np
from hypothesis import strategies as st

from astroedge.targets.kernels.convolutions.convolution import Convolution


def convolve(x: np.ndarray, weights: np.ndarray, conv: Convolution) -> np.ndarray:
    """x [batch, channels, height, width] by W [outputs, group inputs, rows, columns], without scales and bias.

    Written from the documented order: taps by kernel row, column and channel; blocks of whole rows, whole columns of a
    row or 256 channels of a column, as many as have at most 256 products; sums of blocks ascending.
    """
    total = np.zeros((conv.batch, conv.outputs, conv.out_height, conv.out_width), np.float32)
    for block in _blocks(conv):
        sums = np.zeros_like(total)
        for tap in block:
            _add_tap(sums, x, weights, conv, *tap)
        total = total + sums
    return total


def matrix(weights: np.ndarray) -> np.ndarray:
    """W [outputs, group inputs, rows, columns] as the matrix [taps, outputs] that kernels are packed from."""
    return np.ascontiguousarray(weights.reshape(len(weights), -1).T)


def _blocks(conv: Convolution) -> list[list[tuple[int, int, int]]]:
    rows, columns = conv.kernel
    depth = conv.channels // conv.groups
    if columns * depth <= 256:
        lines = [[(row, column, c) for column, c in product(range(columns), range(depth))] for row in range(rows)]
        return _joined(lines, 256 // (columns * depth))
    blocks = []
    for row in range(rows):
        if depth <= 256:
            blocks += _joined([[(row, column, c) for c in range(depth)] for column in range(columns)], 256 // depth)
        else:
            blocks += [
                [(row, column, c) for c in range(start, min(start + 256, depth))]
                for column, start in product(range(columns), range(0, depth, 256))
            ]
    return blocks


def _joined(parts: list[list[tuple[int, int, int]]], count: int) -> list[list[tuple[int, int, int]]]:
    return [list(chain(*parts[start : start + count])) for start in range(0, len(parts), count)]


def _add_tap(
    sums: np.ndarray, x: np.ndarray, weights: np.ndarray, conv: Convolution, row: int, column: int, channel: int
) -> None:
    """Add one tap's products to all sums whose tap lies inside the image."""
    depth, width = conv.channels // conv.groups, conv.outputs // conv.groups
    for down, right in np.ndindex(conv.out_height, conv.out_width):
        place = down * conv.strides[0] + row * conv.dilation[0] - conv.padding[0]
        across = right * conv.strides[1] + column * conv.dilation[1] - conv.padding[1]
        if 0 <= place < conv.height and 0 <= across < conv.width:
            for group in range(conv.groups):
                own = slice(group * width, (group + 1) * width)
                elements = x[:, group * depth + channel, place, across, None]
                sums[:, own, down, right] += elements * weights[own, channel, row, column]


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Small ones of every form: one or two axes, strides, dilation, uneven padding, groups, few or many inputs."""
    planar = draw(st.booleans())
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    depth = draw(st.sampled_from([1, 2, 3, 4, 5, 9, 17, 60, 90, 130]))
    if groups == 1 and draw(st.integers(0, 5)) == 0:
        depth = draw(st.sampled_from([256, 257, 300]))
    rows, columns = draw(st.integers(1, 5)) if planar else 1, draw(st.integers(1, 4))
    dilation = draw(st.integers(1, 2)) if planar else 1, draw(st.sampled_from([1, 1, 2]))
    padding = tuple(draw(st.integers(0, 2)) if planar or side % 2 else 0 for side in range(4))
    reach = (rows - 1) * dilation[0] + 1, (columns - 1) * dilation[1] + 1
    height = max(1, reach[0] - padding[0] - padding[2]) + draw(st.integers(0, 4)) if planar else 1
    width = max(1, reach[1] - padding[1] - padding[3]) + draw(st.integers(0, 9))
    return Convolution(
        batch=draw(st.integers(1, 2)),
        channels=groups * depth,
        height=height,
        width=width,
        outputs=groups * draw(st.sampled_from([1, 3, 8, 12, 20])),
        kernel=(rows, columns),
        strides=(draw(st.integers(1, 3)) if planar else 1, draw(st.integers(1, 3))),
        padding=(padding[0], padding[1], padding[2], padding[3]),
        dilation=dilation,
        groups=groups,
    )

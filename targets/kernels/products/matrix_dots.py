"""A computed matrix times a vector, W z: one number for each row of W, by the active elements of z alone or by all.

Each row's sum is a chain of additions in the one order, so several rows are summed side by side. Of rows that lie one
after the other only the places of active elements are read; where few are, so are few lines of the cache.
"""

from __future__ import annotations

from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.products.active_list import bounds_size, positions
from astroedge.targets.precision.storage import BLOCK
from astroedge.targets.tir_builder import Buffer, Expression, hold, independent, kernel, tiles

ABREAST = 8  # rows that are summed side by side


def matrix_dots(rows: int, outputs: int, *, batch: int = 1, listed: bool, graded: bool = True) -> tirx.PrimFunc:
    """Kernel ([x], [indices, bounds], matrix, y): y[m, i] = Σ over k of x[m, k]·W[m, i, k].

    - `x`: (batch·rows,) float32, left out only if `listed` and not `graded`: then the values are 1;
    - `indices`: (batch·rows,) int32 and `bounds`: (batch·bounds_size(rows),) int32 as `active_list` writes them, only
      if `listed`: the sum is over those k alone;
    - `matrix`: (batch·outputs·rows,) float32, a matrix of `outputs` rows for each x; `y`: (batch·outputs,) float32.

    The reduction order and what leaving out a zero means are those of `event_gemv`.
    """
    with kernel("matrix_dots") as built:
        x = built.argument("x", (batch * rows,), "float32") if graded or not listed else None
        indices = built.argument("indices", (batch * rows,), "int32") if listed else None
        bounds = built.argument("bounds", (batch * bounds_size(rows),), "int32") if listed else None
        matrix = built.argument("matrix", (batch * outputs * rows,), "float32")
        y = built.argument("y", (batch * outputs,), "float32")
        with independent(batch) as stream:
            for first, width in tiles(outputs, ABREAST):
                place = stream * outputs + first
                sums = tir.alloc_buffer((width,), "float32")
                for row in range(width):
                    tir.buffer_store(sums, 0.0, [row])
                with tir.serial(0, ceil(rows / BLOCK)) as block:
                    begin, end = _range(bounds, stream, rows, block)
                    total = tir.alloc_buffer((width,), "float32")
                    for row in range(width):
                        tir.buffer_store(total, 0.0, [row])
                    start = hold(begin)
                    with tir.serial(0, hold(end) - start) as position:
                        at = start + position
                        k = at if indices is None else hold(indices[stream * rows + at])
                        value = None if x is None else hold(x[stream * rows + k])
                        for row in range(width):
                            weight = matrix[(place + row) * rows + k]
                            term = weight if value is None else value * weight
                            tir.buffer_store(total, total[row] + term, [row])
                    for row in range(width):
                        tir.buffer_store(sums, sums[row] + total[row], [row])
                for row in range(width):
                    tir.buffer_store(y, sums[row], [place + row])
    return built.function


def _range(bounds: Buffer, stream: Expression, rows: int, block: Expression) -> tuple[Expression, Expression]:
    """The positions in the list, or without one the inputs, that belong to a block."""
    if bounds is not None:
        return positions(bounds, stream, rows, block, BLOCK)
    return block * BLOCK, tirx.min((block + 1) * BLOCK, tirx.const(rows, "int32"))

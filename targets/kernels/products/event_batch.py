"""Event-driven products of many rows of inputs, a batch of streams: weights in tiles, each read once for all streams.

Streams fire different neurons, so that a batch soon reads every row of the weights. A tile of columns that lies in one
piece stays in the second cache while all streams add their rows of it. In rows as long as the matrix it would not: the
pieces of a tile lie as far apart as rows do, mostly a power of two, and then fall on a few places of the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from astroedge.targets.kernels.products.active_list import bounds_size
from astroedge.targets.kernels.products.event_sums import Operands, Tile
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.tir_builder import Expression, hold, independent, kernel, tiles


def event_batch(
    rows: int, columns: int, *, tile: int, batch: int, graded: bool = False, storage: Storage = FLOAT32
) -> tirx.PrimFunc:
    """Kernel ([x], indices, bounds, weights, [scales], y): the product of `event_gemv`, without bias, bit for bit.

    The parameters are those of `event_gemv` but for `weights`, which are as `pack_dense(stored, tile)` makes them.
    """
    storage.check_rows(rows)
    with kernel("event_batch") as built:
        x = built.argument("x", (batch * rows,), "float32") if graded else None
        indices = built.argument("indices", (batch * rows,), "int32")
        bounds = built.argument("bounds", (batch * bounds_size(rows),), "int32")
        weights = built.argument("weights", (rows * storage.data_size(columns),), storage.data_type)
        groups = storage.scale_rows(rows)
        scales = built.argument("scales", (groups * columns,), "float32") if groups else None
        y = built.argument("y", (batch * columns,), "float32")
        operands = Operands(x, indices, bounds, weights, scales, None, y, rows, columns, storage)
        for first, width in tiles(columns, tile):
            with independent(batch, rows=True) as row:  # each stream in turn, while the tile is in the cache
                _PackedTile(operands, row, storage.data_size(first) * rows, first, width).emit()
    return built.function


@dataclass(frozen=True)
class _PackedTile(Tile):
    """A tile whose rows follow each other, from `origin` on."""

    def _weights_at(self, position: Expression) -> tuple[Expression, Expression]:
        operands = self.operands
        k = hold(operands.indices[self.row * operands.rows + position])
        return k, self.origin + k * operands.storage.data_size(self.width)

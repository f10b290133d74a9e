"""A matrix–vector product that reads only the weight rows of the inputs that are active."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.products.active_list import bounds_size
from astroedge.targets.kernels.products.event_sums import Operands, Tile
from astroedge.targets.kernels.stored_weights import CHUNK, pack
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.tir_builder import OWN, independent, kernel, register_floats, tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astroedge.targets.boards.board_file import Target


def event_tile(target: Target, graded: bool = False, storage: Storage = FLOAT32) -> int:
    """How many columns to keep in registers at a time, with room left for what is added to them."""
    floats = register_floats(target)
    if storage.is_integer and not graded:  # int16 and byte sums
        return 128 if storage.packs_nibbles else min(128, floats * 3 // 2)
    if storage.packs_nibbles:
        return 128 if floats > 128 else CHUNK
    if storage.is_integer:
        return min(128, floats // 2)
    from_memory = target.family.adds_from_memory and not graded and storage.is_plain
    return min(128, floats if from_memory else floats * 3 // 4)


def pack_event(stored: StoredMatrix) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat arrays `weights` and `scales` that `event_gemv` reads; no scales where weights are floats."""
    return pack(stored.values, stored.storage).ravel(), None if stored.scales is None else stored.scales.ravel()


def event_gemv(
    rows: int,
    columns: int,
    *,
    bias: bool,
    graded: bool = False,
    batch: int = 1,
    shared: bool = True,
    tile: int = 128,
    storage: Storage = FLOAT32,
) -> tirx.PrimFunc:
    """Kernel ([x], indices, bounds, weights, [scales], [bias], y): y[m] = Σ over active k of (x[m, k]·)W[k] (+ bias).

    - `x`: (batch·rows,) float32, only if `graded`: each row of W is multiplied by its value (else the values are 1);
    - `indices`: (batch·rows,) int32 and `bounds`: (batch·bounds_size(rows),) int32, as `active_list` writes them;
    - `weights`: W[rows, columns] as `pack_event` makes it of a stored matrix: row-major, flat; float32 ones may be a
      state, and if not `shared`, there is one such matrix for each of the `batch` rows;
    - `scales`: (groups·columns,) float32 beside int8 (one group) and int4 weights (one for each 64 inputs);
    - `bias`: (columns,) and `y`: (batch·columns,) float32.

    The reduction order: blocks of 256 inputs, ascending inside a block from +0.0, block sums added ascending, bias
    last. A block sum is never −0.0, so a skipped input (or block) changes no bit: the result equals `dense_gemv`'s.
    int8 sums are scaled once, before the bias. int4 weights are summed by groups of 64 inputs; each sum is scaled, and
    they are added to +0.0 ascending. Integers whose inputs are 0 or 1 are added as integers: exact in any order.

    The weights are not packed: few rows are read, and a long piece of each (`tile` columns) suits the prefetcher;
    on 4096×1024 at 10 % row-major tiles of 128 columns took 21 µs, packed tiles 28 to 34 µs.

    Raises CompileError for more inputs than exact integer sums allow.
    """
    storage.check_rows(rows)
    matrices = 1 if shared else batch
    pitch = storage.data_size(columns)
    with kernel("event_gemv") as built:
        if not (shared or bias or storage.is_integer) and columns <= tile:
            tir.func_attr({OWN: True})  # each stream has its own list and matrix
        x = built.argument("x", (batch * rows,), "float32") if graded else None
        indices = built.argument("indices", (batch * rows,), "int32")
        bounds = built.argument("bounds", (batch * bounds_size(rows),), "int32")
        weights = built.argument("weights", (matrices * rows * pitch,), storage.data_type)
        groups = storage.scale_rows(rows)
        scales = built.argument("scales", (groups * columns,), "float32") if groups else None
        offsets = built.argument("bias", (columns,), "float32") if bias else None
        y = built.argument("y", (batch * columns,), "float32")
        operands = Operands(x, indices, bounds, weights, scales, offsets, y, rows, columns, storage)
        for first, width in tiles(columns, tile):
            with independent(batch, rows=shared) as row:  # each stream in turn, while the columns are in the cache
                matrix = 0 if shared else row * rows * pitch
                Tile(operands, row, matrix + storage.data_size(first), first, width).emit()
    return built.function

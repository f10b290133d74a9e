"""Rows of a table of embeddings, stored in any precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx

from astroedge.targets.kernels.stored_weights import load_weights, pack, vectors
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.tir_builder import hold, independent, kernel, splat, store

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pack_embedding(stored: StoredMatrix) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat arrays `table` and `scales` that `embedding_row` reads; no scales where the table holds floats.

    `stored` is the *transpose* of the table, [width, entries]: an entry is a column, so that it has scales of its own.
    """
    values = pack(np.ascontiguousarray(stored.values.T), stored.storage)
    return values.ravel(), None if stored.scales is None else stored.scales.T.ravel()


def embedding_row(
    count: int, entries: int, width: int, *, storage: Storage = FLOAT32, index_dtype: str = "int64"
) -> tirx.PrimFunc:
    """Kernel (indices, table, [scales], y): y[i, :] = table[indices[i], :], exactly what the stored numbers stand for.

    - `indices`: (count,) of `index_dtype`; one outside the table takes the nearest entry;
    - `table` and `scales`: as `pack_embedding` makes them of a table [entries, width]: an entry has one scale (int8) or
      one for each 64 of its elements (int4);
    - `y`: (count·width,) float32.
    """
    groups = storage.scale_rows(width)
    with kernel("embedding_row") as built:
        indices = built.argument("indices", (count,), index_dtype)
        table = built.argument("table", (entries * storage.data_size(width),), storage.data_type)
        scales = built.argument("scales", (entries * groups,), "float32") if groups else None
        y = built.argument("y", (count * width,), "float32")
        zero, last = tirx.const(0, index_dtype), tirx.const(entries - 1, index_dtype)
        with independent(count) as position:
            entry = hold(tirx.min(tirx.max(indices[position], zero), last))
            start = entry * tirx.const(storage.data_size(width), index_dtype)
            for offset, lanes in vectors(width, storage):
                value = load_weights(table, storage, start, width, offset, lanes, "float32")
                if scales is not None:
                    place = entry * tirx.const(groups, index_dtype) + storage.group_of(offset)
                    value = splat(scales[place], lanes) * value
                store(y, position * width + offset, lanes, value)
    return built.function

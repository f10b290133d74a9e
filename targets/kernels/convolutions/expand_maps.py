"""Stored weights as float32, for kernels that read each of them many times in a tick."""

from __future__ import annotations

from tvm import tirx

from astroedge.targets.kernels.stored_weights import cast
from astroedge.targets.precision.storage import Storage
from astroedge.targets.tir_builder import chunks, kernel, load, store, tiles

WIDTH = 64


def widen(size: int, storage: Storage) -> tirx.PrimFunc:
    """Kernel (stored, y): y[i] = stored[i] in float32, for `size` float16 or int8 weights; scales go elsewhere."""
    with kernel("widen") as built:
        stored = built.argument("stored", (size,), storage.data_type)
        y = built.argument("y", (size,), "float32")
        for first, width in tiles(size, WIDTH):
            for offset, lanes in chunks(width):
                store(y, first + offset, lanes, cast(load(stored, first + offset, lanes), "float32", lanes))
    return built.function

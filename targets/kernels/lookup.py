"""Numbers of a short stored table, chosen by indices that a step computes."""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.tir_builder import hold, independent, kernel


def lookup(count: int, entries: int, dtype: str, index_dtype: str) -> tirx.PrimFunc:
    """Kernel (indices, table, y): y[i] = table[indices[i]], an index outside taken for the nearest inside.

    `indices`: (count,) of `index_dtype`; `table`: (entries,) and `y`: (count,) of `dtype`.
    """
    with kernel("lookup") as built:
        indices = built.argument("indices", (count,), index_dtype)
        table = built.argument("table", (entries,), dtype)
        y = built.argument("y", (count,), dtype)
        with independent(count) as place:
            zero, last = (tirx.const(value, index_dtype) for value in (0, entries - 1))
            entry = hold(tirx.min(tirx.max(indices[place], zero), last))
            tir.buffer_store(y, table[entry], [place])
    return built.function

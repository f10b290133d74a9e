"""Count the active elements of a spike tensor that no matrix reads as a list."""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.products.active_list import is_active
from astroedge.targets.tir_builder import kernel


def count_active(size: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, counter): add the number of elements of x, (size,) of `dtype`, that are not zero to `counter`."""
    with kernel("count_active") as built:
        x = built.argument("x", (size,), dtype)
        counter = built.argument("counter", (1,), "int64")
        count = tir.alloc_buffer((1,), "int32")
        tir.buffer_store(count, 0, [0])
        with tir.serial(0, size) as index:
            tir.buffer_store(count, count[0] + is_active(x[index]), [0])
        tir.buffer_store(counter, counter[0] + tirx.Cast("int64", count[0]), [0])
    return built.function

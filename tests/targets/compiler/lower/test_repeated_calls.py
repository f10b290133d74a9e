"""Calls alike are lowered once, to what TVM's lowering of each makes of them."""

from __future__ import annotations

import numpy as np
from tvm import relax
from tvm_ffi import structural_equal

from astroedge.targets.compiler.lower.repeated_calls import lower_once


def test_calls_alike_are_lowered_as_by_tvm() -> None:
    """Equal shapes are one function, whoever is read; another order, number, attribute or dtype makes another."""
    builder = relax.BlockBuilder()
    x, y, long = (
        relax.Var(name, relax.TensorType(shape, "float32"))
        for name, shape in (("x", (4, 6)), ("y", (4, 6)), ("long", (1, 6)))
    )
    with builder.function("main", [x, y, long]):
        with builder.dataflow():
            pairs = [(x, y), (y, x), (x, x), (x, long), (long, x), (y, long)]
            sums = [builder.emit(relax.op.add(*pair)) for pair in pairs]
            scaled = [builder.emit(relax.op.multiply(sums[0], relax.const(value))) for value in np.float32([2, 2, 3])]
            parts = [
                builder.emit(relax.op.strided_slice(value, [1], [at], [at + 2]))
                for value, at in zip(scaled, (0, 0, 4), strict=True)
            ]
            joined = builder.emit(relax.op.concat([*parts, parts[0]], axis=1))
            again = builder.emit(relax.op.concat([*reversed(parts), parts[0]], axis=1))
            turned = [builder.emit(relax.op.sum(joined, axis=axis)) for axis in (0, 1, 0)]
            result = builder.emit_output(
                relax.Tuple([*sums, again, *turned, builder.emit(relax.op.astype(x, "int32"))])
            )
        builder.emit_func_output(result)
    module = builder.get()
    once = lower_once(module, {"relax.sum"})
    assert "relax.sum" not in once
    assert structural_equal(relax.transform.LegalizeOps(once)(module), relax.transform.LegalizeOps()(module))
    made = {name: sum(map(len, lowering.args[1].values())) for name, lowering in once.items()}  # type: ignore[attr-defined]
    assert (made["relax.add"], made["relax.multiply"], made["relax.strided_slice"]) == (4, 2, 2)

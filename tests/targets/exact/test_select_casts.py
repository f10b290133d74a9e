"""A Boolean as a number becomes a selection of one and zero."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact.select_casts import select_casts
from astroedge.targets.tir_builder import kernel, load, store
from tests.support.kernels.harness import nodes_in, run


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_a_comparison_is_stored_as_one_and_zero(lanes: int, dtype: str) -> None:
    """No conversion of a Boolean is left, which code generation refuses for vectors, and the numbers are right."""
    with kernel("boolean") as built:
        x, y = built.argument("x", (16,), "float32"), built.argument("y", (16,), dtype)
        with tir.serial(0, 16 // lanes) as index:
            fired = load(x, index * lanes, lanes) > tirx.const(1.0, f"float32x{lanes}" if lanes > 1 else "float32")
            store(y, index * lanes, lanes, tirx.Cast(f"{dtype}x{lanes}" if lanes > 1 else dtype, fired))
    selected = select_casts(built.function)
    assert nodes_in(built.function, tirx.Cast)
    assert not nodes_in(selected, tirx.Cast)
    values = np.arange(-7, 9, dtype=np.float32) / 2
    assert run(selected, [values], [np.zeros(16, dtype)])[0].tolist() == (values > 1).tolist()

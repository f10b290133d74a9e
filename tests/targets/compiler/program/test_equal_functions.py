"""What is made of equal functions is made once."""

from __future__ import annotations

from tvm import te, tirx

from astroedge.targets.compiler.program.equal_functions import EqualFunctions
from tests.support.kernels.harness import operator


def _add(size: int, name: str, number: float = 1.0) -> tirx.PrimFunc:
    x = te.placeholder((size,), "float32", name)
    return operator([x], [te.compute((size,), lambda i: x[i] + tirx.const(number, "float32"), f"{name}_sum")])


def test_functions_that_differ_in_names_share() -> None:
    """Sizes and numbers tell functions apart, names do not."""
    made: EqualFunctions[int] = EqualFunctions()
    numbers = iter(range(9))
    functions = [_add(4, "a"), _add(4, "b"), _add(5, "a"), _add(4, "a", 2.0)]
    assert [made.get(function, lambda: next(numbers)) for function in (*functions, functions[0])] == [0, 0, 1, 2, 0]

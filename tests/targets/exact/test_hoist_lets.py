"""Names bound inside expressions become statements that bind each name once."""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact.hoist_lets import hoist_lets
from astroedge.targets.exact.select_casts import select_casts
from astroedge.targets.tir_builder import kernel


def test_a_name_used_in_two_statements_is_bound_apart() -> None:
    """The same `Let` in two stores becomes two statements with names of their own; nothing stays inside a value."""
    with kernel("twice") as built:
        x, y = built.argument("x", (2,), "float32"), built.argument("y", (2,), "float32")
        name = tirx.Var("t", x[0].ty)
        value = tirx.Let(name, x[0] + x[1], name * name)
        tir.buffer_store(y, value, [0])
        tir.buffer_store(y, value + 1, [1])
    script = hoist_lets(built.function).script()
    assert "T.Let(" not in script
    assert script.count("= x[0] + x[1]") == 2


def test_inner_names_come_before_the_names_that_use_them() -> None:
    """A nested `Let` is bound first."""
    with kernel("nested") as built:
        x, y = built.argument("x", (1,), "float32"), built.argument("y", (1,), "float32")
        inner, outer = tirx.Var("inner", x[0].ty), tirx.Var("outer", x[0].ty)
        value = tirx.Let(outer, tirx.Let(inner, x[0] + 1, inner * inner), outer + outer)
        tir.buffer_store(y, value, [0])
    script = hoist_lets(built.function).script()
    assert script.index("inner") < script.index("outer")
    assert "T.Let(" not in script


def test_a_boolean_becomes_a_selection() -> None:
    """A comparison stored as a number is a selection of one and zero."""
    with kernel("boolean") as built:
        x, y = built.argument("x", (1,), "float32"), built.argument("y", (1,), "float32")
        tir.buffer_store(y, tirx.Cast("float32", x[0] > 1), [0])
    script = select_casts(built.function).script()
    assert "Select(" in script
    assert "Cast(" not in script

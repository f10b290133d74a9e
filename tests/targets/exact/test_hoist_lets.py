"""Names bound inside expressions become statements that bind each name once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact.hoist_lets import hoist_lets
from astroedge.targets.tir_builder import kernel
from tests.support.kernels.harness import nodes_in, run

X = np.array([3.0, 4.0], np.float32)


def two_stores(value: Callable[[Any], Any]) -> tirx.PrimFunc:
    """Kernel (x, y): y[0] = value(x) and y[1] = value(x) + 1, where the value is one expression, stored twice."""
    with kernel("twice") as built:
        x, y = built.argument("x", (2,), "float32"), built.argument("y", (2,), "float32")
        stored = value(x)
        tir.buffer_store(y, stored, [0])
        tir.buffer_store(y, stored + 1, [1])
    return built.function


def squared_sum(x: Any) -> Any:
    """(x[0] + x[1])², the sum bound to a name."""
    name = tirx.Var("sum", x[0].ty)
    return tirx.Let(name, x[0] + x[1], name * name)


def nested(x: Any) -> Any:
    """2 (x[0] + 1)², with a name in the value of another name."""
    inner, outer = tirx.Var("inner", x[0].ty), tirx.Var("outer", x[0].ty)
    return tirx.Let(outer, tirx.Let(inner, x[0] + 1, inner * inner), outer + outer)


def test_a_name_used_in_two_statements_is_bound_apart() -> None:
    """The same `Let` in two stores becomes two statements with names of their own; nothing stays inside a value."""
    func = two_stores(squared_sum)
    hoisted = hoist_lets(func)
    assert nodes_in(func, tirx.Let)
    assert not nodes_in(hoisted, tirx.Let)
    bound = [statement.var for statement in nodes_in(hoisted, tirx.stmt.Bind)]
    assert len(bound) == 2
    assert not bound[0].same_as(bound[1])
    assert run(hoisted, [X], [np.zeros(2, np.float32)])[0].tolist() == [49.0, 50.0]


def test_inner_names_come_before_the_names_that_use_them() -> None:
    """A nested `Let` is bound first, so that the value computed is the same."""
    hoisted = hoist_lets(two_stores(nested))
    assert not nodes_in(hoisted, tirx.Let)
    assert [statement.var.name for statement in nodes_in(hoisted, tirx.stmt.Bind)] == ["inner", "outer"] * 2
    assert run(hoisted, [X], [np.zeros(2, np.float32)])[0].tolist() == [32.0, 33.0]


def test_nothing_to_hoist_is_left_as_it_is() -> None:
    """A kernel without names bound inside expressions is the same kernel."""
    func = two_stores(lambda x: x[0] + x[1])
    assert hoist_lets(func).same_as(func)

"""What a kernel touches only in parts: a thread that has no more than its own parts of it computes its results."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import te, tirx

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.threads.divide_loops import divide_outermost, undivided
from astroedge.targets.compiler.threads.own_parts import own_parts
from astroedge.targets.kernels.products.active_list import active_list
from astroedge.targets.kernels.products.event_gemv import event_gemv
from astroedge.targets.kernels.products.event_rows import event_rows
from astroedge.targets.precision.storage import INT4
from astroedge.targets.schedule.vectorize import schedule_blocks
from astroedge.targets.tir_builder import independent, kernel, load, splat, store
from tests.support.kernels.harness import build, call, same_bits
from tests.support.kernels.teams import draw, event_operands, team_call


def chain(rows: int, columns: int) -> tirx.PrimFunc:
    """An element-wise chain of a matrix, what each row has, what each column has and what lies the other way around."""
    shapes = ((rows, columns), (rows,), (columns,), (columns, rows))
    x, r, c, t = (te.placeholder(shape, "float32", name) for shape, name in zip(shapes, "xrct", strict=True))
    y = te.compute((rows, columns), lambda i, j: x[i, j] * r[i] + c[j] * t[j, i])
    return schedule_blocks(te.create_prim_func([x, r, c, t, y]), resolve_target("x86-64-v3"))


CASES: dict[str, tuple[tirx.PrimFunc, list[np.ndarray], int, set[int]]] = {
    "chain": (chain(12, 40), [draw(480), draw(12), draw(40), draw(480)], 12, {0, 1, 4}),
    "vector": (chain(1, 384), [draw(384), draw(1), draw(384), draw(384)], 24, {0, 2, 3, 4}),
    "states": (
        event_gemv(70, 20, bias=False, batch=8, shared=False),
        [*event_operands(70, 20, 8)[:2], draw(8 * 70 * 20)], 8, {0, 1, 2, 3},
    ),
    "streams": (event_gemv(70, 20, bias=False, batch=7), event_operands(70, 20, 7), 7, {1, 3}),
    "rows": (event_rows(300, 512, storage=INT4, piece_bytes=64), event_operands(300, 512, 1, INT4), 4, {4}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_a_thread_needs_no_more_than_its_own_parts(name: str, threads: int) -> None:
    """With the parts of others filled with rubbish, each thread writes its part of the result, as one thread would."""
    function, inputs, iterations, operands = CASES[name]
    own = own_parts(function)
    assert own is not None
    assert (own.iterations, own.operands) == (iterations, operands)
    size = int(function.params[-1].ty.shape[0])
    expected = call(build(undivided(function)), inputs, [np.zeros(size, np.float32)])[0]
    for units in {iterations, iterations // 2 if iterations % 2 == 0 else 1}:
        form = divide_outermost(function, own.loop, units)
        assert form.parts == units
        module = build(form.function)
        for thread in range(threads):
            first, end = (units * number // threads for number in (thread, thread + 1))
            known = [
                spoil(array, first, end, units) if place in operands else array for place, array in enumerate(inputs)
            ]
            written = team_call(module, known, np.full(size, np.nan, np.float32), thread, threads)
            part = slice(first * size // units, end * size // units)
            assert same_bits(written[part], expected[part])
            assert np.isnan(written[: part.start]).all()
            assert np.isnan(written[part.stop :]).all()


def spoil(array: np.ndarray, first: int, end: int, units: int) -> np.ndarray:
    """The array with all but these units of it replaced."""
    spoiled = np.full_like(array, 10**6)
    part = slice(first * array.size // units, end * array.size // units)
    spoiled[part] = array[part]
    return spoiled


def test_what_is_not_in_one_loop_has_no_parts() -> None:
    """Lists are made in one pass, and a row whose tail is computed apart in two loops."""
    assert own_parts(active_list(300, "bool")) is None
    assert own_parts(event_rows(300, 600, piece_bytes=256)) is None


def test_a_variable_of_two_loops_has_no_range() -> None:
    """One that runs to 8 and to 2: what lies in the part for the last is not for the first."""
    x = tirx.decl_buffer((16,), "float32", name="x")
    outer, inner = (tirx.Var(name, "int32") for name in ("i", "j"))

    def loop(var: tirx.Var, extent: int, body: tirx.Stmt, **marks: int) -> tirx.For:
        annotations = {f"astroedge.{name}": mark for name, mark in marks.items()}
        first, count = (tirx.const(number, "int32") for number in (0, extent))
        return tirx.For(var, first, count, tirx.ForKind.SERIAL, body, annotations=annotations)

    change = tirx.BufferStore(x, tirx.const(1.0, "float32"), [outer * 2 + inner])
    for extents, operands in (((2, 2), {0}), ((8, 2), set())):
        body = tirx.SeqStmt([loop(inner, extent, change) for extent in extents])
        own = own_parts(tirx.PrimFunc([x], loop(outer, 8, body, independent=2)))
        assert own is not None
        assert own.operands == operands


def test_a_place_that_data_tells_belongs_to_nobody() -> None:
    """Nor does one that is shared with a neighbour, or with a vector that reaches over."""
    with kernel("gather") as built:
        places = built.argument("places", (8,), "int32")
        x = built.argument("x", (8,), "float32")
        y = built.argument("y", (16,), "float32")
        over = built.argument("over", (16,), "float32")
        back = built.argument("back", (16,), "float32")
        z = built.argument("z", (16,), "float32")
        with independent(8) as index:
            vectors = load(over, index * 2 + 1, 2) + load(back, index * 2, 2, stride=-1)
            store(z, index * 2, 2, vectors + splat(x[places[index]] + y[index], 2))
    own = own_parts(built.function)
    assert own is not None
    assert own.operands == {0, 5}

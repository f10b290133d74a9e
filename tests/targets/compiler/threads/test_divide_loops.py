"""A kernel's team form: however many threads and in whatever order, they do each part once and the bits stay."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import te, tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.threads.divide_loops import divide_loops, undivided
from astroedge.targets.kernels.products.active_list import active_list
from astroedge.targets.kernels.products.dense_gemv import batched_matmul, dense_gemv, pack_dense
from astroedge.targets.kernels.products.embedding import embedding_row, pack_embedding
from astroedge.targets.kernels.products.event_gemv import event_gemv
from astroedge.targets.kernels.products.fixed_gemv import fixed_gemv, pack_fixed
from astroedge.targets.kernels.reduce import layer_norm, softmax
from astroedge.targets.precision.storage import FLOAT32, INT4, INT8, Storage
from astroedge.targets.precision.weight_format import store
from astroedge.targets.schedule.vectorize import schedule_blocks
from astroedge.targets.tir_builder import INDEPENDENT, independent, kernel
from tests.support.kernels.harness import build, call, same_bits
from tests.support.kernels.products import planes_of
from tests.support.kernels.teams import draw, event_operands, given, team_call

TEAMS = (1, 2, 3, 5, 64)


def packed(rows: int, columns: int, tile: int, storage: Storage = FLOAT32) -> list[np.ndarray]:
    """Random weights as a dense product reads them."""
    return given(pack_dense(store(draw(rows, columns), storage), tile))


def fixed(rows: int, columns: int, batch: int, tile: int, storage: Storage) -> list[np.ndarray]:
    """Random inputs in fixed point, and random weights as their product reads them."""
    return [*planes_of(draw(batch, rows)), *pack_fixed(store(draw(rows, columns), storage), tile)]


def chain(rows: int, columns: int) -> tirx.PrimFunc:
    """An element-wise chain with an operand that is repeated along the rows, scheduled."""
    x, b = te.placeholder((rows, columns), "float32", "x"), te.placeholder((columns,), "float32", "b")
    y = te.compute((rows, columns), lambda i, j: x[i, j] * tirx.const(2.0, "float32") + b[j])
    return schedule_blocks(te.create_prim_func([x, b, y]), resolve_target("x86-64-v3"))


CASES: dict[str, tuple[tirx.PrimFunc, list[np.ndarray], int, int]] = {
    "event": (event_gemv(300, 330, bias=False, tile=64), event_operands(300, 330, 1), 330, 6),
    "event batch": (event_gemv(70, 20, bias=False, batch=7), event_operands(70, 20, 7), 140, 7),
    "event int4": (event_gemv(300, 330, bias=False, storage=INT4), event_operands(300, 330, 1, INT4), 330, 3),
    "dense": (dense_gemv(1, 90, 200, bias=True, tile=48), [draw(90), *packed(90, 200, 48), draw(200)], 200, 5),
    "dense int8": (
        dense_gemv(1, 90, 200, bias=False, tile=64, storage=INT8),
        [draw(90), *packed(90, 200, 64, INT8)], 200, 4,
    ),
    "dense batch": (
        dense_gemv(5, 90, 20, bias=False, tile=48, row_tile=2), [draw(450), *packed(90, 20, 48)], 100, 3,
    ),
    "fixed": (
        fixed_gemv(1, 90, 200, target=resolve_target("x86-64-v3"), tile=32, storage=INT8),
        fixed(90, 200, 1, 32, INT8), 200, 7,
    ),
    "fixed batch": (
        fixed_gemv(5, 90, 20, target=resolve_target("aarch64"), tile=16, row_tile=2, storage=INT4),
        fixed(90, 20, 5, 16, INT4), 100, 6,
    ),
    "embedding": (
        embedding_row(3, 10, 40, storage=INT8),
        [np.array([2, 9, 4]), *given(pack_embedding(store(draw(40, 10), INT8)))], 120, 3,
    ),
    "batched": (batched_matmul(3, 2, 30, 40, tile=16), [draw(180), draw(3600)], 240, 4),
    "layer norm": (layer_norm(6, 37, 1e-5), [draw(222), draw(37), draw(37)], 222, 6),
    "softmax": (softmax(4, 50), [draw(200)], 200, 4),
    "rows": (chain(9, 50), [draw(450), draw(50)], 450, 9),
    "columns": (chain(1, 333), [draw(333), draw(333)], 333, 21),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_part_is_done_once(name: str) -> None:
    """Run thread by thread, a team leaves the bits of one thread, and no element is written twice."""
    function, inputs, size, parts = CASES[name]
    expected = call(build(undivided(function)), inputs, [np.zeros(size, np.float32)])[0]
    form = divide_loops(function)
    assert form is not None
    assert form.parts == parts
    module = build(form.function)
    for threads in TEAMS:
        unwritten = np.full(size, np.nan, np.float32)
        results = [team_call(module, inputs, unwritten, thread, threads) for thread in range(threads)]
        written = ~np.isnan(np.stack(results))
        assert written.sum(axis=0).tolist() == [1] * size
        assert same_bits(np.where(written, results, 0).sum(axis=0, dtype=np.float32), expected)


def test_kernels_that_count_are_not_divided() -> None:
    """The active list is made in one pass, each entry behind the last: there is no team form."""
    assert divide_loops(active_list(300, "bool")) is None


def test_one_part_is_no_team_form() -> None:
    """A product of one tile of columns gives a second thread nothing to do."""
    assert divide_loops(event_gemv(300, 100, bias=False, tile=128)) is None


def test_values_kept_between_iterations_are_not_divided() -> None:
    """An array on the stack that outlives an iteration would be another one in each thread."""
    with kernel("running") as built:
        y = built.argument("y", (8,), "float32")
        kept = tir.alloc_buffer((1,), "float32")
        with independent(8) as index:
            tir.buffer_store(kept, kept[0] + tirx.const(1.0, "float32"), [0])
            tir.buffer_store(y, kept[0], [index])
    assert divide_loops(built.function) is None


def test_a_store_outside_independent_loops_is_not_divided() -> None:
    """What only one thread may do keeps the whole kernel with one thread."""
    with kernel("tail") as built:
        y = built.argument("y", (9,), "float32")
        with independent(8) as index:
            tir.buffer_store(y, tirx.const(1.0, "float32"), [index])
        tir.buffer_store(y, tirx.const(2.0, "float32"), [8])
    assert divide_loops(built.function) is None


def test_one_thread_has_no_marks() -> None:
    """The form for one thread has neither annotations nor loops of one iteration."""
    text = str(undivided(event_gemv(300, 330, bias=False, tile=64)))
    assert INDEPENDENT not in text
    assert "range(1)" not in text

"""An update in parts is the update: rows that are listed first, the others later, by whichever threads."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import te, tirx

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.threads.divide_loops import divide_outermost, undivided
from astroedge.targets.compiler.threads.own_parts import own_parts, own_rows
from astroedge.targets.compiler.threads.split_update import SplitUpdate, split_update
from astroedge.targets.kernels.products.active_list import active_list, bounds_size
from astroedge.targets.schedule.vectorize import schedule_blocks
from tests.support.kernels.harness import build, call, same_bits
from tests.support.kernels.teams import DRAW, draw, team_call

MATRICES = 8
STATE = 3  # the number of the parameter
SIZES = [(16, 16), (64, 64), (70, 20), (3, 33)]


def update(rows: int, columns: int, matrices: int = MATRICES) -> tirx.PrimFunc:
    """H·d + k⊗v for each of the matrices, as the compiler schedules it."""
    shapes = ((matrices, rows), (matrices, columns), (matrices,), (matrices, rows, columns))
    k, v, d, h = (te.placeholder(shape, "float32", name) for shape, name in zip(shapes, "kvdh", strict=True))
    new = te.compute(shapes[-1], lambda n, r, c: d[n] * h[n, r, c] + k[n, r] * v[n, c])
    return schedule_blocks(te.create_prim_func([k, v, d, h, new]), resolve_target("x86-64-v3"))


def split_of(function: tirx.PrimFunc, rows: int) -> SplitUpdate:
    """The split of an update that has one."""
    split = split_update(function, MATRICES, rows, STATE)
    assert split is not None
    return split


def operands(rows: int, columns: int) -> list[np.ndarray]:
    """What an update reads, the old state last."""
    return [draw(MATRICES * rows), draw(MATRICES * columns), draw(MATRICES), draw(MATRICES * rows * columns)]


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize(("rate", "dtype"), [(0.0, "float32"), (0.3, "float32"), (0.3, "bool"), (1.0, "int8")])
def test_rows_that_are_listed_and_others_are_all(rows: int, columns: int, rate: float, dtype: str) -> None:
    """In place and by several threads in turn: first the rows on the lists, then the others in slices."""
    function = update(rows, columns)
    given = operands(rows, columns)
    expected = call(build(undivided(function)), given, [np.zeros_like(given[STATE])])[0]
    spikes = (DRAW.random(MATRICES * rows) < rate).astype(dtype)
    empty = [np.zeros(spikes.size, np.int32), np.zeros(MATRICES * bounds_size(rows), np.int32), np.zeros(1, np.int64)]
    lists = call(build(undivided(active_list(rows, dtype, MATRICES))), [spikes], empty)[:2]
    split = split_of(function, rows)
    slices = [split.silent(dtype, first, end) for first, end in ((0, rows // 3), (rows // 3, rows))]
    state, listed = given[STATE], np.repeat(spikes > 0, columns)
    for kernel, names in ((split.listed(), lists), *((part, [spikes]) for part in slices)):
        own = own_parts(kernel)
        assert own is not None
        assert own.iterations == MATRICES
        module = build(divide_outermost(kernel, own.loop, MATRICES).function)
        for thread in range(3):
            state = team_call(module, [*given[:STATE], state, *names], state, thread, 3)
        if kernel not in slices:
            assert same_bits(state, np.where(listed, expected, given[STATE]))
    assert same_bits(state, expected)


def test_only_the_rows_on_the_lists_are_touched() -> None:
    """What is neither listed nor in the slice stays as it is."""
    rows, columns = 16, 16
    given = operands(rows, columns)
    split = split_of(update(rows, columns), rows)
    spikes = np.zeros(MATRICES * rows, np.float32)
    spikes[5] = 1.0
    indices, bounds = np.zeros(MATRICES * rows, np.int32), np.zeros(MATRICES * 2, np.int32)
    indices[0], bounds[1] = 5, 1
    listed = call(build(undivided(split.listed())), [*given, indices, bounds], [given[STATE]])[0]
    changed = (listed != given[STATE]).reshape(-1, columns).any(axis=1)
    assert changed.nonzero()[0].tolist() == [5]
    silent = call(build(undivided(split.silent("float32", 4, 7))), [*given, spikes], [given[STATE]])[0]
    changed = (silent != given[STATE]).reshape(MATRICES, rows, columns).any(axis=2)
    assert [row.nonzero()[0].tolist() for row in changed] == [[4, 6], *[[4, 5, 6]] * 7]


def test_rows_are_the_two_outermost_loops() -> None:
    """Iterations of both, counted together, have the rows of the state and of what is a number for each row."""
    found = own_rows(update(16, 32))
    assert found is not None
    assert (found.iterations, found.operands) == (MATRICES * 16, {0, STATE, 4})
    assert own_rows(active_list(300, "bool")) is None


def test_what_reads_other_rows_is_not_split() -> None:
    """A state that is shifted by a row needs the old one; a matrix that is transposed the other half of it."""
    shape = (MATRICES, 16, 16)
    h = te.placeholder(shape, "float32", "h")
    shifted = te.compute(shape, lambda n, r, c: h[n, tirx.max(r - 1, 0), c] * 0.5)
    turned = te.compute(shape, lambda n, r, c: h[n, c, r] * 0.5)
    decay = te.placeholder((16,), "float32", "decay")
    common = te.compute(shape, lambda n, r, c: h[n, r, c] * decay[r])  # belongs to no thread alone
    for reads, new in (([h], shifted), ([h], turned), ([h, decay], common)):
        function = schedule_blocks(te.create_prim_func([*reads, new]), resolve_target("x86-64-v3"))
        assert split_update(function, MATRICES, 16, 0) is None
    assert split_update(update(16, 16), MATRICES, 8, STATE) is None

"""A team's tick: what is divided, into how much, and which values keep bytes of their own for it."""

from __future__ import annotations

import itertools
from dataclasses import replace

from tvm import te, tirx

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.threads.call_sizes import TEAM_BYTES, touched_bytes
from astroedge.targets.compiler.threads.plan_team import plan_team, together_in_team
from astroedge.targets.schedule.vectorize import schedule_blocks
from tests.support.programs import FUNCTION, make_call


def doubled(rows: int, columns: int) -> tirx.PrimFunc:
    """Twice a matrix, whose rows a loop walks."""
    x = te.placeholder((rows, columns), "float32", "x")
    y = te.compute((rows, columns), lambda i, j: x[i, j] * tirx.const(2.0, "float32") + i.astype("float32"))
    return schedule_blocks(te.create_prim_func([x, y]), resolve_target("x86-64-v3"))


def test_the_forms_of_calls_divided_alike_have_their_units() -> None:
    """The large call, which alone has more parts, and the small one behind it are divided in what both have."""
    values = [Value(f"v{index}", (640,), "float32", "computed") for index in range(3)]
    places = {value: Place("workspace", 2560 * index) for index, value in enumerate(values)}
    large = KernelCall(doubled(32, 20), (values[0],), (values[1],), "any", (), touched=TEAM_BYTES)
    small = KernelCall(doubled(8, 80), (values[1],), (values[2],), "any", (), touched=1)
    plan = plan_team(MemoryPlan([large, small], places, {}, [], [], []))
    assert plan is not None
    assert [(item.point, item.form and item.form.parts) for item in plan.calls] == [(None, 8), (None, 8)]
    assert plan.threads == 32


def test_calls_that_may_be_divided_alike_share_no_bytes() -> None:
    """Large calls beside each other have one number, and what follows them and is element-wise; then another begins."""
    x, *made = (Value(f"v{index}", (16,), "float32", "computed") for index in range(7))
    large = [replace(make_call([x], [value], TEAM_BYTES), kind="event-gemv") for value in made[:2]]
    update = replace(make_call([made[1]], [made[2]], 1), kind="element-wise")
    gate = replace(make_call([made[2]], [made[3]], 1), kind="element-wise")
    listed = replace(make_call([made[3]], [made[4]], 1), kind="active-list")
    later = replace(make_call([made[3]], [made[5]], 1), kind="element-wise")
    calls = [later, *large, update, gate, listed, later, *large]
    assert list(together_in_team(calls, {})) == [0, 1, 1, 1, 1, 5, 6, 7, 7]
    assert list(together_in_team([update, gate, listed], {})) == [0, 1, 2]


def test_a_chain_of_large_calls_shares_bytes() -> None:
    """Each reads what the one before it made: with one number a deep network would keep all that it ever computed."""
    values = [Value(f"v{index}", (16,), "float32", "computed") for index in range(9)]
    pairs = itertools.pairwise(values)
    calls = [make_call([one], [two], TEAM_BYTES) for one, two in pairs]
    updated = [replace(call, touched=1, kind="element-wise") if index % 2 else call for index, call in enumerate(calls)]
    assert list(together_in_team(calls, {})) == list(range(8))
    assert list(together_in_team(updated, {})) == [0, 0, 2, 2, 4, 4, 6, 6]


def test_bytes_that_a_call_touches() -> None:
    """By its operands; of a table from which an element-wise call takes little, as much as it writes."""
    table, row = Value("table", (1000, 16), "float32", "weight"), Value("row", (16,), "float32", "computed")
    gather = KernelCall(FUNCTION, (table,), (row,), "element-wise", ("take",))
    assert touched_bytes(gather) == 128
    assert touched_bytes(KernelCall(FUNCTION, (table,), (row,), "dense-gemv", ())) == 64064
    assert touched_bytes(make_call([table], [row], touched=7)) == 7

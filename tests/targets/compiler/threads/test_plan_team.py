"""Threads wait wherever one touches what another wrote, and nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te, tirx

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.threads import plan_team as team
from astroedge.targets.compiler.threads.own_parts import OwnParts
from astroedge.targets.schedule.vectorize import schedule_blocks
from tests.support.programs import FUNCTION, make_call

THREADS = 3
SLOTS = 6


@dataclass(frozen=True)
class Tick:
    """Calls, which of them are divided anyhow, what they touch in parts, and where their values lie."""

    calls: list[KernelCall]
    divided: list[bool]
    owns: list[OwnParts | None]
    places: dict[Value, Place]

    def plan(self) -> tuple[list[str | None], list[int | None]]:
        """The points between the calls, and the units of those divided alike."""
        return team.points_between(self.calls, self.divided, self.places, self.owns)

    def threads(self, index: int, units: list[int | None]) -> range:
        """Who makes a call."""
        return range(THREADS if self.divided[index] or units[index] else 1)

    def touched(self, index: int, units: int | None, thread: int) -> tuple[set[int], set[int]]:
        """The bytes that a thread may read and write in a call: all, but where it is divided alike its own parts."""
        call, own = self.calls[index], self.owns[index]
        found: tuple[set[int], set[int]] = (set(), set())
        for position, value in enumerate((*call.reads, *call.writes)):
            part = range(value.nbytes)
            if own is not None and units is not None and position in own.operands:
                first, end = (units * number // THREADS * value.nbytes // units for number in (thread, thread + 1))
                part = range(first, end)
            found[position >= len(call.reads)].update(self.places[value].offset + byte for byte in part)
        return found


@st.composite
def ticks(draw: st.DrawFn, alike: bool = True) -> Tick:
    """Calls on values that overlap at random in one buffer, which are divided, and which could be `alike`."""
    values = [Value(f"v{index}", (draw(st.integers(1, 2)) * 16,), "float32", "computed") for index in range(8)]
    places = {value: Place("workspace", 64 * draw(st.integers(0, SLOTS))) for value in values}
    some = st.lists(st.sampled_from(values), max_size=2)
    calls = draw(st.lists(st.builds(make_call, some, st.lists(st.sampled_from(values), min_size=1, max_size=2))))
    owns: list[OwnParts | None] = []
    for call in calls:
        operands = st.frozensets(st.integers(0, len(call.reads) + len(call.writes) - 1), min_size=1)
        own = draw(st.builds(OwnParts, st.none(), st.sampled_from([4, 8, 16]), operands)) if alike else None
        owns.append(own if draw(st.integers(0, 3)) else None)
    return Tick(calls, draw(st.lists(st.booleans(), min_size=len(calls), max_size=len(calls))), owns, places)


def knowledge(tick: Tick, points: list[str | None], units: list[int | None]) -> Iterator[list[set[tuple[int, int]]]]:
    """Before each call: for every thread the parts, (call, thread), of which it knows that they are done.

    A part of a divided call is known when its thread has come to a point that another thread waited for.
    """
    done: list[set[tuple[int, int]]] = [set() for _ in range(THREADS)]
    for index, point in enumerate(points):
        everything = set[tuple[int, int]]().union(*done)
        if point == team.RELEASE:
            done = [known | done[0] for known in done]
        elif point == team.GATHER:
            done[0] = everything
        elif point == team.MEET:
            done = [set(everything) for _ in done]
        yield [set(known) for known in done]
        for thread in tick.threads(index, units):
            done[thread].add((index, thread))


def unknown(tick: Tick, points: list[str | None], units: list[int | None], index: int) -> Iterator[tuple[int, int]]:
    """The parts of earlier calls that touch a byte of a call, one of them writing, unknown to who makes its part."""
    known = list(knowledge(tick, points, units))[index]
    for thread in tick.threads(index, units):
        reads, writes = tick.touched(index, units[index], thread)
        for other in range(index):
            for part in tick.threads(other, units):
                read, written = tick.touched(other, units[other], part)
                if (other, part) not in known[thread] and (writes & (written | read) or reads & written):
                    yield other, part


@settings(max_examples=500, deadline=None)
@given(ticks())
def test_every_conflict_is_waited_for(tick: Tick) -> None:
    """Whoever makes a part of a call knows that the parts of earlier calls it conflicts with are done, byte by byte."""
    points, units = tick.plan()
    for index in range(len(tick.calls)):
        assert not list(unknown(tick, points, units, index)), (index, points, units)


@settings(max_examples=300, deadline=None)
@given(ticks(alike=False))
def test_no_point_is_superfluous(tick: Tick) -> None:
    """Without any one of the points, some thread would not know of a call that it conflicts with."""
    points, units = tick.plan()
    for left_out in (index for index, point in enumerate(points) if point is not None):
        fewer = [None if index == left_out else point for index, point in enumerate(points)]
        assert list(unknown(tick, fewer, units, left_out))


def alike(*operands: int, iterations: int = 16) -> OwnParts:
    """Parts of these operands."""
    return OwnParts(None, iterations, frozenset(operands))


@pytest.mark.parametrize(
    ("owns", "points", "units"),
    [
        ([alike(0, 1), alike(0, 1), None], [None, None, "gather"], [16, 16, None]),
        ([alike(1), alike(0, 1, iterations=24), None], [None, None, "gather"], [8, 8, None]),
        ([alike(1), alike(0, 1), alike(0, iterations=8)], [None, None, None], [8, 8, 8]),
        ([alike(1), alike(0), alike(0, 1)], [None, None, "gather"], [16, 16, None]),  # all of what is read next
        ([alike(1), alike(0, 1, iterations=20), None], [None, "gather", None], [None, None, None]),  # four at most
        ([alike(0), alike(0, 1), None], [None, "gather", None], [None, None, None]),
        ([None, alike(0, 1), None], [None, "gather", None], [None, None, None]),
    ],
)
def test_a_small_call_is_divided_like_the_one_it_follows(
    owns: list[OwnParts | None], points: list[str | None], units: list[int | None]
) -> None:
    """If both touch what they share in parts, in the units of both; a chain of any length has the units of all."""
    values = [Value(f"v{index}", (16,), "float32", "computed") for index in range(4)]
    places = {value: Place("workspace", 64 * index) for index, value in enumerate(values)}
    calls = [make_call([values[index]], [values[index + 1]]) for index in range(3)]
    assert team.points_between(calls, [True, False, False], places, owns) == (points, units)


def test_what_one_thread_makes_is_followed_by_nobody() -> None:
    """Thread 0 alone has all of it; and no thread has its own parts of two calls that are divided apart."""
    a, b, c = (Value(name, (16,), "float32", "computed") for name in "abc")
    places = {value: Place("workspace", 64 * index) for index, value in enumerate((a, b, c))}
    after_one = [make_call([], [a]), make_call([a], [b])]
    assert team.points_between(after_one, [False, False], places, [alike(0), alike(0, 1)]) == ([None] * 2, [None] * 2)
    after_two = [make_call([], [a]), make_call([], [b]), make_call([a, b], [c])]
    points, units = team.points_between(after_two, [True, True, False], places, [alike(0), alike(0), alike(0, 1, 2)])
    assert (points, units) == ([None, None, "gather"], [None] * 3)


def doubled(rows: int, columns: int) -> tirx.PrimFunc:
    """Twice a matrix, whose rows a loop walks."""
    x = te.placeholder((rows, columns), "float32", "x")
    y = te.compute((rows, columns), lambda i, j: x[i, j] * tirx.const(2.0, "float32") + i.astype("float32"))
    return schedule_blocks(te.create_prim_func([x, y]), resolve_target("x86-64-v3"))


def test_the_forms_of_calls_divided_alike_have_their_units() -> None:
    """The large call, which alone has more parts, and the small one behind it are divided in what both have."""
    values = [Value(f"v{index}", (640,), "float32", "computed") for index in range(3)]
    places = {value: Place("workspace", 2560 * index) for index, value in enumerate(values)}
    large = KernelCall(doubled(32, 20), (values[0],), (values[1],), "any", (), touched=team.TEAM_BYTES)
    small = KernelCall(doubled(8, 80), (values[1],), (values[2],), "any", (), touched=1)
    plan = team.plan_team(MemoryPlan([large, small], places, {}, [], [], []))
    assert plan is not None
    assert [(item.point, item.form and item.form.parts) for item in plan.calls] == [(None, 8), (None, 8)]
    assert plan.threads == 32


def test_calls_that_may_be_divided_alike_share_no_bytes() -> None:
    """Large calls beside each other have one number, and what follows them and is element-wise; then another begins."""
    x, *made = (Value(f"v{index}", (16,), "float32", "computed") for index in range(7))
    large = [replace(make_call([x], [value], team.TEAM_BYTES), kind="event-gemv") for value in made[:2]]
    update = replace(make_call([made[1]], [made[2]], 1), kind="element-wise")
    gate = replace(make_call([made[2]], [made[3]], 1), kind="element-wise")
    listed = replace(make_call([made[3]], [made[4]], 1), kind="active-list")
    later = replace(make_call([made[3]], [made[5]], 1), kind="element-wise")
    calls = [later, *large, update, gate, listed, later, *large]
    assert list(team.together_in_team(calls, {})) == [0, 1, 1, 1, 1, 5, 6, 7, 7]
    assert list(team.together_in_team([update, gate, listed], {})) == [0, 1, 2]


def test_a_chain_of_large_calls_shares_bytes() -> None:
    """Each reads what the one before it made: with one number a deep network would keep all that it ever computed."""
    values = [Value(f"v{index}", (16,), "float32", "computed") for index in range(9)]
    pairs = itertools.pairwise(values)
    calls = [make_call([one], [two], team.TEAM_BYTES) for one, two in pairs]
    updated = [replace(call, touched=1, kind="element-wise") if index % 2 else call for index, call in enumerate(calls)]
    assert list(team.together_in_team(calls, {})) == list(range(8))
    assert list(team.together_in_team(updated, {})) == [0, 0, 2, 2, 4, 4, 6, 6]


@pytest.mark.parametrize(
    ("divided", "points"),
    [
        ([False, False, False], [None, None, None]),
        ([False, True, False], [None, "release", "gather"]),
        ([True, True, False], [None, "meet", "gather"]),
        ([True, False, True], [None, "gather", "release"]),
    ],
)
def test_kinds_of_points_in_a_chain(divided: list[bool], points: list[str | None]) -> None:
    """Thread 0 alone waits for nobody; it is waited for, or waits, where divided calls begin and end."""
    values = [Value(f"v{index}", (16,), "float32", "computed") for index in range(4)]
    places = {value: Place("workspace", 64 * index) for index, value in enumerate(values)}
    calls = [make_call([values[index]], [values[index + 1]]) for index in range(3)]
    assert team.points_between(calls, divided, places, [None] * 3)[0] == points


def test_shared_bytes_are_a_dependency() -> None:
    """A call that overwrites what another one still reads under a different name waits for it."""
    a, b, c, d = (Value(name, (16,), "float32", "computed") for name in "abcd")
    places = {a: Place("workspace", 0), b: Place("workspace", 64), c: Place("workspace", 128), d: Place("workspace", 0)}
    reader, writer = make_call([a], [b]), make_call([c], [d])
    assert team.points_between([reader, writer], [True, True], places, [None] * 2)[0] == [None, "meet"]


def test_weights_and_inputs_are_read_without_waiting() -> None:
    """Nobody writes them, so readers need no order."""
    weight, x, y = (Value(name, (16,), "float32", name) for name in ("weight", "x", "y"))
    places = {weight: Place("weights", 0), x: Place("inputs", 0), y: Place("workspace", 0)}
    other = Value("z", (16,), "float32", "computed")
    calls = [make_call([weight, x], [y]), make_call([weight, x], [other])]
    places[other] = Place("workspace", 64)
    assert team.points_between(calls, [True, False], places, [None] * 2)[0] == [None, None]


def test_bytes_that_a_call_touches() -> None:
    """By its operands; of a table from which an element-wise call takes little, as much as it writes."""
    table, row = Value("table", (1000, 16), "float32", "weight"), Value("row", (16,), "float32", "computed")
    gather = KernelCall(FUNCTION, (table,), (row,), "element-wise", ("take",))
    assert team.touched_bytes(gather) == 128
    assert team.touched_bytes(KernelCall(FUNCTION, (table,), (row,), "dense-gemv", ())) == 64064
    assert team.touched_bytes(make_call([table], [row], touched=7)) == 7

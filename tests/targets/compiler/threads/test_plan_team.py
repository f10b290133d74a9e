"""Threads wait wherever one touches what another wrote, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.compiler.program.plan_memory import Place
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.threads import plan_team as team
from tests.support.programs import FUNCTION, make_call

THREADS = 3
SLOTS = 6


@st.composite
def ticks(draw: st.DrawFn) -> tuple[list[KernelCall], list[bool], dict[Value, Place]]:
    """Calls on values that overlap at random in one buffer, and which of the calls are divided."""
    values = [Value(f"v{index}", (draw(st.integers(1, 2)) * 16,), "float32", "computed") for index in range(8)]
    places = {value: Place("workspace", 64 * draw(st.integers(0, SLOTS))) for value in values}
    some = st.lists(st.sampled_from(values), max_size=2)
    calls = draw(st.lists(st.builds(make_call, some, st.lists(st.sampled_from(values), min_size=1, max_size=2))))
    return calls, draw(st.lists(st.booleans(), min_size=len(calls), max_size=len(calls))), places


def knowledge(calls: list[KernelCall], divided: list[bool], points: list[str | None]) -> Iterator[list[set[int]]]:
    """Before each call: for every thread the calls of which it knows that all parts are done, its own aside.

    A part of a divided call is known when its thread has come to a point that another thread waited for.
    """
    done: list[set[tuple[int, int]]] = [set() for _ in range(THREADS)]  # (call, thread that did a part of it)
    for index, (shared, point) in enumerate(zip(divided, points, strict=True)):
        everything = set[tuple[int, int]]().union(*done)
        if point == team.RELEASE:
            done = [known | done[0] for known in done]
        elif point == team.GATHER:
            done[0] = everything
        elif point == team.MEET:
            done = [set(everything) for _ in done]
        yield [{call for call in range(index) if _is_known(call, divided[call], known)} for known in done]
        for thread in range(THREADS) if shared else (0,):
            done[thread].add((index, thread))


def _is_known(call: int, shared: bool, known: set[tuple[int, int]]) -> bool:
    return all((call, thread) in known for thread in (range(THREADS) if shared else (0,)))


def conflicts(first: KernelCall, second: KernelCall, places: dict[Value, Place]) -> bool:
    """Whether two calls touch a byte that one of them writes, by counting bytes."""

    def touched(values: tuple[Value, ...]) -> set[int]:
        return {places[value].offset + byte for value in values for byte in range(value.nbytes)}

    ours, theirs = touched(second.writes), touched(first.writes)
    return bool(ours & (theirs | touched(first.reads)) or touched(second.reads) & theirs)


@settings(max_examples=300, deadline=None)
@given(ticks())
def test_every_conflict_is_waited_for(tick: tuple[list[KernelCall], list[bool], dict[Value, Place]]) -> None:
    """Whoever makes a call knows that all parts of earlier calls it conflicts with are done, thread by thread."""
    calls, divided, places = tick
    points = team.points_between(calls, divided, places)
    for index, known in enumerate(knowledge(calls, divided, points)):
        threads = range(THREADS) if divided[index] else (0,)
        for other in range(index):
            if conflicts(calls[other], calls[index], places):
                assert all(other in known[thread] for thread in threads), (other, index, points)


@settings(max_examples=300, deadline=None)
@given(ticks())
def test_no_point_is_superfluous(tick: tuple[list[KernelCall], list[bool], dict[Value, Place]]) -> None:
    """Without any one of the points, some thread would not know of a call that it conflicts with."""
    calls, divided, places = tick
    points = team.points_between(calls, divided, places)
    for left_out in (index for index, point in enumerate(points) if point is not None):
        fewer = [None if index == left_out else point for index, point in enumerate(points)]
        known = list(knowledge(calls, divided, fewer))[left_out]
        threads = range(THREADS) if divided[left_out] else (0,)
        assert any(
            conflicts(calls[other], calls[left_out], places) and other not in known[thread]
            for other in range(left_out)
            for thread in threads
        )


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
    assert team.points_between(calls, divided, places) == points


def test_shared_bytes_are_a_dependency() -> None:
    """A call that overwrites what another one still reads under a different name waits for it."""
    a, b, c, d = (Value(name, (16,), "float32", "computed") for name in "abcd")
    places = {a: Place("workspace", 0), b: Place("workspace", 64), c: Place("workspace", 128), d: Place("workspace", 0)}
    reader, writer = make_call([a], [b]), make_call([c], [d])
    assert team.points_between([reader, writer], [True, True], places) == [None, "meet"]


def test_weights_and_inputs_are_read_without_waiting() -> None:
    """Nobody writes them, so readers need no order."""
    weight, x, y = (Value(name, (16,), "float32", name) for name in ("weight", "x", "y"))
    places = {weight: Place("weights", 0), x: Place("inputs", 0), y: Place("workspace", 0)}
    other = Value("z", (16,), "float32", "computed")
    calls = [make_call([weight, x], [y]), make_call([weight, x], [other])]
    assert team.points_between(calls, [True, False], {**places, other: Place("workspace", 64)}) == [None, None]


def test_bytes_that_a_call_touches() -> None:
    """By its operands; of a table from which an element-wise call takes little, as much as it writes."""
    table, row = Value("table", (1000, 16), "float32", "weight"), Value("row", (16,), "float32", "computed")
    gather = KernelCall(FUNCTION, (table,), (row,), "element-wise", ("take",))
    assert team.touched_bytes(gather) == 128
    assert team.touched_bytes(KernelCall(FUNCTION, (table,), (row,), "dense-gemv", ())) == 64064
    assert team.touched_bytes(make_call([table], [row], touched=7)) == 7

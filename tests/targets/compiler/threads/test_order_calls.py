"""Threads wait wherever one touches what another wrote, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.compiler.program.plan_memory import Place
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.threads.order_calls import GATHER, MEET, RELEASE, Ordered, order_calls
from astroedge.targets.compiler.threads.own_parts import OwnParts
from tests.support.programs import make_call

THREADS = 3
SLOTS = 6


@dataclass(frozen=True)
class Tick:
    """Calls, which of them are divided anyhow, what they touch in parts, and where their values lie.

    `like` says like which earlier one a call has to be divided; if they are `left` to others, thread 0 does none of it.
    """

    calls: list[KernelCall]
    divided: list[bool]
    owns: list[OwnParts | None]
    places: dict[Value, Place]
    like: dict[int, int]
    left: bool

    def order(self) -> list[Ordered]:
        """The points between the calls, and those divided alike."""
        return order_calls(self.calls, self.divided, self.places, self.owns, self.like)

    def threads(self, index: int, ordered: list[Ordered]) -> range:
        """Who makes a call."""
        if not ordered[index].shared:
            return range(1)
        strips = [ordered[number].strip for number in self.like]
        return range(1 if self.left and ordered[index].strip in strips else 0, THREADS)

    def touched(self, index: int, ordered: list[Ordered], thread: int) -> tuple[set[int], set[int]]:
        """The bytes that a thread may read and write in a call: all, but where it is divided alike its own parts."""
        call, own, units = self.calls[index], self.owns[index], ordered[index].units
        threads = self.threads(index, ordered)
        found: tuple[set[int], set[int]] = (set(), set())
        for position, value in enumerate((*call.reads, *call.writes)):
            part = range(value.nbytes)
            if own is not None and units is not None and position in own.operands:
                number = thread - threads.start
                first, end = (units * turn // len(threads) * value.nbytes // units for turn in (number, number + 1))
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
    divided = draw(st.lists(st.booleans(), min_size=len(calls), max_size=len(calls)))
    owns: list[OwnParts | None] = []
    for call in calls:
        operands = st.frozensets(st.integers(0, len(call.reads) + len(call.writes) - 1), min_size=1)
        own = draw(st.builds(OwnParts, st.none(), st.sampled_from([4, 8, 16]), operands)) if alike else None
        owns.append(own if draw(st.integers(0, 3)) else None)
    like: dict[int, int] = {}
    for index, own in enumerate(owns):
        models = [number for number in range(index) if divided[number] and owns[number] is not None]
        if own is not None and models and draw(st.booleans()):
            like[index] = draw(st.sampled_from(models))
    return Tick(calls, divided, owns, places, like, draw(st.booleans()))


def knowledge(tick: Tick, ordered: list[Ordered], points: list[str | None]) -> Iterator[list[set[tuple[int, int]]]]:
    """Before each call: for every thread the parts, (call, thread), of which it knows that they are done.

    A part of a divided call is known when its thread has come to a point that another thread waited for.
    """
    done: list[set[tuple[int, int]]] = [set() for _ in range(THREADS)]
    for index, point in enumerate(points):
        everything = set[tuple[int, int]]().union(*done)
        if point == RELEASE:
            done = [known | done[0] for known in done]
        elif point == GATHER:
            done[0] = everything
        elif point == MEET:
            done = [set(everything) for _ in done]
        yield [set(known) for known in done]
        for thread in tick.threads(index, ordered):
            done[thread].add((index, thread))


def unknown(tick: Tick, ordered: list[Ordered], points: list[str | None], index: int) -> Iterator[tuple[int, int]]:
    """The parts of earlier calls that touch a byte of a call, one of them writing, unknown to who makes its part."""
    known = list(knowledge(tick, ordered, points))[index]
    for thread in tick.threads(index, ordered):
        reads, writes = tick.touched(index, ordered, thread)
        for other in range(index):
            for part in tick.threads(other, ordered):
                read, written = tick.touched(other, ordered, part)
                if (other, part) not in known[thread] and (writes & (written | read) or reads & written):
                    yield other, part


@settings(max_examples=500, deadline=None)
@given(ticks())
def test_every_conflict_is_waited_for(tick: Tick) -> None:
    """Whoever makes a part of a call knows that the parts of earlier calls it conflicts with are done, byte by byte."""
    ordered = tick.order()
    points = [item.point for item in ordered]
    for index in range(len(tick.calls)):
        assert not list(unknown(tick, ordered, points, index)), (index, points)


@settings(max_examples=300, deadline=None)
@given(ticks(alike=False))
def test_no_point_is_superfluous(tick: Tick) -> None:
    """Without any one of the points, some thread would not know of a call that it conflicts with."""
    ordered = tick.order()
    points = [item.point for item in ordered]
    for left_out in (index for index, point in enumerate(points) if point is not None):
        fewer = [None if index == left_out else point for index, point in enumerate(points)]
        assert list(unknown(tick, ordered, fewer, left_out))


def planned(
    calls: list[KernelCall], divided: list[bool], places: dict[Value, Place], owns: Sequence[OwnParts | None]
) -> tuple[list[str | None], list[int | None]]:
    """The points, and the units of those divided alike."""
    ordered = order_calls(calls, divided, places, owns)
    return [item.point for item in ordered], [item.units for item in ordered]


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
    assert planned(calls, [True, False, False], places, owns) == (points, units)


def test_what_one_thread_makes_is_followed_by_nobody() -> None:
    """Thread 0 alone has all of it; and no thread has its own parts of two calls that are divided apart."""
    a, b, c = (Value(name, (16,), "float32", "computed") for name in "abc")
    places = {value: Place("workspace", 64 * index) for index, value in enumerate((a, b, c))}
    after_one = [make_call([], [a]), make_call([a], [b])]
    assert planned(after_one, [False, False], places, [alike(0), alike(0, 1)]) == ([None] * 2, [None] * 2)
    after_two = [make_call([], [a]), make_call([], [b]), make_call([a, b], [c])]
    points, units = planned(after_two, [True, True, False], places, [alike(0), alike(0), alike(0, 1, 2)])
    assert (points, units) == ([None, None, "gather"], [None] * 3)


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
    assert planned(calls, divided, places, [None] * 3)[0] == points


def test_shared_bytes_are_a_dependency() -> None:
    """A call that overwrites what another one still reads under a different name waits for it."""
    a, b, c, d = (Value(name, (16,), "float32", "computed") for name in "abcd")
    places = {a: Place("workspace", 0), b: Place("workspace", 64), c: Place("workspace", 128), d: Place("workspace", 0)}
    reader, writer = make_call([a], [b]), make_call([c], [d])
    assert planned([reader, writer], [True, True], places, [None] * 2)[0] == [None, "meet"]


def test_weights_and_inputs_are_read_without_waiting() -> None:
    """Nobody writes them, so readers need no order."""
    weight, x, y = (Value(name, (16,), "float32", name) for name in ("weight", "x", "y"))
    places = {weight: Place("weights", 0), x: Place("inputs", 0), y: Place("workspace", 0)}
    other = Value("z", (16,), "float32", "computed")
    calls = [make_call([weight, x], [y]), make_call([weight, x], [other])]
    places[other] = Place("workspace", 64)
    assert planned(calls, [True, False], places, [None] * 2)[0] == [None, None]


def test_a_call_far_from_the_one_it_is_divided_like_waits_for_nothing() -> None:
    """Each thread goes on with its own part, whatever thread 0 does in between and whoever waits for that."""
    state, spikes, made, other = (Value(name, (16,), "float32", "computed") for name in "abcd")
    places = {value: Place("workspace", 64 * index) for index, value in enumerate((state, spikes, made, other))}
    part = make_call([spikes], [state])
    calls = [part, make_call([state], [made]), make_call([made], [other]), make_call([other], [made]), part]
    divided, owns = [True, False, False, True, False], [alike(0, 1), alike(0), None, None, alike(0, 1)]
    ordered = order_calls(calls, divided, places, owns, {4: 0})
    assert [item.point for item in ordered] == [None, None, "gather", "release", None]
    assert ordered[4].strip is ordered[0].strip
    assert ordered[4].shared
    assert [item.point for item in order_calls(calls, divided, places, owns)] == [None, None, "gather", "release", None]
    spoiled = [*calls[:3], make_call([other], [spikes]), part]
    assert order_calls(spoiled, divided, places, owns, {4: 0})[4].point == "meet"

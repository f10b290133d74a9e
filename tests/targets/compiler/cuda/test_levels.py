"""Calls in levels: what depends on another comes in a later one, and nothing waits that need not."""

from __future__ import annotations

import random
from itertools import count

import pytest
from tvm import te

from astroedge.targets.compiler.cuda.divide_calls import DeviceForm
from astroedge.targets.compiler.cuda.levels import levels_of, order_by_levels, points_read, sort_plan
from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place, plan_memory
from astroedge.targets.compiler.program.schedule_calls import copy_kernel
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value

NUMBERS = count()


def value(kind: str = "computed", size: int = 16) -> Value:
    """A new value of float32."""
    return Value(f"{kind}{next(NUMBERS)}", (size,), "float32", kind)


def add(*reads: Value, size: int = 16) -> tuple[KernelCall, Value]:
    """A call that adds arrays element by element, and its result."""
    operands = [te.placeholder((size,), "float32", name=f"x{place}") for place in range(len(reads))]
    total = te.compute((size,), lambda i: sum((item[i] for item in operands[1:]), operands[0][i]), "total")
    made = value(size=size)
    function = te.create_prim_func([*operands, total]).without_attr("global_symbol")
    return KernelCall(function, reads, (made,), "element-wise", ("add",)), made


def turn(operand: Value) -> tuple[KernelCall, Value]:
    """A call that reverses an array, so that it may not overwrite it."""
    source = te.placeholder((16,), "float32", name="x")
    target = te.compute((16,), lambda i: source[15 - i], "turned")
    made = value()
    function = te.create_prim_func([source, target]).without_attr("global_symbol")
    return KernelCall(function, (operand,), (made,), "element-wise", ("turn",)), made


def planned(program: StepProgram) -> tuple[list[KernelCall], list[int], dict[Value, Place]]:
    """The calls as they run, their levels, and the places of all values."""
    program, moments = order_by_levels(program)
    plan = plan_memory(program, [], {}, copy_kernel, moments)
    plan, _, levels = sort_plan(plan, [DeviceForm(None, False, 0)] * len(plan.calls), {})
    return plan.calls, levels, plan.places


def test_what_does_not_depend_on_each_other_shares_a_level() -> None:
    """Two chains of three calls take three levels, and their values no common bytes while both are needed."""
    x = value("input")
    calls, ends = [], []
    for _ in range(2):
        made = x
        for _ in range(3):
            call, made = add(made, x)
            calls.append(call)
        ends.append(made)
    program = StepProgram([x], [], ends, [], [], [], calls)
    _, levels, places = planned(program)
    assert levels == [0, 0, 1, 1, 2, 2]
    firsts = [calls[0].writes[0], calls[3].writes[0]]
    assert places[firsts[0]] != places[firsts[1]]


def test_bytes_decide_in_the_end() -> None:
    """A value that lies over one that is still read comes a level later, whatever the names say."""
    x, (first, a), (second, b) = value("input"), add(value("input")), add(value("input"))
    third, c = add(a, x)
    places = {a: Place("workspace", 0), b: Place("workspace", 32), c: Place("workspace", 128)}
    assert levels_of([first, third, second], places, {}) == [0, 1, 2]
    places[b] = Place("workspace", 64)
    assert levels_of([first, third, second], places, {}) == [0, 1, 0]


def test_values_over_one_larger_one_do_not_wait_for_each_other() -> None:
    """Two that share no byte with each other run together, though both lie over a third."""
    x = value("input", 64)
    (large, a), (low, b), (high, c) = add(x, size=64), add(value("input")), add(value("input"))
    places = {a: Place("workspace", 0), b: Place("workspace", 0), c: Place("workspace", 128)}
    assert levels_of([large, low, high], places, {}) == [0, 1, 1]


def test_a_thread_waits_for_no_element_of_its_own() -> None:
    """Calls whose threads take turns in the same way share a level, but not with one that reads otherwise."""
    x = value("input")
    first, a = add(x)
    second, b = add(a, x)
    third, c = turn(b)
    points = points_read([first, second, third])
    assert points[a] == {x}
    assert points[b] == {a, x}
    assert points[c] == set()
    places = {item: Place("workspace", 64 * number) for number, item in enumerate((a, b, c))}
    plan = MemoryPlan([first, second, third], places, {}, [], [], [])
    in_turn = DeviceForm(copy_kernel(x), True, 16, True)
    _, _, levels = sort_plan(plan, [in_turn] * 3, points)
    assert levels == [0, 0, 1]
    otherwise = DeviceForm(copy_kernel(x), True, 4)
    _, _, levels = sort_plan(plan, [otherwise, in_turn, in_turn], points)
    assert levels == [0, 1, 2]


def test_a_state_is_overwritten_where_that_costs_no_level() -> None:
    """Who else reads the old state comes before; no copy is left at the end of the tick."""
    old, x = value("state"), value("input")
    update, new = add(old, x)
    reader, shown = turn(old)
    again, turned = turn(shown)
    late, result = add(turned, new)
    program = StepProgram([x], [old], [result], [new], [], [], [update, reader, again, late])
    calls, levels, places = planned(program)
    assert calls[0].writes == (shown,)
    assert [call.kind for call in calls] == ["element-wise"] * 4
    assert places[new] == places[old]
    assert levels == [0, 1, 1, 2]


def test_a_state_is_copied_where_waiting_would_cost_a_level() -> None:
    """The call that makes the new state runs beside the one that reads the old, and a copy ends the tick."""
    old, x = value("state"), value("input")
    update, new = add(old, x)
    late, result = add(new, x)
    reader, shown = turn(old)
    program = StepProgram([x], [old], [result, shown], [new], [], [], [update, late, reader])
    calls, levels, _ = planned(program)
    assert [call.kind for call in calls] == ["element-wise"] * 3 + ["copy"]
    assert levels == [0, 0, 1, 1]


def drawn_program(rng: random.Random) -> StepProgram:
    """Some additions and reversals of an input, states and what came before, with any results as states and outputs."""
    x, states = value("input"), [value("state") for _ in range(rng.randint(1, 4))]
    known, calls = [x, *states], []
    for _ in range(rng.randint(3, 16)):
        call, made = (
            turn(rng.choice(known))
            if rng.random() < 0.4
            else add(*rng.sample(known, min(len(known), rng.randint(1, 3))))
        )
        calls.append(call)
        known.append(made)
    computed = known[1 + len(states) :]
    outputs = rng.sample(computed, rng.randint(1, min(len(computed), 2)))
    return StepProgram([x], states, outputs, [rng.choice(known) for _ in states], [], [], calls)


def overwritten(calls: list[KernelCall], places: dict[Value, Place]) -> list[str]:
    """Which values are read where other bytes lie by then, each a word with the reader's operators."""
    holds: dict[tuple[str, int], Value] = {}
    found = []
    for call in calls:
        for read in call.reads:
            place = places.get(read)
            first = None if place is None else holds.get((place.buffer, place.offset))
            whole = first is read or (read.kind in ("input", "state", "weight") and first is None)
            if not whole:
                found.append(f"{read.name} by {call.operators}")
        for made in call.writes:
            holds[places[made].buffer, places[made].offset] = made
    return found


@pytest.mark.parametrize("seed", range(250))
def test_nothing_is_read_after_its_bytes_hold_something_else(seed: int) -> None:
    """In the order in which the calls run, the copies into states and outputs among them."""
    program = drawn_program(random.Random(seed))
    calls, levels, places = planned(program)
    assert levels == sorted(levels)
    assert overwritten(calls, places) == []

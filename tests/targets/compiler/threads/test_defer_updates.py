"""Rows of a state that the tick does not read are updated by other threads, while thread 0 works alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from tvm import te, tirx

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.compiler.threads.call_sizes import SHARED_BYTES, TEAM_BYTES
from astroedge.targets.compiler.threads.defer_updates import Update, find_updates, hold_for_updates
from astroedge.targets.compiler.threads.plan_team import TeamCall, plan_team
from astroedge.targets.kernels.products.active_list import active_list, bounds_size
from astroedge.targets.kernels.products.event_gemv import event_gemv
from astroedge.targets.kernels.products.event_rows import event_rows
from astroedge.targets.schedule.vectorize import schedule_blocks
from astroedge.targets.tir_builder import OWN
from tests.support.programs import make_call

MATRICES, ROWS, COLUMNS = 8, 48, 32
UPDATED = 8 * MATRICES * ROWS * COLUMNS  # bytes of a state that are read and written


def value(name: str, *shape: int, dtype: str = "float32", kind: str = "computed") -> Value:
    """An array of the step."""
    return Value(name, shape, dtype, kind)


@dataclass
class Layer:
    """A state that is updated by k⊗v, of which q selects rows, and what the calls around it touch."""

    name: str
    alone: int = UPDATED  # bytes of what thread 0 does alone behind the rows that are read

    def __post_init__(self) -> None:
        """Its values."""
        names = ("q", "k", "v", "read", "seen", "made", "last")
        wide = {"v", "read", "seen"}
        self.values = {
            item: value(f"{self.name}.{item}", MATRICES, COLUMNS if item in wide else ROWS) for item in names
        }
        self.values["old"] = value(f"{self.name}.H", MATRICES, ROWS, COLUMNS, kind="state")
        self.values["new"] = value(f"{self.name}.next.H", MATRICES, ROWS, COLUMNS)
        self.values["indices"] = value("indices", MATRICES, ROWS, dtype="int32")
        self.values["bounds"] = value("bounds", MATRICES, bounds_size(ROWS), dtype="int32")
        self.values["counter"] = value("counter", 1, dtype="int64")

    def calls(self, x: Value) -> list[KernelCall]:
        """From `x` to `last`, both of them results of products, with calls of thread 0 between those of all."""
        at = self.values
        listed = active_list(ROWS, "float32", MATRICES)
        answer = event_gemv(ROWS, COLUMNS, bias=False, batch=MATRICES, shared=False)
        return [
            product([x], [at["q"], at["k"], at["v"]]),
            KernelCall(listed, (at["q"],), (at["indices"], at["bounds"], at["counter"]), "active-list", ()),
            KernelCall(update(), (at["k"], at["v"], at["old"]), (at["new"],), "element-wise", ()),
            KernelCall(answer, (at["indices"], at["bounds"], at["new"]), (at["read"],), "event-gemv", (), touched=64),
            make_call([at["read"]], [at["seen"]], min(self.alone // 2, SHARED_BYTES - 1)),
            product([at["seen"]], [at["made"]]),
            make_call([at["made"]], [at["seen"]], min(self.alone - self.alone // 2, SHARED_BYTES - 1)),
            product([at["seen"]], [at["last"]]),
        ]


def product(reads: list[Value], writes: list[Value]) -> KernelCall:
    """A large call that threads divide, each with its parts of nothing."""
    return replace(make_call(reads, writes, TEAM_BYTES), function=event_rows(300, 600, piece_bytes=256))


def update() -> tirx.PrimFunc:
    """H/2 + k⊗v as the compiler schedules it."""
    shapes = ((MATRICES, ROWS), (MATRICES, COLUMNS), (MATRICES, ROWS, COLUMNS))
    k, v, h = (te.placeholder(shape, "float32", name) for shape, name in zip(shapes, "kvh", strict=True))
    new = te.compute(shapes[-1], lambda n, r, c: h[n, r, c] * 0.5 + k[n, r] * v[n, c])
    return schedule_blocks(te.create_prim_func([k, v, h, new]), resolve_target("x86-64-v3"))


def places_of(calls: list[KernelCall], layers: list[Layer]) -> dict[Value, Place]:
    """Every value in bytes of its own, next states over old ones."""
    values = dict.fromkeys(item for call in calls for item in (*call.reads, *call.writes))
    places = {item: Place("workspace", number << 16) for number, item in enumerate(values)}
    for layer in layers:
        places[layer.values["new"]] = places[layer.values["old"]]
    return places


def plan(calls: list[KernelCall], places: dict[Value, Place]) -> list[TeamCall]:
    """What a team does."""
    planned = plan_team(MemoryPlan(calls, places, {}, [], [], []))
    assert planned is not None
    return planned.calls


def network(*layers: Layer) -> list[KernelCall]:
    """Layer after layer."""
    calls, x = [], value("x", MATRICES, ROWS)
    for layer in layers:
        calls += layer.calls(x)
        x = layer.values["last"]
    return calls


def slices_of(calls: list[TeamCall], layer: Layer) -> list[tuple[int, int]]:
    """The numbers of the calls that update rows of a layer's state, and how many each goes over."""
    new = layer.values["new"]
    return [(number, rows_of(item.call)) for number, item in enumerate(calls) if new in item.call.writes]


def rows_of(call: KernelCall) -> int:
    """How many rows of a matrix a part of an update goes over; 0 of those on a list."""
    extent = getattr(call.function.body.body.extent, "value", 0)
    return int(extent)


def test_what_is_not_read_is_updated_where_threads_wait() -> None:
    """Listed rows where the update was, all others in slices before what waits for thread 0, in proportion to that."""
    layers = [Layer("a"), Layer("b", UPDATED * 3 // 5)]
    calls = network(*layers)
    planned = plan(calls, places_of(calls, layers))
    for layer in layers:
        (first, listed), *slices = slices_of(planned, layer)
        assert listed == 0
        assert sum(rows for _, rows in slices) == ROWS
        assert len(slices) == 3 if layer is layers[0] else 2  # the last before the list of the next layer is read
        assert [planned[number + 1].point for number, _ in slices] == ["release"] * len(slices)
        for number in (first, first + 1, *(number for number, _ in slices)):
            assert planned[number].others
            assert planned[number].form is not None
            assert planned[number].form.parts == MATRICES
        assert [planned[number].point for number, _ in slices] == [None] * len(slices)
        assert planned[first].call.reads[-2:] == planned[first + 1].call.reads[:2]
    assert sum(item.others for item in planned) == 4 + 5
    kept = [item.call for item in planned if not item.others]
    assert kept == [call for call in calls if call.kind not in ("element-wise", "event-gemv")]


def unseen(calls: list[KernelCall], layer: Layer, name: str) -> list[KernelCall]:
    """A value is made anew in a wait too short for a row: all threads know of it before any row is put off to then."""
    made, other = layer.values["made"], value("other", MATRICES, ROWS)
    first, second = (replace(calls[place], touched=UPDATED // 2 + more) for place, more in ((4, 2000), (6, 1900)))
    short = [make_call([], [layer.values[name]], 1), product([made], [other])]
    return [*calls[:4], first, calls[5], *short, second, *calls[7:]]


CHANGES: dict[str, Callable[[list[KernelCall], Layer], list[KernelCall]]] = {
    "another call reads the state": lambda calls, layer: [
        *calls,
        make_call([layer.values["new"]], [value("end", 4)], 1),
    ],
    "k is made anew": lambda calls, layer: [*calls[:5], make_call([], [layer.values["k"]], 1), *calls[5:]],
    "spikes are made anew": lambda calls, layer: [*calls[:5], make_call([], [layer.values["q"]], 1), *calls[5:]],
    "spikes are made anew before it": lambda calls, layer: [
        *calls[:2],
        make_call([], [layer.values["q"]], 1),
        *calls[2:],
    ],
    "k is made anew where nobody waits": lambda calls, layer: unseen(calls, layer, "k"),
    "spikes are made anew where nobody waits": lambda calls, layer: unseen(calls, layer, "q"),
    "the list is made behind it": lambda calls, _: [calls[0], calls[2], calls[1], *calls[3:]],
    "what is read is large": lambda calls, _: [*calls[:3], replace(calls[3], touched=SHARED_BYTES), *calls[4:]],
    "two products read rows": lambda calls, _: [*calls[:4], calls[3], *calls[4:]],
    "the list is another one's": lambda calls, _: [*calls[:1], replace(calls[1], kind="any"), *calls[2:]],
    "the product is of all rows": lambda calls, _: [*calls[:3], replace(calls[3], kind="dense-gemv"), *calls[4:]],
    "the product is not by matrices": lambda calls, _: [
        *calls[:3],
        replace(calls[3], function=calls[3].function.without_attr(OWN)),
        *calls[4:],
    ],
    "the state is large beside what thread 0 does": lambda calls, _: [
        *calls[:4],
        *(
            replace(call, touched=UPDATED // 8) if call.touched not in (None, TEAM_BYTES) else call
            for call in calls[4:]
        ),
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_update_stays_whole(change: str) -> None:
    """Where others need what it changes or reads, where there is no list, and where there is too little time."""
    layer = Layer("a")
    calls = CHANGES[change](network(layer), layer)
    planned = plan(calls, places_of(calls, [layer]))
    assert [item.call for item in planned] == calls
    assert not any(item.others for item in planned)


def test_one_update_that_stays_whole_leaves_the_others_split() -> None:
    """The product of the first layer is large, and so would be left to too few threads; the second is as it was."""
    layers = [Layer("a"), Layer("b")]
    calls = network(*layers)
    calls[3] = replace(calls[3], touched=SHARED_BYTES)
    planned = plan(calls, places_of(calls, layers))
    assert [rows for _, rows in slices_of(planned, layers[0])] == [ROWS]
    assert [rows for _, rows in slices_of(planned, layers[1])] == [0, ROWS // 2, ROWS // 2]


def test_a_new_state_that_lies_elsewhere_is_not_split() -> None:
    """It is copied over the old one in the end, which some rows would miss."""
    layer = Layer("a")
    calls = network(layer)
    places = places_of(calls, [layer])
    places[layer.values["new"]] = Place("workspace", 1 << 24)
    assert [item.call for item in plan(calls, places)] == calls


def test_bytes_that_are_written_over_count_whatever_their_name() -> None:
    """A value that lies where k was is made in between: the rest of the update would read it."""
    layer = Layer("a")
    calls = network(layer)
    places = places_of(calls, [layer])
    places[layer.values["made"]] = places[layer.values["k"]]
    assert [item.call for item in plan(calls, places)] == calls


def test_what_is_put_off_is_held_until_the_next_update() -> None:
    """Nothing may lie where k, v and the spikes are before the slices are done; the last layer's stay to the end."""
    layers = [Layer("a"), Layer("b")]
    calls = network(*layers)
    first, second = find_updates(calls)
    assert (first, second) == (
        Update(1, 2, 3, layers[0].values["q"], 10),
        Update(9, 10, 11, layers[1].values["q"], 16),
    )
    held = hold_for_updates(StepProgram([], [], [], [], [], [], calls)).calls
    names = ("k", "v", "old", "q")
    assert held[10].held == tuple(layers[0].values[name] for name in names)
    assert held[15].held == tuple(layers[1].values[name] for name in names)
    assert sum(bool(call.held) for call in held) == 2
    small = [replace(call, touched=1) for call in calls]
    assert hold_for_updates(StepProgram([], [], [], [], [], [], small)).calls == small


def test_steps_without_updates_have_none() -> None:
    """And a network of one product."""
    assert find_updates([]) == []
    assert find_updates([make_call([], [value("x", 4)], TEAM_BYTES)]) == []
    assert np.prod((MATRICES, ROWS, COLUMNS)) * 8 >= SHARED_BYTES

"""Short rows that one list reads lie side by side, in one call that gives what the single ones gave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astroedge.bundle.manifest import JOINED
from astroedge.targets.compiler.program.plan_memory import plan_memory
from astroedge.targets.compiler.program.schedule_calls import copy_kernel
from astroedge.targets.compiler.program.step_program import CallCost, KernelCall, StepProgram, Value
from astroedge.targets.compiler.select.event_products import row_call
from astroedge.targets.compiler.select.join_rows import LONG_ROW_BYTES, join_rows
from astroedge.targets.kernels.products.event_gemv import pack_event
from astroedge.targets.kernels.products.row_form import RowForm
from astroedge.targets.precision.short_scales import short_scales
from astroedge.targets.precision.storage import FLOAT32, INT4, INT8, Storage
from astroedge.targets.precision.weight_format import store
from tests.support.kernels.harness import run, same_bits
from tests.support.kernels.products import lists_of

ROWS = 150
SPIKES = Value("s", (1, ROWS), "float32", "computed")
LISTS = Value("indices", (1, ROWS), "int32", "computed"), Value("bounds", (1, 4), "int32", "computed")


def product(
    name: str, columns: int, storage: Storage = INT4, *, graded: bool = False, batch: int = 1, short: bool = True
) -> KernelCall:
    """The call of a product by rows with random weights of so many columns."""
    rng = np.random.default_rng(sum(map(ord, name)))
    stored = store(rng.standard_normal((ROWS, columns)).astype(np.float32), storage)
    data = [array for array in pack_event(stored) if array is not None]
    shorter = short_scales(stored) if short else None
    if shorter is not None:
        data[1:] = [shorter[0].ravel(), shorter[1]]
    suffixes = ("weight", "scales", "units")
    weights = [
        Value(f"{name}.{suffix}", array.shape, str(array.dtype), "weight", array)
        for suffix, array in zip(suffixes, data, strict=False)
    ]
    form = RowForm(ROWS, columns, graded, batch, storage, len(weights) > 2)
    result = Value(f"{name}.result", (batch, columns), "float32", "computed")
    call = row_call(form, result, reads=(*((SPIKES,) if graded else ()), *LISTS, *weights), touched=columns)
    return replace(call, cost=CallCost(name, 4 * columns, "s", 4 + form.row_bytes, (1, 2)))


def joined(calls: list[KernelCall]) -> list[KernelCall]:
    """The calls of a program after the pass."""
    return join_rows(StepProgram([], [], [], [], [], [], calls)).calls


def result_of(call: KernelCall, x: np.ndarray) -> np.ndarray:
    """What a call makes of one stream of inputs."""
    given = {SPIKES: x.ravel(), **dict(zip(LISTS, lists_of(x), strict=True))}
    inputs = [given[value] if value.data is None else value.data for value in call.reads]
    empty = [np.full(value.shape, 77, value.dtype).ravel() for value in call.writes]
    return run(call.function, inputs, empty)[0]


@pytest.mark.parametrize("graded", [False, True], ids=["spikes", "graded"])
@pytest.mark.parametrize(
    ("storage", "short"),
    [(FLOAT32, False), (INT8, False), (INT4, True), (INT4, False)],
    ids=["float32", "int8", "int4", "int4 with float32 scales"],
)
def test_parts_are_what_the_products_gave(storage: Storage, short: bool, graded: bool) -> None:
    """Rows of two widths at every precision: each result is the bytes of the whole from its offset on."""
    calls = [product(name, columns, storage, graded=graded, short=short) for name, columns in (("q", 128), ("k", 640))]
    rng = np.random.default_rng(3)
    x = ((rng.random((1, ROWS)) < 0.2) * (rng.standard_normal((1, ROWS)) if graded else 1)).astype(np.float32)
    expected = [result_of(call, x) for call in calls]
    (call,) = joined(calls)
    whole = result_of(call, x).view(np.uint8)
    for single, bits in zip(calls, expected, strict=True):
        part = single.writes[0]
        assert part.whole is call.writes[0]
        assert same_bits(whole[part.offset : part.offset + part.nbytes].view(np.float32), bits)


def test_what_is_known_of_the_products_adds_up() -> None:
    """Names stand side by side, too; an active input is listed once, and reads a row of each."""
    calls = [product(name, 256) for name in ("a.q", "a.k", "a.v")]
    (call,) = joined(calls)
    assert call.cost == CallCost(JOINED.join(("a.q", "a.k", "a.v")), 3 * 1024, "s", 4 + 3 * 128, (3, 6))
    assert [value.name for value in call.reads[2:]] == [
        f"a.q + a.k + a.v.{suffix}" for suffix in ("weight", "scales", "units")
    ]
    assert call.touched == 3 * 256
    assert call.rows is not None
    assert (call.rows.columns, call.divided is not None) == (768, True)


def test_who_reads_a_part_reads_it_where_it_lies() -> None:
    """A part has the place of the whole, which stays as long as any part is read."""
    calls = [product(name, 128) for name in ("q", "k")]
    (call,) = joined(calls)
    other = Value("other", (1, 256), "float32", "computed")
    readers = [
        KernelCall(copy_kernel(part), (part,), (Value(f"copy.{part.name}", part.shape, "float32", "computed"),), "", ())
        for part in (calls[0].writes[0], calls[1].writes[0])
    ]
    between = KernelCall(copy_kernel(other), (), (other,), "", ())
    program = StepProgram([], [], [], [], [], [], [call, readers[0], between, readers[1]])
    plan = plan_memory(program, [], {}, copy_kernel)
    whole = plan.places[call.writes[0]]
    for single, offset in zip(calls, (0, 512), strict=True):
        assert plan.places[single.writes[0]] == replace(whole, offset=whole.offset + offset)
    begin, end = plan.places[other].offset, plan.places[other].offset + other.nbytes
    assert begin >= whole.offset + 1024 or end <= whole.offset


def test_calls_join_at_the_first_of_them() -> None:
    """What stands between two products of a list keeps its place, and other lists' products do, too."""
    first, last = product("q", 128), product("k", 128)
    other = replace(product("x", 128), reads=(LISTS[1], LISTS[0], *product("x", 128).reads[2:]))
    assert [call.cost.module for call in joined([first, other, last]) if call.cost] == ["q + k", "x"]


@pytest.mark.parametrize(
    "other",
    [
        product("k", LONG_ROW_BYTES * 2),
        product("k", 100),
        product("k", 128, INT8),
        product("k", 128, graded=True),
        product("k", 128, short=False),
    ],
    ids=["long", "no whole chunks", "another precision", "graded", "other scales"],
)
def test_what_differs_stays_apart(other: KernelCall) -> None:
    """Nothing is gained by longer rows, and other products are none of the same kernel."""
    calls = [product("q", 128), other]
    assert joined(calls) == calls


def test_streams_stay_apart() -> None:
    """The results of several streams would not lie one after the other."""
    calls = [product(name, 128, batch=2) for name in ("q", "k")]
    assert joined(calls) == calls


@pytest.mark.parametrize("field", ["outputs", "nexts", "spikes", "margins"])
def test_what_is_shown_or_kept_is_no_part(field: str) -> None:
    """An output is written where the host reads it, a state where it stays, a probe where it is seen."""
    calls = [product(name, 128) for name in ("q", "k", "v")]
    states = [Value("state", (1, 128), "float32", "state")] if field == "nexts" else []
    program = replace(StepProgram([], states, [], [], [], [], calls), **{field: [calls[1].writes[0]]})
    assert [call.cost.module for call in join_rows(program).calls if call.cost] == ["q + v", "k"]


def test_weights_that_others_read_are_stored_once() -> None:
    """Tied weights stay as they are, for both who read them."""
    single, tied = product("k", 128), product("v", 128)
    again = replace(tied, writes=(Value("again", (1, 128), "float32", "computed"),))
    calls = [single, tied, again]
    assert joined(calls) == calls

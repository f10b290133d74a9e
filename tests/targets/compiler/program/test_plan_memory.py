"""Values are placed so that nothing is overwritten while it is still read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from astroedge.abi.limits import ALIGNMENT
from astroedge.errors import CompileError
from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place, plan_memory, refuse_large
from astroedge.targets.compiler.program.schedule_calls import copy_kernel
from astroedge.targets.compiler.program.step_program import StepProgram, Value
from tests.support import graphs
from tests.support.programs import chosen_program


def _plan(graph: StepGraph) -> tuple[StepProgram, MemoryPlan]:
    program, choice = chosen_program(graph)
    return program, plan_memory(program, [counter.value for counter in choice.counters], {}, copy_kernel)


def _copies(plan: MemoryPlan) -> list[tuple[str, str]]:
    """Where each copy reads and writes, as buffer names with offsets in units of the alignment."""
    pairs = []
    for call in plan.calls:
        if call.kind == "copy":
            ends = [plan.places[value] for value in (*call.reads, *call.writes)]
            pairs.append(tuple(f"{place.buffer}+{place.offset // ALIGNMENT}" for place in ends))
    return pairs  # type: ignore[return-value]


def test_a_step_that_32_bit_programs_cannot_address_is_refused() -> None:
    """Two GiB of weights and buffers together are too much for a 32-bit board, and nothing for a 64-bit one."""
    _, plan = _plan(graphs.lif_layer())
    plan.sizes["weights"] = 2**31 - sum(size for name, size in plan.sizes.items() if name != "weights")
    refuse_large(plan, resolve_target("raspberry-pi-4"))
    with pytest.raises(CompileError, match=r"takes 2,147,483,648 bytes.*64-bit system"):
        refuse_large(plan, resolve_target("raspberry-pi-2"))
    plan.sizes["weights"] -= ALIGNMENT
    refuse_large(plan, resolve_target("raspberry-pi-2"))


def test_a_value_whose_elements_no_kernel_counts_is_refused() -> None:
    """Indices are int32; a batch that needs more is refused rather than computed wrongly."""
    _, plan = _plan(graphs.lif_layer())
    value = Value("rates", (2**16, 2**15), "float32", "computed")
    plan.places[value] = Place("workspace", 0)
    with pytest.raises(CompileError, match=r"'rates' has 2,147,483,648 elements, .* fewer streams \(--batch\)"):
        refuse_large(plan, resolve_target("raspberry-pi-4"))
    plan.places[Value("rates", (2**16, 2**15 - 1), "float32", "computed")] = plan.places.pop(value)
    refuse_large(plan, resolve_target("raspberry-pi-4"))


def test_a_membrane_is_updated_in_place() -> None:
    """A state that only its own element-wise update reads is overwritten without a copy."""
    program, plan = _plan(graphs.lif_layer())
    assert plan.places[program.nexts[0]] == plan.states[0]
    assert _copies(plan) == []


def test_two_states_that_swap_go_through_a_spare() -> None:
    """A cycle of moves saves one value first."""
    _, plan = _plan(graphs.swap())
    spare = _copies(plan)[0][1]
    assert spare.startswith("workspace")
    assert _copies(plan)[-1][0] == spare


def test_a_shift_register_moves_from_its_end() -> None:
    """The last delay is read before the one in front of it is written over it."""
    _, plan = _plan(graphs.shift_register())
    assert _copies(plan) == [
        ("state+2", "outputs+0"),
        ("state+1", "state+2"),
        ("state+0", "state+1"),
        ("inputs+0", "state+0"),
    ]


def test_a_state_that_stays_costs_nothing() -> None:
    """A next value that is the state itself needs no copy."""
    _, plan = _plan(graphs.identity_next())
    assert _copies(plan) == []


@pytest.mark.parametrize("build", graphs.ALL, ids=lambda build: build.__name__)
def test_values_that_live_together_do_not_overlap(build: Callable[[], StepGraph]) -> None:
    """No call writes bytes that a later call still reads as another value, or that it reads off its own index."""
    _, plan = _plan(build())
    for position, call in enumerate(plan.calls):
        for written in call.writes:
            low = plan.places[written].offset
            high = low + written.nbytes
            for distance, later in enumerate(plan.calls[position + 1 :]):
                between = plan.calls[position + 1 : position + 1 + distance]
                for read in later.reads:
                    place = plan.places[read]
                    fresh = any(value is read for item in between for value in item.writes)
                    if read is written or fresh or place.buffer != plan.places[written].buffer:
                        continue
                    apart = place.offset >= high or place.offset + read.nbytes <= low
                    assert apart, (call.kind, written.name, later.kind, read.name)


@pytest.mark.parametrize("build", graphs.ALL, ids=lambda build: build.__name__)
def test_a_call_writes_over_what_it_reads_only_in_place(build: Callable[[], StepGraph]) -> None:
    """A result overlaps an operand of the same call only if it is the next value of that very state."""
    _, plan = _plan(build())
    for call in plan.calls:
        for written in call.writes:
            place = plan.places[written]
            for read in call.reads:
                other = plan.places[read]
                apart = place.offset >= other.offset + read.nbytes or other.offset >= place.offset + written.nbytes
                in_place = place == other and read.kind == "state"
                assert place.buffer != other.buffer or apart or in_place, (call.kind, written.name, read.name)


@pytest.mark.parametrize("build", graphs.ALL, ids=lambda build: build.__name__)
def test_every_place_is_aligned_and_inside_its_buffer(build: Callable[[], StepGraph]) -> None:
    """Vector loads may assume the alignment; counters alone are eight bytes apart."""
    _, plan = _plan(build())
    for value, place in plan.places.items():
        assert place.offset + value.nbytes <= plan.sizes[place.buffer]
        assert place.offset % (8 if value.name.startswith("counter.") else ALIGNMENT) == 0

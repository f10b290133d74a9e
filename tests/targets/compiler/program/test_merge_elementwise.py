"""Element-wise calls over the same points become one, with the same bits, in an order in which all is made in time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings

from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.program.blocks import blocks_of
from astroedge.targets.compiler.program.merge_elementwise import MOST_BLOCKS, merge_elementwise
from astroedge.targets.compiler.program.plan_memory import plan_memory
from astroedge.targets.compiler.program.schedule_calls import copy_kernel, schedule_calls
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from tests.support import graphs
from tests.support.dataflow import Flow, flows, make_graph
from tests.support.kernels.harness import run, same_bits
from tests.support.programs import chosen_program

TARGET = resolve_target("x86-64-v3")


def _merged(graph: StepGraph) -> StepProgram:
    program, _ = chosen_program(graph)
    return merge_elementwise(program)


def _plain(calls: list[KernelCall]) -> list[KernelCall]:
    return [call for call in calls if call.kind == "element-wise"]


def test_a_neuron_is_one_call() -> None:
    """Membrane, spike and reset are one loop, which writes the spike and the next membrane and nothing else."""
    program = _merged(graphs.lif_layer())
    (neuron,) = _plain(program.calls)
    assert set(neuron.writes) == {*program.outputs, *program.nexts}


def test_a_merged_neuron_is_updated_in_place() -> None:
    """The next membrane lies over the old one although the call has another result."""
    program, choice = chosen_program(graphs.lif_layer())
    program = merge_elementwise(program)
    plan = plan_memory(program, [counter.value for counter in choice.counters], {}, copy_kernel)
    assert plan.places[program.nexts[0]] == plan.states[0]
    assert all(call.kind != "copy" for call in plan.calls)


def test_two_layers_stay_two_calls() -> None:
    """What comes before a matrix product cannot be computed with what comes after it."""
    program = _merged(graphs.recurrent_net())
    assert len(_plain(program.calls)) == 2


def test_nothing_joins_what_it_reads_through_a_matrix() -> None:
    """A residual sum shares an operand with what its matrix reads, and still comes after the matrix."""
    operations = (("halve", 0, 0), ("product", 2, 0), ("Add", 3, 0))
    program = _merged(make_graph(Flow(1, 8, 1, operations, nexts=(4,), outputs=(2,), reads_late=False, seed=0)))
    order = [value for call in program.calls for value in call.writes]
    matrix = next(call.writes[0] for call in program.calls if "matmul" in call.operators)
    assert order.index(program.outputs[1]) < order.index(matrix) < order.index(program.nexts[0])


def test_a_value_taken_at_another_point_is_not_joined() -> None:
    """The halves of a sum in the other order wait until the whole sum is there."""
    flow = Flow(1, 8, 1, (("Add", 0, 1), ("roll", 2, 0)), nexts=(3,), outputs=(2,), reads_late=False, seed=0)
    program = _merged(make_graph(flow))
    maker = next(call for call in program.calls if program.outputs[1] in call.writes)
    assert program.nexts[0] not in maker.writes


def test_an_unrolled_loop_is_a_few_functions_of_bounded_length() -> None:
    """Hundreds of results of one shape are neither a call each nor one function of hundreds of loops."""
    operations = tuple(("Add", value - 1, 1) for value in range(2, 102))
    outputs = tuple(range(2, 101))
    program = _merged(make_graph(Flow(1, 8, 1, operations, nexts=(101,), outputs=outputs, reads_late=False, seed=0)))
    lengths = [sum(1 for _ in blocks_of(call.function.body)) for call in program.calls]
    assert sum(lengths) >= len(operations)
    assert max(lengths) <= MOST_BLOCKS
    assert len(lengths) < 8


@pytest.mark.parametrize("build", graphs.ALL, ids=lambda build: build.__name__)
def test_every_value_is_made_before_it_is_read(build: Callable[[], StepGraph]) -> None:
    """Calls stay in an order in which they can run, and every result of the step is still written."""
    program = _merged(build())
    there = {*program.inputs, *program.states}
    for call in program.calls:
        assert all(value in there for value in call.reads if value.kind != "weight")
        there.update(call.writes)
    assert there.issuperset((*program.outputs, *program.nexts))


def _matrix_reads_old_state() -> StepGraph:
    """The next state needs only the input, but a matrix reads the old one first."""
    operations = (("Add", 0, 0), ("product", 1, 0), ("Sub", 2, 0))
    return make_graph(Flow(1, 8, 1, operations, nexts=(4,), outputs=(2, 3), reads_late=False, seed=0))


@pytest.mark.parametrize("build", [*graphs.ALL, _matrix_reads_old_state], ids=lambda build: build.__name__)
def test_what_could_be_in_place_still_is(build: Callable[[], StepGraph]) -> None:
    """Merging makes no state move that was overwritten in place."""
    copies = []
    for merged in (False, True):
        program, choice = chosen_program(build())
        if merged:
            program = merge_elementwise(program)
        plan = plan_memory(program, [counter.value for counter in choice.counters], {}, copy_kernel)
        copies.append(sum(call.kind == "copy" for call in plan.calls))
    assert copies[1] <= copies[0]


@settings(max_examples=8)
@given(flows())
@example(
    Flow(
        states=2,
        width=20,
        batch=2,
        operations=(("Add", 1, 2), ("spike", 3, 0), ("product", 4, 0), ("Sub", 3, 4), ("Add", 5, 6), ("Max", 1, 7)),
        nexts=(6, 8),
        outputs=(4, 7),
        reads_late=True,
        seed=3,
    )
)  # a neuron whose spikes come back within the tick
def test_merging_changes_no_bit(flow: Flow) -> None:
    """Every value that the merged calls write is that of the separate ones, on numbers that are rounded everywhere."""
    program, _ = chosen_program(make_graph(flow))
    separate = _values(program, program.calls)
    program = merge_elementwise(program)
    together = _values(program, program.calls)
    assert together.keys() >= {value for value in (*program.outputs, *program.nexts) if value in separate}
    for value, data in together.items():
        assert same_bits(data, separate[value]), value.name


def _values(program: StepProgram, calls: list[KernelCall]) -> dict[Value, np.ndarray]:
    """Everything the calls write in one tick, from random inputs and states."""
    rng = np.random.default_rng(0)
    values = {value: rng.normal(0, 2, value.shape).astype(value.dtype) for value in (*program.inputs, *program.states)}
    written = {}
    for call in schedule_calls(calls, TARGET):
        reads = [values[value] if value.data is None else value.data for value in call.reads]
        empty = [np.zeros(value.shape, value.dtype).ravel() for value in call.writes]
        results = run(call.function, [array.ravel() for array in reads], empty)
        written.update(zip(call.writes, results, strict=True))
        values.update(written)
    return {value: data for value, data in written.items() if not value.name.startswith(("counter.", "active."))}

"""States that change only where something fired get kernels that touch nothing else; all others keep their loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from astroedge.errors import CompileError
from astroedge.models import BDH, NALSM, BDHConfig
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.program.merge_elementwise import merge_elementwise
from astroedge.targets.compiler.program.plan_memory import MemoryPlan, plan_memory
from astroedge.targets.compiler.program.schedule_calls import copy_kernel
from astroedge.targets.compiler.program.step_program import StepProgram
from astroedge.targets.compiler.program.update_active import update_active
from astroedge.targets.kernels.products.count_active import count_active
from tests.support import graphs
from tests.support.plastic_graph import COLUMNS, KEPT, REWRITTEN, plastic_graph
from tests.support.programs import chosen_program
from tests.support.stepping import compiled, spike_inputs

TARGET = resolve_target("x86-64-v3")


@pytest.fixture(scope="module")
def program() -> StepProgram:
    """The plastic step with what the pass makes of it."""
    chosen, _ = chosen_program(plastic_graph())
    return update_active(chosen, [], TARGET)


def _plan(program: StepProgram) -> MemoryPlan:
    return plan_memory(merge_elementwise(program), [], {}, copy_kernel)


def test_it_finds_the_states_that_stay_as_they_are(program: StepProgram) -> None:
    """Choices by tests of rows and columns, however written, are recognised; clips, float sums and mixtures are not."""
    kinds = {value: call.kind for call in program.calls for value in call.writes}
    found = {old.name: kinds[new] for old, new in zip(program.states, program.nexts, strict=True)}
    assert found == dict.fromkeys(KEPT, "active-update") | dict.fromkeys(REWRITTEN, "element-wise")


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("model", "x"),
    [
        (NALSM(20, (3, 3, 4)), spike_inputs(0.2, 40, 1, 20)),
        (BDH(BDHConfig(vocabulary=9, width=32, heads=1, neurons=16, layers=1)), torch.arange(40)[:, None] % 9),
    ],
)
def test_it_finds_the_synapses_of_published_networks(model: NALSM | BDH, x: torch.Tensor) -> None:
    """NALSM's weights and BDH's synapses are updated where something fired, also in small networks."""
    kernels = {item.kind for item in compiled(model, x).manifest.kernels}
    assert "active-update" in kernels


def test_their_new_values_lie_over_the_old_ones(program: StepProgram) -> None:
    """Memory is planned so that what the kernels leave alone is the old state."""
    places = _plan(program).places
    pairs = [pair for pair in zip(program.states, program.nexts, strict=True) if pair[0].name in KEPT]
    assert all(places[new] == places[old] for old, new in pairs)


def test_a_state_that_is_read_afterwards_is_an_error(program: StepProgram) -> None:
    """A plan in which such a new value does not lie over the old one is refused instead of being wrong."""
    old = next(state for state in program.states if state.name == "either")
    reader = replace(
        program.calls[0], function=count_active(1, "float32"), reads=(old,), writes=program.calls[0].writes[:1]
    )
    with pytest.raises(CompileError, match="update of either"):
        _plan(replace(program, calls=[*program.calls[1:], reader]))


def test_only_what_columns_need_is_listed(program: StepProgram) -> None:
    """An update by rows alone has no list, one with a stored wiring the rows of each column in the order of rows."""
    made = {call.writes[0]: call for call in program.calls}
    reads = {
        old.name: {value.name.split(".")[0] for value in made[new].reads}
        for old, new in zip(program.states, program.nexts, strict=True)
    }
    assert not any(name.startswith("column") for name in reads["ring"] | reads["both"])
    assert {"columns", "column_counts"} <= reads["either"]
    assert {"column_starts", "column_rows", "column_counts"} <= reads["wired"]
    (starts,) = (value.data for call in made.values() for value in call.reads if value.name == "column_starts.wired")
    assert starts is not None
    assert len(starts) == COLUMNS + 1
    assert np.all(np.diff(starts) >= 0)


def test_what_fires_most_of_the_time_keeps_its_loops() -> None:
    """At firing rates at which most of a state changes the dense loops are faster, and stay."""
    chosen, _ = chosen_program(plastic_graph())
    spikes = [value for value in chosen.inputs if value.name in ("pre", "post")]
    new = next(new for old, new in zip(chosen.states, chosen.nexts, strict=True) if old.name == "sum")
    for rate, kind in ((0.05, "active-update"), (0.9, "element-wise")):
        made = update_active(replace(chosen, spikes=spikes), [rate, rate], TARGET)
        assert next(call.kind for call in made.calls if new in call.writes) == kind


def test_what_counts_stays_and_masks_that_nobody_reads_go(program: StepProgram) -> None:
    """A shared mask is left out where each reader makes it for itself; calls that write counters are kept."""
    chosen, _ = chosen_program(graphs.lif_layer())
    assert update_active(chosen, [0.1] * len(chosen.spikes), TARGET).calls == chosen.calls
    read = {value for call in program.calls for value in call.reads} | {*program.outputs, *program.nexts}
    assert all(not read.isdisjoint(call.writes) for call in program.calls)

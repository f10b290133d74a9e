"""What is told of a product's calls: bytes by active inputs, and the very estimate that chose the kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from astroedge.bundle.manifest import COST_RATES
from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.program.step_program import CallCost, KernelCall
from astroedge.targets.compiler.select.convolution_cost import (
    channel_cost,
    dense_cost,
    dense_sums,
    event_cost,
    event_sums,
    windows_together,
)
from astroedge.targets.compiler.select.kernel_cost import L1, MatrixCost
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.precision.storage import FLOAT32, INT4
from tests.support.graphs import lif_layer
from tests.support.programs import chosen_program

V3 = resolve_target("x86-64-v3")
INPUTS, NEURONS = 24, 40


def calls_of(kernels: str) -> dict[str, tuple[KernelCall, CallCost]]:
    """The calls of a layer that have a cost, by their kind."""
    program, _ = chosen_program(lif_layer(INPUTS, NEURONS), kernels)
    return {call.kind: (call, call.cost) for call in program.calls if call.cost is not None}


def test_an_event_driven_product_reads_rows_of_active_inputs() -> None:
    """A row of floats and its index for each active input; the result whatever fires."""
    _, cost = calls_of("event")["event-gemv"]
    assert (cost.row, cost.nbytes) == (4 * NEURONS + 4, 4 * NEURONS)
    _, listed = calls_of("event")["active-list"]
    assert listed.spikes == cost.spikes == "x"
    assert (listed.row, len(listed.cycles)) == (4, 1)


def test_a_dense_product_reads_everything() -> None:
    """All operands are counted, and one number is the estimate at any firing rate."""
    call, cost = calls_of("dense")["dense-gemv"]
    assert cost.nbytes == sum(value.nbytes for value in (*call.reads, *call.writes))
    assert (cost.spikes, cost.row, len(cost.cycles)) == (None, 0, 1)


def test_list_and_product_make_up_the_estimate() -> None:
    """What a kernel was chosen by is the product's own estimate and its inputs' share of the list."""
    _, cost = calls_of("event")["event-gemv"]
    _, listed = calls_of("event")["active-list"]
    model = MatrixCost(Product("layer", 1, 1, INPUTS, NEURONS, True, None), FLOAT32, L1, V3)
    whole = [model.event(rate, graded=True) for rate in COST_RATES]  # its inputs are numbers of any size
    assert [own + listed.cycles[0] for own in cost.cycles] == pytest.approx(whole, abs=1)
    assert sorted(cost.cycles) == list(cost.cycles)


@pytest.mark.parametrize("board", ["x86-64-v3", "intel-n100"])
def test_inputs_in_fixed_point_and_product_make_up_the_estimate(board: str) -> None:
    """What is prepared for a product is counted with what prepares it, whatever form it has."""
    graph = lif_layer(INPUTS, NEURONS)
    numbers = replace(graph.spec, inputs=(replace(graph.spec.inputs[0], firing_rate=None),))
    program, _ = chosen_program(StepGraph(graph.model, numbers), "dense", "int4", board)
    costs = {call.kind: call.cost for call in program.calls if call.cost is not None}
    model = MatrixCost(Product("layer", 1, 1, INPUTS, NEURONS, True, None), INT4, L1, resolve_target(board))
    own, prepared = costs["dense-gemv"].cycles, costs["fixed-point"].cycles
    assert own[0] + prepared[0] == pytest.approx(model.dense(graded=False), abs=1)


def test_sums_are_the_larger_part_of_a_convolution() -> None:
    """The estimate of the sums alone leaves out lists and copies, which take something, too."""
    conv = Convolution(1, 8, 16, 16, 16, (3, 3), padding=(1, 1, 1, 1))
    together = windows_together(conv, 0.1, V3)
    assert 0 < event_sums(conv, 0.1, together, V3) < event_cost(conv, 0.1, together, V3)
    assert 0 < dense_sums(conv, V3) < dense_cost(conv, V3) <= channel_cost(conv, V3)

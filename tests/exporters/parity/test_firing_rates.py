"""Measured on example data: firing rates with state carried, and what inputs look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.graph.find_spikes import Spikes, find_spikes
from astroedge.exporters.parity.firing_rates import measure_input, measure_spikes
from astroedge.step.spec import TensorSpec
from tests.support import graphs


def test_rates_are_those_of_a_run_with_state() -> None:
    """The measured rate is the mean over the examples of what fires while the state is carried from tick to tick."""
    graph = graphs.recurrent_net()
    data = graphs.random_inputs(graph, 80)["x"]
    found = find_spikes(graph.model.graph, graph.spec.states)
    measured = measure_spikes(graph, found, [{"x": tick} for tick in data])
    fired, _ = graphs.step_through(graph, {"x": data}, [item.tensor for item in found])
    assert [item.firing_rate for item in measured] == pytest.approx([fired[item.tensor].mean() for item in found])
    assert [item.shape for item in measured] == [(1, 48), (1, 36)]
    assert all(0.02 < item.firing_rate < 0.5 for item in measured)


def test_one_example_is_stepped_64_times() -> None:
    """A single example is repeated: a neuron that needs ticks to charge fires at its real rate."""
    graph = graphs.lif_layer()
    example = {"x": np.ones((1, 24), np.float32)}
    found = find_spikes(graph.model.graph, graph.spec.states)
    (measured,) = measure_spikes(graph, found, [example])
    fired, _ = graphs.step_through(graph, {"x": np.ones((64, 1, 24), np.float32)}, [found[0].tensor])
    assert measured.firing_rate == pytest.approx(fired[found[0].tensor].mean())


def test_operator_without_kernel_is_refused_in_one_line() -> None:
    """ONNX allows a choice between Booleans and ONNX Runtime has no kernel for it; the message names the node."""
    graph = graphs.swap()
    nodes = graph.model.graph.node
    nodes.append(helper.make_node("Greater", ["state.a", "state.b"], ["c"]))
    nodes.append(helper.make_node("Where", ["c", "c", "c"], ["chosen"], name="cell/chosen"))
    with pytest.raises(UnsupportedOpError, match=r"Where.*'cell/chosen'.*no kernel") as caught:
        measure_spikes(graph, [Spikes("spike", "chosen")], [{"x": np.zeros((1, 5), np.float32)}])
    assert "\n" not in str(caught.value)


def test_graph_without_spikes_has_none() -> None:
    """Nothing is measured where nothing fires."""
    assert measure_spikes(graphs.swap(), [], [{"x": np.zeros((1, 5), np.float32)}]) == ()


def test_index_range_is_the_size_of_the_table() -> None:
    """A token that selects rows of a constant table may be any row."""
    graph = graphs.token_net()
    item = replace(graph.spec.inputs[0], index_range=None)
    measured = measure_input(item, graph.model.graph, [{"token": np.array([3])}])
    assert (measured.index_range, measured.firing_rate, measured.span) == ((0, 17), None, None)


def test_index_range_is_found_through_a_cast_and_along_an_axis() -> None:
    """An index that is cast and reshaped on its way keeps its range, which is that of the gathered axis."""
    graph = graphs.token_net().model.graph
    gather = next(node for node in graph.node if node.op_type == "Gather")
    gather.input[1] = "wide"
    gather.attribute.append(helper.make_attribute("axis", 1))
    graph.node.insert(0, helper.make_node("Cast", ["token"], ["wide"], to=7))
    item = TensorSpec("token", (1,), "int32")
    assert measure_input(item, graph, [{"token": np.array([3], np.int32)}]).index_range == (0, 32)


@pytest.mark.parametrize(
    ("values", "span", "rate"),
    [
        ([0.0, 1.0, 1.0, 0.0], 1.0, 0.5),
        ([0.0, -2.5, 1.0, 0.0], 2.5, None),
        ([0.0, 0.0, 0.0, 0.0], 0.0, None),
        ([1.0, 1.0, 1.0, 1.0], 1.0, None),
    ],
)
def test_float_input_is_a_spike_input_only_with_zeros_and_ones(
    values: list[float], span: float, rate: float | None
) -> None:
    """Zeros and ones together make a spike input; a placeholder of nothing but zeros, or of ones, does not."""
    item = TensorSpec("x", (4,), "float32")
    measured = measure_input(item, graphs.swap().model.graph, [{"x": np.array(values, np.float32)}])
    assert (measured.span, measured.firing_rate) == (span, rate)


def test_integers_have_the_range_of_their_examples() -> None:
    """Numbers that select nothing are drawn later from what the examples show; zeros and ones say no more than that."""
    graph = graphs.swap().model.graph
    examples = [{"d": np.array([2, 5])}, {"d": np.array([3, -4])}]
    assert measure_input(TensorSpec("d", (2,), "int64"), graph, examples).value_range == (-4, 6)
    spikes = measure_input(TensorSpec("d", (2,), "int64"), graph, [{"d": np.array([0, 1])}])
    assert (spikes.value_range, spikes.firing_rate) == (None, 0.5)


def test_infinities_have_no_part_in_the_span() -> None:
    """A mask of 0 and −∞ has the span of what is finite in it."""
    graph = graphs.swap().model.graph
    masks = [{"mask": np.array([0, -np.inf, -2.5], np.float32)}, {"mask": np.full(3, -np.inf, np.float32)}]
    assert measure_input(TensorSpec("mask", (3,), "float32"), graph, masks).span == 2.5
    assert measure_input(TensorSpec("mask", (3,), "float32"), graph, masks[1:]).span == 0


def test_boolean_input_has_a_rate() -> None:
    """A Boolean input is a spike input by its dtype."""
    item = TensorSpec("x", (2,), "bool")
    measured = measure_input(item, graphs.swap().model.graph, [{"x": np.array([True, True])}])
    assert measured.firing_rate == 1.0


def shown(array: np.ndarray) -> tuple[tuple[float, float], ...] | None:
    """The values that an input's one example shows."""
    item = TensorSpec("x", array.shape, str(array.dtype))
    return measure_input(item, graphs.swap().model.graph, [{"x": array}]).values


def test_few_values_are_recorded_with_their_shares() -> None:
    """Ternary spikes and counts are what checks draw later; too few elements say nothing of how often each comes."""
    ternary = np.tile(np.array([-1, 0, 1, 1], np.float32), 8)
    assert shown(ternary) == ((-1.0, 0.25), (0.0, 0.25), (1.0, 0.5))
    assert shown(ternary.astype(np.int8)) == shown(ternary)
    assert shown(ternary[:4]) is None
    assert shown(np.array([0, 1] * 16, np.float32)) is None
    assert shown(np.array([0, -np.inf] * 16, np.float32)) is None


def test_mostly_zero_data_is_recorded_by_quantiles() -> None:
    """Of graded spikes with many sizes some stand for all, the smallest and the largest among them."""
    array = np.zeros(400, np.float32)
    array[::4] = np.arange(1, 101)
    values = shown(array)
    assert values is not None
    assert [values[0], values[1][0], values[-1][0]] == [(0.0, 0.75), 1.0, 100.0]
    assert len(values) == 32
    assert sum(share for _, share in values) == pytest.approx(1)
    dense = np.arange(1, 401, dtype=np.float32)
    assert shown(dense) is None

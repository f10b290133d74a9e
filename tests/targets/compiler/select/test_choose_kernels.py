"""Matrices that read spikes skip the silent ones; each spike tensor is listed and counted once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from astroedge.errors import CompileError
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StepSpec, TensorSpec
from tests.support import graphs
from tests.support.gru import gru
from tests.support.programs import chosen_program

node = helper.make_node


def _wide() -> StepGraph:
    """A recurrent net whose matrices are large enough for lists to pay."""
    return graphs.recurrent_net(inputs=64, hidden=(96, 80), outputs=40)


def test_matrices_that_read_spikes_are_event_driven() -> None:
    """Input spikes, feed-forward spikes and last tick's spikes all count as spikes."""
    _, choice = chosen_program(_wide())
    kinds = {matrix.name: matrix.kernel for matrix in choice.matrices}
    assert kinds == dict.fromkeys(("layers.0.W", "layers.0.R", "layers.1.W", "layers.1.R", "W_out"), "event")


def test_a_list_is_built_once_for_all_its_readers() -> None:
    """Each spike tensor, state and input that some matrix reads is listed once, right where it is first read."""
    program, _ = chosen_program(_wide())
    assert Counter(call.kind for call in program.calls)["active-list"] == 5
    sources = [call.reads[0] for call in program.calls if call.kind == "active-list"]
    assert len(set(sources)) == len(sources)


def test_every_spike_tensor_has_a_counter_of_its_name_first() -> None:
    """Reports find each spike tensor under the name the user knows, then what else is listed."""
    graph = _wide()
    _, choice = chosen_program(graph)
    names = [counter.name for counter in choice.counters]
    assert names[:2] == [spike.name for spike in graph.spec.spikes]
    assert set(names[2:]) == {"x", "state.layers.0.s", "state.layers.1.s"}


def test_dense_kernels_still_count_spikes() -> None:
    """Firing rates are there whatever kernels were chosen, and a matrix says which counter holds its inputs."""
    program, choice = chosen_program(_wide(), "dense")
    kinds = Counter(call.kind for call in program.calls)
    assert kinds["event-gemv"] == kinds["active-list"] == 0
    assert kinds["count"] == 2
    assert {matrix.name: matrix.spikes for matrix in choice.matrices}["W_out"] == "layers.1.spike"


def test_small_matrices_stay_dense_and_say_why() -> None:
    """A list costs more than a few products; the reason has both estimates."""
    for inputs, rate, kernel in ((8, 0.1, "dense"), (64, 0.1, "event"), (24, 0.6, "dense")):
        graph = graphs.lif_layer(inputs, neurons=4)
        sparse = replace(graph.spec, inputs=(replace(graph.spec.inputs[0], firing_rate=rate),))
        _, choice = chosen_program(StepGraph(graph.model, sparse))
        (matrix,) = choice.matrices
        adding, multiplying = map(int, re.findall(r"(?:some|all) (\d+)", matrix.reason))
        assert matrix.kernel == kernel == ("event" if adding < multiplying else "dense")


def test_weights_that_no_cache_holds_are_read_by_rows() -> None:
    """Their kernel has block sums beside its result, and they are called event-driven like the others."""
    program, choice = chosen_program(graphs.lif_layer(inputs=1024, neurons=4096))
    (product,) = (call for call in program.calls if call.kind == "event-gemv")
    assert [value.nbytes for value in product.writes] == [16384, 16384]
    assert [matrix.kernel for matrix in choice.matrices] == ["event"]


def test_spikes_that_nearly_always_fire_are_multiplied() -> None:
    """Above the rate at which lists pay, the dense kernel is chosen, with the rate in its reason."""
    graph = _wide()
    spikes = tuple(replace(spike, firing_rate=0.9) for spike in graph.spec.spikes)
    _, choice = chosen_program(StepGraph(graph.model, replace(graph.spec, spikes=spikes)))
    reasons = {matrix.name: matrix.reason for matrix in choice.matrices if matrix.kernel == "dense"}
    assert "90.0%" in reasons["W_out"]


@pytest.mark.parametrize(
    ("precision", "board", "kernel"),
    [
        ("int8", "x86-64-v3", "fixed_gemv"),
        ("int4", "x86-64-v3", "fixed_gemv"),
        ("int8", "intel-n100", "fixed_gemv"),
        ("int4", "intel-n100", "dot_gemv"),
        ("int4", "raspberry-pi-5", "dot_gemv"),
    ],
)
def test_inputs_of_integer_weights_are_put_in_fixed_point_once(precision: str, board: str, kernel: str) -> None:
    """A GRU's six matrices read its input, its state and the state after reset: three calls prepare these.

    Nibbles are multiplied as bytes where the processor has an instruction for it.
    """
    program, _ = chosen_program(gru(), precision=precision, board=board)
    kinds = Counter(call.kind for call in program.calls)
    assert (kinds["fixed-point"], kinds["dense-gemv"]) == (3, 6)
    assert {call.function.attrs["astroedge.kernel"] for call in program.calls if call.kind == "dense-gemv"} == {kernel}


def test_dense_weights_that_no_cache_holds_are_asked_for_ahead() -> None:
    """Those in a near cache are not: asking takes time as well."""
    for neurons, fetched in ((4096, True), (16, False)):
        program, _ = chosen_program(graphs.lif_layer(inputs=1024, neurons=neurons), "dense")
        (call,) = (call for call in program.calls if call.kind == "dense-gemv")
        assert ("llvm.prefetch" in call.function.script()) == fetched


def _read(*nodes: NodeProto, shape: tuple[int, ...] = (1, 64)) -> StepGraph:
    """`nodes` make y of `shape` from spikes s (1, 64), stored weights W and numbers."""
    spec = StepSpec(
        inputs=(TensorSpec("u", (1, 64), "float32"),),
        outputs=(TensorSpec("y", shape, "float32"),),
        states=(),
        spikes=(SpikeSpec("1.spike", "s?", (1, 64), 0.05),),
    )
    before = [node("Greater", ["u", "one"], ["s?"]), node("Cast", ["s?"], ["s"], to=TensorProto.FLOAT)]
    stored = {
        "W": np.ones((64, 64), np.float32), "one": np.float32(1), "two": np.float32(2), "zero": np.float32(0),
        "first": np.array(0), "row": np.array([1, 64]), "axis": np.array([0]), "column": np.array([64, 1]),
    }  # fmt: skip
    return graphs.build("reads", spec, [*before, *nodes], stored)


def test_rearranged_spikes_are_counted_once_under_their_own_name() -> None:
    """Spikes behind a view and a pick, as SpikingJelly's neurons end, are the spikes: one list, one counter."""
    view = [node("Unsqueeze", ["s", "axis"], ["v"]), node("Gather", ["v", "first"], ["z"])]
    graph = _read(*view, node("MatMul", ["z", "W"], ["y"], name="2/y"))
    assert [matrix.spikes for matrix in chosen_program(graph, "dense")[1].matrices] == ["1.spike"]
    program, choice = chosen_program(graph)
    assert [counter.name for counter in choice.counters] == ["1.spike"]
    assert Counter(call.kind for call in program.calls)["count"] == 0
    (matrix,) = choice.matrices
    assert (matrix.kernel, matrix.spikes, matrix.graded) == ("event", "1.spike", False)


@pytest.mark.parametrize(
    ("made", "graded"),
    [
        (node("Where", ["s?", "two", "zero"], ["z"]), False),
        (node("Mul", ["s", "u"], ["z"]), True),
        (node("Tanh", ["s"], ["z"]), False),
    ],
    ids=["height", "gated", "function"],
)
def test_what_is_made_of_spikes_is_counted_under_its_readers_name(made: NodeProto, graded: bool) -> None:
    """The counter says what the spikes were and who reads them; spikes of several magnitudes are graded."""
    _, choice = chosen_program(_read(made, node("MatMul", ["z", "W"], ["y"])))
    (matrix,) = choice.matrices
    assert [counter.name for counter in choice.counters] == ["1.spike", "1.spike into W"]
    assert (matrix.kernel, matrix.spikes, matrix.graded) == ("event", "1.spike into W", graded)


def test_weights_first_are_event_driven() -> None:
    """A matrix of weights times a column of spikes is the product of a row of spikes and the transpose."""
    column = [node("Reshape", ["s", "column"], ["z"]), node("MatMul", ["W", "z"], ["y"])]
    (matrix,) = chosen_program(_read(*column, shape=(64, 1)))[1].matrices
    assert (matrix.kernel, matrix.rows, matrix.columns, matrix.calls) == ("event", 64, 64, 1)


def test_a_computed_matrix_times_spikes_is_event_driven() -> None:
    """W z reads the active places of each row of W, or as asked all; it is told of as z times W turned round."""
    outer = [
        node("Reshape", ["s", "column"], ["c"]),
        node("Transpose", ["u"], ["t"]),
        node("MatMul", ["t", "u"], ["m"]),
        node("MatMul", ["m", "c"], ["y"]),
    ]
    graph = _read(*outer, shape=(64, 1))
    of_numbers, of_spikes = chosen_program(graph)[1].matrices
    assert (of_numbers.reason, of_numbers.multiplies_zeros) == ("input is not a spike tensor", False)
    assert (of_spikes.kernel, of_spikes.spikes, of_spikes.reason) == ("event", "1.spike", "1.spike fires at 5.0%")
    assert (of_spikes.rows, of_spikes.columns, of_spikes.calls) == (64, 64, 1)
    assert chosen_program(graph, "dense")[1].matrices[1].kernel == "dense"


def test_spikes_on_the_right_of_a_product_of_matrices_are_multiplied_and_the_reason_says_so() -> None:
    """No kernel skips zeros of a right matrix that is computed; that is told apart from an operand of numbers."""
    outer = [
        node("Reshape", ["s", "column"], ["c"]),
        node("Concat", ["c", "c"], ["both"], axis=1),
        node("Transpose", ["u"], ["t"]),
        node("MatMul", ["t", "u"], ["m"]),
        node("MatMul", ["m", "both"], ["y"]),
    ]
    _, of_spikes = chosen_program(_read(*outer, shape=(64, 2)))[1].matrices
    assert of_spikes.reason == "1.spike fires at 5.0%, but it is the right operand of the product"
    assert of_spikes.multiplies_zeros


def test_an_unknown_choice_is_refused() -> None:
    """A typing error in kernels= is an error, not a default."""
    with pytest.raises(CompileError, match="fastest"):
        chosen_program(graphs.lif_layer(), "fastest")

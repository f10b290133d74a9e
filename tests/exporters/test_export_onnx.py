"""Somebody's ONNX graph with state pairs: names, sizes, constants, branches, recurrent operators, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.errors import ExportError, InputError, NoStateError
from astroedge.exporters.export_onnx import export_onnx
from tests.support.foreign_onnx import model_of, value

BATCH, WIDTH, HIDDEN = 2, 3, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(kind: str, **attributes: Any) -> onnx.ModelProto:
    """One recurrent operator over one tick, its states `h` and `c`, its weights from a fixed seed."""
    random, gates = np.random.default_rng(3), GATES[kind]
    stored = {
        "w": random.standard_normal((1, gates * HIDDEN, WIDTH)),
        "r": random.standard_normal((1, gates * HIDDEN, HIDDEN)),
        "b": random.standard_normal((1, 2 * gates * HIDDEN)),
    }
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    inputs = ["x", "w", "r", "b", "", *states]
    outputs = ["y", *(f"{name}_out" for name in states)]
    shape: list[int | str] = [1, BATCH, HIDDEN]
    return model_of(
        [helper.make_node(kind, inputs, outputs, hidden_size=HIDDEN, **attributes)],
        [value("x", [1, BATCH, WIDTH]), *(value(name, shape) for name in states)],
        [value("y", [1, 1, BATCH, HIDDEN]), *(value(f"{name}_out", shape) for name in states)],
        **{name: array.astype(np.float32) for name, array in stored.items()},
    )


def pairs(kind: str) -> dict[str, str]:
    """The states of `recurrent`."""
    return {"h": "h_out", "c": "c_out"} if kind == "LSTM" else {"h": "h_out"}


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("LSTM", {}),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Softsign"]}),
        ("GRU", {}),
        ("GRU", {"linear_before_reset": 1}),
        ("RNN", {}),
        ("RNN", {"activations": ["Relu"], "direction": "reverse"}),
    ],
)
def test_recurrent_operator_of_one_tick_is_expanded(kind: str, attributes: dict[str, Any]) -> None:
    """Gates come in ONNX's order: the free run agrees with ONNX Runtime's own operator for 200 ticks."""
    graph = export_onnx(recurrent(kind, **attributes), pairs(kind))
    assert graph.parity is not None
    assert graph.parity.ticks == 200
    assert graph.parity.divergence is None
    assert kind not in {node.op_type for node in graph.model.graph.node}
    assert [state.name for state in graph.spec.states] == list(pairs(kind))


def test_recurrent_operator_without_biases_has_none() -> None:
    """B may be left out."""
    model = recurrent("GRU")
    model.graph.node[0].input[3] = ""
    del model.graph.initializer[2]
    graph = export_onnx(model, pairs("GRU"))
    assert graph.parity is not None
    assert graph.parity.divergence is None


def branching() -> onnx.ModelProto:
    """`h_out = h·(0.5 if fast else 0.25) + x` of an open batch, by an If whose branches capture the outer h."""

    def branch(name: str, factor: float) -> onnx.GraphProto:
        tensor = numpy_helper.from_array(np.float32(factor).reshape(1), "factor")
        nodes = [
            helper.make_node("Constant", [], ["factor"], value=tensor),
            helper.make_node("Mul", ["h", "factor"], ["scaled"]),
        ]
        return helper.make_graph(nodes, name, [], [value("scaled", ["batch", 3])])

    nodes = [
        helper.make_node("Equal", ["rate", "fast"], ["is_fast"]),
        helper.make_node(
            "If", ["is_fast"], ["kept"], then_branch=branch("then", 0.5), else_branch=branch("else", 0.25)
        ),
        helper.make_node("Add", ["kept", "x"], ["h_out"]),
        helper.make_node("Relu", ["h_out"], ["y"]),
    ]
    return model_of(
        nodes,
        [value("x", ["batch", 3]), value("h", ["batch", 3]), value("rate", [], TensorProto.INT64)],
        [value("y", ["batch", 3]), value("h_out", ["batch", 3])],
        fast=np.array(16000, np.int64),
    )


def test_a_batch_that_no_size_takes_is_refused() -> None:
    """Where the graph's sizes are fixed, another number of streams would be ignored; the same one is agreed with."""
    nodes = [helper.make_node("Add", ["h", "x"], ["h_out"])]
    fixed = model_of(nodes, [value("x", [2, 3]), value("h", [2, 3])], [value("h_out", [2, 3])])
    assert export_onnx(fixed, {"h": "h_out"}, batch=2).spec.states[0].shape == (2, 3)
    for batch, message in ((0, "at least 1"), (True, "at least 1"), (10**8, "carries at most 65,536")):
        with pytest.raises(ExportError, match=message):
            export_onnx(fixed, {"h": "h_out"}, batch=batch)
    with pytest.raises(ExportError, match="--batch 4 changes nothing"):
        export_onnx(fixed, {"h": "h_out"}, batch=4)


@pytest.mark.parametrize(("rate", "factor"), [(16000, 0.5), (8000, 0.25)])
def test_constant_input_chooses_the_branch(rate: int, factor: float) -> None:
    """With the input held constant the If goes, and only the chosen branch's constant stays."""
    graph = export_onnx(branching(), {"h": "h_out"}, constants={"rate": rate}, batch=2, initial={"h": 1.5})
    assert "If" not in {node.op_type for node in graph.model.graph.node}
    stored = [numpy_helper.to_array(item).ravel().tolist() for item in graph.model.graph.initializer]
    assert [factor] in stored
    assert graph.spec.states[0].shape == (2, 3)
    assert graph.spec.states[0].batch_axis == 0
    assert graph.spec.states[0].initial == 1.5
    assert graph.parity is not None
    assert graph.parity.worst == 0.0


@pytest.mark.parametrize(
    ("states", "options", "error", "message"),
    [
        ({}, {}, NoStateError, "--state"),
        ({"hh": "h_out"}, {}, ExportError, "did you mean 'h'"),
        ({"h": "h_ou"}, {}, ExportError, "did you mean 'h_out'"),
        ({"h": "h_out", "x": "h_out"}, {}, ExportError, "two states"),
        ({"h": "h_out"}, {"batch": None}, ExportError, "batch"),
        ({"h": "h_out"}, {"shapes": {"x": (3, 3)}}, ExportError, "3, not 2"),
        ({"h": "h_out"}, {"constants": {"rate": 0.5}}, ExportError, "int64"),
        ({"h": "h_out"}, {"initial": {"g": 1}}, ExportError, "no state 'g'"),
    ],
)
def test_what_does_not_fit_is_named(
    states: dict[str, str], options: dict[str, Any], error: type[ExportError], message: str
) -> None:
    """Names, pairs, sizes and values that do not fit are refused, with the nearest name where there is one."""
    with pytest.raises(error, match=message):
        export_onnx(branching(), states, **{"constants": {"rate": 16000}, "batch": 2, **options})


def test_states_that_swap_and_an_only_output_that_is_a_state() -> None:
    """Two states that exchange values keep apart; outputs that all feed states are data outputs as well."""
    nodes = [helper.make_node("Add", ["a", "x"], ["b_out"]), helper.make_node("Identity", ["b"], ["a_out"])]
    model = model_of(
        nodes,
        [value(name, [1, 3]) for name in ("x", "a", "b")],
        [value(name, [1, 3]) for name in ("a_out", "b_out")],
    )
    graph = export_onnx(model, {"a": "a_out", "b": "b_out"}, initial={"a": np.array([[1, 2, 3]])})
    assert graph.parity is not None
    assert graph.parity.worst == 0.0
    assert [item.name for item in graph.spec.outputs] == ["a_out", "b_out"]
    assert graph.initial_state()["a"].tolist() == [[1, 2, 3]]


def test_branches_that_use_one_name_keep_apart() -> None:
    """Values inside two branches may have the same names, those of outer values included."""

    def branch(name: str, factor: float) -> onnx.GraphProto:
        stored = [numpy_helper.from_array(np.float32(factor), "factor")]
        nodes = [helper.make_node("Mul", ["h", "factor"], ["kept"])]
        return helper.make_graph(nodes, name, [], [value("kept", [1, 3])], stored)

    nodes = [
        helper.make_node("Cast", ["rate"], ["fast"], to=TensorProto.BOOL),
        *(
            helper.make_node("If", ["fast"], [f"out{n}"], then_branch=branch("a", n), else_branch=branch("b", -n))
            for n in (0.25, 0.5)
        ),
        helper.make_node("Add", ["out0.25", "out0.5"], ["both"]),
        helper.make_node("Add", ["both", "x"], ["h_out"]),
        helper.make_node("Mul", ["h_out", "factor.outer"], ["y"]),
    ]
    model = model_of(
        nodes,
        [value("x", [1, 3]), value("h", [1, 3]), value("rate", [], TensorProto.INT64)],
        [value("y", [1, 3]), value("h_out", [1, 3])],
        **{"factor.outer": np.float32(3)},
    )
    graph = export_onnx(model, {"h": "h_out"}, constants={"rate": 1})
    assert graph.parity is not None
    assert graph.parity.worst == 0.0


def adding(**attributes: Any) -> onnx.ModelProto:
    """`h_out = h + x - mean(h + x)`, a state whose sum stays zero, and a threshold on it."""
    nodes = [
        helper.make_node("Add", ["x", "h"], ["sum"]),
        helper.make_node("ReduceSum", ["sum"], ["total"], keepdims=1, **attributes),
        helper.make_node("Mul", ["total", "third"], ["mean"]),
        helper.make_node("Sub", ["sum", "mean"], ["h_out"]),
        helper.make_node("Greater", ["h_out", "third"], ["above"]),
        helper.make_node("Cast", ["above"], ["y"], to=TensorProto.FLOAT),
    ]
    return model_of(
        nodes,
        [value("x", [1, 3]), value("h", [1, 3])],
        [value("y", [1, 3]), value("h_out", [1, 3])],
        third=np.float32(0.25),
    )


def test_examples_are_what_is_measured() -> None:
    """Firing rates are those on the examples, or declared; a tick that does not fit is named."""
    examples = [{"x": np.float32([[1, 0, 0]]) if tick == 3 else np.zeros((1, 3), np.float32)} for tick in range(4)]
    graph = export_onnx(adding(), {"h": "h_out"}, examples=examples)
    assert graph.spec.inputs[0].firing_rate == pytest.approx(1 / 12)
    assert 0 < graph.spec.spikes[0].firing_rate < 0.6
    declared = export_onnx(adding(), {"h": "h_out"}, examples=examples, firing_rates={"x": 0.25})
    assert declared.spec.inputs[0].firing_rate == 0.25
    with pytest.raises(ExportError, match=r"Input 'x' is float64 \[1, 3\] in the examples; .* float32 \[1, 3\]"):
        export_onnx(adding(), {"h": "h_out"}, examples=[{"x": np.zeros((1, 3))}])


def test_old_file_is_brought_up_to_date() -> None:
    """Operator set 11, whose reductions have axes as attributes, with weights listed among the inputs."""
    model = adding(axes=[1])
    model.opset_import[0].version = 11
    model.graph.input.append(value("third", []))
    graph = export_onnx(model, {"h": "h_out"})
    assert graph.model.opset_import[0].version >= 13
    assert [item.name for item in graph.spec.inputs] == ["x"]
    assert [item.name for item in graph.spec.outputs] == ["y"]


def test_number_fills_a_constant_input_and_an_unread_state_is_noted() -> None:
    """A single number stands for every element of a constant input; a state that nothing reads is left out."""
    nodes = [
        helper.make_node("Mul", ["h", "decay"], ["kept"]),
        helper.make_node("Add", ["kept", "x"], ["h_out"]),
        helper.make_node("Neg", ["x"], ["idle_out"]),
        helper.make_node("Relu", ["h_out"], ["y"]),
    ]
    model = model_of(
        nodes,
        [value(name, [1, 3]) for name in ("x", "h", "decay", "idle")],
        [value(name, [1, 3]) for name in ("y", "h_out", "idle_out")],
    )
    graph = export_onnx(model, {"h": "h_out", "idle": "idle_out"}, constants={"decay": 0.5})
    assert [state.name for state in graph.spec.states] == ["h"]
    assert graph.notes == ("State 'idle' was left out: nothing in the step reads it.",)
    assert [0.5] * 3 in [numpy_helper.to_array(item).ravel().tolist() for item in graph.model.graph.initializer]


def test_part_of_a_shape_is_known() -> None:
    """Shape with a start and an end gives that part of a size."""
    nodes = [
        helper.make_node("Shape", ["x"], ["width"], start=1, end=2),
        helper.make_node("Reshape", ["x", "width"], ["flat"]),
        helper.make_node("Add", ["h", "flat"], ["h_out"]),
        helper.make_node("Relu", ["h_out"], ["y"]),
    ]
    inputs = [value("x", [1, 3, 1]), value("h", [3])]
    graph = export_onnx(model_of(nodes, inputs, [value("y", [3]), value("h_out", [3])]), {"h": "h_out"})
    assert "Shape" not in {node.op_type for node in graph.model.graph.node}


def test_assets_go_along() -> None:
    """Names for the scores of each stream are in the graph; another number of them is refused before anything else."""
    labels = {"labels.txt": b"a\nb\nc\nd\n"}
    assert export_onnx(recurrent("RNN"), pairs("RNN"), check_ticks=2, assets=labels).assets == labels
    with pytest.raises(InputError, match="2 labels, and the first output 'y' has 4 scores"):
        export_onnx(recurrent("RNN"), pairs("RNN"), assets={"labels.txt": b"a\nb\n"})

"""Spike tensors: brought to one form, found and named; each rewrite gives equal bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.exporters.graph.find_decisions import find_decisions
from astroedge.exporters.graph.find_spikes import find_reset_copies, find_spikes
from astroedge.exporters.graph.rewrite_spikes import rewrite_spikes
from astroedge.step.spec import StateSpec

F, B = TensorProto.FLOAT, TensorProto.BOOL
DATA = np.array([[-1.0, -0.0, 0.0, 1e-30, 0.5, 1.0, np.inf, np.nan]], np.float32)
CONSTANTS: dict[str, Any] = {
    "zero": np.float32(0),
    "one": np.float32(1),
    "half": np.float32(0.5),
    "ones": np.ones((1, 8), np.float32),
    "zeros": np.zeros((1, 8), np.float32),
    "wide": np.ones((2, 8), np.float32),
}
node = helper.make_node


def model_of(*nodes: onnx.NodeProto, kind: int = F, shape: tuple[int, int] = (1, 8)) -> onnx.ModelProto:
    """A model from x (1, 8) to y."""
    stored = [numpy_helper.from_array(np.asarray(array), name) for name, array in CONSTANTS.items()]
    x, y = helper.make_tensor_value_info("x", F, [1, 8]), helper.make_tensor_value_info("y", kind, shape)
    graph = helper.make_graph(list(nodes), "g", [x], [y], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def evaluate(model: onnx.ModelProto) -> np.ndarray:
    """The output of a model on numbers, infinity and NaN."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": DATA})[0]
    return result


def heaviside(at_zero: str) -> list[onnx.NodeProto]:
    """What torch.heaviside becomes."""
    return [
        node("Equal", ["x", "zero"], ["eq"]),
        node("Less", ["x", "zero"], ["lt"]),
        node("IsNaN", ["x"], ["nan"]),
        node("Or", ["lt", "nan"], ["either"]),
        node("Where", ["either", "zero", "one"], ["chosen"]),
        node("Cast", ["chosen"], ["converted"], to=F),
        node("Where", ["eq", at_zero, "converted"], ["y"]),
    ]


REWRITES: dict[str, tuple[list[onnx.NodeProto], list[str]]] = {
    "cast": ([node("Greater", ["x", "half"], ["c"]), node("Cast", ["c"], ["y"], to=F)], ["Greater", "Cast"]),
    "scalars": (
        [node("Greater", ["x", "half"], ["c"]), node("Where", ["c", "one", "zero"], ["y"])],
        ["Greater", "Cast"],
    ),
    "tensors": ([node("Less", ["x", "half"], ["c"]), node("Where", ["c", "ones", "zeros"], ["y"])], ["Less", "Cast"]),
    "inverse": (
        [node("Less", ["x", "half"], ["c"]), node("Where", ["c", "zero", "one"], ["y"])],
        ["Less", "Not", "Cast"],
    ),
    "height": (
        [node("Greater", ["x", "half"], ["c"]), node("Where", ["c", "half", "zero"], ["y"])],
        ["Greater", "Where"],
    ),
    "height, inverse": (
        [node("Less", ["x", "one"], ["c"]), node("Where", ["c", "zeros", "half"], ["y"])],
        ["Less", "Not", "Where"],
    ),
    "heaviside, 1 at 0": (heaviside("one"), ["GreaterOrEqual", "Cast"]),
    "heaviside, 0 at 0": (heaviside("zero"), ["Greater", "Cast"]),
}
KEPT: dict[str, list[onnx.NodeProto]] = {
    "other numbers": [node("Greater", ["x", "half"], ["c"]), node("Where", ["c", "half", "one"], ["y"])],
    "reset": [node("Greater", ["x", "half"], ["c"]), node("Where", ["c", "zero", "x"], ["y"])],
    "of computed values": [
        node("Greater", ["x", "half"], ["c"]),
        node("Sub", ["x", "one"], ["reset"]),
        node("Where", ["c", "reset", "x"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", REWRITES)
def test_spike_becomes_comparison_and_cast_with_equal_bits(name: str) -> None:
    """Every way to write a spike becomes a comparison and a cast, equal on zeros, infinity and NaN."""
    nodes, operators = REWRITES[name]
    model = model_of(*nodes)
    before = evaluate(model)
    rewrite_spikes(model)
    onnx.checker.check_model(model, full_check=True)
    assert [item.op_type for item in model.graph.node] == operators
    assert evaluate(model).tobytes() == before.tobytes()
    assert len(find_spikes(model.graph, ())) == 1


@pytest.mark.parametrize("name", KEPT)
def test_other_choices_are_kept(name: str) -> None:
    """A choice that is not between 1 and 0 is left as it is."""
    model = model_of(*KEPT[name])
    before = model.SerializeToString()
    rewrite_spikes(model)
    kept = [item.op_type for item in model.graph.node]
    assert kept == [item.op_type for item in onnx.load_from_string(before).graph.node]


def test_heaviside_of_one_half_at_zero_is_no_spike() -> None:
    """A step function with another value at 0 keeps its bits and makes no spike tensor."""
    model = model_of(*heaviside("half"))
    before = evaluate(model)
    rewrite_spikes(model)
    assert evaluate(model).tobytes() == before.tobytes()
    assert find_spikes(model.graph, ()) == []


def test_broadcast_choice_is_kept() -> None:
    """A Where that widens its condition is no cast."""
    nodes = [node("Greater", ["x", "half"], ["c"]), node("Where", ["c", "wide", "zero"], ["y"])]
    model = model_of(*nodes, shape=(2, 8))
    rewrite_spikes(model)
    assert [item.op_type for item in model.graph.node] == ["Greater", "Where"]


def test_equal_comparisons_become_one() -> None:
    """A spike and a reset that compare the same values share one decision, so that rounding can't part them."""
    nodes = [
        node("GreaterOrEqual", ["x", "half"], ["fired"]),
        node("GreaterOrEqual", ["x", "half"], ["reset"]),
        node("Cast", ["fired"], ["spikes"], to=F),
        node("Where", ["reset", "zero", "x"], ["v"]),
        node("Add", ["spikes", "v"], ["y"]),
    ]
    model = model_of(*nodes)
    before = evaluate(model)
    rewrite_spikes(model)
    assert [decision.tensor for decision in find_decisions(model)] == ["fired"]
    assert evaluate(model).tobytes() == before.tobytes()


def test_spikes_of_three_values_are_two_spike_tensors() -> None:
    """1 above a threshold and -1 below another: each comparison is a spike tensor, though none is cast."""
    nodes = [
        node("Greater", ["x", "half"], ["above"]),
        node("Less", ["x", "zero"], ["below"]),
        node("Where", ["below", "half", "zero"], ["negative"]),
        node("Where", ["above", "one", "negative"], ["y"]),
    ]
    assert [spikes.tensor for spikes in find_spikes(model_of(*nodes).graph, ())] == ["above", "below"]


def test_conjunction_is_the_spike_tensor() -> None:
    """Where logic combines comparisons, its result is the spike tensor and each comparison is a decision."""
    nodes = [
        node("Greater", ["x", "half"], ["above"]),
        node("Less", ["x", "one"], ["below"]),
        node("And", ["above", "below"], ["fired"]),
        node("Cast", ["fired"], ["y"], to=F),
    ]
    model = model_of(*nodes)
    graph = model.graph
    assert [spikes.tensor for spikes in find_spikes(graph, ())] == ["fired"]
    assert [decision.tensor for decision in find_decisions(model)] == ["above", "below"]


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (("And", ["above", "resting"]), ["fired"]),
        (("And", ["resting", "above"]), ["fired"]),
        (("Or", ["above", "resting"]), []),
    ],
)
def test_what_holds_spikes_back_may_be_any_boolean(mask: tuple[str, list[str]], found: list[str]) -> None:
    """Above threshold and not refractory (a counter that is 0) is a spike; with an Or, something else fires, too."""
    nodes = [
        node("Greater", ["x", "half"], ["above"]),
        node("Equal", ["x", "zero"], ["resting"]),
        node(*mask, ["fired"]),
        node("Cast", ["fired"], ["y"], to=F),
    ]
    assert [spikes.tensor for spikes in find_spikes(model_of(*nodes).graph, ())] == found


def test_boolean_output_is_a_spike_tensor() -> None:
    """A comparison that leaves the step uncast is one, too."""
    graph = model_of(node("Greater", ["x", "half"], ["y"]), kind=B).graph
    assert [spikes.tensor for spikes in find_spikes(graph, ())] == ["y"]


def test_choice_by_a_comparison_is_no_spike_tensor() -> None:
    """A ReLU written with where decides, but makes no spikes."""
    model = model_of(node("Greater", ["x", "zero"], ["c"]), node("Where", ["c", "x", "zero"], ["y"]))
    assert find_spikes(model.graph, ()) == []
    assert len(find_decisions(model)) == 1


def named(*rows: tuple[str, str, list[str], str]) -> list[onnx.NodeProto]:
    """Nodes from (module, operator, inputs, output)."""
    attributes = {"Cast": {"to": F}}
    return [
        node(operator, inputs, [output], name=f"{module}/{output}", **attributes.get(operator, {}))
        for module, operator, inputs, output in rows
    ]


@pytest.mark.parametrize(
    ("last", "found"),
    [
        (node("Mul", ["c", "sum"], ["y"]), []),
        (node("MatMul", ["c", "square"], ["y"]), ["spike"]),
        (node("Identity", ["c"], ["y"]), ["spike"]),
    ],
    ids=["gate", "read by a product", "output"],
)
def test_a_gate_by_inputs_alone_is_no_spike_tensor(last: onnx.NodeProto, found: list[str]) -> None:
    """A threshold over an input is one where a product reads it or where it is an output, else it is a gate."""
    nodes = [
        node("Greater", ["x", "half"], ["b"]),
        node("Cast", ["b"], ["c"], to=F),
        node("Add", ["x", "one"], ["sum"]),
    ]
    model = model_of(*nodes, last)
    model.graph.initializer.append(numpy_helper.from_array(np.eye(8, dtype=np.float32), "square"))
    assert [spikes.name for spikes in find_spikes(model.graph, ())] == found


def test_names_come_from_module_state_or_maker() -> None:
    """Alone in its module a spike tensor has the module's name; else that of the state compared; else of the maker."""
    graph = model_of(
        *named(
            ("lif", "Add", ["x", "state.lif.v"], "v"),
            ("lif", "Greater", ["v", "one"], "a"),
            ("", "Cast", ["a"], "a1"),
            ("block", "Mul", ["state.block.r", "half"], "r"),
            ("block", "Greater", ["r", "one"], "b"),
            ("", "Cast", ["b"], "b1"),
            ("block.W_q", "MatMul", ["a1", "W"], "q"),
            ("block", "Greater", ["q", "one"], "c"),
            ("", "Cast", ["c"], "c1"),
            ("block", "MatMul", ["a1", "W"], "own"),
            ("block", "Greater", ["own", "one"], "d"),
            ("", "Cast", ["d"], "y"),
        )
    ).graph
    states = (StateSpec("lif.v", (1, 8), "float32"), StateSpec("block.r", (1, 8), "float32"))
    names = [spikes.name for spikes in find_spikes(graph, states)]
    assert names == ["lif.spike", "block.r.spike", "block.W_q.spike", "block.spike"]


def test_names_are_unique() -> None:
    """Spike tensors that would have one name are numbered."""
    rows = [("m", "Greater", ["x", "one"], "a"), ("m", "Cast", ["a"], "a1"), ("m", "Greater", ["x", "half"], "b")]
    graph = model_of(*named(*rows, ("m", "Cast", ["b"], "y"))).graph
    assert [spikes.name for spikes in find_spikes(graph, ())] == ["m.spike", "m.spike_1"]


def test_echo_compares_a_state_that_another_compares_later() -> None:
    """A reset signal is an echo of the spikes; a neuron that decides on what it has from the tick before is none."""
    graph = model_of(
        *named(
            ("lif", "Greater", ["state.lif.v", "one"], "again"),
            ("lif", "Cast", ["again"], "reset"),
            ("lif", "Add", ["x", "state.lif.v"], "v"),
            ("lif", "Sub", ["v", "reset"], "kept"),
            ("lif", "Greater", ["kept", "one"], "fired"),
            ("lif", "Cast", ["fired"], "z"),
            ("late", "Greater", ["state.late.u", "one"], "before"),
            ("late", "Cast", ["before"], "y"),
        )
    ).graph
    states = (StateSpec("lif.v", (1, 8), "float32"), StateSpec("late.u", (1, 8), "float32"))
    found = find_spikes(graph, states)
    assert [spikes.tensor for spikes in found] == ["again", "fired", "before"]
    assert find_reset_copies(graph, found, states) == {found[0].name}


def test_thousands_of_ticks_in_a_step_end() -> None:
    """What is made of one membrane by two ways in each of many inner ticks is looked at once, however deep it lies."""
    nodes = [node("Greater", ["x", "half"], ["fired0"])]
    value = "x"
    for tick in range(1, 1500):
        nodes += [node("Floor", [value], [f"floor{tick}"]), node("Add", [value, f"floor{tick}"], [f"v{tick}"])]
        nodes += [node("Not", [f"fired{tick - 1}"], [f"rest{tick}"])]
        nodes += [node("Xor", [f"fired{tick - 1}", f"rest{tick}"], [f"fired{tick}"])]
        value = f"v{tick}"
    nodes += [node("Greater", [value, "half"], ["last"]), node("And", [f"fired{tick}", "last"], ["y"])]
    model = model_of(*nodes, kind=B)
    assert [spikes.tensor for spikes in find_spikes(model.graph, ())] == ["y"]
    assert [decision.tensor for decision in find_decisions(model) if decision.operator == "Greater"] == [
        "fired0",
        "last",
    ]

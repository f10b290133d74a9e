"""Every kind of decision may come out differently within rounding of its edge, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from astroedge.errors import ParityError
from astroedge.exporters.parity.compare import compare
from astroedge.parity import Parity
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.support import graphs

WIDTH = 6
FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
# Name → the operator, its attributes, what is decided on, and the element whose last bit is taken away.
CASES = {
    "floor": ("Floor", {}, [0.5, 2.0, -1.5, 3.0, 0.25, 1.75], 1),
    "negative floor": ("Floor", {}, [0.5, 2.5, -1.0, 3.0, 0.25, 1.75], 2),
    "ceil": ("Ceil", {}, [0.5, 2.5, -1.5, np.nextafter(np.float32(3), np.float32(4)), 0.25, 1.75], 3),
    "round": ("Round", {}, [0.5, 3.5, -1.25, 3.0, 0.25, 1.75], 1),
    "quantiser": ("QuantizeLinear", {}, [0.5, 0.375, -1.5, 3.0, 0.1, 1.75], 1),
    "dynamic quantiser": ("DynamicQuantizeLinear", {}, [0.5, 2.375, -1.5, 3.0, 0.1, 62.25], 1),
    "sign": ("Sign", {}, [0.5, 2.5, 0.0, 3.0, 0.25, 1.75], 2),
    "cast to whole numbers": ("Cast", {"to": INT}, [0.5, 2.0, -1.5, 3.5, 0.0, 1.75], 1),
    "cast to truth": ("Cast", {"to": BOOL}, [0.5, 0.0, -1.5, 3.5, 1.0, 1.75], 1),
    "greater or equal": ("GreaterOrEqual", {}, [0.5, 1.0, -1.5, 3.5, 0.0, 1.75], 1),
    "equality": ("Equal", {}, [0.5, 1.0, -1.5, 3.5, 0.0, 1.75], 1),
    "remainder": ("Mod", {"fmod": 1}, [0.5, 2.0, -1.25, 3.5, 0.25, 1.75], 1),
    "negative remainder": (
        "Mod",
        {"fmod": 1},
        [0.5, 2.5, -np.nextafter(np.float32(2), np.float32(0)), 3.5, 0.25, 1.75],
        2,
    ),
    "place of the largest": ("ArgMax", {"axis": 1}, [0.5, 3.0, -1.5, 3.0, 0.0, 1.75], 1),
    "place of the smallest": ("ArgMin", {"axis": 1}, [0.5, -1.5, 7.0, -1.5, 9.0, 8.0], 3),
    "ranks": ("TopK", {"axis": 1}, [0.5, 3.0, -1.5, 3.0, 0.0, 1.75], 1),
    "last rank": ("TopK", {"axis": 1}, [0.5, 3.0, 1.75, 3.5, 0.0, 1.75], 2),
}


def deciding(operator: str, attributes: dict[str, int]) -> StepGraph:
    """A membrane v + x, a decision on it, and its result both as the output and off the membrane."""
    operands = {"GreaterOrEqual": ["c", "one"], "Equal": ["c", "one"], "Mod": ["c", "one"], "TopK": ["c", "three"]}.get(
        operator, ["c"]
    )
    operands = ["c", "quarter", "zero"] if operator == "QuantizeLinear" else operands
    results = {"TopK": ["values", "d"], "DynamicQuantizeLinear": ["d", "scale", "point"]}.get(operator, ["d"])
    nodes = [
        helper.make_node("Add", ["state.v", "x"], ["c"], name="/c"),
        helper.make_node(operator, operands, results, name="/d", **attributes),
        helper.make_node("Cast", ["d"], ["y"], name="/y", to=FLOAT),
        helper.make_node("ReduceSum", ["y", "axis"], ["sum"], name="/sum"),
        helper.make_node("Sub", ["c", "sum"], ["next.v"], name="/v"),
    ]
    extent = {"ArgMax": 1, "ArgMin": 1, "TopK": 3}.get(operator, WIDTH)
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, WIDTH), "float32"),),
        outputs=(TensorSpec("y", (1, extent), "float32"),),
        states=(StateSpec("v", (1, WIDTH), "float32"),),
    )
    constants = {
        "quarter": np.float32(0.25),
        "zero": np.int8(3),
        "one": np.float32(1),
        "three": np.array([3]),
        "axis": np.array([1]),
    }
    read = {name for node in nodes for name in node.input}
    return graphs.build("deciding", spec, nodes, {name: item for name, item in constants.items() if name in read})


def moved(graph: StepGraph, data: list[float], place: int, by: float | None) -> tuple[graphs.Ticks, graphs.Ticks]:
    """The inputs of a tick, and what the graph gives where one element is less, by the last bit or by a number."""
    inputs = {"x": np.array([data], np.float32)}
    other = inputs["x"].copy()
    other[0, place] = np.nextafter(other[0, place], np.float32(-10)) if by is None else other[0, place] - by
    return inputs, graphs.run_tick(graphs.open_in_runtime(graph), {"x": other}, graph.initial_state())


def compared(graph: StepGraph, tick: tuple[graphs.Ticks, graphs.Ticks]) -> Parity:
    """The comparison over one tick."""
    return compare(graph, (), iter([tick]))


@pytest.mark.parametrize("case", CASES)
def test_decision_within_rounding_is_taken_over(case: str) -> None:
    """One bit less makes an operator jump: that is a flip of margin 0 or nearly, named with its element, no error."""
    operator, attributes, data, place = CASES[case]
    graph = deciding(operator, attributes)
    tick = moved(graph, data, place, None)
    own = graphs.run_tick(graphs.open_in_runtime(graph), tick[0], graph.initial_state())
    assert not np.array_equal(own["y"], tick[1]["y"])
    parity = compared(graph, tick)
    assert {flip.spikes for flip in parity.flips} == {"d"}
    assert len(parity.flips) == (2 if case == "ranks" else 1)
    assert all(flip.margin <= 1e-6 for flip in parity.flips)


@pytest.mark.parametrize("case", CASES)
def test_decision_away_from_its_edge_is_an_error(case: str) -> None:
    """An operator whose reference jumps at a hundredth away from the edge is no flip."""
    operator, attributes, data, place = CASES[case]
    graph = deciding(operator, attributes)
    by = 0.0 if case in ("cast to truth", "equality") else 0.01
    inputs, wanted = moved(graph, data, place, by)
    there = (np.arange(WIDTH) == place).astype(np.float32)
    wanted["next.v"] = wanted["next.v"] + np.float32(by + 0.005) * there
    with pytest.raises(ParityError, match=r"At tick 1"):
        compared(graph, ({"x": inputs["x"] + np.float32(0.005) * there}, wanted))


def test_whole_numbers_are_on_no_edge() -> None:
    """A cast of what is a whole number already is no decision: rounding does not reach it."""
    nodes = [
        helper.make_node("Add", ["state.v", "x"], ["c"], name="/c"),
        helper.make_node("Floor", ["c"], ["f"], name="/f"),
        helper.make_node("Cast", ["f"], ["y"], name="/y", to=INT),
        helper.make_node("Identity", ["c"], ["next.v"], name="/v"),
    ]
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, WIDTH), "float32"),),
        outputs=(TensorSpec("y", (1, WIDTH), "int64"),),
        states=(StateSpec("v", (1, WIDTH), "float32"),),
    )
    graph = graphs.build("whole", spec, nodes)
    tick = moved(graph, [0.0] * WIDTH, 1, None)
    assert [flip.spikes for flip in compared(graph, tick).flips] == ["f"]
    assert compared(graph, tick).spikes == WIDTH

"""Where step and ONNX Runtime disagree: a right step passes, whoever is off is named, a wrong step does not pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from astroedge.errors import UndefinedTickError
from astroedge.runtimes.checking.parity import JUDGED_TICKS, compare_forced
from astroedge.runtimes.checking.parity_report import ForcedReport
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.runtimes.checking.third_opinion import spread
from astroedge.session import Array
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.support import graphs
from tests.support.function_session import FunctionSession, Values

SHAPE = (1, 4)
X = np.array([[[-30, 1, 2, 30]], [[-25, -1, 0, 3]]], np.float32)


def step_of(nodes: Sequence[onnx.NodeProto], constants: dict[str, Array], *, spikes: bool = False) -> StepGraph:
    """A step that makes `y` and `next.h` from `x` and the state `h`."""
    spec = StepSpec(
        inputs=(TensorSpec("x", SHAPE, "float32"),),
        outputs=(TensorSpec("y", SHAPE, "float32"),),
        states=(StateSpec("h", SHAPE, "float32"),),
        spikes=(SpikeSpec("spike", "fired", SHAPE, 0.5),) if spikes else (),
    )
    return graphs.build("disputed", spec, list(nodes), constants)


def log_sigmoid(spikes: bool = False) -> StepGraph:
    """y = log σ(x), which ONNX Runtime has as −∞ from −18 on; next.h = h / 2 + y; a spike is y > −28."""
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Log", ["s"], ["l"]),
        helper.make_node("Mul", ["state.h", "half"], ["kept"]),
        helper.make_node("Add", ["kept", "l"], ["next.h"]),
    ]
    if spikes:
        nodes += [helper.make_node("Greater", ["l", "low"], ["fired"])]
        nodes += [helper.make_node("Cast", ["fired"], ["y"], to=TensorProto.FLOAT)]
    else:
        nodes += [helper.make_node("Identity", ["l"], ["y"])]
    return step_of(nodes, {"half": np.float32(0.5), "low": np.float32(-28)}, spikes=spikes)


def right(given: Values) -> Values:
    """What `log_sigmoid` means."""
    y = -np.log1p(np.exp(-given["x"].astype(np.float64))).astype(np.float32)
    return {"y": y, "next.h": given["h"] * np.float32(0.5) + y}


def forced(graph: StepGraph, function: Callable[[Values], Values], x: Array = X) -> ForcedReport:
    """Compare a function with a graph."""
    return compare_forced(ObservedReference(graph), FunctionSession(graph, function), {"x": x}, len(x))


def test_a_right_step_passes_where_the_reference_is_off() -> None:
    """The report names ONNX Runtime's fault; the state goes on from the right value, not from its −∞."""
    seen: list[Array] = []

    def watched(given: Values) -> Values:
        seen.append(given["h"])
        return right(given)

    report = forced(log_sigmoid(), watched)
    assert report.ok
    assert (report.judged_ticks, report.reference_faults) == (2, 2)
    assert report.worst_fault is not None
    assert (report.worst_fault.amount, report.worst_fault.element) == (np.inf, 0)
    assert "ONNX Runtime is off on 2 of them" in report.text()
    assert seen[1][0] == pytest.approx([-30, -0.31326169, -0.12692801, 0], abs=1e-6)
    json.dumps(report.to_json(), allow_nan=False)


def test_a_wrong_step_is_refused_with_what_float64_gives() -> None:
    """Neither where ONNX Runtime is off as well, nor where it is right, does a wrong value pass."""
    for element, gives in ((0, "float64 gives -30, ONNX Runtime -inf, the step -29"), (1, "the step 0.686738")):

        def wrong(given: Values, element: int = element) -> Values:
            values = right(given)
            values["y"] = values["y"].copy()
            values["y"][0, element] += 1
            return values

        report = forced(log_sigmoid(), wrong, X[:1])
        assert not report.ok
        assert gives in report.text()
        assert "no spikes;" in report.text()


def test_a_spike_that_the_reference_decides_wrongly_is_not_the_steps_fault() -> None:
    """log σ(−25) is above −28: ONNX Runtime's margin is −∞ there; that is neither a flip nor a violation."""

    def spiking(given: Values) -> Values:
        values = right(given)
        margin = values["y"] + 28
        return {**values, "y": margin > 0, "spike.spike": margin > 0, "margin.spike": margin}

    report = forced(log_sigmoid(spikes=True), spiking)
    assert report.ok
    assert (report.spikes_flipped, report.violations, report.reference_faults) == (0, 0, 2)

    def blind(given: Values) -> Values:
        values = spiking(given)
        return {**values, "y": np.zeros(SHAPE), "spike.spike": np.zeros(SHAPE, bool)}

    report = forced(log_sigmoid(spikes=True), blind, X[1:])
    assert not report.ok
    assert "float64 decides as ONNX Runtime does" in report.text()


def test_what_rounding_amplifies_or_decides_passes_and_nothing_else() -> None:
    """Behind a jump at a sum that rounds to either side both results are right, and a third is not.

    So is any order of additions whose rest is enlarged a million times.
    """
    nodes = [
        helper.make_node("Add", ["state.h", "large"], ["raised"]),
        helper.make_node("Add", ["x", "raised"], ["sum"]),
        helper.make_node("Sub", ["sum", "large"], ["rest"]),
        helper.make_node("Floor", ["rest"], ["y"]),
        helper.make_node("Floor", ["sum"], ["whole"]),
        helper.make_node("Sub", ["sum", "whole"], ["part"]),
        helper.make_node("Mul", ["part", "million"], ["next.h"]),
    ]
    graph = step_of(nodes, {"large": np.float32(1000), "million": np.float32(1e6)})
    x = np.full((1, *SHAPE), np.float32(1 - 2**-20))

    def other_order(given: Values, shift: float = 0.0, rest: float = 1 - 2**-20) -> Values:
        return {"y": np.floor(given["x"]) + shift, "next.h": np.full(SHAPE, rest * 1e6)}

    report = forced(graph, other_order, x)
    assert report.ok
    assert report.judged_ticks == 1
    assert not forced(graph, lambda given: other_order(given, shift=3), x).ok
    assert not forced(graph, lambda given: other_order(given, rest=0.5), x).ok


def test_the_spread_of_two_sides_of_a_jump_is_that_of_each_side() -> None:
    """0, 0, 0, 1, 1 do not spread; what rounding scatters does; what is not finite is left out."""
    values = np.array([[0, 0, 0, 1, 1], [1, 1.5, 2, 1.75, 1.25], [3, np.inf, 3.5, np.nan, 4], [np.nan] * 5]).T
    assert spread(values).tolist() == [0, 0.75, 0.5, 0]


def test_a_comparison_that_always_needs_float64_ends_early_and_says_so() -> None:
    """After 16 ticks the slow evaluation has seen enough; the report counts what was compared."""
    report = forced(log_sigmoid(), right, np.repeat(X[:1], JUDGED_TICKS + 5, axis=0))
    assert report.ok
    assert report.ticks == JUDGED_TICKS
    assert f"over {JUDGED_TICKS} ticks" in report.text()


def divided() -> StepGraph:
    """y = 12 / d of integers."""
    spec = StepSpec(
        inputs=(TensorSpec("d", SHAPE, "int64", value_range=(0, 5)),),
        outputs=(TensorSpec("y", SHAPE, "int64"),),
        states=(),
    )
    return graphs.build("divided", spec, [helper.make_node("Div", ["twelve", "d"], ["y"])], {"twelve": np.int64(12)})


def test_ticks_without_a_result_are_left_out_and_alone_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """12 / 0 of integers is nothing to compare; where there is nothing else, one line says what was tried and why.

    ONNX Runtime prints nothing beside it.
    """
    graph = divided()
    session = FunctionSession(graph, lambda given: {"y": 12 // np.maximum(given["d"], 1)})
    d: Any = np.array([[[1, 2, 3, 4]], [[1, 0, 3, 4]], [[4, 3, 2, 1]]])
    report = compare_forced(ObservedReference(graph), session, {"d": d}, 3)
    assert report.ok
    assert (report.ticks, report.undefined_ticks) == (2, 1)
    assert "no result for the inputs of 1 ticks more" in report.text()
    with pytest.raises(UndefinedTickError, match=r"division by zero.*give data") as caught:
        compare_forced(ObservedReference(graph), session, {"d": d[1:2]}, 1)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""

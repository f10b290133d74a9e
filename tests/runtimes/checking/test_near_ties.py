"""Roundings next to a tie: a step that decides some the other way passes, one off by a quantum elsewhere does not."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from astroedge.runtimes.checking.parity import compare_forced
from astroedge.runtimes.checking.parity_report import ForcedReport
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.runtimes.checking.third_opinion import Opinion, Tolerance
from astroedge.session import Array
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.support import graphs
from tests.support.function_session import FunctionSession, Values

WIDTH = 40
SCALE, GAIN = np.float32(0.125), np.float32(0.3)
WEIGHTS = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)
TIES = [3, 11]
HALVES = np.random.default_rng(1).uniform(-9.4, 9.4, WIDTH).round(1) + 0.03  # in quanta, none of them next to a tie
HALVES[TIES] = [4.5, -2.5]
X = (HALVES * SCALE / GAIN).astype(np.float32)[None, None]


def quantised() -> StepGraph:
    """y = (quantised 0.3 x) W; next.h = the floor of y, which a quantum more or less brings over an edge."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, WIDTH), "float32"),),
        outputs=(TensorSpec("y", (1, WIDTH), "float32"),),
        states=(StateSpec("h", (1, WIDTH), "float32"),),
    )
    nodes = [
        helper.make_node("Mul", ["x", "gain"], ["scaled"]),
        helper.make_node("QuantizeLinear", ["scaled", "scale", "zero"], ["q"]),
        helper.make_node("Cast", ["q"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["whole", "w"], ["y"]),
        helper.make_node("Floor", ["y"], ["floored"]),
        helper.make_node("Add", ["floored", "state.h"], ["next.h"]),
    ]
    constants: dict[str, Array] = {"gain": GAIN, "scale": SCALE, "zero": np.int8(0), "w": WEIGHTS}  # type: ignore[dict-item]
    return graphs.build("quantised", spec, nodes, constants)


def judged(shift: dict[int, int]) -> ForcedReport:
    """A step whose quantiser gives some elements more than what float64 rounds to."""

    def step(given: Values) -> Values:
        q = np.round(given["x"].astype(np.float64)[0] * float(GAIN) / float(SCALE))
        for element, more in shift.items():
            q[element] += more
        y = (q @ WEIGHTS.astype(np.float64)).astype(np.float32)[None]
        return {"y": y, "next.h": np.floor(y) + given["h"]}

    graph = quantised()
    return compare_forced(ObservedReference(graph), FunctionSession(graph, step), {"x": X}, 1)


def test_either_side_of_a_tie_is_right_alone_and_together() -> None:
    """4.4999999 may be 5 quanta and 2.5000001 of them 2; what lies behind follows from that, and is compared."""
    assert judged({}).ok
    for shift in ({TIES[0]: 1}, {TIES[1]: 1}, {TIES[0]: 1, TIES[1]: 1}):
        assert judged(shift).ok
    report = judged({TIES[0]: 1})
    assert (report.judged_ticks, report.rounded_otherwise) == (1, 1)
    assert "on 1 ticks a value next to an edge was rounded to the other whole number" in report.text()


def test_a_quantum_elsewhere_is_a_defect() -> None:
    """Neither an element that is not next to a tie, nor another quantum at one that is, is rounding."""
    for shift in ({0: 1}, {TIES[0]: -1}, {TIES[0]: 3}, {TIES[0]: 1, 0: 1}):
        assert not judged(shift).ok


def test_whole_numbers_have_no_ties() -> None:
    """The floor of a count that no rounding moves is what it is, though a hair less would be floored to one less."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 4), "float32"),), outputs=(TensorSpec("y", (1, 4), "float32"),), states=()
    )
    nodes = [helper.make_node("Add", ["x", "one"], ["more"]), helper.make_node("Floor", ["more"], ["y"])]
    graph = graphs.build("counts", spec, nodes, {"one": np.float32(1)})  # type: ignore[dict-item]
    session = FunctionSession(graph, lambda given: {"y": given["x"] + 1 - (np.arange(4) == 2)})
    x = np.ones((1, 1, 4), np.float32)
    assert not compare_forced(ObservedReference(graph), session, {"x": x}, 1).ok


def test_an_index_that_would_be_none_explains_nothing() -> None:
    """Rounded the other way an element may point behind a table: the tick is a violation then, and no traceback."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1,), "float32"),),
        outputs=(TensorSpec("y", (1,), "float32"),),
        states=(StateSpec("h", (1,), "float32"),),
    )
    nodes = [
        helper.make_node("Mul", ["x", "gain"], ["scaled"]),
        helper.make_node("Floor", ["scaled"], ["floored"]),
        helper.make_node("Cast", ["floored"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "place"], ["y"]),
        helper.make_node("Add", ["y", "state.h"], ["next.h"]),
    ]
    table = np.arange(1, 5, dtype=np.float32)
    graph = graphs.build("table", spec, nodes, {"gain": np.float32(1.1), "table": table})
    x = np.full((1, 1), 3.63635, np.float32)  # 3.999985 rounds down, and 4 lies within the tolerance

    def step(given: Values) -> Values:
        return {"y": np.zeros(1, np.float32), "next.h": given["h"]}

    report = compare_forced(ObservedReference(graph), FunctionSession(graph, step), {"x": x}, 1)
    assert report.violations


def test_what_was_found_says_nothing_of_rounding() -> None:
    """Evaluations with other decisions are right as they are; between two of them lies nobody's value."""
    drawn, found = [{"y": np.zeros(1)}] * 3, [{"y": np.full(1, value)} for value in (1.0, 2.0, 5.0)]
    opinion = Opinion(drawn, lambda ours, share: found)
    assert opinion.explain({}, 1e-5)
    for value, is_right in ((0.0, True), (2.0, True), (1.4, False), (9.0, False)):
        ours, theirs = np.full(1, value, np.float32), np.zeros(1, np.float32)
        judgement = opinion.judge("y", np.array([0]), ours, theirs, Tolerance(1e-5, np.zeros(1)))
        assert judgement.right.tolist() == [is_right]

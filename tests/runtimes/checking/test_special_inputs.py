"""Ticks of extreme inputs: what they hold, when they are left out, and that they find what drawn data does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from astroedge.bundle.manifest import InputField, Kernel
from astroedge.runtimes.checking.parity import compare_forced
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.runtimes.checking.special_inputs import SpecialInputs, special_inputs
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs
from tests.support.function_session import FunctionSession, Values

FLOAT = InputField("x", (3, 40), "float32", 0, 480, True, False, 0, 0, "uniform", 2)
HALF = replace(FLOAT, name="h", dtype="float16", nbytes=240)
INDEX = InputField("k", (40,), "int64", 512, 320, False, True, -3, 9, "index", 0)
SPIKE = InputField("s", (40,), "bool", 1024, 40, False, False, 0, 0, "spike", 2**50)


def largest(cast: bool = False) -> StepGraph:
    """k = the index of the largest of x, or x as an integer."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 24), "float32", span=1.0),),
        outputs=(TensorSpec("k", (1, 24) if cast else (1,), "int64"),),
        states=(),
    )
    node = helper.make_node("ArgMax", ["x"], ["k"], axis=1, keepdims=0)
    node = helper.make_node("Cast", ["x"], ["k"], to=TensorProto.INT64) if cast else node
    return graphs.build("largest", spec, [node])


def by_text(ticks: list[SpecialInputs]) -> dict[str, dict[str, np.ndarray]]:
    """The inputs of each tick by what it is called."""
    return {item.text: dict(item.inputs) for item in ticks}


def test_every_tick_is_what_it_is_called() -> None:
    """Shapes and dtypes are the inputs' own, floats extreme, integers within what is drawn, and all calls alike."""
    fields = (FLOAT, HALF, INDEX, SPIKE)
    ticks, again = by_text(special_inputs(fields, largest())), by_text(special_inputs(fields, largest()))
    for text, inputs in ticks.items():
        for field in fields:
            array = inputs[field.name]
            assert (array.shape, array.dtype) == (field.shape, field.dtype)
            np.testing.assert_array_equal(array, again[text][field.name])
            assert not np.isnan(array.astype(float)).any()
        assert -3 <= inputs["k"].min() <= inputs["k"].max() < 9
    assert set(np.unique(ticks["inputs all equal"]["x"])) == {4}
    assert set(np.unique(ticks["inputs all equal"]["k"])) == {8}
    assert set(np.unique(ticks["inputs all −∞"]["k"])) == {-3}
    assert set(np.unique(ticks["inputs of three values"]["x"])) == {-4, 0, 4}
    assert np.isneginf(ticks["inputs all −∞"]["h"]).all()
    assert 0 < np.isneginf(ticks["some inputs −∞"]["x"]).mean() < 0.5
    for name, kind in (("x", np.float32), ("h", np.float16)):
        size = abs(ticks["denormal inputs"][name].astype(np.float64))
        assert (size > 0).all()
        assert (size < np.finfo(kind).smallest_normal).all()
        assert np.isfinite(ticks["huge inputs"][name]).all()


def test_a_graph_that_makes_integers_of_floats_is_given_none_beyond_them() -> None:
    """What an infinity or 2⁴⁰ is as an integer or an angle is undefined, so neither is asked for.

    Fixed point has no infinities.
    """
    ticks = special_inputs((FLOAT,), largest(cast=True))
    assert ticks
    assert all(np.isfinite(item.inputs["x"]).all() and abs(item.inputs["x"]).max() <= 4 for item in ticks)
    assert special_inputs((), largest()) == []
    sines = graphs.build(
        "sines",
        StepSpec((TensorSpec("x", (3, 40), "float32"),), (TensorSpec("y", (3, 40), "float32"),), ()),
        [helper.make_node("Sin", ["x"], ["y"])],
    )
    assert len(special_inputs((FLOAT,), sines)) == len(ticks)
    fixed = special_inputs((FLOAT,), largest(), [Kernel("fixed-point-0", "fixed-point", ("fixed_point",))])
    assert all(np.isfinite(item.inputs["x"]).all() for item in fixed)
    assert len(fixed) == len(ticks) + 1


def find_largest(given: Values) -> Values:
    """The first index of the largest."""
    return {"k": given["x"].argmax(axis=1)}


def start_at_the_lowest_number(given: Values) -> Values:
    """The same as a kernel has it that starts at (−1, the lowest finite number) and compares strictly."""
    found = np.where((given["x"] > np.finfo(np.float32).min).any(axis=1), given["x"].argmax(axis=1), -1)
    return {"k": found}


def test_an_index_of_minus_one_is_found_and_named() -> None:
    """A row of −∞ has its first element as its largest; drawn numbers never show who says otherwise."""
    graph = largest()
    data = graphs.random_inputs(graph, 20)
    special = special_inputs((replace(FLOAT, shape=(1, 24)),), graph)
    for function, ok in ((find_largest, True), (start_at_the_lowest_number, False)):
        session = FunctionSession(graph, function)
        assert compare_forced(ObservedReference(graph), session, data, 20).ok
        report = compare_forced(ObservedReference(graph), session, data, 20, special=special)
        assert report.ok is ok
        assert report.special_ticks == len(special)
        assert report.ticks == 20
    assert "inputs all −∞; float64 gives 0, ONNX Runtime 0, the step -1" in report.text()


def difference() -> StepGraph:
    """y = x − 2 x, which is no number for infinities."""
    spec = StepSpec((TensorSpec("x", (1, 4), "float32"),), (TensorSpec("y", (1, 4), "float32"),), ())
    nodes = [helper.make_node("Add", ["x", "x"], ["d"]), helper.make_node("Sub", ["x", "d"], ["y"])]
    return graphs.build("difference", spec, nodes)


def test_ticks_on_which_the_reference_gives_no_number_are_left_out() -> None:
    """∞ − ∞ proves nothing of either side, and the step is not even asked; finite ticks are compared."""
    graph, asked = difference(), []

    def negative(given: Values) -> Values:
        asked.append(given["x"])
        return {"y": -given["x"] * np.float32(1 + 2e-6 * (abs(given["x"]) > 1).any())}

    special = special_inputs((replace(FLOAT, shape=(1, 4)),), graph)
    report = compare_forced(
        ObservedReference(graph),
        FunctionSession(graph, negative),
        {"x": np.ones((1, 1, 4), np.float32)},
        1,
        special=special,
    )
    assert report.ok
    assert report.worst_error == 0
    assert report.special_ticks == sum(np.isfinite(item.inputs["x"]).all() for item in special) == len(asked) - 1
    assert f"and {report.special_ticks} of extreme inputs" in report.text()


@pytest.mark.parametrize(("share", "right"), [(2e-4, True), (1e-2, False)])
def test_extreme_inputs_find_gross_errors_alone(share: float, right: bool) -> None:
    """Sums of thousands of equally huge numbers lose several digits; what is off by more than that is wrong."""

    def negative(given: Values) -> Values:
        return {"y": -given["x"] * np.float32(1 + share * (abs(given["x"]) > 1e6).any())}

    graph, data = difference(), {"x": np.ones((1, 1, 4), np.float32)}
    special = special_inputs((replace(FLOAT, shape=(1, 4)),), graph)
    report = compare_forced(ObservedReference(graph), FunctionSession(graph, negative), data, 1, special=special)
    assert report.ok is right

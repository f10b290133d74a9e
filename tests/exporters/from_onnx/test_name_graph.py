"""Values of a foreign graph may have any names, and sizes that ONNX does not infer are those of the file."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import helper

from astroedge.errors import ExportError, UnsupportedOpError
from astroedge.exporters.export_onnx import export_onnx
from astroedge.runtimes import load
from tests.support.builds import build
from tests.support.foreign_onnx import model_of, value

TAKEN = ("y.made", "next.h", "state.h", "initial.h", "margin.h", "h.made", "y.constant", "sp/ace d:0")


def test_inner_values_may_have_any_name() -> None:
    """What a step graph names itself is free for it: its states, the inner names of outputs, initial values."""
    chain = ["x", *TAKEN, "y"]
    nodes = [helper.make_node("Add", [one, "unit"], [other]) for one, other in pairwise(chain)]
    nodes.append(helper.make_node("Mul", ["h", "y"], ["h_out"]))
    model = model_of(
        nodes,
        [value("x", [1, 3]), value("h", [1, 3])],
        [value("y", [1, 3]), value("h_out", [1, 3])],
        unit=np.float32(0.25),
    )
    graph = export_onnx(model, {"h": "h_out"}, initial={"h": np.float32([[1, 2, 3]])})
    with load(build(graph)) as session:
        x = np.float32([[1, 2, 3]])
        np.testing.assert_array_equal(session.step(x=x)["y"], x + 0.25 * (len(TAKEN) + 1))
        np.testing.assert_array_equal(session.states["h"], [[1, 2, 3]] * (x + 0.25 * (len(TAKEN) + 1)))


def unpooling(sizes: list[int | str], inner: list[int | str] | None) -> onnx.ModelProto:
    """A MaxUnpool to a size that is an operand, of which ONNX infers nothing, times the state."""
    nodes = [
        helper.make_node("MaxUnpool", ["x", "places", "size"], ["normal"], kernel_shape=[2], strides=[2]),
        helper.make_node("Mul", ["normal", "h"], ["y"]),
        helper.make_node("Add", ["h", "bias"], ["h_out"]),
    ]
    state = value("h", [4])
    model = model_of(
        nodes,
        [value("x", ["n", 1, "width"]), state],
        [value("y", sizes), value("h_out", [4])],
        places=np.array([[[1, 2]]]),
        size=np.array([1, 1, 4]),
        bias=np.full(4, 0.5, np.float32),
    )
    if inner:
        model.graph.value_info.append(value("normal", inner))
    return model


@pytest.mark.parametrize(
    ("sizes", "inner"), [([1, 1, 4], None), (["n", 1, 4], ["n", 1, 4]), (["a", "b", "c"], [1, 1, 4])]
)
def test_declared_sizes_stand_where_none_is_inferred(sizes: list[int | str], inner: list[int | str] | None) -> None:
    """Those of an output, or of an inner value from which the output's follow; symbols are what inputs say they are."""
    graph = export_onnx(unpooling(sizes, inner), {"h": "h_out"}, shapes={"x": (1, 1, 2)})
    assert graph.spec.outputs[0].shape == (1, 1, 4)


def test_sizes_that_nobody_knows_are_named() -> None:
    """Without a declaration there is nothing to go by; a wrong one is found when the step is compared."""
    with pytest.raises(ExportError, match="size of output 'y'"):
        export_onnx(unpooling(["a", "b", "c"], None), {"h": "h_out"}, shapes={"x": (1, 1, 2)})
    with pytest.raises(ExportError, match=r"'y' is \[1, 1, 4\], and the graph declares \[1, 1, 5\]"):
        export_onnx(unpooling([1, 1, 5], None), {"h": "h_out"}, shapes={"x": (1, 1, 2)})


def test_operator_of_another_domain_is_named_with_it() -> None:
    """ONNX Runtime's own operators are no ONNX, and their results have no inferred size; the operator is the reason."""
    nodes = [
        helper.make_node("FastGelu", ["x"], ["y"], domain="com.microsoft"),
        helper.make_node("Add", ["h", "x"], ["h_out"]),
    ]
    model = model_of(nodes, [value("x", [3]), value("h", [3])], [value("y", [3]), value("h_out", [3])])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(UnsupportedOpError, match=r"uses FastGelu of com\.microsoft"):
        export_onnx(model, {"h": "h_out"})


def test_data_that_the_step_is_not_defined_for_is_one_line() -> None:
    """ONNX Runtime refuses an index outside its table; the error says what to give instead."""
    nodes = [
        helper.make_node("Add", ["x", "far"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["y"]),
        helper.make_node("Add", ["h", "y"], ["h_out"]),
    ]
    model = model_of(
        nodes,
        [value("x", [1], onnx.TensorProto.INT64), value("h", [1])],
        [value("y", [1]), value("h_out", [1])],
        table=np.ones(4, np.float32),
        far=np.array([7]),
    )
    with pytest.raises(ExportError, match=r"indices element out of data bounds.* `examples`"):
        export_onnx(model, {"h": "h_out"})
    assert export_onnx(model, {"h": "h_out"}, examples=[{"x": np.array([-6])}]).spec.inputs[0].name == "x"

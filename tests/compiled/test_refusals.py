"""What cannot be compiled is refused by name."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

import astroedge
from astroedge.errors import CompileError, TargetError, UnsupportedOpError
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import build


def graph_with(operator: str) -> StepGraph:
    """A step whose next state is what `operator` makes of the state and the input."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 8), "float32"),),
        outputs=(TensorSpec("y", (1, 8), "float32"),),
        states=(StateSpec("v", (1, 8), "float32"),),
    )
    nodes = [
        helper.make_node("Add", ["state.v", "x"], ["sum"]),
        helper.make_node(operator, ["sum"], ["y"]),
        helper.make_node("Identity", ["y"], ["next.v"]),
    ]
    return graphs.build("refused", spec, nodes)


def test_operator_without_importer_is_named() -> None:
    """An ONNX operator that TVM cannot import is UnsupportedOpError, in one line that names it."""
    with pytest.raises(UnsupportedOpError, match="RandomUniformLike") as caught:
        astroedge.compile(graph_with("RandomUniformLike"))
    assert "\n" not in str(caught.value)


def test_exact_math_refuses_what_has_no_exact_kernel() -> None:
    """What only the device's C library computes, a float64 function, is refused; `math="fast"` allows it."""
    tensors = (TensorSpec("x", (1, 8), "float32"), TensorSpec("y", (1, 8), "float32"))
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Atan", ["wide"], ["angle"]),
        helper.make_node("Cast", ["angle"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = graphs.build("wide", StepSpec(inputs=tensors[:1], outputs=tensors[1:], states=()), nodes)
    with pytest.raises(UnsupportedOpError, match="computes atan in float64, for which there is no") as caught:
        build(graph)
    assert "\n" not in str(caught.value)
    assert build(graph, math="fast").manifest.math == "fast"


@pytest.mark.parametrize(("option", "value"), [("math", "sloppy"), ("kernels", "sparse")])
def test_unknown_option_is_refused(option: str, value: str) -> None:
    """A misspelt option is an error that lists the right ones, never a silent default."""
    with pytest.raises(CompileError, match=f"{value}.*(exact|dense)"):
        astroedge.compile(graphs.lif_layer(), **{option: value})


def test_unknown_target_is_refused() -> None:
    """A target that does not exist is refused before anything is compiled."""
    with pytest.raises(TargetError, match="raspberry-pi-4"):
        astroedge.compile(graphs.lif_layer(), "raspbery-pi-4")

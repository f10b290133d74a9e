"""Many operators' forms as one step, so that one compilation tries them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import onnx
from numpy.typing import NDArray
from onnx import compose, helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support.operator_steps import FORMS, data_of, step_of


def batches(names: Sequence[str], size: int) -> Iterator[list[str]]:
    """Operators in lists of at most `size`; those of a list have forms of one opset."""
    for _, same in groupby(sorted(names, key=_opset), _opset):
        listed = list(same)
        for start in range(0, len(listed), size):
            yield listed[start : start + size]


def step_of_operators(names: Sequence[str]) -> StepGraph:
    """The step that holds each operator's form, of inputs and outputs `NAME_x` and `NAME_y`; all have one opset."""
    steps = [step_of(name) for name in names]
    parts = [compose.add_prefix(step.model, f"{name}_").graph for name, step in zip(names, steps, strict=True)]
    graph = onnx.GraphProto(name="operators")
    for part in parts:
        for field in ("node", "input", "output", "initializer"):
            getattr(graph, field).extend(getattr(part, field))
    (opset,) = {_opset(name) for name in names}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    given, made = ([], [])  # type: tuple[list[TensorSpec], list[TensorSpec]]
    for name, step in zip(names, steps, strict=True):
        for specs, listed in ((step.spec.inputs, given), (step.spec.outputs, made)):
            listed += [TensorSpec(f"{name}_{item.name}", item.shape, item.dtype) for item in specs]
    return StepGraph(model, StepSpec(inputs=tuple(given), outputs=tuple(made), states=()))


def data_of_operators(names: Sequence[str], ticks: int) -> dict[str, NDArray]:
    """Ticks of data that the operators are defined for, by the names of the step's inputs."""
    return {f"{name}_x": data_of(name, ticks) for name in names}


def _opset(name: str) -> int:
    return FORMS[name].opset

"""Many operators' forms as one step, so that one compilation tries them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import compose, helper

from astroedge.step.graph import StepGraph
from astroedge.step.operators import operators
from astroedge.step.spec import StepSpec
from astroedge.targets.compiler.compilation import Compilation
from astroedge.targets.cuda.library_call import LIBRARY_FUNCTION
from tests.support.operator_steps import FORMS, data_of, step_of

CARRIED = sorted(FORMS.keys() - operators(lambda row: not row.imported or bool(row.inexact_functions)))
"""The operators that have a form and that some bundle holds."""


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
    named = list(zip(names, steps, strict=True))
    inputs = tuple(replace(item, name=f"{name}_{item.name}") for name, step in named for item in step.spec.inputs)
    outputs = tuple(replace(item, name=f"{name}_{item.name}") for name, step in named for item in step.spec.outputs)
    return StepGraph(model, StepSpec(inputs=inputs, outputs=outputs, states=()))


def data_of_operators(names: Sequence[str], ticks: int) -> dict[str, NDArray[Any]]:
    """Ticks of data that the operators are defined for, by the names of the step's inputs."""
    return {f"{name}_x": data_of(name, ticks) for name in names}


def library_operators(made: Compilation, names: Sequence[str]) -> set[str]:
    """The operators of a step that the passes compiled for a GPU for which they call the CUDA library."""
    found = set()
    for name in names:
        reached = {value for value in made.program.inputs if value.name == f"{name}_x"}
        for call in made.program.calls:
            if reached & set(call.reads):
                reached |= set(call.writes)
                found |= {name} if LIBRARY_FUNCTION in (call.function.attrs or {}) else set()
    return found


def _opset(name: str) -> int:
    return FORMS[name].opset

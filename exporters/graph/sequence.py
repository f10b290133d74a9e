"""`sequence`: the step of a graph wrapped in an ONNX Scan, so that one call of ONNX Runtime runs many ticks.

Every data input and output gets a leading axis of ticks. States are inputs `state.<name>`, each with its initial value
as the default, and outputs `next.<name>` after the last tick. Weights stay outside the Scan, where ONNX Runtime can
prepare them once.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import onnx
from onnx import helper, numpy_helper

from astroedge.errors import ExportError
from astroedge.exporters.shared.labels import unique
from astroedge.step.examples import PREFIX as EXAMPLE_PREFIX
from astroedge.step.graph import METADATA_KEY, StepGraph
from astroedge.step.graph_index import replace_items, with_large_as_inputs
from astroedge.step.spec import StateSpec

INSIDE = "step:"
"""What the values inside of the Scan are called before their names, which are not those outside."""


def sequence(graph: StepGraph, ticks: int | None = None) -> onnx.ModelProto:
    """An ONNX model that runs `graph` over `ticks` ticks, any number when None; bit-equal to the step loop.

    Inputs: the data inputs `(ticks, …)`, then `state.<name>`, which may be left out: they default to the initial
    values. Outputs: the data outputs `(ticks, …)`, then `next.<name>` after the last tick.

    Raises ExportError for a number of ticks below 1 and for a graph without data inputs, since nothing would say how
    many ticks to run.
    """
    if ticks is not None and ticks < 1:
        raise ExportError(f"A sequence of {ticks} ticks is empty; give at least one.")
    if not graph.spec.inputs:
        raise ExportError("The step has no data input, so nothing says how many ticks to run; step it in a loop.")
    spec, source = graph.spec, graph.model.graph
    body = _body(source)
    states = spec.states
    results = [value.name for value in source.output]
    data_outputs, following = results[: len(spec.outputs)], results[len(spec.outputs) :]
    scan = helper.make_node(
        "Scan",
        [*(state.input_name for state in states), *(item.name for item in spec.inputs)],
        [*following, *data_outputs],
        name="/scan",
        body=_ordered(body, len(spec.inputs), len(spec.outputs)),
        num_scan_inputs=len(spec.inputs),
    )
    length = "ticks" if ticks is None else ticks
    outer = helper.make_graph(
        [scan],
        source.name,
        [_scanned(value, length) if index < len(spec.inputs) else value for index, value in enumerate(source.input)],
        [_scanned(value, length) if index < len(spec.outputs) else value for index, value in enumerate(source.output)],
    )
    initial = graph.initial_state()
    outer.initializer.extend(_default(state, initial) for state in states)
    outer.initializer.extend(item for item in source.initializer if item.name not in _initial_names(states))
    model = helper.make_model(outer, opset_imports=graph.model.opset_import, ir_version=graph.model.ir_version)
    model.producer_name, model.producer_version = "", ""
    kept = (entry for entry in graph.model.metadata_props if not entry.key.startswith((METADATA_KEY, EXAMPLE_PREFIX)))
    model.metadata_props.extend(kept)
    onnx.checker.check_model(with_large_as_inputs(model))
    return model


def _body(source: onnx.GraphProto) -> onnx.GraphProto:
    """The step as a Scan's body: no initialisers, every value that it makes under a name of its own.

    Each output is made by an Identity of its own: ONNX Runtime's Scan wants outputs that are neither inputs nor values
    of the outer graph, nor one value twice.
    """
    made = [value.name for value in source.input] + [name for node in source.node for name in node.output if name]
    renamed = {name: f"{INSIDE}{name}" for name in made}
    nodes = []
    for node in source.node:
        copy = deepcopy(node)
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        copy.output[:] = [renamed.get(name, name) for name in node.output]
        nodes.append(copy)
    taken = set(renamed.values())
    outputs = []
    for value in source.output:
        name = unique(f"{INSIDE}{value.name}.result", taken)
        taken.add(name)
        nodes.append(helper.make_node("Identity", [renamed[value.name]], [name], name=f"/{name}"))
        outputs.append(_named(value, name))
    inputs = [_named(value, renamed[value.name]) for value in source.input]
    return helper.make_graph(nodes, f"{source.name}.step", inputs, outputs)


def _ordered(body: onnx.GraphProto, inputs: int, outputs: int) -> onnx.GraphProto:
    """The body with states first, as Scan wants them."""
    for values, count in ((body.input, inputs), (body.output, outputs)):
        replace_items(values, [*values[count:], *values[:count]])
    return body


def _scanned(value: onnx.ValueInfoProto, length: int | str) -> onnx.ValueInfoProto:
    """A value with a leading axis of ticks."""
    tensor = value.type.tensor_type
    shape = [length, *(dim.dim_value for dim in tensor.shape.dim)]
    return helper.make_tensor_value_info(value.name, tensor.elem_type, shape)


def _named(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = deepcopy(value)
    copy.name = name
    return copy


def _default(state: StateSpec, initial: Mapping[str, np.ndarray]) -> onnx.TensorProto:
    """The initialiser that an input of the same name defaults to."""
    return numpy_helper.from_array(np.ascontiguousarray(initial[state.name]).reshape(state.shape), state.input_name)


def _initial_names(states: tuple[StateSpec, ...]) -> set[str]:
    return {state.initial_name for state in states}

"""States of a foreign graph get the names and places that a step graph has for them; other values keep theirs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from astroedge.errors import ExportError
from astroedge.exporters.from_onnx.declared_names import values_of
from astroedge.exporters.from_onnx.fold_graph import inferred_shapes
from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_check import dtype_name
from astroedge.step.graph_index import GraphIndex, live_nodes
from astroedge.step.operators import operator
from astroedge.step.spec import INITIAL_PREFIX, NEXT_PREFIX, STATE_PREFIX, StateSpec, StepSpec, TensorSpec

MARGIN_PREFIX = "margin."  # of what a probe build adds (astroedge/step/spike_margin.py)


def name_graph(model: onnx.ModelProto, states: Mapping[str, str], initial: Mapping[str, float | None]) -> StepSpec:
    """Rename in place, and give the spec, without measurements; `initial` is what each state is filled with.

    Every output is made by an Identity of its own, so that an output may also be a state, or two states one value. A
    value that has the name of a state's input or output gets another one.

    Raises ExportError for a pair that does not fit, and an output whose size is open.
    """
    graph = model.graph
    shapes, inputs = inferred_shapes(model), values_of(graph.input)
    outputs = [value.name for value in graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    specs = tuple(
        _state(name, output, inputs[name], (types[output], shapes.get(output)), initial[name])
        for name, output in states.items()
    )
    given = [name for name in outputs if name not in states.values()] or outputs
    open_sizes = [name for name in given if name not in shapes]
    if open_sizes:
        makers = [node.op_type for node in live_nodes(graph, open_sizes[:1])]
        maker = next((kind for kind in makers if operator(kind).refused), makers[-1])
        raise ExportError(
            f"The size of output {open_sizes[0]!r} depends on data by {maker}, and a step's does not; cut it off, or "
            "give what decides it as a constant."
        )
    inner = _rename_values(graph, states, outputs)
    made_by = {name: f"{STATE_PREFIX}{name}" if name in states else inner[name] for name in outputs}
    results = [
        *((name, name) for name in given),
        *((output, f"{NEXT_PREFIX}{name}") for name, output in states.items()),
    ]
    graph.node.extend(helper.make_node("Identity", [made_by[source]], [target]) for source, target in results)
    data = [(name, *value) for name, value in inputs.items() if name not in states]
    gives = [(name, dtype_name(types[name]), shapes[name]) for name in given]
    del graph.input[:], graph.output[:]
    graph.input.extend(_value(*item) for item in data)
    graph.input.extend(_value(state.input_name, state.dtype, state.shape) for state in specs)
    graph.output.extend(_value(*item) for item in gives)
    graph.output.extend(_value(state.output_name, state.dtype, state.shape) for state in specs)
    return StepSpec(
        inputs=tuple(TensorSpec(name, shape, dtype) for name, dtype, shape in data),
        outputs=tuple(TensorSpec(name, shape, dtype) for name, dtype, shape in gives),
        states=specs,
        source={"framework": "onnx", "version": onnx.__version__},
    )


def _state(
    name: str,
    output: str,
    taken: tuple[str, tuple[int, ...]],
    made: tuple[int, tuple[int, ...] | None],
    initial: float | None,
) -> StateSpec:
    """The state that the input `name` is, if what feeds it fits."""
    dtype, shape = dtype_name(made[0]), made[1]
    if (dtype, shape) != taken:
        raise ExportError(
            f"State {name!r} is {taken[0]} {list(taken[1])}, but {output!r}, which feeds it, is {dtype} "
            f"{'of open size' if shape is None else list(shape)}; check the pair and --shape."
        )
    return StateSpec(name, taken[1], taken[0], None, initial)


def _rename_values(graph: onnx.GraphProto, states: Mapping[str, str], outputs: list[str]) -> dict[str, str]:
    """Free the names that a step graph needs, and name state inputs; the inner name of each output."""
    taken = {*GraphIndex(graph).names}
    wanted = {f"{prefix}{name}" for prefix in (STATE_PREFIX, NEXT_PREFIX, INITIAL_PREFIX) for name in states}
    fed = {value.name for value in graph.input}
    renamed: dict[str, str] = {}
    for name in sorted(taken - fed):
        if name in outputs or name in wanted or name.startswith(MARGIN_PREFIX):
            renamed[name] = unique(f"{name}.made", taken | wanted)
            taken.add(renamed[name])
    names = renamed | {name: f"{STATE_PREFIX}{name}" for name in states}
    for node in graph.node:
        node.input[:] = [names.get(item, item) for item in node.input]
        node.output[:] = [names.get(item, item) for item in node.output]
    for item in (*graph.initializer, *graph.value_info):
        item.name = names.get(item.name, item.name)
    return names


def _value(name: str, dtype: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

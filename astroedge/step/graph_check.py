"""What a step graph must keep: graph and step description say the same, and every state is a pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from astroedge.errors import GraphError
from astroedge.host_package import require
from astroedge.step.graph_index import GraphIndex, infer_types, live_nodes, node_reads
from astroedge.step.spec import INITIAL_PREFIX, NEXT_PREFIX, STATE_PREFIX, StateSpec, StepSpec

if TYPE_CHECKING:
    import onnx
else:
    onnx = require("onnx", "checking a step graph")

Value = tuple[str, str, tuple[int, ...]]
"""Name, dtype, shape."""


def check_graph(model: onnx.ModelProto, spec: StepSpec) -> None:
    """Refuse a model that is not valid ONNX, or that does not do what `spec` says.

    Raises GraphError with the first thing that is wrong.
    """
    _check_unique(spec)
    inputs = [(item.name, item.dtype, item.shape) for item in spec.inputs]
    inputs += [(state.input_name, state.dtype, state.shape) for state in spec.states]
    outputs = [(item.name, item.dtype, item.shape) for item in spec.outputs]
    outputs += [(state.output_name, state.dtype, state.shape) for state in spec.states]
    _check_values("input", inputs, _values(model.graph.input))
    _check_values("output", outputs, _values(model.graph.output))
    _check_initial_values(model, spec)
    infer_types(model)
    live = live_nodes(model.graph, [value.name for value in model.graph.output])
    _check_read(spec, live)
    _check_spikes(model.graph, spec)


def dtype_name(elem_type: int) -> str:
    """NumPy's name of an ONNX element type; ONNX's own name where NumPy has none, its number where ONNX has none."""
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(elem_type)).name
    except (KeyError, TypeError):
        known = elem_type in onnx.TensorProto.DataType.values()
        return onnx.TensorProto.DataType.Name(elem_type).lower() if known else f"type {elem_type}"


def _values(values: Sequence[onnx.ValueInfoProto]) -> list[Value]:
    """Name, dtype and shape of graph inputs or outputs; symbolic extents count as -1."""
    found = []
    for value in values:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
        found.append((value.name, dtype_name(tensor.elem_type), shape))
    return found


def _check_unique(spec: StepSpec) -> None:
    """Names of spikes are unique, and no data input or output looks like a state."""
    for item in (*spec.inputs, *spec.outputs):
        if item.name.startswith((STATE_PREFIX, NEXT_PREFIX, INITIAL_PREFIX)):
            raise GraphError(
                f"{item.name!r} is named like a state; give inputs and outputs names without these prefixes."
            )
    names = [item.name for item in (*spec.spikes, *spec.activations)]
    for name in names:
        if names.count(name) > 1:
            raise GraphError(f"Two sparse tensors are called {name!r}; names must be unique within a step.")


def _check_values(kind: str, expected: list[Value], found: list[Value]) -> None:
    """Inputs or outputs are those of the description: same names in the same order, same dtypes and shapes."""
    missing = [name for name, _, _ in expected if name not in {value[0] for value in found}]
    extra = [name for name, _, _ in found if name not in {value[0] for value in expected}]
    if missing:
        raise GraphError(
            f"The graph has no {kind} {missing[0]!r}, which its step description names; every state needs a 'state.' "
            "input and a 'next.' output: was the file edited by another tool? Export the model again."
        )
    if extra:
        raise GraphError(f"The graph's {kind} {extra[0]!r} is not in its step description; export the model again.")
    for wanted, actual in zip(expected, found, strict=False):
        if wanted[0] != actual[0]:
            raise GraphError(f"The graph's {kind}s are out of order: {actual[0]!r} stands where {wanted[0]!r} belongs.")
        if wanted[1:] != actual[1:]:
            raise GraphError(
                f"{kind.capitalize()} {wanted[0]!r} is {actual[1]} {list(actual[2])} in the graph but {wanted[1]} "
                f"{list(wanted[2])} in its step description; a state keeps dtype and shape: export the model again."
            )
    if len(found) != len(expected):
        raise GraphError(f"The graph has an {kind} twice; export the model again.")


def _check_initial_values(model: onnx.ModelProto, spec: StepSpec) -> None:
    """A stored initial value has its state's dtype and shape; a fill can be represented in the state's dtype."""
    stored = GraphIndex(model.graph).initialisers
    for state in spec.states:
        if state.initial is not None:
            initial_fill(state)
            continue
        tensor = stored.get(state.initial_name)
        if tensor is None:
            raise GraphError(f"The initial value of state {state.name!r}, tensor {state.initial_name!r}, is missing.")
        if (dtype_name(tensor.data_type), tuple(tensor.dims)) != (state.dtype, state.shape):
            raise GraphError(f"The initial value of state {state.name!r} does not have that state's dtype and shape.")


def initial_fill(state: StateSpec) -> np.ndarray:
    """The fill of a state as an array of its dtype and shape.

    Raises GraphError if the dtype cannot hold the number.
    """
    number = 0.0 if state.initial is None else state.initial
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.full(state.shape, number).astype(state.dtype)
    held = float(array.flat[0])
    fits = np.isinf(held) == np.isinf(number) and np.isnan(held) == np.isnan(number)
    if not fits or (not state.dtype.startswith("float") and held != number):
        raise GraphError(f"State {state.name!r} is {state.dtype}, which cannot hold its initial value {number}.")
    return array


def _check_read(spec: StepSpec, live: Sequence[onnx.NodeProto]) -> None:
    """Every state is read on the way to some output."""
    read = set().union(*(node_reads(node) for node in live)) if live else set()
    for state in spec.states:
        if state.input_name not in read:
            raise GraphError(
                f"State {state.name!r} is never read, so it carries nothing over; the graph was edited, or the state "
                "should not be one: remove it or export the model again."
            )


def _check_spikes(graph: onnx.GraphProto, spec: StepSpec) -> None:
    """Every spike tensor and every sparse activation exists."""
    made = {name for node in graph.node for name in node.output} | {value.name for value in graph.input}
    for item in (*spec.spikes, *spec.activations):
        if item.tensor not in made:
            raise GraphError(f"Sparse tensor {item.name!r} names the value {item.tensor!r}, which the graph lacks.")

"""What a foreign ONNX graph is told by name: which output feeds which input, what stays constant, sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from astroedge.abi.layout import DTYPES
from astroedge.errors import ExportError, NoStateError
from astroedge.nearest_name import did_you_mean
from astroedge.step.graph_check import dtype_name

Array = np.ndarray[Any, np.dtype[Any]]


def check_names(kind: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Raise ExportError for the first of `names` that is not in `known`, with the nearest that is."""
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"it has {', '.join(known)}."
            raise ExportError(f"The graph has no {kind} {name!r}; {hint}")


def check_pairs(graph: onnx.GraphProto, states: Mapping[str, str]) -> None:
    """Raise NoStateError without pairs, ExportError for a name that is not there and an output named twice."""
    inputs, outputs = data_inputs(graph), [value.name for value in graph.output]
    if not states:
        raise NoStateError(
            "An ONNX graph does not say what it carries over; name each state's input and output with --state IN=OUT "
            f"(inputs: {', '.join(inputs)}; outputs: {', '.join(outputs)})."
        )
    check_names("input", states, inputs)
    check_names("output", states.values(), outputs)
    fed = list(states.values())
    twice = next((name for name in fed if fed.count(name) > 1), None)
    if twice is not None:
        raise ExportError(f"Output {twice!r} is named for two states; each state needs an output of its own.")


def data_inputs(graph: onnx.GraphProto) -> list[str]:
    """The inputs that must be fed; those with a default are constants unless named."""
    return [value.name for value in graph.input]


def as_input(graph: onnx.GraphProto, name: str, given: object) -> Array:
    """`given` in the dtype of the graph's input `name`; ExportError if that changes a number."""
    value = next(item for item in graph.input if item.name == name)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    array = np.asarray(given)
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
    lossy = not np.issubdtype(dtype, np.floating) and not np.array_equal(cast.astype(array.dtype), array)
    if lossy or array.dtype.kind not in "biuf":
        raise ExportError(f"Input {name!r} is {dtype} and cannot be {given!r}; give a value of that kind.")
    return cast


def hold_constant(model: onnx.ModelProto, constants: Mapping[str, object]) -> dict[str, Array]:
    """Turn inputs into initialisers, in place, and return what they hold.

    A single number fills an input of fixed shape. Raises ExportError for a value that does not fit.
    """
    graph = model.graph
    check_names("input", constants, data_inputs(graph))
    held: dict[str, Array] = {}
    for name, given in constants.items():
        array = as_input(graph, name, given)
        value = next(item for item in graph.input if item.name == name)
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
        if array.ndim == 0 and None not in dims:
            array = np.full([dim for dim in dims if dim is not None], array)
        fits = len(dims) == array.ndim and all(d in (None, n) for d, n in zip(dims, array.shape, strict=True))
        if value.type.tensor_type.HasField("shape") and not fits:
            raise ExportError(f"Input {name!r} has shape {dims}, its constant {list(array.shape)}; give one that fits.")
        graph.input.remove(value)
        for tensor in [item for item in graph.initializer if item.name == name]:
            graph.initializer.remove(tensor)
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        held[name] = array
    return held


def fix_shapes(
    graph: onnx.GraphProto, shapes: Mapping[str, Sequence[int]], batch: int | None, states: Iterable[str]
) -> None:
    """Give every input the shape that `shapes` says, in place, and every symbolic size the value that follows from it.

    `batch` is the value of the first size of data inputs and of each symbol whose name holds "batch". Raises
    ExportError for a shape that contradicts the graph or another one, for a size that is left open, and for a batch
    that no size takes.
    """
    check_names("input", shapes, data_inputs(graph))
    carried = set(states)
    sizes: dict[str, int] = {}
    is_taken = batch is None
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        wanted: list[int | None] = list(shapes.get(value.name, [None] * len(dims)))
        if not value.type.tensor_type.HasField("shape"):
            wanted = list(shapes.get(value.name, []))
            for _ in wanted:
                dims.add()
        if len(wanted) != len(dims):
            raise ExportError(f"Input {value.name!r} has {len(dims)} sizes, its --shape {len(wanted)}.")
        for axis, dim in enumerate(dims):
            size = wanted[axis]
            is_batch = "batch" in dim.dim_param or (axis == 0 and value.name not in carried)
            if size is None and batch is not None and is_batch and not dim.HasField("dim_value"):
                size = batch
            is_taken |= is_batch and batch in (size, dim.dim_value)
            if size is not None:
                _bind(value.name, dim, size, sizes)
    if not is_taken:
        raise ExportError(
            f"--batch {batch} changes nothing: the graph's own sizes are fixed; export it from its framework with an "
            "open batch, or with that one."
        )
    for value in graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param in sizes and not dim.HasField("dim_value"):
                dim.dim_value = sizes[dim.dim_param]
            if not dim.HasField("dim_value"):
                symbol = f" ({dim.dim_param})" if dim.dim_param else ""
                raise ExportError(
                    f"Size {axis} of input {value.name!r}{symbol} is open, and a step has fixed sizes; give "
                    f"--shape {value.name}=… or --batch."
                )


def _bind(name: str, dim: onnx.TensorShapeProto.Dimension, size: int, sizes: dict[str, int]) -> None:
    """Fix one size and what its symbol stands for."""
    fixed = dim.dim_value if dim.HasField("dim_value") else sizes.get(dim.dim_param, size)
    if fixed != size:
        symbol = f" ({dim.dim_param})" if dim.dim_param else ""
        raise ExportError(f"A size{symbol} of input {name!r} is {fixed}, not {size}; check --shape and --batch.")
    if dim.dim_param:
        sizes[dim.dim_param] = size
    dim.dim_value = size


def declared_values(graph: onnx.GraphProto, fixed: onnx.GraphProto) -> dict[str, onnx.ValueInfoProto]:
    """What `graph` says of the values that it makes, where all sizes follow from the inputs of `fixed`, by name.

    `fixed` is the same graph with inputs of fixed sizes; a size that it leaves open takes the value of its symbol.
    """
    sizes = {}
    shapes = {value.name: value.type.tensor_type.shape.dim for value in fixed.input}
    for value in graph.input:
        for dim, given in zip(value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False):
            if dim.dim_param:
                sizes[dim.dim_param] = given.dim_value
    found = {}
    for value in (*graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        known = [dim.dim_value if dim.HasField("dim_value") else sizes.get(dim.dim_param) for dim in dims]
        if value.type.tensor_type.HasField("shape") and None not in known:
            found[value.name] = helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, known)
    return found


def values_of(values: Iterable[onnx.ValueInfoProto]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of each graph input by name; ExportError for a dtype that no step carries."""
    found = {}
    for value in values:
        tensor = value.type.tensor_type
        dtype = dtype_name(tensor.elem_type)
        if dtype not in DTYPES:
            raise ExportError(f"Input {value.name!r} is {dtype}; a step carries only {', '.join(DTYPES)}.")
        found[value.name] = dtype, tuple(dim.dim_value for dim in tensor.shape.dim)
    return found

"""A step graph in float64: what its values are, and how far float32 can carry them from that.

The *plain* evaluation has every float as float64 and says what the graph means. A *rounded* one rounds each result as
float32 (or float16, where the graph has that) would, but up or down by chance, and reads the operands of sums and
functions as far off as their inner roundings are (random rounding: Vignes, A stochastic arithmetic for reliable
scientific computation, 1993). Several of them spread as far as correct float32 evaluations of the graph do, however the
graph amplifies or cancels; results that need no rounding stay as they are.

The kernels are those of ONNX's own reference evaluator, in NumPy: slow, and independent of ONNX Runtime and TVM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.host_package import require
from astroedge.step.float64_kernels import KERNELS
from astroedge.step.graph_index import live_nodes, replace_items
from astroedge.step.operators import operator
from astroedge.step.tensor_data import array_of, is_reference

if TYPE_CHECKING:
    import onnx
    from onnx import helper, numpy_helper, reference
else:
    onnx = require("onnx", "evaluating a step graph in float64")
    helper = require("onnx.helper", "evaluating a step graph in float64")
    numpy_helper = require("onnx.numpy_helper", "evaluating a step graph in float64")
    reference = require("onnx.reference", "evaluating a step graph in float64")

Array = NDArray[Any]
Decided = Mapping[str, Mapping[int, Any]]
"""By value, the flat indices of elements that are not computed, with what they are."""
Watch = Callable[[Any, Sequence[Any], Sequence[Any]], None]
"""What is shown every node of the evaluator, its operands and its results."""

NARROW: dict[int, Any] = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.FLOAT16: np.float16}
DOUBLE = onnx.TensorProto.DOUBLE
TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype", "stash_type")
ONE_STASH = ("LayerNormalization",)  # whose kernel ignores the attribute and refuses any other than float32
GRID_MODES = {b"bilinear": b"linear", b"bicubic": b"cubic"}  # as they were called before ONNX 1.15
OPERAND_ROUNDINGS = 4.0  # units of half the last place by which an operand of a sum or a function may count as off


class Float64Step:
    """The values of a graph in float64, plain or randomly rounded, one tick at a time."""

    def __init__(self, model: onnx.ModelProto, outputs: Sequence[str], elements: Mapping[str, int]) -> None:
        """Make the kernels of all that `outputs` depend on; `elements` has the ONNX element types of values.

        A float of unknown type counts as float32. Raises what ONNX's evaluator raises for an operator that it does not
        have.
        """
        self._elements = elements
        self._outputs = list(outputs)
        self._evaluator = reference.ReferenceEvaluator(_widened(model, self._outputs), new_ops=KERNELS)
        nodes = self._evaluator.rt_nodes_
        self._stored = {name for node in nodes if node.op_type == "Constant" for name in node.output}
        read = {name for node in nodes for name in node.input}
        self._large = {
            tensor.name: array_of(tensor)
            for tensor in model.graph.initializer
            if is_reference(tensor) and tensor.name in read
        }
        self._stored.update(self._evaluator.rt_inits_, self._large)

    def run(
        self,
        feeds: Mapping[str, Array],
        random: np.random.Generator | None = None,
        *,
        decided: Decided | None = None,
        watch: Watch | None = None,
    ) -> dict[str, Array]:
        """The outputs for an array for every input; floats are float64. With `random` every result is rounded.

        What is `decided` is taken as given; `watch` sees every node.

        Raises what NumPy or ONNX's evaluator raise where an operator is not defined for its operands.
        """
        values: dict[str, Any] = {"": None, **self._evaluator.rt_inits_}
        values.update((name, _wide(array)) for name, array in feeds.items())
        with np.errstate(all="ignore"):
            for node in self._evaluator.rt_nodes_:
                # The weights of a large model are widened as they are read, one operator's at a time.
                operands = [_wide(self._large[name]) if name in self._large else values[name] for name in node.input]
                results = node.run(*operands)
                if random is not None:
                    results = self._rounded(node, operands, results, random)
                if decided:
                    results = [
                        _decide(value, decided.get(name, {})) for name, value in zip(node.output, results, strict=False)
                    ]
                if watch is not None:
                    watch(node, operands, results)
                values.update(zip(node.output, results, strict=False))
        return {name: np.asarray(values[name]) for name in self._outputs}

    def _rounded(
        self, node: Any, operands: list[Any], results: Sequence[Any], random: np.random.Generator
    ) -> list[Any]:
        """The results with the roundings that a narrow type would have made on the way."""
        row = operator(node.op_type)
        if row.bound == "movement" and row.kind != "cast":
            return list(results)
        narrow = [
            None if np.asarray(value).dtype.kind != "f" else NARROW.get(self._elements.get(name, 0), np.float32)
            for name, value in zip(node.output, results, strict=False)
        ]
        exact = [kind is None or _is_exact(value, kind) for value, kind in zip(results, narrow, strict=False)]
        if all(exact):
            return list(results)
        moved = results
        if row.rounding != "exact" or row.functions:
            kind = next(kind for kind in narrow if kind is not None)
            computed = [name not in self._stored for name in node.input]
            moved = node.run(
                *(
                    _jittered(item, kind, random) if moves else item
                    for item, moves in zip(operands, computed, strict=True)
                )
            )
        return [
            value if kind is None or done else _round_randomly(value, other, kind, random)
            for value, other, done, kind in zip(results, moved, exact, narrow, strict=False)
        ]


def _decide(value: Any, elements: Mapping[int, Any]) -> Any:
    """A result with some elements replaced."""
    if not elements:
        return value
    changed = np.array(value)
    changed.reshape(-1)[list(elements)] = list(elements.values())
    return changed


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _is_exact(value: Array, kind: type[np.floating[Any]]) -> bool:
    """Whether no element needs rounding in the narrow type."""
    rounded = np.asarray(value).astype(kind)
    return bool(np.array_equal(rounded.astype(np.float64), value, equal_nan=True))


def _jittered(operand: Any, kind: type[np.floating[Any]], random: np.random.Generator) -> Any:
    """A float operand with every element off by a few roundings; anything else as it is."""
    if operand is None or np.asarray(operand).dtype != np.float64:
        return operand
    unit = OPERAND_ROUNDINGS * float(np.finfo(kind).eps) / 2
    return operand * (1 + unit * random.uniform(-1, 1, np.shape(operand)))


def _round_randomly(value: Array, moved: Array, kind: type[np.floating[Any]], random: np.random.Generator) -> Array:
    """`moved`, rounded up or down by chance in the narrow type, where `value` is not one of its numbers already."""
    value = np.asarray(value)
    moved = np.where(np.isnan(moved), value, moved)
    near = value.astype(kind)
    exact = (near.astype(np.float64) == value) | np.isnan(value)
    unit = np.abs(np.spacing(moved.astype(kind))).astype(np.float64)
    unit = np.where(np.isfinite(unit), unit, 0.0)
    shifted = moved + unit * random.uniform(-0.5, 0.5, moved.shape)
    return np.where(exact, value, shifted.astype(kind).astype(np.float64))


def _widened(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """A copy that computes `outputs` alone, with float64 for every narrower float."""
    wide = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = wide.graph
    graph.name = model.graph.name
    graph.node.extend(live_nodes(model.graph, outputs))
    read = {name for node in graph.node for name in node.input} | set(outputs)
    stored = [item for item in model.graph.initializer if item.name in read]
    graph.initializer.extend(_wide_tensor(item) for item in stored if not is_reference(item))
    graph.input.extend(helper.make_tensor_value_info(item.name, DOUBLE, None) for item in stored if is_reference(item))
    for value in model.graph.input:
        kind = value.type.tensor_type.elem_type
        kind = DOUBLE if kind in NARROW else kind
        graph.input.append(helper.make_tensor_value_info(value.name, kind, None))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    replace_items(graph.node, [_wide_node(node) for node in graph.node])
    return wide


def _wide_tensor(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.data_type not in NARROW:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name)


def _wide_node(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node with its types and stored numbers in float64."""
    copy = deepcopy(node)
    if node.op_type == "Constant":
        return _wide_constant(copy)
    for item in copy.attribute:
        if item.HasField("t"):
            item.t.CopyFrom(_wide_tensor(item.t))
        elif item.name in TYPE_ATTRIBUTES and item.i in NARROW and node.op_type not in ONE_STASH:
            item.i = DOUBLE
        elif item.name == "mode" and node.op_type == "GridSample":
            item.s = GRID_MODES.get(item.s, item.s)
    if node.op_type == "ConstantOfShape" and not node.attribute:
        copy.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1))))
    return copy


def _wide_constant(node: onnx.NodeProto) -> onnx.NodeProto:
    """A Constant of one tensor, whichever attribute held its floats."""
    for item in list(node.attribute):
        if item.name in ("value_float", "value_floats"):
            numbers = np.asarray(item.f if item.name == "value_float" else list(item.floats), np.float64)
            node.attribute.remove(item)
            node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(numbers)))
        elif item.HasField("t"):
            item.t.CopyFrom(_wide_tensor(item.t))
    return node

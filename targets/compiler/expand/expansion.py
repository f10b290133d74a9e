"""What a rule that writes an operator in others sees of a call, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import helper

from astroedge.errors import UnsupportedOpError
from astroedge.step.graph_index import ValueTypes, attributes
from astroedge.step.node_builder import NodeBuilder
from astroedge.step.operators import made_by
from astroedge.step.tensor_data import array_of


@dataclass(frozen=True)
class Call:
    """One node, with what is known of the values that it reads."""

    node: onnx.NodeProto
    types: ValueTypes
    stored: Mapping[str, onnx.TensorProto]
    opset: int

    @cached_property
    def options(self) -> dict[str, Any]:
        """The node's attributes by name."""
        return attributes(self.node)

    def input(self, position: int) -> str:
        """The name of an operand; "" for one that is left out."""
        return self.node.input[position] if position < len(self.node.input) else ""

    def output(self, position: int) -> str:
        """The name of a result; "" for one that nobody asks for."""
        return self.node.output[position] if position < len(self.node.output) else ""

    def shape(self, position: int = 0) -> tuple[int, ...]:
        """The fixed shape of an operand. Raises KeyError where ONNX does not know it."""
        return self.types.shapes[self.input(position)]

    def dtype(self, position: int = 0) -> np.dtype[Any]:
        """The dtype of an operand. Raises KeyError where ONNX does not know it."""
        return helper.tensor_dtype_to_np_dtype(self.types.elements[self.input(position)])

    def constant(self, position: int) -> np.ndarray[Any, np.dtype[Any]] | None:
        """What an operand holds, if that is stored in the graph."""
        tensor = self.stored.get(self.input(position))
        return None if tensor is None else array_of(tensor)


def reduce_axis(call: Call, builder: NodeBuilder, kind: str, value: str, axis: int, output: str | None = None) -> str:
    """A reduction over one axis, which goes; how ONNX writes the axis depends on the operator set."""
    if call.opset >= (13 if kind == "ReduceSum" else 18):
        return builder.op(kind, [value, builder.constant([axis], np.int64, "axis")], output, keepdims=0)
    return builder.op(kind, [value], output, axes=[axis], keepdims=0)


def stored(builder: NodeBuilder, value: str, shape: Sequence[int]) -> str:
    """The value kept in memory: what reads it several times neither computes it again nor is fused with it.

    A sum over an axis of one element is a copy that the compiler makes in a kernel of its own.
    """
    row = builder.op("Reshape", [value, builder.constant([1, -1], np.int64, "shape")])
    copied = builder.op("CumSum", [row, builder.constant(0, np.int64, "axis")])
    return builder.op("Reshape", [copied, builder.constant(shape, np.int64, "shape")])


Rule = Callable[[Call, NodeBuilder], bool]
"""Writes nodes that make the outputs of the call, bit for bit as the operator defines them, and returns True; returns
False, before it has written any, for a form that is left as it is."""


def refuse(call: Call, what: str) -> NoReturn:
    """Raise UnsupportedOpError for a form of an operator that nothing here can carry, described by `what`."""
    raise UnsupportedOpError(
        f"{made_by([call.node])} uses {call.node.op_type} with {what}, which no kernel computes; write that part of "
        "the model with other operators, or run the step graph in ONNX Runtime."
    )

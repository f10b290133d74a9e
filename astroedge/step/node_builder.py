"""Writing ONNX nodes that stand for another one: each has a name of its own, and constants collect beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astroedge.host_package import require

if TYPE_CHECKING:
    import onnx
    from numpy.typing import ArrayLike, DTypeLike
    from onnx import helper, numpy_helper
else:
    onnx = require("onnx", "rewriting a step graph")
    helper = require("onnx.helper", "rewriting a step graph")
    numpy_helper = require("onnx.numpy_helper", "rewriting a step graph")


class NodeBuilder:
    """Nodes and constants for one place of a graph; `nodes` are in the order in which they were asked for.

    The path of `like` goes before the names of the nodes, so that messages still name the module that made it.
    """

    def __init__(self, like: onnx.NodeProto, taken: set[str]) -> None:
        """Write in place of the node `like`; `taken` are the value names in use, to which those made here are added."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._taken = taken
        self._like = like.name
        self._base = next((name for name in like.output if name), like.op_type)

    def op(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Append a node with one output, named `output` if that is given; returns the output's name."""
        return self.ops(kind, inputs, [output or self.name(kind.lower())], **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """Append a node with several outputs; "" leaves one out."""
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), name=self._like, **attributes))
        return list(outputs)

    def constant(self, value: ArrayLike, dtype: DTypeLike, name: str = "constant") -> str:
        """Store an array and return its name."""
        full = self.name(name)
        array = np.asarray(value, dtype)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), full))
        return full

    def name(self, name: str) -> str:
        """A value name that nothing has, after the first output of the node that is replaced."""
        full, count = f"{self._base}.{name}", 1
        while full in self._taken:
            count += 1
            full = f"{self._base}.{name}.{count}"
        self._taken.add(full)
        return full

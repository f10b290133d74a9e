"""TVM's importer, node by node: what it makes of each must have the shape and dtype that ONNX has for it.

A value of another shape would be written beside or behind its place; nothing further on compares the two.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import numpy as np
import onnx
import tvm
from onnx import helper
from tvm import relax
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from astroedge.errors import AstroEdgeError, UnsupportedOpError
from astroedge.step.graph_index import ValueTypes
from astroedge.step.operators import made_by
from astroedge.step.tensor_data import array_of, is_reference
from astroedge.targets.compiler.lower.lowerings.relax_calls import stored
from astroedge.targets.compiler.lower.own_importers import CONVERTERS
from astroedge.targets.pass_list import UnknownForm

CURE = "Replace the operator in the model by simpler ones, or run the step graph in ONNX Runtime."


def checked_import(model: onnx.ModelProto, types: ValueTypes) -> tvm.IRModule:
    """The Relax module of a model of whose values `types` is what ONNX infers; TVM's prints and warnings are dropped.

    Raises UnsupportedOpError for an operator that TVM cannot import, or from which it makes something else than ONNX,
    UnknownForm for what it cannot import otherwise; both name operator and module.
    """
    importer = _CheckedImporter(types)
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return importer.from_onnx(model.graph, opset)
    except AstroEdgeError:
        importer.bb._end_block()  # TVM prints a warning where a builder goes with a block open
        raise
    except tvm.error.OpNotImplemented as error:
        missing = str(error).split("ONNX:")[-1].strip()
        makers = [node for node in model.graph.node if node.op_type in missing.replace(",", " ").split()]
        raise UnsupportedOpError(
            f"{made_by(makers)} uses {missing}, for which TVM has no importer; the step cannot be compiled. {CURE}"
        ) from error


class _CheckedImporter(ONNXGraphImporter):
    """An importer that looks at the results of each node before it goes on."""

    def __init__(self, types: ValueTypes) -> None:
        """`types` are what ONNX infers of the values."""
        super().__init__(None, "float32")
        self._types = types

    def _check_for_unsupported_ops(self, graph: onnx.GraphProto) -> None:
        known = [node for node in graph.node if node.op_type not in CONVERTERS]
        super()._check_for_unsupported_ops(onnx.GraphProto(node=known))

    def _parse_graph_initializers(self, graph: onnx.GraphProto) -> None:
        references = [tensor for tensor in graph.initializer if is_reference(tensor)]
        self._nodes.update((str(tensor.name), stored(array_of(tensor))) for tensor in references)
        others = (tensor for tensor in graph.initializer if not is_reference(tensor))
        super()._parse_graph_initializers(onnx.GraphProto(initializer=others) if references else graph)

    def _convert_operator(
        self, op_name: str, inputs: list[relax.Expr], attrs: dict[str, Any], opset: int
    ) -> relax.Expr:
        if op_name in CONVERTERS:
            return CONVERTERS[op_name](self.bb, inputs, attrs)
        return super()._convert_operator(op_name, inputs, attrs, opset)

    def _construct_nodes(self, graph: onnx.GraphProto) -> None:
        for node in graph.node:
            try:
                super()._construct_nodes(onnx.GraphProto(node=[node]))
            except AstroEdgeError:
                raise
            except Exception as error:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                raise UnknownForm(
                    f"{made_by([node])} uses {node.op_type} in a form that TVM could not import ({reason}). {CURE}"
                ) from error
            for name in node.output:
                self._check(node, name)

    def _check(self, node: onnx.NodeProto, name: str) -> None:
        """Compare one result; shapes that the importer keeps as such, and constants, are no arrays yet."""
        kind = getattr(self._nodes.get(name), "ty", None)
        if name not in self._types.shapes or not isinstance(kind, relax.TensorType):
            return
        shape = self._types.shapes[name]
        dtype = str(np.dtype(helper.tensor_dtype_to_np_dtype(self._types.elements[name])))
        if kind.shape is None or not all(isinstance(extent, tvm.tirx.IntImm) for extent in kind.shape):
            made: object = "a size that it does not know"
        else:
            made = f"{kind.dtype.dtype} {[int(extent) for extent in kind.shape]}"
        if made != f"{dtype} {list(shape)}":
            raise UnsupportedOpError(
                f"{made_by([node])} uses {node.op_type} in a form that TVM's importer gets wrong: {name!r} is "
                f"{dtype} {list(shape)}, and it makes {made}. {CURE}"
            )

"""Graphs of operator sets that ONNX Runtime does not have yet, written in one that it has.

What only a newer set has is a function of older operators in ONNX's own documents, which is put in its place. Export
compares the step with the graph that has those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx
from onnx import checker, defs, helper, inliner

from astroedge.errors import UnsupportedOpError
from astroedge.step.graph_index import replace_items, subgraphs, with_large_as_inputs

NEWEST_OPSET = 26  # that ONNX Runtime 1.31 runs
NEWEST_IR = 13
WITHOUT_KERNEL = ("Swish",)  # ONNX Runtime inlines it itself, but not from operator set 25 on
WINDOWS = ("left_window_size", "right_window_size")  # of Attention, which ONNX Runtime does not know


def in_older_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, or a copy of it that ONNX Runtime's operator set has.

    Raises UnsupportedOpError, with its name, for an operator or a form of one that no older set can say.
    """
    version = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)
    nodes = list(_nodes(model.graph))
    kinds = {node.op_type for node in nodes if node.domain in ("", "ai.onnx") and _is_newer(node, version)}
    if not kinds and version <= NEWEST_OPSET and model.ir_version <= NEWEST_IR:
        return model
    copy = _inlined(model, kinds) if kinds else onnx.ModelProto.FromString(model.SerializeToString())
    copy.ir_version = min(copy.ir_version, NEWEST_IR)
    for item in copy.opset_import:
        if item.domain in ("", "ai.onnx"):
            item.version = min(item.version, NEWEST_OPSET)
    _check(copy, version)
    return copy


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from _nodes(inner)


def _is_newer(node: onnx.NodeProto, version: int) -> bool:
    """Whether a function must take the node's place."""
    names = {item.name for item in node.attribute}
    if node.op_type == "Attention" or not defs.has(node.op_type):
        return bool(names.intersection(WINDOWS))
    if node.op_type in WITHOUT_KERNEL or version <= NEWEST_OPSET:
        return node.op_type in WITHOUT_KERNEL
    return (
        not defs.has(node.op_type, NEWEST_OPSET)
        or not names <= defs.get_schema(node.op_type, NEWEST_OPSET).attributes.keys()
    )


def _inlined(model: onnx.ModelProto, kinds: set[str]) -> onnx.ModelProto:
    """The model with ONNX's functions in place of operators, first of newer ones, which may use those without a kernel.

    The function depends on the types of the operands, and the inliner asks for that of one that is left out, too.
    """
    copy: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    stored = [helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in model.graph.initializer]
    copy.graph.value_info.extend([*stored, helper.make_tensor_value_info("", onnx.TensorProto.FLOAT, [])])
    for chosen in (kinds.difference(WITHOUT_KERNEL), WITHOUT_KERNEL):
        _write_defaults(copy.graph, chosen)
        names = [("", kind) for kind in chosen]
        copy = inliner.inline_selected_functions(copy, names, exclude=False, inline_schema_functions=True)
    added = {"", *(item.name for item in stored)}
    replace_items(copy.graph.value_info, [item for item in copy.graph.value_info if item.name not in added])
    return copy


def _write_defaults(graph: onnx.GraphProto, kinds: Collection[str]) -> None:
    """Write the attributes that nodes of some kinds leave out, in place; a function would have a hole there."""
    for node in _nodes(graph):
        if node.op_type not in kinds:
            continue
        present = {item.name for item in node.attribute}
        for name, attribute in defs.get_schema(node.op_type).attributes.items():
            if name not in present and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
                node.attribute.append(attribute.default_value)


def _check(model: onnx.ModelProto, version: int) -> None:
    """Refuse what the older operator set does not have."""
    try:
        checker.check_model(with_large_as_inputs(model))
    except checker.ValidationError as error:
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedOpError(
            f"The graph is of operator set {version}, ONNX Runtime has those up to {NEWEST_OPSET}, and what the graph "
            f"says needs the newer one ({reason}); export it again with operator set {NEWEST_OPSET}."
        ) from error

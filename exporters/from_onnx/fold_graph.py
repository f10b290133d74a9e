"""Compute in a foreign ONNX graph what depends on constants and shapes alone, and write out its control flow.

ONNX Runtime computes the constants, so the step has the bits that the original has there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

import onnx
from onnx import helper, inliner, numpy_helper, shape_inference

from astroedge.errors import GraphError
from astroedge.exporters.from_onnx.choose_branches import both_branches, chosen_branch
from astroedge.exporters.from_onnx.known_values import KnownValues
from astroedge.exporters.from_onnx.resolve_sequences import resolve_sequences
from astroedge.exporters.from_onnx.unroll_loops import unrolled
from astroedge.step.graph_index import GraphIndex, ValueTypes, declared_types, replace_items

Shapes = dict[str, tuple[int, ...]]
WRITTEN_OUT = ("GroupNormalization", "SequenceMap")
"""Operators that ONNX's functions take the place of: of the results of one ONNX infers nothing, the other is a loop."""
MISREAD_DEFAULTS: dict[str, dict[str, object]] = {
    "STFT": {"onesided": 1},
    "MeanVarianceNormalization": {"axes": [0, 2, 3]},
}
"""Attributes that ONNX's inference takes for something else than their default, or misses, where they are left out."""
Rule = Callable[[onnx.NodeProto, KnownValues, set[str]], list[onnx.NodeProto] | None]
"""Gives the nodes that stand for one with sub-graphs; None where it leaves that one as it is."""


def fold_graph(model: onnx.ModelProto, declared: Mapping[str, onnx.ValueInfoProto]) -> onnx.ModelProto:
    """A copy of `model` without constant nodes, shape arithmetic, local functions, and control flow of fixed form.

    Loops take their turns one by one, branches are chosen or both computed, sequences are the tensors in them.
    Where ONNX infers no shape of a value, the one in `declared` is taken; it stands in the copy's `value_info`.

    The inputs need fixed shapes. Raises GraphError if ONNX cannot infer the shapes of a valid model,
    UnsupportedOpError for a loop of too many turns.
    """
    copy = inliner.inline_local_functions(model) if model.functions else deepcopy(model)
    copy = _written_out(copy)
    _write_defaults(copy.graph)
    while _fold_once(copy, declared, (chosen_branch, unrolled)) or _fold_once(copy, declared, (both_branches,)):
        pass
    return copy


def _written_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with ONNX's functions in place of some operators."""
    if not any(node.op_type in WRITTEN_OUT for node in model.graph.node):
        return model
    for tensor in model.graph.initializer:  # the function of an operator depends on the types of its operands
        model.graph.value_info.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    kinds = [("", kind) for kind in WRITTEN_OUT]
    return inliner.inline_selected_functions(model, kinds, exclude=False, inline_schema_functions=True)


def _write_defaults(graph: onnx.GraphProto) -> None:
    """Write the attributes that ONNX would misread, in place."""
    for node in graph.node:
        present = {item.name for item in node.attribute}
        for name, value in MISREAD_DEFAULTS.get(node.op_type, {}).items():
            if name not in present:
                node.attribute.append(helper.make_attribute(name, value))


def _infer(model: onnx.ModelProto, declared: Mapping[str, onnx.ValueInfoProto]) -> ValueTypes:
    """What is known of each value; the declared shapes that this needs are put into the model.

    A shape is declared to the end, so that what follows from it is inferred, before the next one is needed.
    """
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    while True:
        types = inferred_types(model)
        made = (name for node in model.graph.node for name in node.output)
        lacking = next((name for name in made if name in declared and name not in types.shapes), None)
        if lacking is None:
            return types
        outputs = {value.name: value for value in model.graph.output}
        if lacking in outputs:
            outputs[lacking].CopyFrom(declared[lacking])
        model.graph.value_info.append(declared[lacking])


def inferred_types(model: onnx.ModelProto) -> ValueTypes:
    """What ONNX infers of each value.

    Raises GraphError if that contradicts what the graph says.
    """
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except shape_inference.InferenceError as error:
        reason = " ".join(str(error).split())[:200]
        raise GraphError(f"The shapes in the graph do not fit together ({reason}); check --shape.") from error
    return declared_types(inferred.graph)


def inferred_shapes(model: onnx.ModelProto) -> Shapes:
    """The shape of each value whose shape is fixed."""
    return inferred_types(model).shapes


def _fold_once(model: onnx.ModelProto, declared: Mapping[str, onnx.ValueInfoProto], rules: tuple[Rule, ...]) -> bool:
    """One walk over the nodes; whether anything changed."""
    graph = model.graph
    known = KnownValues(model, _infer(model, declared))
    before = known.values.keys() & {tensor.name for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    taken = {*GraphIndex(graph).names}
    changed = False
    for node in graph.node:
        inner = next((made for made in (rule(node, known, taken) for rule in rules) if made is not None), None)
        if inner is not None:
            nodes += inner
        elif not known.learn(node):
            nodes.append(node)
            continue
        changed = True
    replace_items(graph.node, nodes)
    changed |= resolve_sequences(model, known)
    read = {*GraphIndex(graph).readers, *(value.name for value in graph.output)} - before
    made = {output for node in graph.node for output in node.output}
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in known.values.items() if name in read - made
    )
    return changed

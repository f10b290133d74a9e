"""From what the tracer wrote to a step graph's model: nothing left over, nothing local, the same bytes every time."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from astroedge.errors import UnsupportedOpError, printable
from astroedge.exporters.graph.rewrite_picks import rewrite_picks
from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex, live_nodes, replace_items
from astroedge.step.operators import operator
from astroedge.step.spec import StateSpec
from astroedge.step.tensor_data import is_reference

SCOPES_KEY = "pkg.torch.onnx.name_scopes"


def clean_graph(
    model: onnx.ModelProto, name: str, prefixes: Sequence[str], classes: Mapping[str, str] | None = None
) -> None:
    """Clean a freshly traced model in place.

    Node names become `module.path/value`; stack traces, local paths and shape notes go. `prefixes` are cut, in turn,
    from the front of module paths and of initialiser names. `classes` are those of modules by path, for errors.

    Raises UnsupportedOpError for an operator that a step can't hold.
    """
    graph = model.graph
    # A file's name may be bytes that are no text, and a name in a graph cannot.
    graph.name, graph.doc_string, model.doc_string = printable(name), "", ""
    for place in (model.metadata_props, graph.metadata_props, graph.value_info, graph.quantization_annotation):
        del place[:]
    for value in (*graph.input, *graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
    for node in graph.node:
        _name_node(node, prefixes)
    rewrite_picks(model)
    refuse_operators(graph.node, classes)
    _name_initialisers(graph, prefixes)
    _separate_outputs(graph)
    remove_dead(graph)


def prune_states(graph: onnx.GraphProto, states: Iterable[StateSpec]) -> list[str]:
    """Remove states that nobody reads, in place, and return their names.

    A state is read when another state's next value or an output depends on it, or when its own next value does by more
    than a plain copy.
    """
    kept = list(states)
    outputs = [value.name for value in graph.output]
    readers = GraphIndex(graph).readers
    gone: list[StateSpec] = []
    while True:
        live = {name for node in live_nodes(graph, outputs) for name in node.output if name}
        unread = [state for state in kept if not _is_read(state, readers, live, set(outputs))]
        if not unread:
            break
        gone += unread
        kept = [state for state in kept if state not in unread]
        outputs = [output for output in outputs if output not in {state.output_name for state in unread}]
    for values, names in (
        (graph.input, {state.input_name for state in gone}),
        (graph.output, {state.output_name for state in gone}),
    ):
        replace_items(values, [value for value in values if value.name not in names])
    remove_dead(graph)
    return [state.name for state in gone]


def remove_dead(graph: onnx.GraphProto) -> None:
    """Remove nodes and initialisers that no output depends on."""
    replace_items(graph.node, live_nodes(graph, [value.name for value in graph.output]))
    read = GraphIndex(graph).readers
    replace_items(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in read])


def module_of(node: onnx.NodeProto) -> str:
    """Path of the module that made a node, from its name; "" for the root."""
    return node.name.rpartition("/")[0]


Readers = Mapping[str, Sequence[tuple[onnx.NodeProto, int]]]


def _is_read(state: StateSpec, readers: Readers, live: Collection[str], outputs: Collection[str]) -> bool:
    """Whether an output other than the state's own next value reads it, or that one by more than a plain copy.

    `live` are the values that `outputs` depend on.
    """
    nodes = [node for node, _ in readers.get(state.input_name, ()) if any(name in live for name in node.output)]
    copies = [node.output[0] for node in nodes if node.op_type == "Identity"]
    return len(copies) < len(nodes) or _reach_another(copies, state.output_name, outputs, readers)


def _reach_another(values: Sequence[str], own: str, outputs: Collection[str], readers: Readers) -> bool:
    """Whether an output other than `own` depends on one of the values."""
    seen, waiting = set(values), list(values)
    while waiting:
        name = waiting.pop()
        if name in outputs and name != own:
            return True
        new = {made for node, _ in readers.get(name, ()) for made in node.output} - seen
        seen |= new
        waiting += new
    return False


def _name_node(node: onnx.NodeProto, prefixes: Sequence[str]) -> None:
    """Name a node after the module and the value it makes; drop its documentation."""
    notes = {entry.key: entry.value for entry in node.metadata_props}
    scopes = ast.literal_eval(notes.get(SCOPES_KEY, "[]"))
    path = scopes[-2] if len(scopes) > 1 else ""
    node.name = f"{cut(path, prefixes)}/{node.output[0]}"
    node.doc_string = ""
    del node.metadata_props[:]


def cut(path: str, prefixes: Sequence[str]) -> str:
    """A dotted path without leading `prefixes`."""
    for prefix in prefixes:
        if path == prefix:
            path = ""
        path = path.removeprefix(f"{prefix}.")
    return path


def refuse_operators(nodes: Iterable[onnx.NodeProto], classes: Mapping[str, str] | None = None) -> None:
    """Only standard operators that compute the same thing every tick; `classes` are those of modules by path.

    Raises UnsupportedOpError that names the operator and its module.
    """
    for node in nodes:
        row = operator(node.op_type)
        if node.domain not in ("", "ai.onnx"):
            raise UnsupportedOpError(
                f"{maker(node, classes or {})} uses {node.op_type} of {node.domain}, and a step graph holds ONNX's own "
                "operators alone; write it with those."
            )
        if row.refused:
            raise UnsupportedOpError(
                f"{maker(node, classes or {})} uses {node.op_type}, which a step graph cannot hold (control flow, "
                f"randomness, what is no tensor, or a size that depends on data); {row.cure}."
            )


def maker(node: onnx.NodeProto, classes: Mapping[str, str]) -> str:
    """The module that made a node, in words; `classes` are those of modules by path."""
    path = module_of(node)
    kind = f" ({classes[path]})" if path in classes else ""
    return f"Module {path!r}{kind}" if path else f"The model{kind}"


def _name_initialisers(graph: onnx.GraphProto, prefixes: Sequence[str]) -> None:
    """Cut the prefixes from initialiser names and store every initialiser as raw little-endian bytes."""
    taken = {*GraphIndex(graph).names}
    renamed: dict[str, str] = {}
    for tensor in graph.initializer:
        short = cut(tensor.name, prefixes)
        renamed[tensor.name] = short if short not in taken else tensor.name
        taken.add(short)
    stored = [
        item if is_reference(item) else numpy_helper.from_array(numpy_helper.to_array(item), item.name)
        for item in graph.initializer
    ]
    replace_items(graph.initializer, stored)
    for item in graph.initializer:
        item.name = renamed[item.name]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def _separate_outputs(graph: onnx.GraphProto) -> None:
    """Let a node make every output: one that is a constant gets an Identity."""
    index = GraphIndex(graph)
    made, taken = index.makers, {*index.names}
    sources: dict[str, str] = {}
    for value in graph.output:
        if value.name not in made:
            sources[value.name] = unique(f"{value.name}.constant", taken)
            taken.add(sources[value.name])
    if not sources:
        return
    for tensor in graph.initializer:
        tensor.name = sources.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [sources.get(name, name) for name in node.input]
    for name, source in sources.items():
        graph.node.append(onnx.helper.make_node("Identity", [source], [name], name=f"/{name}"))


def store_initial_value(graph: onnx.GraphProto, state: StateSpec, value: np.ndarray) -> None:
    """Store the value of a state before the first tick as the initialiser `initial.<name>`."""
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), state.initial_name))

"""Compute with PyTorch itself what depends on parameters and constants alone.

A decay derived from a parameter then has in the graph exactly the bits it has in the model, whatever another library's
exp or sigmoid would give.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument

from astroedge.exporters.shared.labels import unique

LAYOUT_OPERATORS = frozenset(
    ("_to_copy", "clone", "expand", "permute", "reshape", "squeeze", "t", "transpose", "unsqueeze", "view")
)
SMALL_CONSTANT = 4096  # elements; a larger constant is only made if no copy of its source stays behind


def fold_constants(program: ExportedProgram) -> None:
    """Replace every value that depends on parameters and constants alone by that value, named after its source."""
    graph, signature = program.graph, program.graph_signature
    stored = {**program.state_dict, **program.constants}
    known: dict[fx.Node, Tensor] = {}
    names: dict[fx.Node, str] = {}
    for spec, node in zip(signature.input_specs, graph.nodes, strict=False):
        if spec.kind != InputKind.USER_INPUT and isinstance(stored.get(spec.target), Tensor):
            known[node], names[node] = stored[spec.target], str(spec.target)
    for node in graph.nodes:
        if node.op == "call_function" and _foldable(node, known):
            value = node.target(*fx.map_arg(node.args, known.__getitem__), **fx.map_arg(node.kwargs, known.__getitem__))
            known[node] = value.detach() if _is_large_view(value, node, known) else value.detach().clone().contiguous()
            names[node] = _constant_name(node, names)
    folded = [node for node in known if node.op == "call_function" and any(user not in known for user in node.users)]
    # What the step reads keeps its source's name, before what is an output alone.
    folded.sort(key=lambda node: all(user in known or not _computes(user) for user in node.users))
    constants = [_hoist(program, node) for node in folded]
    graph.eliminate_dead_code()
    _drop_unused(program)
    taken = {str(spec.target) for spec in signature.input_specs}
    for spec, node in zip(constants, folded, strict=True):
        name = unique(names[node], taken)
        taken.add(name)
        spec.target = name
        program.constants[name] = known[node]
    program.graph_module.recompile()


def _is_large_view(value: Tensor, node: fx.Node, known: dict[fx.Node, Tensor]) -> bool:
    """Whether a value only shows the elements of a large source in another order, which takes no memory."""
    places = {known[source].untyped_storage().data_ptr() for source in node.all_input_nodes}
    return value.numel() > SMALL_CONSTANT and value.untyped_storage().data_ptr() in places


def _foldable(node: fx.Node, known: dict[fx.Node, Tensor]) -> bool:
    """Whether a node's value is constant and worth keeping in place of its sources."""
    sources = node.all_input_nodes
    value: Any = node.meta.get("val")
    if not sources or not isinstance(value, Tensor) or any(source not in known for source in sources):
        return False
    if value.numel() <= SMALL_CONSTANT:
        return True
    grows = value.numel() > sum(source.meta["val"].numel() for source in sources)
    large = [source for source in sources if source.meta["val"].numel() > SMALL_CONSTANT]
    return not grows and all(sum(map(_computes, source.users)) <= 1 for source in large)


def _computes(node: fx.Node) -> bool:
    """Whether a node makes something of what it reads.

    The others look at dtype and shape alone, as `to` leaves them beside a pruning mask, or are the outputs, of which a
    constant one is what a hook sets anew at every call and no step reads.
    """
    return node.op != "output" and "_assert_" not in str(node.target)


def _constant_name(node: fx.Node, names: dict[fx.Node, str]) -> str:
    """A folded value's name: its source's, with the operator added unless it only rearranges it.

    The product of `weight_orig` and `weight_mask`, of `torch.nn.utils.prune`, is the `weight` that both stand for.

    No dot goes in between: PyTorch takes a dotted name for the path of a module, and no value can be one of those.
    """
    source = names[node.all_input_nodes[0]]
    pruned = source.removesuffix("_orig").removesuffix("_mask")
    if {names[item] for item in node.all_input_nodes} == {f"{pruned}_orig", f"{pruned}_mask"}:
        return pruned
    operator = str(node.target).removeprefix("aten.").partition(".")[0]
    return source if operator in LAYOUT_OPERATORS else f"{source}_{operator}"


def _hoist(program: ExportedProgram, node: fx.Node) -> InputSpec:
    """Let a new constant input of the graph stand for `node`; its signature entry, still without a name."""
    graph = program.graph
    with graph.inserting_before(next(iter(graph.nodes))):
        constant = graph.placeholder(f"folded_{node.name}")
    constant.meta = dict(node.meta)
    node.replace_all_uses_with(constant)
    spec = InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(name=constant.name), target=None)
    program.graph_signature.input_specs.insert(0, spec)
    return spec


def _drop_unused(program: ExportedProgram) -> None:
    """Remove parameters and constants that nothing reads any more."""
    specs = program.graph_signature.input_specs
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    for spec, node in zip(list(specs), placeholders, strict=True):
        if spec.kind != InputKind.USER_INPUT and not node.users:
            specs.remove(spec)
            program.graph.erase_node(node)

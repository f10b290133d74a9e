"""Parameters that no tick reads: those of modules that are not called, and those that only meet zeros.

A recurrent layer called without its state starts from zeros each time, and its recurrent matrix does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx
from torch.export import ExportedProgram

from astroedge.exporters.shared.labels import few
from astroedge.exporters.tracing.trace_errors import WRAPPER

FILLED = frozenset({"full", "full_like", "new_full"})
ZEROS = frozenset({"zeros", "zeros_like", "new_zeros"})
MOVED = frozenset(
    {
        *("cat", "clone", "detach", "expand", "permute", "repeat", "select", "slice", "squeeze", "stack", "t"),
        *("transpose", "unsqueeze", "view", "_to_copy", "_unsafe_view", "reshape", "alias"),
    }
)
PRODUCTS = frozenset({"bmm", "convolution", "dot", "mm", "mul", "mv"})
BIASED = frozenset({"addmm", "baddbmm", "addmv"})


def unread_parameters(program: ExportedProgram) -> list[str]:
    """A note on parameters that are in no operation, and one on those that are only multiplied by zeros."""
    read, zeros = set[fx.Node](), set[fx.Node]()
    for node in program.graph.nodes:
        if _is_zero(node, zeros):
            zeros.add(node)
    waiting = [node for node in program.graph.nodes if node.op == "output"]
    while waiting:
        node = waiting.pop()
        for source in _read(node, zeros):
            if source not in read:
                read.add(source)
                waiting.append(source)
    names = program.graph_signature.inputs_to_parameters
    unread = [node for node in program.graph.nodes if node.name in names and node not in read]
    unused = [names[node.name].removeprefix(f"{WRAPPER}.") for node in unread if not node.users]
    zeroed = [names[node.name].removeprefix(f"{WRAPPER}.") for node in unread if node.users]
    notes = [f"No tick reads {_listed(unused)}, so the graph is without."] if unused else []
    if zeroed:
        listed = _listed(zeroed)
        notes.append(
            f"{listed[0].upper()}{listed[1:]} met with zeros only: a recurrent layer called without its state starts "
            "afresh in every tick; pass its state and keep what it returns if it is to remember."
        )
    return notes


def _listed(names: Sequence[str]) -> str:
    return f"parameter{'s' if len(names) > 1 else ''} {few(names)}"


def _operator(node: fx.Node) -> str:
    """`addmm` of `aten.addmm.default`; nothing for what is no operator."""
    name = str(node.target)
    return name.removeprefix("aten.").partition(".")[0] if node.op == "call_function" else ""


def _is_zero(node: fx.Node, zeros: set[fx.Node]) -> bool:
    """Whether a value is zeros whatever comes in, but for products with infinity."""
    name, sources = _operator(node), node.all_input_nodes
    if name in ZEROS:
        return True
    if name in FILLED:
        return bool(node.args[-1] == 0)
    if name in MOVED:
        return bool(sources) and all(source in zeros for source in sources)
    return name in PRODUCTS and _without_bias(node) and any(source in zeros for source in sources[:2])


def _without_bias(node: fx.Node) -> bool:
    return _operator(node) != "convolution" or len(node.args) < 3 or node.args[2] is None


def _read(node: fx.Node, zeros: set[fx.Node]) -> list[fx.Node]:
    """The values that a value depends on."""
    if node in zeros:
        return []
    sources = node.all_input_nodes
    if _operator(node) in BIASED and any(source in zeros for source in sources[1:]):
        return [source for source in sources[:1] if source is node.args[0]]
    return list(sources)

"""The nodes and edges of a step: states, spikes and products, their modules, chains of plain operators joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from astroedge.bundle.manifest import Manifest, Matrix
from astroedge.step.spec import NEXT_PREFIX, STATE_PREFIX
from astroedge.units import percent, size

if TYPE_CHECKING:
    import onnx

    from astroedge.step.graph import StepGraph
    from astroedge.step.sparsity import Sparsity

PRODUCTS = frozenset(("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "Gather", "MatMulInteger", "ConvInteger"))
KINDS = {
    **{"input": "input", "output": "output", "state": "state", "next": "next state", "spike": "spikes"},
    **{"product": "product", "other": "operators"},
}


@dataclass
class Node:
    """What is drawn as one box.

    `kind` is a key of `KINDS`, `module` the dotted path of the module that made it, "" for none, `lines` what stands
    below its name, `facts` what is said of it when it is chosen. `group` is the module that it is drawn in.
    """

    name: str
    kind: str
    module: str
    lines: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    group: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the script of the page reads it."""
        return dict(vars(self))


@dataclass
class Picture:
    """Nodes, and edges as pairs of their places."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)


def picture_kernels(manifest: Manifest) -> Picture:
    """The calls of one tick in their order."""
    picture = Picture()
    for kernel in manifest.kernels:
        kind = "product" if any(word in kernel.kind for word in ("gemv", "conv", "rows", "product")) else "other"
        facts = [("kernel", kernel.name), ("operators", ", ".join(kernel.operators))]
        lines = [_shortened(kernel.operators)] if kernel.operators else []
        picture.nodes.append(Node(kernel.kind, kind, "", lines, facts))
    picture.edges = [(place, place + 1) for place in range(len(picture.nodes) - 1)]
    return picture


def _shortened(words: Sequence[str]) -> str:
    return " → ".join(words) if len(words) <= 3 else f"{words[0]} → … → {words[-1]} ({len(words)})"


def picture_graph(graph: StepGraph, manifest: Manifest | None) -> Picture:
    """The graph's operators, chains of plain ones joined, with the kernels that a bundle chose for its products."""
    from astroedge.step.find_sparsity import find_sparsity

    maker = _Maker(graph, manifest, find_sparsity(graph.model, graph.spec))
    return maker.picture()


class _Maker:
    """Makes the picture of one graph."""

    def __init__(self, graph: StepGraph, manifest: Manifest | None, sparsity: Mapping[str, Sparsity]) -> None:
        self.spec, self.sparsity = graph.spec, sparsity
        self.operators = list(graph.model.graph.node)
        self.stored = {item.name: tuple(item.dims) for item in graph.model.graph.initializer}
        self.matrices: dict[str, Matrix] = {} if manifest is None else {item.name: item for item in manifest.matrices}
        self.spikes = {item.tensor: item for item in graph.spec.spikes}
        self.nodes: list[Node] = []
        self.made: dict[str, int] = {}  # the node that makes a value

    def picture(self) -> Picture:
        """Sources, operators, results; then chains are joined."""
        for item in self.spec.inputs:
            self._source(item.name, Node(item.name, "input", "", [_extent(item.shape, item.dtype)]))
        for state in self.spec.states:
            where = state.name.rpartition(".")[0]
            node = Node(state.name, "state", where, [_extent(state.shape, state.dtype), size(state.nbytes)])
            self._source(STATE_PREFIX + state.name, node)
        edges = [edge for node in self.operators for edge in self._operator(node)]
        for item in self.spec.outputs:
            edges += self._result(item.name, Node(item.name, "output", "", [_extent(item.shape, item.dtype)]))
        for state in self.spec.states:
            where = state.name.rpartition(".")[0]
            edges += self._result(NEXT_PREFIX + state.name, Node(state.name, "next", where))
        picture = Picture(self.nodes, list(dict.fromkeys(edges)))
        choose_groups(picture)
        return join_chains(picture)

    def _source(self, value: str, node: Node) -> None:
        self.made[value] = len(self.nodes)
        self.nodes.append(node)

    def _result(self, value: str, node: Node) -> Iterator[tuple[int, int]]:
        if value in self.made:
            yield self.made[value], len(self.nodes)
        self.nodes.append(node)

    def _operator(self, operator: onnx.NodeProto) -> Iterator[tuple[int, int]]:
        from astroedge.step.graph_index import node_reads

        place = len(self.nodes)
        self.nodes.append(self._node(operator))
        yield from ((self.made[name], place) for name in sorted(node_reads(operator)) if name in self.made)
        self.made |= {name: place for name in operator.output if name}

    def _node(self, operator: onnx.NodeProto) -> Node:
        module = operator.name.rpartition("/")[0]
        facts = [("operator", operator.op_type), ("name", operator.name)]
        facts += [
            ("weights", f"{name} {shape_text(self.stored[name])}") for name in operator.input if name in self.stored
        ]
        spikes = next((self.spikes[name] for name in operator.output if name in self.spikes), None)
        if spikes is not None:
            rate = f"{spikes.name}: {percent(spikes.firing_rate)} fire at export"
            where = module or spikes.name.rpartition(".")[0]
            lines = [f"{percent(spikes.firing_rate)} of {shape_text(spikes.shape)} fire"]
            return Node(operator.op_type, "spike", where, lines, [*facts, ("spikes", rate)])
        if operator.op_type in PRODUCTS:
            return self._product(operator, module, facts)
        return Node(operator.op_type, "other", module, [], facts)

    def _product(self, operator: onnx.NodeProto, module: str, facts: list[tuple[str, str]]) -> Node:
        """A product with its extent, how sparse its inputs are and, of a bundle, its kernel and why."""
        lines = [shape_text(self.stored[name]) for name in operator.input if len(self.stored.get(name, ())) > 1][:1]
        sparse = next((found for name in operator.input if (found := self.sparsity.get(name)) is not None), None)
        matrix = next(filter(None, map(self._matrix, (*operator.input, *operator.output, f"{module}/"))), None)
        if matrix is not None:
            lines.append(f"{matrix.kernel} kernel, {matrix.precision}")
            facts = [*facts, ("kernel", matrix.kernel), ("why", matrix.reason), ("size", size(matrix.nbytes))]
        if sparse is not None:
            lines.append(f"input fires {percent(sparse.rate)}")
            facts = [*facts, ("input", f"{sparse.source}, {percent(sparse.rate)} not zero")]
        return Node(operator.op_type, "product", module, lines, facts)

    def _matrix(self, value: str) -> Matrix | None:
        """The bundle's matrix that is stored, or carried over, under a name."""
        name = value.removeprefix(STATE_PREFIX).removeprefix(NEXT_PREFIX).removesuffix("/")
        return self.matrices.get(name) or self.matrices.get(name.removesuffix(".weight"))


def shape_text(extents: Sequence[int]) -> str:
    """A shape such as 1 × 192."""
    return " × ".join(map(str, extents)) or "scalar"


def _extent(extents: Sequence[int], dtype: str) -> str:
    return f"{shape_text(extents)} {dtype}"


def choose_groups(picture: Picture) -> None:
    """Draw every node in its module, and one that no module made with what reads it.

    That is the innermost module that all its readers are drawn in. Closing a module then hides such a node instead of
    leaving it outside, between the module and itself.
    """
    readers: dict[int, list[int]] = {place: [] for place in range(len(picture.nodes))}
    for begin, end in picture.edges:
        readers[begin].append(end)
    for place in reversed(range(len(picture.nodes))):  # readers come after what they read
        node = picture.nodes[place]
        node.group = node.module
        if not node.module and node.kind not in ("input", "output") and readers[place]:
            node.group = _common([picture.nodes[reader].group for reader in readers[place]])


def _common(paths: Sequence[str]) -> str:
    """The longest dotted path that all paths begin with."""
    parts = [path.split(".") for path in paths]
    return ".".join(words[0] for words in takewhile(lambda same: len(set(same)) == 1, zip(*parts, strict=False)))


def join_chains(picture: Picture) -> Picture:
    """Plain operators of one module that are each other's only reader and only source, as one node."""
    followers: dict[int, list[int]] = {place: [] for place in range(len(picture.nodes))}
    sources: dict[int, list[int]] = {place: [] for place in range(len(picture.nodes))}
    for begin, end in picture.edges:
        followers[begin].append(end)
        sources[end].append(begin)
    first = list(range(len(picture.nodes)))
    for place, node in enumerate(picture.nodes):  # sources come first
        if len(sources[place]) == 1 and len(followers[sources[place][0]]) == 1:
            before = picture.nodes[sources[place][0]]
            if node.kind == before.kind == "other" and node.group == before.group and node.module == before.module:
                first[place] = first[sources[place][0]]
    members: dict[int, list[Node]] = {}
    for place, begin in enumerate(first):
        members.setdefault(begin, []).append(picture.nodes[place])
    number = {begin: index for index, begin in enumerate(members)}
    edges = [(number[first[begin]], number[first[end]]) for begin, end in picture.edges if first[begin] != first[end]]
    return Picture([_joined(nodes) for nodes in members.values()], list(dict.fromkeys(edges)))


def _joined(nodes: Sequence[Node]) -> Node:
    if len(nodes) == 1:
        return nodes[0]
    facts = [fact for node in nodes for fact in node.facts]
    name = _shortened([node.name for node in nodes])
    return Node(name, nodes[0].kind, nodes[0].module, [], facts, nodes[0].group)

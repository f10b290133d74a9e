"""`read_nir`: a NIR file becomes one tick as a module with its state as arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from astroedge.errors import ExportError, UnsupportedOpError
from astroedge.exporters.nir.choices import doubts, make_choices, settle_choices
from astroedge.exporters.nir.file import FIELDS, NirGraph, Node, read_nir_file
from astroedge.exporters.nir.graph import delayed_edges, order
from astroedge.exporters.nir.layers import make_layer
from astroedge.exporters.nir.neurons import Cuba, Delay, Membrane, Shape, StatefulNode, delay_ticks
from astroedge.exporters.shared.file_module import FileModule
from astroedge.exporters.shared.labels import unique

CUBA = ("CubaLIF", "CubaLI")
STATEFUL = ("LIF", "LI", "IF", "I", *CUBA)


def read_nir(path: str | os.PathLike[str], dt: float, choices: Mapping[str, str] | None = None) -> NirStep:
    """One tick of the network in a NIR file, `dt` in the unit of its time constants, usually seconds.

    `choices` settles what NIR leaves open (see `astroedge.exporters.nir.choices`), for example
    {"current": "new", "input": "held"}. Export it with `export(step, step.example_inputs(), step.initial_state())`.

    Raises InputError for a file that is missing or damaged, UnsupportedOpError for kinds of nodes without a step,
    ExportError for a choice that is missing, a dt that does not fit a time constant or a delay, shapes that do not fit
    each other, and loops in which it is open where the delay of one tick belongs.
    """
    if not 0 < dt < float("inf"):
        raise ExportError(f"dt is {dt}; it must be above 0, in the unit of the time constants, usually seconds.")
    graph = read_nir_file(path)
    if graph.unsupported:
        named = ", ".join(f"{node.name!r} ({node.kind})" for node in graph.unsupported)
        raise UnsupportedOpError(f"The NIR file has nodes without a step: {named}; there are {', '.join(FIELDS)}.")
    chosen = make_choices(choices or {})
    step = NirStep(graph, dt, settle_choices(graph.nodes, chosen))
    step.notes += doubts(graph.nodes, chosen)
    return step


class NirStep(FileModule):
    """One tick of a NIR graph: `forward(*inputs, *states) -> (*outputs, *next states)`, all `(batch, *shape)` float32.

    Inputs and outputs are the Input and Output nodes in the order of the file. Values of several edges into one node
    are added in the order of the edges. An edge that closes a loop carries the value of the tick before, 0 at first.
    """

    framework = "nir"

    def __init__(self, graph: NirGraph, dt: float, choices: Mapping[str, str]) -> None:
        super().__init__(graph.version)
        self._nodes = {node.name: node for node in graph.nodes}
        names = list(self._nodes)
        _check_ends(graph)
        self._early = _early_delays(graph, dt)
        edges = [edge for edge in graph.edges if edge[1] not in self._early]
        self._delayed = delayed_edges(names, edges, self._is_stateful)
        self._order = order(names, [edge for edge in edges if edge not in self._delayed])
        self._before = {name: [source for source, target in graph.edges if target == name] for name in names}
        self._shapes: dict[str, Shape] = {}
        self._wanted: dict[str, Shape] = {}
        self._steps = nn.ModuleDict()
        self._paths: dict[str, str] = {}
        self._add_all(dt, choices)
        for source, target in graph.edges:
            self._check_shape(source, target)
        self._inputs = [node.name for node in graph.nodes if node.kind == "Input"]
        self._outputs = [node.name for node in graph.nodes if node.kind == "Output"]
        self.input_names = list(self._inputs)
        self.output_names = list(self._outputs)
        self._initial = self._initial_values()
        self.state_names = list(self._initial)
        self.eval()

    def example_inputs(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Inputs of the right shapes: ones, so that something may fire; real data give real firing rates."""
        return tuple(torch.ones(batch, *self._shapes[name]) for name in self._inputs)

    def initial_state(self, batch: int = 1) -> tuple[Tensor, ...]:
        """The state before the first tick, in the order of `state_names`."""
        return tuple(value.expand(batch, *value.shape).clone() for value in self._initial.values())

    def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        """One tick: the inputs in the order of `input_names`, then the states in that of `state_names`."""
        count = len(self._inputs)
        state = dict(zip(self.state_names, arguments[count:], strict=True))
        values = dict(zip(self._inputs, arguments[:count], strict=True))
        following: dict[str, Tensor] = {}
        for name in self._order:
            if name in values:
                continue
            step = self._step(name)
            if name in self._early:
                values[name] = step.read(state[f"{name}.queue"])  # type: ignore[operator]
            elif isinstance(step, StatefulNode):
                values[name] = self._run(name, step, values, state, following)
            else:
                values[name] = step(self._sum(name, values, state))
        for name in self._early:
            self._run(name, self._step(name), values, state, following)
        following |= {_last(source): values[source] for source, _ in self._delayed}
        return (*(values[name] for name in self._outputs), *(following[name] for name in self.state_names))

    def _run(
        self,
        name: str,
        step: nn.Module,
        values: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        following: dict[str, Tensor],
    ) -> Tensor:
        """Run a stateful node, note its next states and return its output."""
        assert isinstance(step, StatefulNode)
        own = [f"{name}.{part}" for part in step.initial]
        y, *later = step(self._sum(name, values, state), *(state[part] for part in own))
        following.update(zip(own, later, strict=True))
        return y  # type: ignore[no-any-return]

    def _sum(self, name: str, values: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        """What reaches a node: the values of its edges added in their order."""
        terms = [
            state[_last(source)] if (source, name) in self._delayed else values[source] for source in self._before[name]
        ]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def _is_stateful(self, name: str) -> bool:
        return self._nodes[name].kind in STATEFUL

    def _step(self, name: str) -> nn.Module:
        return self._steps[self._paths[name]]

    def _add_all(self, dt: float, choices: Mapping[str, str]) -> None:
        """Make the module of every node, from the inputs on, as the shape of what reaches it becomes known."""
        left = list(self._nodes)
        while left:
            for name in left:
                node = self._nodes[name]
                known = [self._shapes[source] for source in self._before[name] if source in self._shapes]
                if node.kind == "Input":
                    self._shapes[name] = tuple(int(extent) for extent in node.numbers("shape").reshape(-1))
                elif known:
                    self._add(node, known[0], dt, choices)
            stuck = [name for name in left if name not in self._shapes]
            if stuck == left:
                raise ExportError(f"No Input of the NIR graph leads to {self._nodes[left[0]].label}; connect it.")
            left = stuck

    def _add(self, node: Node, shape: Shape, dt: float, choices: Mapping[str, str]) -> None:
        step: nn.Module
        given = shape
        if node.kind in CUBA:
            step = Cuba(node, shape, dt, choices)
        elif node.kind in STATEFUL:
            step = Membrane(node, shape, dt, choices)
        elif node.kind == "Delay":
            step = Delay(node, shape, dt)
        else:
            step, given = make_layer(node, shape, choices["threshold"] == "reached")
        self._wanted[node.name], self._shapes[node.name] = shape, given
        # torch takes no dots, and no names that its own container has.
        taken = [*dir(nn.ModuleDict), *self._paths.values()]
        self._paths[node.name] = unique(node.name.replace(".", "_"), taken)
        self._steps[self._paths[node.name]] = step

    def _check_shape(self, source: str, target: str) -> None:
        """Refuse an edge whose ends have different shapes, and an Output that declares more than axes of length 1."""
        node, wanted, given = self._nodes[target], self._wanted[target], self._shapes[source]
        if node.kind == "Output" and node.fields.get("shape") is not None:
            wanted = tuple(int(extent) for extent in node.numbers("shape").reshape(-1))
            if given != wanted and [n for n in given if n != 1] == [n for n in wanted if n != 1]:
                self.notes.append(f"{node.label} declares shape {wanted}; its values have {given}, and that is kept.")
                return
        if given != wanted:
            raise ExportError(
                f"{self._nodes[source].label} gives shape {given}, but {node.label} takes {wanted}; correct one of "
                "them before nir.write."
            )

    def _initial_values(self) -> dict[str, Tensor]:
        found = {_last(source): torch.zeros(self._shapes[source]) for source, _ in self._delayed}
        for name in self._order:
            step = self._step(name) if name not in self._inputs else None
            if isinstance(step, StatefulNode):
                found |= {f"{name}.{part}": value for part, value in step.initial.items()}
        return found


def _early_delays(graph: NirGraph, dt: float) -> list[str]:
    """The delays of at least one tick, which may close loops: what leaves them does not depend on what enters now."""
    delays = [node for node in graph.nodes if node.kind == "Delay"]
    return [node.name for node in delays if (delay_ticks(node, node.numbers("delay").shape, dt) > 0).all()]


def _check_ends(graph: NirGraph) -> None:
    """Refuse a graph without inputs or outputs, and nodes that get nothing or give nothing."""
    for kind in ("Input", "Output"):
        if not any(node.kind == kind for node in graph.nodes):
            raise ExportError(f"The NIR graph has no {kind} node; add one, so that its shape is known.")
    sources: Sequence[str] = [source for source, _ in graph.edges]
    targets: Sequence[str] = [target for _, target in graph.edges]
    for node in graph.nodes:
        if node.kind != "Input" and node.name not in targets:
            raise ExportError(f"Nothing leads to {node.label}; connect it or leave it out.")
        if node.kind != "Output" and node.name not in sources:
            raise ExportError(f"Nothing reads {node.label}; connect it or leave it out.")


def _last(name: str) -> str:
    """The state that holds a node's output of the tick before."""
    return f"{name}.last"

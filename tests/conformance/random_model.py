"""The PyTorch model of a network's description: its modules, its weights, and where each state lies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tests.conformance.network_description import INPUT, Convolution, Edge, Net, Population, extent_after
from tests.conformance.neuron_equations import CELLS, Leaky
from tests.conformance.state_keepers import EXPLICIT, Keeper, State

CHANNELS, EMBEDDED, CLASSES = 2, 16, 5
LINES = ("cat", "roll", "index", "put", "where")


class DelayLine(nn.Module):
    """What came in `edge.delay` ticks ago: a shift register or a ring of that length."""

    def __init__(self, edge: Edge, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.edge = edge
        initial = {"line": torch.zeros(edge.delay, *shape, dtype=getattr(torch, edge.dtype))}
        if edge.line not in ("cat", "roll"):
            initial["at"] = torch.zeros((), dtype=torch.int64)
        self.memory = Keeper(edge.memory, initial)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        line, new = state["line"], x.to(state["line"].dtype)
        if self.edge.line == "cat":
            return line[-1].to(x.dtype), {"line": torch.cat([new[None], line[:-1]])}
        if self.edge.line == "roll":
            rolled = torch.roll(line, 1, 0)
            rolled[0] = new
            return line[-1].to(x.dtype), {"line": rolled}
        at = state["at"]
        following = (at + 1) % self.edge.delay
        if self.edge.line == "index":
            late = line.index_select(0, at.reshape(1))[0]
            return late.to(x.dtype), {"line": line.index_copy(0, at.reshape(1), new[None]), "at": following}
        if self.edge.line == "put":
            late, ring = line[at.reshape(1)][0], line.clone()
            ring[at.reshape(1)] = new
            return late.to(x.dtype), {"line": ring, "at": following}
        here = (torch.arange(self.edge.delay) == at).reshape(-1, *[1] * x.ndim)
        late = torch.where(here, line, torch.zeros_like(line)).to(x.dtype).sum(0)
        return late, {"line": torch.where(here, new[None], line), "at": following}


class Neurons(nn.Module):
    """A population: its delay lines, its weights, its cell, its memory and what the others know of it a tick later."""

    def __init__(self, net: Net, index: int, sources: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.population = population = net.populations[index]
        self.lines = nn.ModuleList(
            DelayLine(edge, shape) if edge.delay else nn.Identity()
            for edge, shape in zip(population.edges, sources, strict=True)
        )
        self.join = _join(population, sources)
        self.shape = _shape(population, net.batch, sources)
        self.weights = nn.ModuleList(_weights(population, self.join, self.shape, sources))
        normalised = population.normalised and math.prod(self.shape[1:]) > 1
        self.norm = nn.LayerNorm(self.shape[1:]) if normalised else nn.Identity()
        self.cell: Leaky = CELLS[population.cell](population, self.shape, net.exact)
        self.memory = Keeper(population.memory, self.cell.initial())
        silent = torch.zeros(self.shape, dtype=getattr(torch, population.echo_dtype))
        self.echo = Keeper(population.echo, {"s": silent}) if net.read_late(index) else None

    def current(self, values: list[Tensor]) -> Tensor:
        """What the sources drive the cell with."""
        if self.population.convolution is not None:
            pictured = self._convolved(self.population.convolution, values[0])
            rest = [weight(value.flatten(1)) for weight, value in zip(self.weights[1:], values[1:], strict=True)]
            return self.norm(sum((one.reshape(pictured.shape) for one in rest), pictured))
        flat = [value.flatten(1) for value in values]
        if self.join == "concat":
            return self.norm(self.weights[0](torch.cat(flat, 1)))
        if self.join == "add":
            return self.norm(self.weights[0](sum(flat[1:], flat[0])))
        products = [weight(value) for weight, value in zip(self.weights, flat, strict=True)]
        return self.norm(sum(products[1:], products[0]))

    def _convolved(self, convolution: Convolution, image: Tensor) -> Tensor:
        pooled = {
            ("max", 3): nn.functional.max_pool1d,
            ("max", 4): nn.functional.max_pool2d,
            ("average", 3): nn.functional.avg_pool1d,
            ("average", 4): nn.functional.avg_pool2d,
        }
        if convolution.pool is None:
            return self.weights[0](image)
        pool = pooled[convolution.pool, image.ndim]
        return self.weights[0](pool(image, 2)) if convolution.pools_first else pool(self.weights[0](image), 2)


class RandomModel(nn.Module):
    """A network of `Neurons`, with its outputs; explicit states are carried in a dict by module path."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.embedding = nn.Embedding(net.width, EMBEDDED) if net.input == "tokens" else None
        entering = (net.batch, EMBEDDED) if net.input == "tokens" else self.input_shape()
        shapes = {INPUT: entering}
        for index, population in enumerate(net.populations):
            here = [shapes.get(edge.source, ()) for edge in population.edges]
            shapes[index] = _shape(population, net.batch, here)
        self.populations = nn.ModuleList(
            Neurons(net, index, [shapes[edge.source] for edge in population.edges])
            for index, population in enumerate(net.populations)
        )
        self.heads = nn.ModuleList(
            nn.Linear(math.prod(shapes[index][1:]), CLASSES) if kind in ("logits", "choice") else nn.Identity()
            for kind, index in net.outputs
        )
        self.explicit: dict[str, Keeper] = {}
        for path, keeper in self.keepers():
            keeper.path = path
            if keeper.kind == EXPLICIT:
                self.explicit[path] = keeper
        self.eval()
        self._draw_weights()

    def input_shape(self) -> tuple[int, ...]:
        """The shape of one tick of the input."""
        width, batch = self.net.width, self.net.batch
        return {
            "tokens": (batch,),
            "image": (batch, CHANNELS, width, width),
            "channels": (batch, CHANNELS, width),
        }.get(self.net.input, (batch, width))

    def keepers(self) -> Iterator[tuple[str, Keeper]]:
        """Every place with state, with its module path."""
        return ((path, module) for path, module in self.named_modules() if isinstance(module, Keeper))

    def advance(self, x: Tensor, given: dict[str, State]) -> list[Tensor]:
        """One tick; the explicit states in `given` are replaced by the next ones."""
        entering = x if self.embedding is None else self.embedding(x)
        late = {index: self._read(one.echo, given)["s"] for index, one in enumerate(self.populations) if one.echo}
        heard = {index: value.to(entering.dtype) for index, value in late.items()}
        now, carried = {INPUT: entering}, {}
        for index, one in enumerate(self.populations):
            values = [
                self._delayed(line, now.get(edge.source, heard.get(edge.source, entering)), given)
                for edge, line in zip(one.population.edges, one.lines, strict=True)
            ]
            now[index], carried[index] = one.cell(one.current(values), self._read(one.memory, given))
            self._write(one.memory, carried[index], given)
            if one.echo:
                self._write(one.echo, {"s": now[index].to(one.echo.dtypes["s"])}, given)
        return [
            self._output(kind, head, now[index], carried[index], heard.get(index, now[index]))
            for (kind, index), head in zip(self.net.outputs, self.heads, strict=True)
        ]

    def _delayed(self, line: nn.Module, value: Tensor, given: dict[str, State]) -> Tensor:
        if not isinstance(line, DelayLine):
            return value
        late, state = line(value, self._read(line.memory, given))
        self._write(line.memory, state, given)
        return late

    def _read(self, keeper: Keeper, given: Mapping[str, State]) -> State:
        return dict(given[keeper.path]) if keeper.kind == EXPLICIT else keeper.read()

    def _write(self, keeper: Keeper, state: State, given: dict[str, State]) -> None:
        if keeper.kind == EXPLICIT:
            given[keeper.path] = {key: state[key] for key in keeper.keys}
        else:
            keeper.write(state)

    def _output(self, kind: str, head: nn.Module, spikes: Tensor, state: State, late: Tensor) -> Tensor:
        if kind == "membrane":
            return state["v"]
        if kind == "late":
            return late
        if kind == "count":
            return spikes.flatten(1).sum(1)
        if kind == "logits":
            return head(spikes.flatten(1))
        return head(spikes.flatten(1)).argmax(1) if kind == "choice" else spikes

    def _draw_weights(self) -> None:
        """Weights that make the network fire: about 2 / √(fan in), in an exact network on a grid of 1/64."""
        generator = torch.Generator().manual_seed(self.net.seed)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)):
                    for name, parameter in module.named_parameters():
                        fan_in = parameter[0].numel() if name == "weight" else 16
                        drawn = torch.randn(parameter.shape, generator=generator) * 2.0 / fan_in**0.5
                        parameter.copy_(drawn.mul(64).round().div(64) if self.net.exact else drawn)
                elif isinstance(module, nn.RNNCellBase):
                    for parameter in module.parameters():
                        parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[0] ** 0.5)
            if self.net.exact:
                if self.embedding is not None:
                    self.embedding.weight[:, 0] = torch.arange(self.net.width) % 2
                for one in self.populations:
                    _tie(one)


class FlatStates(RandomModel):
    """The model with each explicit state as an argument and a result of its own; without any, plainly `forward(x)`."""

    def forward(self, x: Tensor, *states: Tensor) -> Any:
        waiting = iter(states)
        given = {path: {key: next(waiting) for key in keeper.keys} for path, keeper in self.explicit.items()}
        outputs = self.advance(x, given)
        following = [given[path][key] for path, keeper in self.explicit.items() for key in keeper.keys]
        return (*outputs, *following) if len(outputs) + len(following) > 1 else outputs[0]

    def start(self) -> tuple[Any, ...] | None:
        """The explicit states before the first tick; None if there are none."""
        return tuple(value for tree in self.initial().values() for value in tree.values()) or None

    def initial(self) -> dict[str, State]:
        """The explicit states before the first tick by path and key."""
        return {path: keeper.read() for path, keeper in self.explicit.items()}


class DictStates(FlatStates):
    """The model with all explicit states in one dict of dicts."""

    def forward(self, x: Tensor, state: dict[str, State]) -> Any:
        given = {path.replace("/", "."): dict(tree) for path, tree in state.items()}
        outputs = self.advance(x, given)
        return (*outputs, {path.replace(".", "/"): tree for path, tree in given.items()})

    def start(self) -> tuple[Any, ...] | None:
        return ({path.replace(".", "/"): tree for path, tree in self.initial().items()},)


class NestedStates(FlatStates):
    """The model with all explicit states in one tuple of tuples."""

    def forward(self, x: Tensor, state: tuple[tuple[Tensor, ...], ...]) -> Any:
        keys = {path: keeper.keys for path, keeper in self.explicit.items()}
        given = {path: dict(zip(keys[path], tree, strict=True)) for path, tree in zip(keys, state, strict=True)}
        outputs = self.advance(x, given)
        return (*outputs, tuple(tuple(given[path][key] for key in keys[path]) for path in keys))

    def start(self) -> tuple[Any, ...] | None:
        return (tuple(tuple(tree.values()) for tree in self.initial().values()),)


def build_model(net: Net) -> FlatStates:
    """The model of `net`; the same description gives the same model."""
    styles = {"dict": DictStates, "nested": NestedStates}
    model = FlatStates(net)
    return styles.get(net.states, FlatStates)(net) if model.explicit else model


def _join(population: Population, sources: list[tuple[int, ...]]) -> str:
    """How the sources meet; spikes can only be added where there are as many."""
    equal = len({math.prod(shape[1:]) for shape in sources}) == 1
    return "sum" if population.convolution or (population.join == "add" and not equal) else population.join


def _shape(population: Population, batch: int, sources: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a population's spikes."""
    convolution = population.convolution
    if convolution is None:
        return batch, population.width
    pixels = [extent_after(convolution, extent) for extent in sources[0][2:]]
    return batch, convolution.channels, *pixels


def _weights(
    population: Population, join: str, shape: tuple[int, ...], sources: list[tuple[int, ...]]
) -> Iterator[nn.Module]:
    """The weights of a population, one module for each source or one for all."""
    size, edges = math.prod(shape[1:]), population.edges
    widths = [math.prod(source[1:]) for source in sources]
    if join in ("concat", "add"):
        yield nn.Linear(sum(widths) if join == "concat" else widths[0], size, bias=edges[0].bias)
        return
    for position, (edge, width) in enumerate(zip(edges, widths, strict=True)):
        if position or population.convolution is None:
            yield nn.Linear(width, size, bias=edge.bias)
            continue
        kind = nn.Conv2d if len(sources[0]) == 4 else nn.Conv1d
        one = population.convolution
        yield kind(sources[0][1], one.channels, one.kernel, one.stride, one.padding, bias=edge.bias)


def _tie(one: Neurons) -> None:
    """Neuron 0 (in an image, channel 0) hears only neuron 0 of its first source, with a weight equal to the threshold.

    Its membrane meets the threshold exactly whenever it starts from nothing. Neuron 1 is driven by its bias alone.
    """
    for position, weight in enumerate(one.weights):
        parameters = dict(weight.named_parameters())
        images = isinstance(weight, (nn.Conv1d, nn.Conv2d))
        silenced = 1 if images else math.prod(one.shape[2:])
        parameters["weight"][:silenced] = 0.0
        if position == 0:
            middle = [0, *(extent // 2 for extent in parameters["weight"].shape[2:])]
            parameters["weight"][0][tuple(middle) if images else 0] = one.population.threshold
        if "bias" in parameters:
            parameters["bias"][:silenced] = 0.0
            if not images and parameters["bias"].numel() > 1:
                parameters["weight"][1] = 0.0
                parameters["bias"][1] = 0.25

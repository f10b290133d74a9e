"""One tick of each kind of neuron, written from its equations as a user of PyTorch writes it: (current, state) → both.

With a decay of 0.875 and currents that are exact sums, everything but "gates", "memory", "plain" and "astrocyte" uses
only + − × compare and select, so that PyTorch, ONNX Runtime and the compiled step must agree to the last bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tests.conformance.network_description import Population
from tests.conformance.state_keepers import State

EXACT_DECAY, DECAY = 0.875, 0.9
RESET_VALUE = -0.25
REFRACTORY_TICKS = 2
HEADS = (4, 3, 2, 1)


class Threshold(nn.Module):
    """Spikes of a membrane in one of the ways in which PyTorch makes them; 1 where it fires, else 0."""

    def __init__(self, way: str, strict: bool) -> None:
        super().__init__()
        self.way, self.strict = way, strict

    def forward(self, v: Tensor, threshold: Tensor) -> Tensor:
        if self.way == "heaviside":
            return torch.heaviside(v - threshold, torch.tensor(0.0 if self.strict else 1.0))
        if self.way == "difference":
            return ((v - threshold) > 0).to(v.dtype) if self.strict else ((v - threshold) >= 0).to(v.dtype)
        fired = v > threshold if self.strict else v >= threshold
        if self.way == "negated":
            return (~(v <= threshold if self.strict else v < threshold)).to(v.dtype)
        if self.way == "where":
            return torch.where(fired, torch.ones_like(v), torch.zeros_like(v))
        if self.way == "product":
            return fired * torch.ones_like(v)
        return fired.to(v.dtype)


class Leaky(nn.Module):
    """v ← d v + I; spikes where v reaches the threshold; then a reset, by the spikes of this tick or of the last."""

    def __init__(self, population: Population, shape: tuple[int, ...], exact: bool) -> None:
        super().__init__()
        self.population, self.shape = population, shape
        self.decay = EXACT_DECAY if exact else DECAY
        self.fire = Threshold(population.spike, population.strict)
        self.threshold = nn.Parameter(torch.tensor(population.threshold), requires_grad=False)

    def initial(self) -> State:
        """The state before the first tick, for a batch."""
        if self.population.start == "fill":
            return {"v": torch.full(self.shape, 0.25)}
        v = torch.zeros(self.shape)
        if self.population.start == "ramp":
            count = v[0].numel()
            v += ((torch.arange(count) % 7) / 8).reshape(self.shape[1:])
        return {"v": v}

    def forward(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        """One tick; the first result is what the others read of this population."""
        threshold = self.level(state)
        before = self.fire(state["v"], threshold) if self.population.late else None
        v = self.charge(current, state)
        if before is not None:
            v = self.reset(v, before, threshold)
        spikes = self.spikes(v, threshold, state)
        after = self.follow(spikes, state)
        return spikes, {**after, "v": v if before is not None else self.reset(v, spikes, threshold)}

    def level(self, state: State) -> Tensor:
        """The threshold in this tick."""
        return self.threshold

    def charge(self, current: Tensor, state: State) -> Tensor:
        """The membrane before it fires."""
        return self.decay * state["v"] + current

    def spikes(self, v: Tensor, threshold: Tensor, state: State) -> Tensor:
        """Who fires."""
        return self.fire(v, threshold)

    def follow(self, spikes: Tensor, state: State) -> State:
        """The next state but for the membrane."""
        return {}

    def reset(self, v: Tensor, spikes: Tensor, threshold: Tensor) -> Tensor:
        """The membrane after firing."""
        if self.population.reset == "subtract":
            return v - spikes * threshold
        if self.population.reset == "zero":
            return v * (1.0 - spikes)
        if self.population.reset == "value":
            return torch.where(spikes > 0, torch.full_like(v, RESET_VALUE), v)
        return v


class WrittenInPlace(Leaky):
    """The same, with the membrane written over."""

    def charge(self, current: Tensor, state: State) -> Tensor:
        return state["v"].mul_(self.decay).add_(current)


class Integrator(Leaky):
    """v ← v + I: no leak."""

    def charge(self, current: Tensor, state: State) -> Tensor:
        return state["v"] + current


class Synaptic(Leaky):
    """i ← i / 2 + I; v ← d v + i: current-based synapses."""

    def initial(self) -> State:
        return {"i": torch.zeros(self.shape), **super().initial()}

    def charge(self, current: Tensor, state: State) -> Tensor:
        state["i"] = 0.5 * state["i"] + current
        return self.decay * state["v"] + state["i"]

    def follow(self, spikes: Tensor, state: State) -> State:
        return {"i": state["i"]}


class Adaptive(Leaky):
    """Threshold θ + a / 4 with a ← 3/4 a + s: a neuron that fired is harder to fire."""

    def initial(self) -> State:
        return {**super().initial(), "a": torch.zeros(self.shape)}

    def level(self, state: State) -> Tensor:
        return self.threshold + 0.25 * state["a"]

    def follow(self, spikes: Tensor, state: State) -> State:
        return {"a": 0.75 * state["a"] + spikes}


class Refractory(Leaky):
    """A neuron that fired stays silent for two ticks, which an integer counts."""

    def initial(self) -> State:
        return {**super().initial(), "left": torch.zeros(self.shape, dtype=torch.int32)}

    def spikes(self, v: Tensor, threshold: Tensor, state: State) -> Tensor:
        return self.fire(v, threshold) * (state["left"] <= 0)

    def follow(self, spikes: Tensor, state: State) -> State:
        rested = torch.clamp(state["left"] - 1, min=0)
        return {"left": torch.where(spikes > 0, torch.full_like(rested, REFRACTORY_TICKS), rested)}


class Traced(Leaky):
    """Neurons in heads; a trace a ← 15/16 a + Σ s / 64 of each head's spikes is taken off the membranes of the head."""

    def __init__(self, population: Population, shape: tuple[int, ...], exact: bool) -> None:
        super().__init__(population, shape, exact)
        self.count = math.prod(shape[1:])
        self.heads = next(heads for heads in HEADS if self.count % heads == 0)

    def initial(self) -> State:
        return {"trace": torch.zeros(self.shape[0], self.heads), **super().initial()}

    def charge(self, current: Tensor, state: State) -> Tensor:
        taken = state["trace"].repeat_interleave(self.count // self.heads, dim=1)
        return self.decay * state["v"] + current - taken.reshape(current.shape)

    def follow(self, spikes: Tensor, state: State) -> State:
        per_head = spikes.reshape(spikes.shape[0], self.heads, -1).sum(-1)
        return {"trace": 0.9375 * state["trace"] + per_head * 0.015625}


class Readout(Leaky):
    """v ← d v + I, given out as it is."""

    def forward(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        v = self.decay * state["v"] + current
        return v, {"v": v}


class Parametric(Leaky):
    """v ← v + k (I − v) with k = σ(w), one w for each neuron, as in parametric LIF."""

    def __init__(self, population: Population, shape: tuple[int, ...], exact: bool) -> None:
        super().__init__(population, shape, exact)
        self.w = nn.Parameter(torch.linspace(-2.0, 1.0, math.prod(shape[1:])).reshape(shape[1:]))

    def charge(self, current: Tensor, state: State) -> Tensor:
        return state["v"] + torch.sigmoid(self.w) * (3.0 * current - state["v"])


class Gates(Leaky):
    """A GRU, LSTM or plain recurrent cell of PyTorch; it gives its hidden state."""

    def __init__(self, population: Population, shape: tuple[int, ...], exact: bool) -> None:
        super().__init__(population, shape, exact)
        kind = {"gru": nn.GRUCell, "lstm": nn.LSTMCell, "rnn": nn.RNNCell}[population.cell]
        self.cell = kind(shape[1], shape[1])

    def initial(self) -> State:
        both = ("v", "c") if self.population.cell == "lstm" else ("v",)
        return {key: torch.zeros(self.shape) for key in both}

    def forward(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        if self.population.cell == "lstm":
            v, c = self.cell(current, (state["v"], state["c"]))
            return v, {"v": v, "c": c}
        v = self.cell(current, state["v"])
        return v, {"v": v}


class Astrocyte(Leaky):
    """A matrix H ← γ H + I zᵀ for each head, z the spikes of the current; o = H z / √d joins the membrane."""

    def __init__(self, population: Population, shape: tuple[int, ...], exact: bool) -> None:
        super().__init__(population, shape, exact)
        self.heads = next(heads for heads in HEADS if shape[1] % heads == 0)
        self.depth = shape[1] // self.heads
        self.keys = Threshold("cast", population.strict)

    def initial(self) -> State:
        return {**super().initial(), "H": torch.zeros(self.shape[0], self.heads, self.depth, self.depth)}

    def charge(self, current: Tensor, state: State) -> Tensor:
        value = current.reshape(current.shape[0], self.heads, self.depth, 1)
        z = self.keys(value, 0.5 * self.threshold)
        gamma = torch.exp(-1.0 / torch.arange(4.0, 4.0 + self.heads)).reshape(-1, 1, 1)
        state["H"] = gamma * state["H"] + value * z.transpose(-1, -2)
        read = (state["H"] @ z) / self.depth**0.5
        return self.decay * state["v"] + current + read.reshape(current.shape)

    def follow(self, spikes: Tensor, state: State) -> State:
        return {"H": state["H"]}


EXACT_CELLS: dict[str, type[Leaky]] = {
    "leaky": Leaky,
    "in place": WrittenInPlace,
    "integrator": Integrator,
    "synaptic": Synaptic,
    "adaptive": Adaptive,
    "refractory": Refractory,
    "traced": Traced,
    "readout": Readout,
}
ROUNDING_CELLS: dict[str, type[Leaky]] = {
    "parametric": Parametric,
    "gru": Gates,
    "lstm": Gates,
    "rnn": Gates,
    "astrocyte": Astrocyte,
}
CELLS = EXACT_CELLS | ROUNDING_CELLS
GRADED = ("readout", "gru", "lstm", "rnn")
"""Cells that give numbers instead of spikes: in an exact network nobody reads them."""
VECTORS_ONLY = ("gru", "lstm", "rnn", "astrocyte")

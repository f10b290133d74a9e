"""NIR's nodes in small graphs that the nir package writes, beside their equations, for every choice NIR leaves open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import nir
import numpy as np
from torch import nn

from astroedge.exporters.nir.nir_step import NirStep, read_nir
from tests.conformance.cases import INPUTS, OUTPUTS, Array, Case, Tick, Weights, drawn, signals
from tests.conformance.nir_transcribed import transcribed
from tests.support.nir_files import write

WIDTH = 32
TICKS = 8  # of the time constants; 1 - 1/8 is the decay of 0.875


class Parameters:
    """Parameters of nodes of one kind of weights: on the grid alike for all neurons, or drawn around the same value."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.rng = np.random.default_rng(5)
        self.dt = 1 / 1024 if weights is Weights.GRID else 1e-3

    def level(self, value: float, shape: Any = WIDTH) -> Array:
        """A number for each neuron, in float64."""
        spread = 0.0 if self.weights is Weights.GRID else 0.2
        return value * self.rng.uniform(1 - spread, 1 + spread, shape)

    def time(self, ticks: float = TICKS, shape: Any = WIDTH) -> Array:
        """A time constant for each neuron, in seconds."""
        return self.level(ticks * self.dt, shape)

    def matrix(self, *shape: int, gain: float = 1.0, tie: float = 1.0) -> Array:
        """Weights `(outputs, …)`, float32."""
        return drawn(self.rng, shape, self.weights, gain, tie).numpy()

    def affine(self, width: int = WIDTH) -> nir.Affine:
        """A linear layer with a bias, behind the input."""
        return nir.Affine(self.matrix(width, INPUTS), self.matrix(width, gain=0.1))

    def lif(self, *shape: int, leak: float = 0.0, reset: float = 0.0) -> nir.LIF:
        """Neurons whose membrane takes an input as it is, r being the time constant in ticks."""
        shape = shape or (WIDTH,)
        ends = np.full(shape, leak), self.level(1.0, shape), np.full(shape, reset)
        return nir.LIF(self.time(shape=shape), self.level(TICKS, shape), *ends)

    def driven(self, impulse: bool = False) -> nir.CubaLIF:
        """Neurons with a current of two ticks; w_in makes up for what the length of a tick does to an input."""
        ends = np.zeros(WIDTH), self.level(1.0), np.zeros(WIDTH)
        w_in = self.level(2 * self.dt if impulse else 2.0)
        return nir.CubaLIF(self.time(2), self.time(), self.level(TICKS), *ends, w_in=w_in)

    def integrating(self, gain: float) -> nir.IF:
        """Neurons without a leak."""
        return nir.IF(self.level(gain), self.level(1.0), np.zeros(WIDTH))

    def behind(self, node: Any, inputs: int = WIDTH, gain: float = 1.0) -> list[Any]:
        """A linear layer without a bias and a node of `OUTPUTS` elements."""
        return [nir.Linear(self.matrix(OUTPUTS, inputs, gain=gain)), node]


Nodes = Callable[[Parameters], Sequence[Any]]


def _case(cell: str, variant: str, nodes: Nodes, *shape: int, loops: bool = False, **choices: str) -> Case:
    """A case of nodes one after the other for inputs `(1, *shape)`; with `loops`, the last one hears itself, too."""
    shape = shape or (INPUTS,)

    def build(weights: Weights) -> NirStep:
        parameters = Parameters(weights)
        made = nodes(parameters)
        loop = nir.Linear(parameters.matrix(OUTPUTS, OUTPUTS, tie=0)) if loops else None
        names = ["input", *(f"n{index}" for index in range(len(made))), "output"]
        every = dict(zip(names, [nir.Input(np.array(shape)), *made, nir.Output(np.array([OUTPUTS]))], strict=True))
        edges = list(pairwise(names))
        if loop is not None:
            every["loop"] = loop
            edges += [(names[-2], "loop"), ("loop", names[-2])]
        with TemporaryDirectory() as folder:
            step = read_nir(write(Path(folder), every, edges, check=False), parameters.dt, choices).eval()
        equations[step] = partial(transcribed, made, loop, parameters.dt, choices)
        return step

    equations: WeakKeyDictionary[nn.Module, Callable[[], Tick]] = WeakKeyDictionary()
    states, draw = build(Weights.GRID).initial_state(), partial(signals, shape=(1, *shape))
    return Case("NIR", cell, variant, build, draw=draw, states=states, transcription=lambda step: equations[step]())


def _neurons(node: Callable[[Parameters], Any]) -> Nodes:
    """A node between two linear layers, the second with LIF neurons behind it."""
    return lambda p: [p.affine(), node(p), *p.behind(p.lif(OUTPUTS))]


def _readout(node: Callable[[Parameters], Any]) -> Nodes:
    """A node that LIF neurons feed through a linear layer."""
    return lambda p: [p.affine(), p.lif(), *p.behind(node(p))]


def _line(p: Parameters) -> Sequence[Any]:
    first = nir.Conv1d(12, p.matrix(8, 3, 3), 1, 1, 1, 1, p.matrix(8, gain=0.1))
    return [first, p.lif(8, 12), nir.Flatten({"input": np.array([8, 12])}, 0), *p.behind(p.lif(OUTPUTS), 96)]


def _images(pool: Any, gain: float = 1.0) -> Nodes:
    def nodes(p: Parameters) -> Sequence[Any]:
        first = nir.Conv2d((8, 8), p.matrix(4, 1, 3, 3, gain=2.0), 1, 1, 1, 2, p.matrix(4, gain=0.1))
        pooled = pool(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
        flat = nir.Flatten({"input": np.array([4, 4, 4])}, 0)
        return [first, p.lif(4, 8, 8), pooled, flat, *p.behind(p.lif(OUTPUTS), 64, gain)]

    return nodes


def _compared(p: Parameters) -> Sequence[Any]:
    return [p.affine(), nir.Scale(p.level(1.5)), nir.Threshold(p.level(0.75)), *p.behind(p.lif(OUTPUTS))]


def _delayed(p: Parameters) -> Sequence[Any]:
    return [p.affine(), p.lif(), nir.Delay(np.arange(WIDTH) % 4 * p.dt), *p.behind(p.lif(OUTPUTS))]


def _leaking(p: Parameters) -> Any:
    return nir.LI(p.time(shape=OUTPUTS), p.level(TICKS, OUTPUTS), np.full(OUTPUTS, 0.0))


def _current_leaking(p: Parameters) -> Any:
    times = p.time(2, OUTPUTS), p.time(shape=OUTPUTS)
    return nir.CubaLI(*times, p.level(TICKS, OUTPUTS), np.zeros(OUTPUTS), w_in=p.level(2.0, OUTPUTS))


HELD = {"current": "new", "input": "held"}
CASES = [
    _case("LIF", "reset=value", _neurons(Parameters.lif)),
    _case("LIF", "reset=subtract, threshold=reached", _neurons(Parameters.lif), reset="subtract", threshold="reached"),
    _case("LIF", "reset=later", _neurons(Parameters.lif), reset="later"),
    _case("LIF", "start=rest, v_leak and v_reset not 0", _neurons(partial(Parameters.lif, leak=0.25, reset=-0.25)),
          start="rest"),
    _case("CubaLIF", "current=new, input=held", _neurons(Parameters.driven), **HELD),
    _case("CubaLIF", "current=old, input=impulse", _neurons(lambda p: p.driven(impulse=True)),
          current="old", input="impulse"),
    _case("IF", "input=held", _neurons(lambda p: p.integrating(1 / p.dt)), input="held"),
    _case("IF", "input=impulse, reset=subtract", _neurons(lambda p: p.integrating(1.0)),
          input="impulse", reset="subtract"),
    _case("LI", "", _readout(_leaking)),
    _case("CubaLI", "", _readout(_current_leaking), **HELD),
    _case("I", "input=held", _readout(lambda p: nir.I(p.level(1 / p.dt, OUTPUTS))), input="held"),
    _case("Conv1d, Flatten", "", _line, 3, 12),
    _case("Conv2d, SumPool2d", "groups", _images(nir.SumPool2d), 2, 8, 8),
    _case("AvgPool2d", "", _images(nir.AvgPool2d, 4.0), 2, 8, 8),
    _case("Scale, Threshold", "", _compared),
    _case("Delay", "", _delayed),
    _case("Affine, Linear", "in a loop", lambda p: [p.affine(OUTPUTS), p.lif(OUTPUTS)], loops=True),
]  # fmt: skip

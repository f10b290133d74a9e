"""NIR graphs for tests, with weights on a grid of 1/64 and decays that make every sum exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch

from astroedge.exporters.nir.nir_step import NirStep, read_nir

DT = 1 / 1024  # a power of two, so that dt / tau is exact
SIZE = 12
TICKS = 200


def full(value: float, size: int = SIZE) -> np.ndarray:
    """One value for every neuron."""
    return np.full(size, value, dtype=np.float64)


def grid(*shape: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    """Weights that are multiples of 1/64."""
    return np.rint(np.random.default_rng(seed).normal(size=shape) * scale * 64) / 64


def spikes(*shape: int, rate: float = 0.3, seed: int = 1) -> np.ndarray:
    """Random spikes, float32."""
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.float32)


def write(folder: Path, nodes: Mapping[str, Any], edges: Sequence[tuple[str, str]], *, check: bool = True) -> Path:
    """A NIR file of these nodes, written by the nir package."""
    path = folder / "net.nir"
    nir.write(path, nir.NIRGraph(nodes=dict(nodes), edges=list(edges), type_check=check))
    return path


def chain(folder: Path, *nodes: Any, inputs: Sequence[int] = (SIZE,), outputs: Sequence[int] | None = None) -> Path:
    """A NIR file of nodes one after the other between an Input and an Output."""
    names = ["input", *(f"n{index}" for index in range(len(nodes))), "output"]
    ends = (nir.Input(np.array(inputs)), nir.Output(np.array(inputs if outputs is None else outputs)))
    every = dict(zip(names, (ends[0], *nodes, ends[1]), strict=True))
    return write(folder, every, list(pairwise(names)), check=False)


def run(step: NirStep, ticks: np.ndarray) -> np.ndarray:
    """The first output over all ticks, from the initial state, one stream."""
    state = step.initial_state()
    outputs = []
    for tick in ticks:
        with torch.no_grad():
            found = step(torch.from_numpy(tick[None]), *state)
        outputs.append(found[0].numpy()[0])
        state = found[len(found) - len(state) :]
    return np.array(outputs)


def read(path: Path, **choices: str) -> NirStep:
    """The step of a file with the tests' dt."""
    return read_nir(path, DT, choices)


def assert_active(output: np.ndarray) -> None:
    """Refuse a comparison of silence, or of neurons that always fire."""
    assert 0.01 <= output.mean() <= 0.6, output.mean()

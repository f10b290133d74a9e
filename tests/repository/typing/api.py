"""What a user writes, for the type checker: this file is checked by mypy --strict and never run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import astroedge
from astroedge import Bundle, Pool, Profile, Session, StateSpec, StepGraph, StepSpec, TensorSpec


class Leaky(nn.Module):
    """A layer of leaky integrate-and-fire neurons with explicit state."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Linear(8, 4)

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """x (1, 8), v (1, 4) → spikes (1, 4), next v (1, 4)."""
        charged = 0.9 * v + self.weights(x)
        spikes = (charged >= 1.0).to(x.dtype)
        return spikes, charged - spikes


def build(folder: Path) -> Bundle:
    """Model → graph → bundle, with both files kept."""
    graph: StepGraph = astroedge.export(Leaky().eval(), (torch.rand(1, 8),), (torch.zeros(1, 4),))
    graph.save(folder / "net.onnx")
    again: StepGraph = StepGraph.load(folder / "net.onnx")
    bundle: Bundle = astroedge.compile(again, target="raspberry-pi-4", precision={"*": "int4", "head*": "int8"})
    bundle.save(folder / "net.astro")
    return bundle


def describe(spec: StepSpec) -> list[str]:
    """Names and sizes of everything a step takes."""
    inputs: tuple[TensorSpec, ...] = spec.inputs
    states: tuple[StateSpec, ...] = spec.states
    return [f"{item.name}: {item.nbytes}" for item in inputs] + [f"{state.name}: {state.nbytes}" for state in states]


def run(path: Path, frames: NDArray[np.float32]) -> NDArray[np.generic]:
    """One tick, then many; the state in between is kept and put back."""
    with astroedge.load(path) as session:
        first = session.step(x=frames[0])["y"]
        saved, kept = session.state.copy(), session.snapshot()
        session.reset()
        session.state = saved
        session.restore(kept)
        print(first.shape, [name for name, array in session.states.items() if array.any()])
        return session.run(x=frames)["y"]


def serve(path: Path, frames: NDArray[np.float32]) -> list[bytes]:
    """Many streams at once; one of them alone, as any session."""
    with astroedge.load_pool(path, 16, threads=2) as pool:
        answers = pool.step(x=frames)["y"]
        some = pool.run(x=frames[:2, None], streams=[0, 3])["y"]
        print(len(pool), answers.shape, some.shape, keep_running(pool[3], frames[3]))
        pool.reset()
        return [stream.snapshot() for stream in pool]


def held(pool: Pool) -> int:
    """The bytes of all states."""
    return sum(stream.state.nbytes for stream in pool)


def keep_running(session: Session, frame: NDArray[np.float32]) -> int:
    """Code of one's own takes any session, whatever runs it."""
    kept: bytes = session.snapshot()
    while not session.step(x=frame)["y"].any():
        pass
    session.restore(kept)
    return len(session.spec.states) + session.ticks


def check(path: Path, graph: StepGraph) -> Profile:
    """Parity and speed; a bundle that differs is an error one can catch."""
    session = astroedge.load(path, threads=2)
    print(session.threads)
    try:
        astroedge.verify(session, graph, steps=1000)
    except astroedge.errors.VerificationError as error:
        raise SystemExit(error.exit_code) from error
    return astroedge.profile(session, steps=1000)

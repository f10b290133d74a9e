"""A peer: another runtime that steps the same network, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from shutil import which
from typing import Literal, Protocol

import torch

from astroedge.step.graph import StepGraph
from benchmarks.peers.work import Array, Work
from benchmarks.processes.stream import ProcessError, ProcessStream, open_stream


class Subject(Protocol):
    """The network a peer steps, as `benchmarks.networks.subjects` makes it.

    `graph` is one tick in ONNX and `step` the same in PyTorch: `forward(*inputs, *state) -> (*outputs, *state)`, with
    `state` its initial state; inputs and states of both in the same order. `examples`, by name, `(T, …)`, are inputs
    that a quantisation may be calibrated on.
    """

    @property
    def name(self) -> str:
        """What the network is called."""

    @property
    def graph(self) -> StepGraph:
        """One tick in ONNX."""

    @property
    def step(self) -> torch.nn.Module:
        """One tick in PyTorch."""

    @property
    def state(self) -> list[torch.Tensor]:
        """The initial state of `step`."""

    @property
    def examples(self) -> dict[str, Array]:
        """Inputs for calibration."""


@dataclass(frozen=True)
class Peer:
    """One way to step a network.

    `module` has the function `start(work) -> tick` that runs in the peer's process. `packages` are the distributions it
    needs, `programs` the executables. `recipe` says how the network is prepared and, for int8, quantised.
    """

    name: str
    precision: Literal["fp32", "int8"]
    recipe: str
    module: str
    packages: tuple[str, ...]
    programs: tuple[str, ...] = ()

    def available(self) -> str | None:
        """None, or why the peer cannot be used here."""
        missing = [package for package in self.packages if _version(package) is None]
        missing += [program for program in self.programs if which(program) is None]
        return f"{' and '.join(missing)} not installed" if missing else None

    def versions(self) -> dict[str, str]:
        """The versions of the peer's packages."""
        return {package: found for package in self.packages if (found := _version(package)) is not None}

    @contextmanager
    def open(self, subject: Subject, threads: int) -> Iterator[ProcessStream]:
        """A stream of `subject` at its initial state on `threads` threads; one thread is bound to one core.

        Preparing the network may take minutes; what can be kept is kept in `out/benchmarks/peers`. Raises ProcessError
        when the peer is not available, refuses the network or dies.
        """
        reason = self.available()
        if reason is not None:
            raise ProcessError(f"{self.name}: {reason}")
        initial = tuple(tensor.detach().clone() for tensor in subject.state)
        work = Work(subject.name, subject.graph, subject.step, initial, subject.examples, threads, self.module)
        with open_stream(self.name, self.module, work) as stream:
            yield stream


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

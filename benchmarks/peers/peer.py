"""A peer: another runtime that steps the same network, in a process of its own.

Every peer gets a process of its own, because thread counts, thread pools and the cores a process may use are settings
of the whole process, and because a peer that crashes must not end the run. The process waits on a pipe while the others
are timed; a block of ticks is timed inside it, so that the pipe is no part of any time.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from shutil import which
from typing import IO, Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from astroedge.step.graph import StepGraph
from benchmarks.peers.work import Array, Work
from benchmarks.places import REPOSITORY

# Compiling 25 million weights takes a minute; whatever takes longer than this hangs. A block of ticks takes seconds.
START_SECONDS, ANSWER_SECONDS = 1800.0, 300.0
# How much of what a failed process printed goes into the error.
LAST_LINES = 5


class PeerError(Exception):
    """A peer cannot take the network, or its process died; the message is what the peer said."""


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
    def open(self, subject: Subject, threads: int) -> Iterator[PeerStream]:
        """A stream of `subject` at its initial state on `threads` threads; one thread is bound to one core.

        Preparing the network may take minutes; what can be kept is kept in `out/benchmarks/peers`. Raises PeerError
        when the peer is not available, refuses the network or dies.
        """
        reason = self.available()
        if reason is not None:
            raise PeerError(f"{self.name}: {reason}")
        initial = tuple(tensor.detach().clone() for tensor in subject.state)
        work = Work(subject.name, subject.graph, subject.step, initial, subject.examples, threads, self.module)
        with tempfile.TemporaryFile() as printed, _process(self.module, printed) as (process, connection):
            stream = PeerStream(self.name, process, connection, printed)
            stream.send("start", work)
            stream.receive(START_SECONDS)
            yield stream


class PeerStream:
    """A network being stepped by a peer: its state carries over from call to call."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], connection: Connection, printed: IO[bytes]) -> None:
        """Talk to `process` through `connection`; what it prints is in `printed`."""
        self.name = name
        self._process, self._connection, self._printed = process, connection, printed

    def tick(self, inputs: Mapping[str, Array]) -> Array:
        """One tick: an array for each input → a copy of the first output."""
        self.send("tick", dict(inputs))
        output: Array = self.receive(ANSWER_SECONDS)
        return output

    def time_block(self, inputs: Mapping[str, Array]) -> NDArray[np.float64]:
        """As many ticks as the inputs' leading axis has: microseconds of each, as a Python caller sees them.

        A tick begins with the inputs in NumPy arrays and ends with the first output in one.
        """
        self.send("time", dict(inputs))
        times: NDArray[np.float64] = self.receive(ANSWER_SECONDS)
        return times

    def peak_bytes(self) -> int:
        """The most memory that the peer's process has had, weights, packages and Python included."""
        self.send("peak", None)
        peak: int = self.receive(ANSWER_SECONDS)
        return peak

    def send(self, request: str, argument: Any) -> None:
        """Send a request of benchmarks.peers.worker. Raises PeerError when the process is gone."""
        try:
            self._connection.send_bytes(pickle.dumps((request, argument), protocol=pickle.HIGHEST_PROTOCOL))
        except OSError as error:
            raise self._dead() from error

    def receive(self, seconds: float) -> Any:
        """The answer to the last request. Raises PeerError when it is an error, late or the process is gone."""
        try:
            if not self._connection.poll(seconds):
                raise PeerError(f"{self.name}: no answer within {seconds:.0f} seconds")
            succeeded, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._dead() from error
        if not succeeded:
            raise PeerError(f"{self.name}: {answer}")
        return answer

    def _dead(self) -> PeerError:
        code = self._process.wait()
        self._printed.seek(0)
        lines = self._printed.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        return PeerError(f"{self.name}: its process ended with exit code {code}: {' | '.join(lines)}")


@contextmanager
def _process(module: str, printed: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """A process that serves a peer, and this side of its pipe; ended on exit."""
    here, there = Pipe()
    command = [sys.executable, "-m", "benchmarks.peers.worker", module, str(there.fileno())]
    paths = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        pass_fds=[there.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=printed,
        stderr=printed,
    )
    there.close()
    try:
        yield process, here
    finally:
        here.close()
        process.kill()
        process.wait()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

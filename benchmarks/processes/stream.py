"""A network that is stepped in a process of its own, from this side of the pipe.

Each runtime gets a process of its own, because thread counts, thread pools and the cores a process may use are settings
of the whole process, and because a runtime that crashes must not end the run. The process waits on a pipe while the
others are timed; a block of ticks is timed inside it, so that the pipe is no part of any time.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.places import REPOSITORY
from benchmarks.processes.worker import Array, Work

# Compiling 25 million weights takes a minute; whatever takes longer than this hangs. A block of ticks takes seconds.
START_SECONDS, ANSWER_SECONDS = 1800.0, 300.0
# How much of what a failed process printed goes into the error.
LAST_LINES = 5


class ProcessError(Exception):
    """A runtime cannot take the network, or its process died; the message is what the runtime said."""


@contextmanager
def open_stream(name: str, module: str, work: Work) -> Iterator[ProcessStream]:
    """A stream of the tick that `start(work)` of `module` gives, in a process of its own; `name` is for messages.

    Raises ProcessError when `start` does or the process dies.
    """
    with tempfile.TemporaryFile() as printed, _process(module, printed) as (process, connection):
        stream = ProcessStream(name, process, connection, printed)
        stream.send("start", work)
        stream.receive(START_SECONDS)
        yield stream


class ProcessStream:
    """A network being stepped in another process: its state carries over from call to call."""

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

    def memory(self) -> dict[str, int]:
        """Bytes that the process has in memory, Python and packages included: `resident` now, `peak` at most."""
        self.send("memory", None)
        memory: dict[str, int] = self.receive(ANSWER_SECONDS)
        return memory

    def ask(self, name: str, *arguments: Any) -> Any:
        """What the method `name` of the tick gives, which may take minutes."""
        self.send("ask", (name, arguments))
        return self.receive(START_SECONDS)

    def send(self, request: str, argument: Any) -> None:
        """Send a request of benchmarks.processes.worker. Raises ProcessError when the process is gone."""
        try:
            self._connection.send_bytes(pickle.dumps((request, argument), protocol=pickle.HIGHEST_PROTOCOL))
        except OSError as error:
            raise self._dead() from error

    def receive(self, seconds: float) -> Any:
        """The answer to the last request. Raises ProcessError when it is an error, late or the process is gone."""
        try:
            if not self._connection.poll(seconds):
                raise ProcessError(f"{self.name}: no answer within {seconds:.0f} seconds")
            succeeded, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._dead() from error
        if not succeeded:
            raise ProcessError(f"{self.name}: {answer}")
        return answer

    def _dead(self) -> ProcessError:
        code = self._process.wait()
        self._printed.seek(0)
        lines = self._printed.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        return ProcessError(f"{self.name}: its process ended with exit code {code}: {' | '.join(lines)}")


@contextmanager
def _process(module: str, printed: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """A process that serves requests, and this side of its pipe; ended on exit."""
    here, there = Pipe()
    command = [sys.executable, "-m", "benchmarks.processes.worker", module, str(there.fileno())]
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

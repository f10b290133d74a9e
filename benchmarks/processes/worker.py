"""The process of a runtime: prepares the network once, then answers requests that come through a pipe.

    python -m benchmarks.processes.worker MODULE DESCRIPTOR

A request is `(name, argument)`, an answer `(True, result)` or `(False, message)`. NumPy is all that is imported besides
MODULE and what it imports, so that the memory of the process is that of its runtime.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# One tick: an array for each input, in the order of their names, → the first output, which the next tick may overwrite.
Tick = Callable[[Sequence[Array]], Array]
MEMORY = {"resident": "VmRSS", "peak": "VmHWM"}


class Work(Protocol):
    """What a module's `start` is given: at least on how many threads, and the inputs' names in order."""

    @property
    def threads(self) -> int:
        """How many threads the runtime may use."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the inputs of a tick, in order."""


class Worker:
    """What each request does; a method for each, by its name."""

    def __init__(self, module: str) -> None:
        """Prepare for a network to be stepped by `module`."""
        self._module = module
        self._names: Sequence[str] = ()
        self._tick: Tick | None = None

    def start(self, work: Work) -> None:
        """Bind the process to its cores and prepare the network."""
        _use_cores(work.threads)
        self._names = work.names
        self._tick = importlib.import_module(self._module).start(work)

    def tick(self, inputs: Mapping[str, Array]) -> Array:
        """One tick; the answer is pickled, so it is a copy."""
        assert self._tick is not None, "start comes first"
        return self._tick([inputs[name] for name in self._names])

    def time(self, inputs: Mapping[str, Array]) -> NDArray[np.float64]:
        """Microseconds of each tick of a block."""
        assert self._tick is not None, "start comes first"
        tick, samples = self._tick, []
        rows = list(zip(*(inputs[name] for name in self._names), strict=True))
        gc.disable()  # a collection in the middle of a tick is not the runtime's time
        for row in rows:
            begin = perf_counter_ns()
            tick(row)
            samples.append(perf_counter_ns() - begin)
        gc.enable()
        return np.array(samples) / 1e3

    def memory(self, _: None) -> dict[str, int]:
        """Bytes that this process has in memory now, and the most that it has had."""
        # Not getrusage: there, the process that started this one counts until exec.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        found = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
        return {word: int(found[field].split()[0]) * 1024 for word, field in MEMORY.items()}

    def ask(self, question: tuple[str, tuple[Any, ...]]) -> Any:
        """What a method of the tick gives, by its name, for arguments."""
        name, arguments = question
        return getattr(self._tick, name)(*arguments)


def _use_cores(threads: int) -> None:
    """Bind this process to its last core for one thread, to all cores it may use for more."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # the process that started this one may be bound to one core
    if threads == 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    """Answer requests until the other side of the pipe is closed."""
    worker = Worker(sys.argv[1])
    connection = Connection(int(sys.argv[2]))
    while True:
        try:
            request, argument = connection.recv()
        except EOFError:
            return
        try:
            answer = (True, getattr(worker, request)(argument))
        except Exception as error:  # whatever a runtime raises is its answer; the run goes on without it
            lines = str(error).strip().splitlines()
            answer = (False, f"{type(error).__name__}: {' '.join(lines)[:400]}")
        connection.send(answer)


if __name__ == "__main__":
    main()

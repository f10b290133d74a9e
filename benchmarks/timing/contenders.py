"""AstroEdge's own entries in a comparison: a tick through `Session.step`, ticks through `Session.run`, by precision."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from time import perf_counter_ns
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.targets import compile_step, link_bundle, quantise
from astroedge.targets.boards.target import resolve_target
from benchmarks.networks.subjects import Subject
from benchmarks.networks.suite import Array

PRECISIONS = {"fp32": "float32", "int8": "int8", "int4": "int4"}
STEP, RUN = "step", "run"
RUNS = 5

Microseconds = NDArray[np.float64]


class Ticker(Protocol):
    """One stream of a network, in whatever runs it; its state carries over from block to block."""

    def time_block(self, inputs: dict[str, Array]) -> Microseconds:
        """Advance by as many ticks as the inputs' first axis has; microseconds of each."""
        ...


@dataclass(frozen=True)
class OwnEntry:
    """AstroEdge at a precision, called through `step` or `run`."""

    precision: str
    call: str

    @property
    def name(self) -> str:
        """Such as "astroedge int8 run"."""
        return f"astroedge {self.precision} {self.call}"


OWN_ENTRIES = tuple(OwnEntry(precision, call) for precision in PRECISIONS for call in (STEP, RUN))


class OwnBundles:
    """The bundles of one subject, each compiled when it is first asked for.

    `checked` bundles are those of `astroedge.compile`: compared with ONNX Runtime, with a golden trace, which takes
    most of the time. Where a network is measured many times over, the others do: the same library and weights.
    """

    def __init__(self, subject: Subject, *, checked: bool = True) -> None:
        self.subject = subject
        self.bundle = cache(self._compile if checked else self._build)

    def _compile(self, precision: str) -> Bundle:
        print(f"{self.subject.name}: compiling in {precision}", flush=True)
        return astroedge.compile(self.subject.graph, precision=PRECISIONS[precision])

    def _build(self, precision: str) -> Bundle:
        print(f"{self.subject.name}: building in {precision}", flush=True)
        quantised, target = quantise(self.subject.graph, PRECISIONS[precision]), resolve_target("native")
        step = compile_step(
            quantised.graph, target, math="exact", kernels="auto", probes=False, weights=quantised.weights
        )
        return link_bundle(step, target)

    @contextmanager
    def open(self, entry: OwnEntry, threads: int) -> Iterator[OwnTicker]:
        """A stream at its initial state, on one thread or on as many as it takes by itself where it may use more."""
        with astroedge.load(self.bundle(entry.precision), threads=1 if threads == 1 else None) as session:
            yield OwnStep(session) if entry.call == STEP else OwnRun(session)


class OwnTicker(Ticker):
    """A compiled session that is timed."""

    def __init__(self, session: CompiledSession) -> None:
        self.session = session

    def rates(self) -> dict[str, float]:
        """How often each spike tensor fired since the session was loaded."""
        return {name: count.firing_rate for name, count in self.session.activity().items()}


class OwnStep(OwnTicker):
    """Through `Session.step`, which checks every input and returns fresh arrays."""

    def time_block(self, inputs: dict[str, Array]) -> Microseconds:
        """A time for each tick."""
        step, samples = self.session.step, []
        rows = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
        gc.disable()  # a collection in the middle of a tick is not the step's time
        for row in rows:
            begin = perf_counter_ns()
            step(**row)
            samples.append(perf_counter_ns() - begin)
        gc.enable()
        return np.array(samples) / 1e3


class OwnRun(OwnTicker):
    """Through `Session.run`, a native call for many ticks."""

    def time_block(self, inputs: dict[str, Array]) -> Microseconds:
        """Up to `RUNS` calls; the ticks of each have the same time, the call's divided by its ticks."""
        ticks = len(next(iter(inputs.values())))
        edges = np.linspace(0, ticks, min(ticks, RUNS) + 1).astype(int)
        times = np.empty(ticks)
        gc.disable()
        for first, last in pairwise(edges):
            piece = {name: values[first:last] for name, values in inputs.items()}
            begin = perf_counter_ns()
            self.session.run(**piece)
            times[first:last] = (perf_counter_ns() - begin) / (last - first) / 1e3
        gc.enable()
        return times

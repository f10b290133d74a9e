"""Profile a bundle on the machine it runs on: time, memory, firing rates, synaptic operations, heat and energy.

Each step is timed by itself around `Session.step` with `out=`, what a caller from Python waits for; throughput is
`Session.run`, one native call. Memory is read before anything is imported or allocated that only measuring needs.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from statistics import fmean, median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest_file import encode_manifest
from astroedge.errors import InputError
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import draw_inputs
from astroedge.runtimes.checking.verify import choose_inputs, refuse_other_graph
from astroedge.runtimes.profiling.gpu_time import describe_gpu, read_gpu
from astroedge.runtimes.profiling.kernel_times import time_kernels
from astroedge.runtimes.profiling.memory_use import resident_bytes
from astroedge.runtimes.profiling.sensors import (
    EnergyCounter,
    describe_machine,
    read_power,
    read_temperatures,
    read_throttling,
)
from astroedge.runtimes.profiling.synops import count_operations
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.runtimes.session.timed_run import refuse_kernels
from astroedge.session import Array
from astroedge.step_profile import Comparison, Profile, Reading, SpikeRate, Timing

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

ROUNDS = 10  # timed steps are cut into rounds: power is read in between, and two runtimes take turns
THROUGHPUT_RUNS = 5
HIDDEN = "the kernel does not show /proc/self/status"

Tick = dict[str, Any]  # the arguments of one call of Session.step


def profile(
    bundle: CompiledSession | Bundle | str | os.PathLike[str],
    *,
    steps: int | None = None,
    warmup: int = 100,
    inputs: Mapping[str, Array] | None = None,
    compare: StepGraph | None = None,
    keep_samples: bool = False,
    threads: int | None = None,
    device: int | None = None,
    kernels: bool = False,
) -> Profile:
    """Measure a bundle, or a loaded session, on this machine.

    `inputs` are arrays `(T, …)` by name, drawn like the golden trace's when None. `steps` is how many ticks of them are
    timed, all of the given ones or 1000 drawn ones when None, after `warmup` untimed steps. With `compare`, the graph
    the bundle was compiled from, ONNX Runtime is measured in turns with it, on as many threads. `keep_samples` keeps
    the raw times. `threads` and `device` are as in `astroedge.load`; a session has its own. `kernels` also times every
    kernel of the step, in an instrumented run by one thread.

    On a GPU the profile has its name, the memory taken there, the time of a launch by the GPU's own clock and what a
    step takes beyond it; ONNX Runtime computes on the processor all the same.

    Load time, first step and added memory need a bundle or its path; for a session they are unavailable, and its stream
    goes on afterwards as if nothing had happened, but for its activity counts. Raises VerificationError when `compare`
    is another graph, InputError for inputs the step does not take or too few of them, for impossible threads, and for
    the kernels of a step that a GPU computes.
    """
    if isinstance(bundle, CompiledSession):
        if threads not in (None, bundle.threads):
            raise InputError(f"The session was loaded with threads={bundle.threads}; load it with {threads} instead.")
        if device is not None and (bundle.gpu is None or bundle.gpu.ordinal != device):
            raise InputError(f"The session was not loaded with device={device}; load it so instead.")
        readings = _unavailable("a session was given that had been loaded before; give the bundle to measure it")
        return _measure(bundle, readings, steps, warmup, inputs, compare, keep_samples, kernels)
    session, readings = _load_and_step(bundle, inputs, threads, device)
    with session:
        return _measure(session, readings, steps, warmup, inputs, compare, keep_samples, kernels)


def _unavailable(reason: str) -> list[Reading]:
    """Load time, first step and added memory that were not measured."""
    names = {"load time": "ns", "first step": "ns", "added memory": "bytes"}
    return [Reading.unavailable(name, unit, reason) for name, unit in names.items()]


def _load_and_step(
    bundle: Bundle | str | os.PathLike[str],
    inputs: Mapping[str, Array] | None,
    threads: int | None,
    device: int | None,
) -> tuple[CompiledSession, list[Reading]]:
    """Load a bundle and do one step; how long both took and how much memory they added."""
    before = resident_bytes()
    begin = perf_counter_ns()
    session = load(bundle, threads=threads, device=device)
    loaded = perf_counter_ns()
    fields, seed = session.manifest.layout.inputs, session.manifest.golden.seed
    given = draw_inputs(fields, seed, 0, 1) if inputs is None else inputs
    tick = _make_ticks(session, given, 1)[0]
    ready = perf_counter_ns()
    session.step(**tick)
    done = perf_counter_ns()
    after = resident_bytes()
    added = Reading.unavailable("added memory", "bytes", HIDDEN)
    if before is not None and after is not None:
        note = "resident memory of the process, after the first step less before loading"
        added = Reading("added memory", float(after[0] - before[0]), "bytes", "measured", note)
    source = "from memory" if isinstance(bundle, Bundle) else "from its folder, file cache as found, digests checked"
    return session, [
        Reading("load time", float(loaded - begin), "ns", "measured", source),
        Reading("first step", float(done - ready), "ns", "measured", "right after loading"),
        added,
    ]


def _measure(
    session: CompiledSession,
    readings: list[Reading],
    steps: int | None,
    warmup: int,
    inputs: Mapping[str, Array] | None,
    compare: StepGraph | None,
    keep_samples: bool,
    kernels: bool,
) -> Profile:
    """Everything that is measured on a loaded session."""
    manifest = session.manifest
    if kernels:
        refuse_kernels(manifest)
    if compare is not None:
        refuse_other_graph(manifest, compare)
    steps, data = choose_inputs(manifest, steps, inputs)
    ticks = _make_ticks(session, data, steps)
    saved = session.snapshot()
    try:
        session.reset()
        for index in range(warmup):
            session.step(**ticks[index % steps])
        before = session.activity()
        samples, heat = _time_steps(session, ticks)
        after = session.activity()
        active = {name: after[name].active - before[name].active for name in after}
        readings += [_time_run(session, data, steps), *_sizes(session), *read_gpu(session, ticks, samples), *heat]
        comparison = None if compare is None else _take_turns(session, compare, ticks)
    finally:
        session.restore(saved)
    return Profile(
        model=manifest.model,
        target=manifest.target.name,
        precision=manifest.precision,
        graph_sha256=manifest.graph_sha256,
        inputs=f"drawn from seed {manifest.golden.seed}" if inputs is None else "given",
        warmup=warmup,
        threads=session.threads,
        machine=describe_machine() | describe_gpu(session),
        step=Timing.of(samples),
        readings=tuple(readings),
        spikes=tuple(
            SpikeRate(item.name, item.size, active[item.name] / (item.size * steps), item.firing_rate)
            for item in manifest.activity
        ),
        operations=count_operations(manifest.matrices, manifest.activity, active, steps),
        comparison=comparison,
        samples=tuple(samples) if keep_samples else (),
        kernels=time_kernels(session, inputs, steps) if kernels else None,
    )


def _make_ticks(session: CompiledSession, data: Mapping[str, Array], steps: int) -> list[Tick]:
    """The arguments of `steps` calls of `Session.step`, all of which write into the same output arrays.

    Raises InputError when there is not enough data.
    """
    if steps < 1:
        raise InputError(f"{steps} steps cannot be timed; ask for at least 1.")
    for name, array in data.items():
        if array.ndim == 0 or array.shape[0] < steps:
            raise InputError(f"Input {name!r} has {array.shape[0] if array.ndim else 0} ticks; {steps} are needed.")
    layout = session.manifest.layout
    out = {item.name: np.zeros(item.shape, item.dtype) for item in layout.outputs}
    # An input that is itself called "out" leaves no way to pass output arrays.
    shared: Tick = {} if any(item.name == "out" for item in layout.inputs) else {"out": out}
    return [{**shared, **{name: array[index] for name, array in data.items()}} for index in range(steps)]


def _time_steps(session: CompiledSession, ticks: list[Tick]) -> tuple[list[int], list[Reading]]:
    """Time every step in nanoseconds; and what the sensors saw meanwhile."""
    samples: list[int] = []
    energy, power = EnergyCounter(), [read_power()]
    for part in _rounds(ticks):
        _time_session(session, part, samples)
        power.append(read_power())
    return samples, [
        _per_step(energy.read(), len(samples), session.gpu is not None),
        _average(power),
        *read_temperatures(),
        *read_throttling(),
    ]


def _time_session(session: CompiledSession, ticks: Sequence[Tick], samples: list[int]) -> None:
    step, clock = session.step, perf_counter_ns
    with _without_collection():
        for tick in ticks:
            begin = clock()
            step(**tick)
            samples.append(clock() - begin)


def _time_run(session: CompiledSession, data: Mapping[str, Array], steps: int) -> Reading:
    """Steps per second of `Session.run`: all ticks in one native call, the median of a few runs."""
    block = {name: array[:steps] for name, array in data.items()}
    count = None if block else steps
    times = []
    for _ in range(THROUGHPUT_RUNS):
        begin = perf_counter_ns()
        session.run(steps=count, **block)
        times.append(perf_counter_ns() - begin)
    note = f"Session.run over {steps} steps, median of {THROUGHPUT_RUNS}"
    return Reading("throughput", steps / median(times) * 1e9, "steps/s", "measured", note)


def _sizes(session: CompiledSession) -> list[Reading]:
    """Peak memory of the process so far, and what the bundle takes on disk."""
    manifest, memory = session.manifest, resident_bytes()
    peak = Reading.unavailable("peak memory", "bytes", HIDDEN)
    if memory is not None:
        note = "resident memory of the whole process, Python and NumPy included"
        peak = Reading("peak memory", float(memory[1]), "bytes", "measured", note)
    files = [manifest.library.size, manifest.weights.size, *(asset.size for asset in manifest.assets)]
    size = sum(files) + len(encode_manifest(manifest))
    return [
        peak,
        Reading("bundle size", float(size), "bytes", "measured", "all files"),
        Reading("weights size", float(manifest.weights.size), "bytes", "measured", manifest.weights.name),
    ]


def _take_turns(session: CompiledSession, graph: StepGraph, ticks: list[Tick]) -> Comparison:
    """Time the bundle and ONNX Runtime on the same ticks, round by round in turns, on as many threads each."""
    import onnxruntime

    from astroedge.runtimes.profiling.bound_onnx import BoundReference

    reference = BoundReference(graph, session.threads)
    ours: list[int] = []
    theirs: list[int] = []
    ratios: list[float] = []
    for part in _rounds(ticks):
        first = len(ours)
        _time_session(session, part, ours)
        _time_reference(reference, part, theirs)
        ratios.append(median(theirs[first:]) / median(ours[first:]))
    middle = (float(median(ours)), float(median(theirs)))
    version = onnxruntime.__version__
    return Comparison("ONNX Runtime", version, len(ratios), *middle, middle[1] / middle[0], min(ratios), max(ratios))


def _time_reference(reference: Any, ticks: Sequence[Tick], samples: list[int]) -> None:
    step, inputs, clock = reference.tick, reference.inputs, perf_counter_ns
    with _without_collection():
        for tick in ticks:
            begin = clock()
            for name, array in inputs.items():
                array[...] = tick[name]
            step()
            samples.append(clock() - begin)


def _rounds(ticks: list[Tick]) -> Iterator[list[Tick]]:
    """The ticks in `ROUNDS` parts of nearly equal length, fewer when there are fewer ticks."""
    rounds = min(ROUNDS, len(ticks))
    ends = [len(ticks) * index // rounds for index in range(rounds + 1)]
    for first, end in pairwise(ends):
        yield ticks[first:end]


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep Python's garbage collector out of the times."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _per_step(energy: Reading, steps: int, on_gpu: bool) -> Reading:
    """The energy of one step; the counters are the processor's, so without that of a GPU which computes it."""
    if energy.value is None:
        return Reading.unavailable("energy per step", "J", energy.note)
    note = f"of the processor, without the GPU: {energy.note}" if on_gpu else energy.note
    return Reading("energy per step", energy.value / steps, "J", energy.label, note)


def _average(readings: list[Reading]) -> Reading:
    """The mean of several readings of one sensor, if all of them succeeded."""
    values = [item.value for item in readings if item.value is not None]
    last = readings[-1]
    if len(values) < len(readings):
        return next(item for item in readings if item.value is None)
    return Reading(last.name, fmean(values), last.unit, last.label, f"{last.note}; mean of {len(values)} readings")

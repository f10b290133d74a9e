"""Profile a bundle on the machine it runs on: time, memory, firing rates, synaptic operations, heat and energy.

Each step is timed by itself around `Session.step` with `out=`, what a caller from Python waits for; between rounds of
them native runs of the same ticks are timed, what a caller from C waits for. Memory is read before anything is imported
or allocated that only measuring needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median
from time import perf_counter_ns
from typing import TYPE_CHECKING

from astroedge.bundle.container import Bundle
from astroedge.errors import InputError
from astroedge.measuring import Measuring
from astroedge.profile_parts import Energy, Timing
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import draw_inputs
from astroedge.runtimes.checking.verify import refuse_other_graph
from astroedge.runtimes.profiling.beside import compare_in_turns
from astroedge.runtimes.profiling.doubts import doubt_energy, doubt_figures, doubt_machine, doubt_paced, doubt_readings
from astroedge.runtimes.profiling.energy import BUSY_SECONDS, as_reading, measure_energy
from astroedge.runtimes.profiling.gpu_time import describe_gpu, read_gpu
from astroedge.runtimes.profiling.kernel_times import time_kernels
from astroedge.runtimes.profiling.machine_watch import MachineWatch
from astroedge.runtimes.profiling.memory_use import resident_bytes
from astroedge.runtimes.profiling.meter import open_meter
from astroedge.runtimes.profiling.origin import describe_host, digests
from astroedge.runtimes.profiling.paced import pace
from astroedge.runtimes.profiling.power_sources import PowerSource, find_source
from astroedge.runtimes.profiling.sensors import describe_machine, read_temperatures, read_throttling
from astroedge.runtimes.profiling.synops import count_operations
from astroedge.runtimes.profiling.ticks import Ticks
from astroedge.runtimes.profiling.time_steps import NativeRounds, StepTimes, time_repeats
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.runtimes.session.timed_run import refuse_kernels
from astroedge.session import Array
from astroedge.step_profile import Profile, Reading, SpikeRate

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

HIDDEN = "the kernel does not show /proc/self/status"


def profile(
    bundle: CompiledSession | Bundle | str | os.PathLike[str],
    *,
    steps: int | None = None,
    duration: float | None = None,
    repeat: int = 1,
    warmup: int = 100,
    inputs: Mapping[str, Array] | None = None,
    compare: StepGraph | None = None,
    rate: float | None = None,
    energy: bool = False,
    meter: str | None = None,
    keep_samples: bool = False,
    threads: int | None = None,
    device: int | None = None,
    kernels: bool = False,
) -> Profile:
    """Measure a bundle, or a loaded session, on this machine.

    Steps are timed for `duration` seconds, 2 when neither it nor `steps`, their number, is given; after up to `warmup`
    untimed ones, and that `repeat` times, each time from the initial state. `inputs` are arrays `(T, …)` by name, drawn
    like the golden trace's when None; they are fed in a loop where there are fewer ticks than steps. With `compare`,
    the graph the bundle was compiled from, ONNX Runtime is measured in turns with it, on as many threads. `rate` in Hz
    also measures ticks at their due times, asleep in between, of ONNX Runtime too. `energy` measures what a step takes
    beyond the idle machine, over `duration` but at least 10 seconds, from the board's sensors or the processor's
    counters; `meter` does so from an external meter, a CSV file or "serial:/dev/ttyUSB0". `keep_samples` keeps
    the raw times (of at most a million steps). `threads` and `device` are as in `astroedge.load`; a session has its
    own. `kernels` also times every kernel of the step, in an instrumented run by one thread.

    On a GPU the profile has its name, the memory taken there, the time of a launch by the GPU's own clock and what a
    step takes beyond it; ONNX Runtime computes on the processor all the same. `warnings` say what disturbed the
    measurement.

    Load time, first step and added memory need a bundle or its path; for a session they are unavailable, and its stream
    goes on afterwards as if nothing had happened, but for its activity counts. Raises VerificationError when `compare`
    is another graph, InputError for inputs the step does not take, for impossible numbers and threads, for a meter that
    is none and for the kernels of a step that a GPU computes, OSError for a meter that cannot be opened.
    """
    wanted = Measuring(steps, duration, repeat, warmup, rate, energy, meter, keep_samples)
    if isinstance(bundle, CompiledSession):
        if threads not in (None, bundle.threads):
            raise InputError(f"The session was loaded with threads={bundle.threads}; load it with {threads} instead.")
        if device is not None and (bundle.gpu is None or bundle.gpu.ordinal != device):
            raise InputError(f"The session was not loaded with device={device}; load it so instead.")
        readings = _unavailable("a session was given that had been loaded before; give the bundle to measure it")
        return _measure(bundle, readings, wanted, inputs, compare, kernels)
    session, readings = _load_and_step(bundle, inputs, threads, device)
    with session:
        return _measure(session, readings, wanted, inputs, compare, kernels)


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
    tick = Ticks(session.manifest, given, 1).arguments[0]
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
    wanted: Measuring,
    inputs: Mapping[str, Array] | None,
    compare: StepGraph | None,
    kernels: bool,
) -> Profile:
    """Everything that is measured on a loaded session."""
    if kernels:
        refuse_kernels(session.manifest)
    if compare is not None:
        refuse_other_graph(session.manifest, compare)
    source = _open_source(wanted)
    readings += _sizes(session)
    ticks, watch = Ticks(session.manifest, inputs, wanted.steps), MachineWatch()
    host = describe_host(watch)
    saved = session.snapshot()
    try:
        times, warmup = time_repeats(session, ticks, wanted, watch)
        warnings = [*doubt_machine(watch, times.timeline)]
        readings += [_throughput(times), *read_gpu(session, ticks.arguments, times.samples), *_heat(times)]
        paced = None
        if wanted.rate is not None and compare is None:
            paced = pace(session.step, iter(ticks), wanted.rate, wanted.paced_ticks)
            warnings += doubt_paced(paced)
        energy, reading = _measure_energy(session, ticks, wanted, times, source)
    finally:
        session.restore(saved)
    warnings += [*doubt_figures(times), *([] if energy is None else doubt_energy(energy))]
    readings.append(reading)
    measured = replace(
        _summarise(session, ticks, times),
        warmup=warmup,
        readings=tuple(readings),
        samples=tuple(times.samples) if wanted.keep_samples else (),
        paced=paced,
        energy=energy,
        host=host,
        warnings=(*warnings, *doubt_readings(readings, Timing.of(times.samples).p50)),
        kernels=time_kernels(session, ticks.data, len(ticks)) if kernels else None,
    )
    return measured if compare is None else add_comparison(measured, session, compare, wanted, inputs)


def add_comparison(
    measured: Profile,
    session: CompiledSession,
    graph: StepGraph,
    wanted: Measuring,
    inputs: Mapping[str, Array] | None,
) -> Profile:
    """A profile with ONNX Runtime measured beside the session, and paced where a rate is asked for.

    Raises VerificationError when `graph` is another one than the bundle's.
    """
    saved = session.snapshot()
    try:
        ticks = Ticks(session.manifest, inputs, wanted.steps)
        comparison, paced = compare_in_turns(session, graph, ticks, wanted)
    finally:
        session.restore(saved)
    warnings = measured.warnings if paced is None else (*measured.warnings, *doubt_paced(paced))
    return replace(measured, comparison=comparison, paced=paced or measured.paced, warnings=warnings)


def _summarise(session: CompiledSession, ticks: Ticks, times: StepTimes) -> Profile:
    """The profile as far as the timed steps tell it."""
    manifest = session.manifest
    rates = {item.name: times.active[item.name] / (item.size * times.done) for item in manifest.activity}
    return Profile(
        model=manifest.model,
        target=manifest.target.name,
        precision=manifest.precision,
        graph_sha256=manifest.graph_sha256,
        inputs=ticks.inputs,
        warmup=0,
        threads=session.threads,
        machine=describe_machine() | describe_gpu(session),
        step=Timing.of(times.samples),
        readings=(),
        spikes=tuple(SpikeRate(item.name, item.size, rates[item.name], item.firing_rate) for item in manifest.activity),
        operations=count_operations(manifest.matrices, manifest.activity, times.active, times.done),
        native=times.native_timing(),
        repeats=tuple(times.repeats),
        timeline=tuple(times.timeline),
        digests=digests(manifest),
    )


def _open_source(wanted: Measuring) -> PowerSource | Reading:
    """What power is read from, or why from nothing; a meter that cannot be read is refused before it is waited for."""
    if wanted.meter is not None:
        return open_meter(wanted.meter)
    return find_source() if wanted.energy else Reading.unavailable("energy per step", "J", "not asked for (--energy)")


def _measure_energy(
    session: CompiledSession, ticks: Ticks, wanted: Measuring, times: StepTimes, source: PowerSource | Reading
) -> tuple[Energy | None, Reading]:
    """The energy of a step in native runs, and the same as a reading, which says why there is none."""
    if isinstance(source, Reading):
        return None, source
    rounds = NativeRounds(session, ticks, median(times.samples))
    try:
        found = measure_energy(source, rounds.spend, max(BUSY_SECONDS, wanted.seconds or 0.0))
    except (InputError, OSError) as error:  # what else was measured is worth keeping
        found = Reading.unavailable("energy per step", "J", str(error))
    finally:
        source.close()
    if isinstance(found, Reading):
        return None, found
    if session.gpu is not None and found.sensor.startswith("RAPL"):
        found = replace(found, sensor=f"of the processor, without the GPU: {found.sensor}")
    return found, as_reading(found)


def _throughput(times: StepTimes) -> Reading:
    """Steps per second of native runs."""
    native = times.native_timing()
    if native is None:
        return Reading.unavailable("throughput", "steps/s", "native runs were slower than steps from Python: disturbed")
    note = f"native runs on inputs packed beforehand, median of {len(times.native)} rounds between those from Python"
    return Reading("throughput", 1e9 / native.p50, "steps/s", "measured", note)


def _heat(times: StepTimes) -> list[Reading]:
    """What the sensors saw between the rounds and right after the last."""
    return [_average(times.power), *read_temperatures(), *read_throttling()]


def _sizes(session: CompiledSession) -> list[Reading]:
    """Peak memory of the process so far, and what the bundle takes on disk."""
    manifest, memory = session.manifest, resident_bytes()
    peak = Reading.unavailable("peak memory", "bytes", HIDDEN)
    if memory is not None:
        note = "resident memory of the whole process before the timed steps, Python and NumPy included"
        peak = Reading("peak memory", float(memory[1]), "bytes", "measured", note)
    return [
        peak,
        Reading("bundle size", float(session.bundle.nbytes), "bytes", "measured", "all files"),
        Reading("weights size", float(manifest.weights.size), "bytes", "measured", manifest.weights.name),
    ]


def _average(readings: Sequence[Reading]) -> Reading:
    """The mean of several readings of one sensor, if all of them succeeded."""
    values = [item.value for item in readings if item.value is not None]
    last = readings[-1]
    if len(values) < len(readings):
        return next(item for item in readings if item.value is None)
    return Reading(last.name, fmean(values), last.unit, last.label, f"{last.note}; mean of {len(values)} readings")

"""Which neurons fired at which tick, as far as a bundle shows them.

Every spike tensor of a bundle is counted, so how many of its neurons fired at a tick is always known. Which ones is
seen where the tensor leaves the step: in a build with probes, or as an input, an output or a state. The manifest does
not say that an output is a spike tensor; one that has its size and, at every tick, as many elements other than zero as
the counter counted is taken for it. What stays inside is asked of the step graph in ONNX Runtime, where one is given,
and believed where it fired as often at every tick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.manifest import Activity
from astroedge.runtimes.checking.verify import choose_inputs
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.session import Array
from astroedge.step_profile import SpikeRaster

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

RASTER_TICKS = 300
MOST_NEURONS = 64
PROBE = "spike."  # before the name of a spike tensor among the outputs of a build with probes
INSIDE = "its neurons stay inside the step: compile with --probes, or give the graph with --compare"


@dataclass
class _Watched:
    """One array that may show a spike tensor: how many of its elements fired at each tick, and which of a few."""

    source: str
    neurons: NDArray[np.int64]
    counts: list[int] = field(default_factory=list)
    fired: list[NDArray[np.bool_]] = field(default_factory=list)

    def see(self, array: Array) -> None:
        """Note a tick."""
        self.counts.append(int(np.count_nonzero(array)))
        self.fired.append(array.reshape(-1)[self.neurons] != 0)

    def events(self) -> tuple[tuple[int, int], ...]:
        """Pairs of a tick and a position in `neurons`."""
        return tuple((int(tick), int(place)) for tick, place in np.argwhere(np.stack(self.fired)))


def profile_raster(
    session: CompiledSession, data: Mapping[str, Array] | None, graph: StepGraph | None = None
) -> tuple[SpikeRaster, ...]:
    """`record_raster` of the first 300 ticks at most that `astroedge.profile` measures on: `data`, or drawn inputs."""
    ticks, given = choose_inputs(session.manifest, None if data else RASTER_TICKS, data)
    return record_raster(session, given, min(ticks, RASTER_TICKS), graph)


def record_raster(
    session: CompiledSession, data: Mapping[str, Array], ticks: int, graph: StepGraph | None = None
) -> tuple[SpikeRaster, ...]:
    """Step `session` from its initial state through the first `ticks` ticks of `data` and note who fired.

    `data` are arrays `(T, …)` by input, T at least `ticks`. The session's own stream goes on afterwards as if nothing
    had happened, but for its activity counts. Raises what a step raises.
    """
    counted = session.manifest.activity
    watched = {item.name: list(_candidates(session, item)) for item in counted}
    counts: dict[str, list[int]] = {item.name: [] for item in counted}
    saved = session.snapshot()
    try:
        session.reset()
        before = _active(session)
        for tick in range(ticks):
            seen = {f"state {name} before the tick": array.copy() for name, array in session.states.items()}
            inputs = {name: array[tick] for name, array in data.items()}
            seen |= _sources(session, inputs, session.step(**inputs))
            after = _active(session)
            for name, candidates in watched.items():
                counts[name].append(after[name] - before[name])
                for item in candidates:
                    item.see(seen[item.source])
            before = after
    finally:
        session.restore(saved)
    hidden = {name for name in watched if _shown(watched[name], counts[name]) is None}
    if graph is not None and hidden:
        for name, item in _ask_reference(graph, data, ticks, hidden).items():
            watched[name].append(item)
    return tuple(_raster(item.name, ticks, watched[item.name], counts[item.name]) for item in counted)


def _active(session: CompiledSession) -> dict[str, int]:
    return {name: count.active for name, count in session.activity().items()}


def _sources(session: CompiledSession, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every array that a tick shows, by what it is called in a report."""
    arrays = {f"input {name}": np.asarray(array) for name, array in inputs.items()}
    arrays |= {f"state {name}": array for name, array in session.states.items()}
    return arrays | {f"output {name}": array for name, array in outputs.items()}


def _candidates(session: CompiledSession, spikes: Activity) -> Iterator[_Watched]:
    """The arrays of the tensor's size, its probe first."""
    neurons = choose_neurons(spikes.size)
    spec = session.manifest.step
    outputs = sorted(spec.outputs, key=lambda item: item.name != PROBE + spikes.name)
    for kind, items, when in (
        ("output", outputs, ""),
        ("state", spec.states, ""),
        ("state", spec.states, " before the tick"),
        ("input", spec.inputs, ""),
    ):
        for item in items:
            if prod(item.shape) == spikes.size:
                yield _Watched(f"{kind} {item.name}{when}", neurons)


def choose_neurons(size: int) -> NDArray[np.int64]:
    """Flat indices of at most 64 of `size` neurons, evenly chosen."""
    shown = min(size, MOST_NEURONS)
    return np.arange(shown, dtype=np.int64) * size // shown


def _shown(candidates: list[_Watched], counts: list[int]) -> _Watched | None:
    """The candidate that fired as often as the counter says at every tick; None too where nothing ever fired."""
    return next((item for item in candidates if any(counts) and item.counts == counts), None)


def _raster(name: str, ticks: int, candidates: list[_Watched], counts: list[int]) -> SpikeRaster:
    shown = _shown(candidates, counts)
    if shown is None:
        reason = INSIDE if any(counts) else "none of its neurons fired"
        return SpikeRaster(name, ticks, (), (), tuple(counts), reason)
    return SpikeRaster(name, ticks, tuple(map(int, shown.neurons)), shown.events(), tuple(counts), shown.source)


def _ask_reference(graph: StepGraph, data: Mapping[str, Array], ticks: int, names: set[str]) -> dict[str, _Watched]:
    """The spike tensors of these names as ONNX Runtime fires them from the initial state on."""
    from astroedge.runtimes.checking.reference import ObservedReference

    reference = ObservedReference(graph)
    found: dict[str, _Watched] = {}
    states: Mapping[str, Any] = graph.initial_state()
    for tick in range(ticks):
        seen = reference.tick({name: array[tick] for name, array in data.items()}, states)
        states = seen.states
        for name in names & seen.fired.keys():
            if name not in found:
                found[name] = _Watched("the graph in ONNX Runtime", choose_neurons(seen.fired[name].size))
            found[name].see(seen.fired[name])
    return found

"""A picture of what a step does: which neurons fire at which tick, and what its memory holds meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astroedge.runtimes.profiling.raster import record_raster
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from astroedge.step_profile import SpikeRaster
from benchmarks.report.pictures import COLOURS, stack

TICKS = 100
RASTERS, NEURONS = 3, 24  # tensors of spikes, and neurons of each
MEMORIES, ELEMENTS = 2, 4  # states, and elements of each

Array = NDArray[Any]


def draw_activity(session: CompiledSession, graph: StepGraph, data: Mapping[str, Array]) -> Figure:
    """Rasters of the first spike tensors that fire, then the course of the first states that hold numbers.

    `data` are arrays `(T, …)` by input; `session` is stepped from its initial state and left there.
    """
    ticks = min(TICKS, len(next(iter(data.values()))))
    rasters = _different(record_raster(session, data, ticks, graph))[:RASTERS]
    traces = list(_changing(_record_states(session, data, ticks)).items())[:MEMORIES]
    picture, panels = stack(len(rasters) + len(traces))
    for panel, item in zip(panels, rasters, strict=False):
        _draw_raster(panel, item)
    for panel, (name, values) in zip(panels[len(rasters) :], traces, strict=True):
        for index in range(values.shape[1]):
            panel.plot(values[:, index], color=COLOURS[2 * index], linewidth=0.9)
        panel.set_title(name, fontsize=8, loc="left")
    for panel in panels:
        panel.set_xlim(0, ticks)
        panel.tick_params(labelsize=7)
    panels[-1].set_xlabel("tick", fontsize=8)
    return picture


def _different(rasters: Sequence[SpikeRaster]) -> list[SpikeRaster]:
    """Those that fire and are not what another shows, a tick earlier or later perhaps: a state that delays it, say."""
    kept: list[SpikeRaster] = []
    for item in rasters:
        echoes = (
            other for other in kept if item.counts[1:] == other.counts[:-1] or item.counts[:-1] == other.counts[1:]
        )
        if item.events and next(echoes, None) is None:
            kept.append(item)
    return kept


def _draw_raster(panel: Axes, item: SpikeRaster) -> None:
    """A short line for every spike, all of them one path, which keeps the file small."""
    every = -(-len(item.neurons) // NEURONS)
    shown = [(tick, place // every) for tick, place in item.events if place % every == 0]
    x = [value for tick, _ in shown for value in (tick, tick, nan)]
    y = [value for _, place in shown for value in (place, place + 0.8, nan)]
    panel.plot(x, y, color="black", linewidth=0.7)
    rate = sum(item.counts) / item.ticks
    panel.set_title(f"{item.name}, {rate:.3g} spikes a tick", fontsize=8, loc="left")
    panel.set_yticks([])
    panel.grid(visible=False)


def _record_states(session: CompiledSession, data: Mapping[str, Array], ticks: int) -> dict[str, Array]:
    """Every state after every tick, `(ticks, elements)`, large ones first and of these evenly chosen elements."""
    session.reset()
    large_first = sorted(session.states, key=lambda name: -session.states[name].size)
    seen: dict[str, list[Array]] = {name: [] for name in large_first}
    for tick in range(ticks):
        session.step(**{name: array[tick] for name, array in data.items()})
        for name, array in session.states.items():
            flat = array.reshape(-1)
            seen[name].append(flat[:: max(1, flat.size // 512)].astype(np.float64))
    session.reset()
    return {name: np.stack(values) for name, values in seen.items()}


def _changing(states: Mapping[str, Array]) -> dict[str, Array]:
    """Of each state the elements that change most; one of ones and zeros alone holds spikes and is left out."""
    found = {}
    for name, values in states.items():
        moving = values.std(axis=0)
        if moving.any() and not np.isin(values, (0, 1)).all():
            most = np.argsort(-moving, kind="stable")[:ELEMENTS]
            found[name] = values[:, np.sort(most)]
    return found

"""A trace of kernels as Chrome's trace-event JSON, which ui.perfetto.dev and chrome://tracing open."""

from __future__ import annotations

from typing import Any

from astroedge.errors import AstroEdgeError
from astroedge.step_profile import Profile

PROCESS = 1
TICKS, KERNELS = 1, 2  # the tracks


def trace_events(profile: Profile) -> dict[str, Any]:
    """The trace of a profile with kernels: ticks and, below, the kernels of the thread that computed them.

    Raises AstroEdgeError for a profile that has none: only one that was just measured does.
    """
    trace = None if profile.kernels is None else profile.kernels.trace
    if trace is None:
        raise AstroEdgeError("The profile holds no trace of kernels; measure with kernels=True, or --kernels.")
    events = [
        _name("process_name", 0, f"{profile.model} for {profile.target}"),
        _name("thread_name", TICKS, "ticks"),
        _name("thread_name", KERNELS, "thread 0"),
    ]
    for index, times in enumerate(trace.ticks):
        events.append(_event(f"tick {index}", "tick", TICKS, times[0], times[-1], {}))
        for call, (name, module) in enumerate(zip(trace.names, trace.modules, strict=True)):
            events.append(_event(name, "kernel", KERNELS, times[call], times[call + 1], {"module": module}))
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def _name(what: str, track: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": PROCESS, "tid": track, "args": {"name": name}}


def _event(name: str, category: str, track: int, begin: float, end: float, further: dict[str, str]) -> dict[str, Any]:
    """A complete event; its times are microseconds."""
    times = {"ts": begin / 1e3, "dur": (end - begin) / 1e3}
    return {"name": name, "cat": category, "ph": "X", "pid": PROCESS, "tid": track, **times, "args": further}

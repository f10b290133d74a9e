"""A trace of kernels as Chrome's trace-event JSON, which ui.perfetto.dev and chrome://tracing open."""

from __future__ import annotations

from typing import Any

from astroedge.errors import AstroEdgeError
from astroedge.step_profile import Profile

PROCESS = 1  # the first profile's
TICKS, KERNELS = 1, 2  # the tracks


def trace_events(*profiles: Profile) -> dict[str, Any]:
    """The trace of profiles with kernels, a process each: ticks and, below, the kernels of the thread that computed.

    Raises AstroEdgeError for a profile that has none: only one that was just measured does.
    """
    events = [event for process, item in enumerate(profiles, PROCESS) for event in _events_of(item, process)]
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def _events_of(profile: Profile, process: int) -> list[dict[str, Any]]:
    trace = None if profile.kernels is None else profile.kernels.trace
    if trace is None:
        raise AstroEdgeError("The profile holds no trace of kernels; measure with kernels=True, or --kernels.")
    where = f" on {profile.machine['device']}" if "device" in profile.machine else ""
    events = [
        _name(process, "process_name", 0, f"{profile.model} for {profile.target}{where}"),
        _name(process, "thread_name", TICKS, "ticks"),
        _name(process, "thread_name", KERNELS, "thread 0"),
    ]
    for index, times in enumerate(trace.ticks):
        events.append(_event(process, f"tick {index}", "tick", TICKS, times[0], times[-1], {}))
        for call, (name, module) in enumerate(zip(trace.names, trace.modules, strict=True)):
            begin, end = times[call], times[call + 1]
            events.append(_event(process, name, "kernel", KERNELS, begin, end, {"module": module}))
    return events


def _name(process: int, what: str, track: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": process, "tid": track, "args": {"name": name}}


def _event(
    process: int, name: str, category: str, track: int, begin: float, end: float, further: dict[str, str]
) -> dict[str, Any]:
    """A complete event; its times are microseconds."""
    times = {"ts": begin / 1e3, "dur": (end - begin) / 1e3}
    return {"name": name, "cat": category, "ph": "X", "pid": process, "tid": track, **times, "args": further}

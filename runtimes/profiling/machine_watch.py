"""The machine while it is measured: clock, heat, throttling, load, and how much of its cores others used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from astroedge.profile_parts import Moment
from astroedge.runtimes.profiling.sensors import ROOT, read_number, read_temperatures, read_text, read_throttling

CAPPED = "sys/class/thermal/cooling_device*"


class MachineWatch:
    """Watches from its construction on; `root` is where /proc and /sys start, "/" but for tests."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.load = read_load(root)
        self._start = perf_counter()
        self._usage, self._own = _busy_seconds(root), _own_seconds()
        self._throttled = _throttle_events(root)

    def moment(self, samples: Sequence[int]) -> Moment:
        """How the machine is now, after steps that took `samples` nanoseconds."""
        elapsed = perf_counter() - self._start
        return Moment(
            t=elapsed,
            p50=float(median(samples)),
            max=float(max(samples)),
            clock=read_clock(self.root),
            temperature=read_hottest(self.root),
            throttled=self.throttled(),
            load=read_load(self.root),
        )

    def throttled(self) -> bool | None:
        """Whether the processor is slowed down now, or (x86) was since the start; None where nothing tells."""
        events, capped = _throttle_events(self.root), is_capped(self.root)
        if events is None:
            return capped
        unit, value = events
        before = value if self._throttled is None else self._throttled[1]
        slowed = bool(int(value) & 0xF) if unit == "bits" else value > before
        return slowed or bool(capped)

    def others(self) -> tuple[float, float] | None:
        """How many cores others used since the start, and a hypervisor took; None where /proc does not tell."""
        now, elapsed = _busy_seconds(self.root), perf_counter() - self._start
        if now is None or self._usage is None or elapsed <= 0:
            return None
        busy, stolen = (after - before for after, before in zip(now, self._usage, strict=True))
        return max(0.0, busy - (_own_seconds() - self._own)) / elapsed, max(0.0, stolen) / elapsed


def read_load(root: Path = ROOT) -> float | None:
    """The load average over the last minute; None where it is not shown."""
    try:
        return float((read_text(root / "proc/loadavg") or "").split()[0])
    except (IndexError, ValueError):
        return None


def read_clock(root: Path = ROOT) -> float | None:
    """The clock of the fastest core that this process may use, in Hz; None where it is not shown."""
    found = [
        read_number(root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq") for core in usable_cores()
    ]
    clocks = [value * 1e3 for value in found if value is not None]
    return max(clocks, default=None)


def read_hottest(root: Path = ROOT) -> float | None:
    """The temperature of the hottest sensor of the processor in °C; None where there is none."""
    return max((item.value for item in read_temperatures(root) if item.value is not None), default=None)


def is_capped(root: Path = ROOT) -> bool | None:
    """Whether a thermal governor holds the processor's clock down now; None where no such device is shown."""
    states = [
        read_number(device / "cur_state")
        for device in sorted(root.glob(CAPPED))
        if any(word in (read_text(device / "type") or "").lower() for word in ("cpu", "processor"))
    ]
    known = [state for state in states if state is not None]
    return any(state > 0 for state in known) if known else None


def usable_cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _throttle_events(root: Path) -> tuple[str, float] | None:
    reading = read_throttling(root)[0]
    return None if reading.value is None else (reading.unit, reading.value)


def _busy_seconds(root: Path) -> tuple[float, float] | None:
    """Processor time of everybody since boot, and that a hypervisor gave to others, in seconds, of all cores."""
    words = (read_text(root / "proc/stat") or "").split("\n", 1)[0].split()
    try:
        user, nice, system, _idle, _wait, interrupts, soft, stolen = map(int, words[1:9])
    except ValueError:
        return None
    hertz = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + interrupts + soft) / hertz, stolen / hertz


def _own_seconds() -> float:
    """Processor time of this process and of its children that ended."""
    return sum(os.times()[:4])

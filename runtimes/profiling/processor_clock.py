"""How fast the processor's cores run, from what the kernel tells."""

from __future__ import annotations

import re
from pathlib import Path

CPUFREQ = Path("/sys/devices/system/cpu")
CPUINFO = Path("/proc/cpuinfo")


def processor_clock(cpufreq: Path = CPUFREQ, cpuinfo: Path = CPUINFO) -> float | None:
    """The present clock of the fastest core in hertz; None where the kernel does not tell."""
    found = [1e3 * clock for path in cpufreq.glob("cpu[0-9]*/cpufreq/scaling_cur_freq") for clock in _number(path)]
    if not found:
        try:
            text = cpuinfo.read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        found = [1e6 * float(item) for item in re.findall(r"^cpu MHz\s*:\s*(\d+\.?\d*)$", text, flags=re.MULTILINE)]
    return max(found, default=None)


def _number(path: Path) -> tuple[int, ...]:
    """The whole number in a file, if there is one."""
    try:
        return (int(path.read_text(encoding="ascii")),)
    except (OSError, ValueError):
        return ()

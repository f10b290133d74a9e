"""How much memory this process holds, from the kernel's own counters."""

from __future__ import annotations

from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_bytes(status: Path = STATUS) -> tuple[int, int] | None:
    """Resident memory now and at its peak (VmRSS, VmHWM), in bytes; None where the kernel does not tell."""
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = {name: text.split() for name, _, text in (line.partition(":") for line in lines)}
    try:
        return int(found["VmRSS"][0]) * 1024, int(found["VmHWM"][0]) * 1024
    except (KeyError, IndexError, ValueError):
        return None

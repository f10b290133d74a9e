"""What the system says of this process's memory."""

from __future__ import annotations

import re
from pathlib import Path


def mapping_of(address: int) -> tuple[int, int, list[str]]:
    """Where the mapping that holds an address begins and ends, and its flags as in /proc/self/smaps."""
    found = None
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        bounds = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if bounds is not None:
            low, high = (int(number, 16) for number in bounds.groups())
            found = (low, high) if low <= address < high else None
        elif found is not None and line.startswith("VmFlags:"):
            return *found, line.split()[1:]
    raise AssertionError("no such memory")

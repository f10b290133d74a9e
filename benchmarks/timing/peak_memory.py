"""The most memory that a program took, with all the processes that it started, sampled while it ran."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.1  # seconds between two looks
KINDS = ("Pss_Anon", "Pss_Shmem", "Pss_File")


@dataclass(frozen=True)
class Peak:
    """What a program took at most: bytes, each page counted once however many processes have it; and its times.

    `own` is memory that only the program's end gives back, `all` counts pages of mapped files too, which the system
    takes back when it needs them. `seconds` is how long the program ran, `cpu_seconds` what it computed meanwhile.
    """

    own: int
    all: int
    seconds: float
    cpu_seconds: float


def run_measured(command: Sequence[str], folder: Path) -> Peak:
    """Run a command in a folder to its end.

    Raises RuntimeError where it fails; what it prints is seen.
    """
    began, before = time.monotonic(), os.times()
    process = subprocess.Popen(command, cwd=folder)
    own = everything = 0
    try:
        while process.poll() is None:
            anonymous, shared, files = (sum(kind) for kind in zip((0, 0, 0), *_taken(process.pid), strict=True))
            own, everything = max(own, anonymous + shared), max(everything, anonymous + shared + files)
            time.sleep(EVERY)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Peak(own, everything, time.monotonic() - began, cpu)


def _taken(process: int) -> Iterator[tuple[int, ...]]:
    """Bytes of each of `KINDS` for a process and those that it started; what ends meanwhile takes nothing."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        found = {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines[1:])}
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    except (OSError, ValueError, IndexError):
        return
    yield tuple(found.get(kind, 0) for kind in KINDS)
    for child in children:
        yield from _taken(int(child))

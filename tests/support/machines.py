"""The processors a bundle is run on to compare bits: this one with several instruction sets, and emulated boards."""

from __future__ import annotations

import atexit
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from astroedge.bundle.container import Bundle
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker
from astroedge.workflows.compile_graph import runs_here
from tests.support.arm_root import arm_root
from tests.support.c_host import build_c_host


@dataclass(frozen=True)
class Machine:
    """What runs code for `target`: this machine, or for `emulated` a processor that QEMU stands for."""

    target: str
    emulated: str = ""


MACHINES = (
    Machine("x86-64-v2"),
    Machine("x86-64-v3"),
    Machine("x86-64-v4"),
    Machine("raspberry-pi-4", "cortex-a72"),
    Machine("raspberry-pi-5", "cortex-a76"),
)


def available() -> list[Machine]:
    """The machines there are here: instruction sets that this processor has, and every board.

    Raises NoArmRootError where boards cannot be emulated.
    """
    arm_root()
    return [machine for machine in MACHINES if machine.emulated or runs_here(resolve_target(machine.target))]


def run_hashes(bundle: Bundle, machine: Machine, ticks: int, folder: Path) -> list[str]:
    """Run a bundle on drawn inputs with the C host, on a machine its code is for; it is saved to `folder`.

    Returns lines "tick state outputs", hashes of both buffers, for ticks 1, 10, 100, … and the last.
    """
    bundle.save(folder)
    command = (_host(machine.target), folder, "--hash", str(ticks))
    if machine.emulated:
        result = arm_root().run(*command, cpu=machine.emulated)
    else:
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{machine.target}: {result.stderr.strip()}")
    return result.stdout.splitlines()


@cache
def _host(target: str) -> Path:
    """The C host for a target, built once and removed when the program ends."""
    folder = TemporaryDirectory(prefix="astro-run-")
    atexit.register(folder.cleanup)
    return build_c_host(find_linker(resolve_target(target)), Path(folder.name), "-O2")

"""What a bundle is run on to compare bits: this processor with several instruction sets, emulated boards and GPUs."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.container import Bundle
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker
from astroedge.workflows.compile_graph import runs_here
from tests.cuda_emulator.build_driver import build_driver, driver_environment
from tests.support.arm_root import ARM64, ARMHF, System, arm_root
from tests.support.c_host import build_c_host
from tests.support.places import ROOT


@dataclass(frozen=True)
class Machine:
    """What runs code for `target`: this machine, or for `emulated` a processor that QEMU stands for, in a `system`.

    A GPU is played by the fake driver, which runs the PTX of the bundle.
    """

    target: str
    emulated: str = ""
    system: System = ARM64

    @property
    def gpu(self) -> bool:
        """Whether a GPU computes."""
        return bool(resolve_target(self.target).gpu)


MACHINES = (
    Machine("x86-64-v2"),
    Machine("x86-64-v3"),
    Machine("x86-64-v4"),
    Machine("native"),  # with the instructions that no level has
    Machine("raspberry-pi-4", "cortex-a72"),
    Machine("raspberry-pi-5", "cortex-a76"),
    Machine("raspberry-pi-2", "cortex-a7", ARMHF),
    Machine("armv7", "cortex-a8", ARMHF),
    Machine("raspberry-pi-3-32bit", "max", ARMHF),
)


GPU = Machine("cuda:sm_87")
"""The chip of the Jetson Orins beside a processor like this machine's."""

EVERY_GPU = Machine("cuda:sm_72,sm_87,sm_90")
"""Both generations of Jetsons and a server's, in one bundle."""


def available() -> list[Machine]:
    """The machines there are here: instruction sets that this processor has, and every board.

    Raises NoArmRootError where boards cannot be emulated.
    """
    for system in (ARM64, ARMHF):
        arm_root(system)
    return [machine for machine in MACHINES if machine.emulated or runs_here(resolve_target(machine.target))]


def best_here() -> Machine:
    """This processor with all of its instruction sets."""
    return [machine for machine in MACHINES if not machine.emulated and runs_here(resolve_target(machine.target))][-1]


def run_hashes(bundle: Bundle, machine: Machine, ticks: int, folder: Path) -> list[str]:
    """Run a bundle on drawn inputs with the C host, on a machine its code is for; it is saved to `folder`.

    Returns lines "tick state outputs", hashes of both buffers, for ticks 1, 10, 100, … and the last.
    """
    bundle.save(folder)
    command = (_host(machine.target), folder, "--hash", str(ticks))
    if machine.emulated:
        result = arm_root(machine.system).run(*command, cpu=machine.emulated)
    else:
        given = _gpu_environment() if machine.gpu else None
        words = [str(word) for word in command]
        result = subprocess.run(words, env=given, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{machine.target}: {result.stderr.strip()}")
    return result.stdout.splitlines()


def run_digests(bundle: Bundle, machine: Machine, inputs: Mapping[str, NDArray[Any]], folder: Path) -> dict[str, str]:
    """Run a bundle for this machine or a GPU on given inputs, ticks first; hashes of its outputs, any NaN being one."""
    folder.mkdir()
    bundle.save(folder / "step.astro")
    np.savez(folder / "inputs.npz", **inputs)  # type: ignore[arg-type]
    (folder / "threads").write_text("1", encoding="ascii")
    command = [sys.executable, "-m", "tests.support.run_bundle", str(folder)]
    given = _gpu_environment() if machine.gpu else None
    result = subprocess.run(command, env=given, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{machine.target}: {result.stderr.strip()}")
    found = json.loads(result.stdout)[folder.name]
    return dict(found["outputs"])


@cache
def _gpu_environment() -> dict[str, str]:
    """The environment in which a program finds the fake driver, built once."""
    folder = TemporaryDirectory(prefix="fake-cuda-")
    atexit.register(folder.cleanup)
    build_driver(Path(folder.name))
    return driver_environment(Path(folder.name), cc="9.0", sms=2)


@cache
def _host(target: str) -> Path:
    """The C host for a target, built once and removed when the program ends."""
    folder = TemporaryDirectory(prefix="astro-run-")
    atexit.register(folder.cleanup)
    return build_c_host(find_linker(resolve_target(target)), Path(folder.name), "-O2")

"""What works on this machine: Python, C library, temporary files, packages, linkers, emulator. Each gap with a cure."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from astroedge.errors import AstroEdgeError, LinkError, TargetError
from astroedge.scratch import scratch_folder
from astroedge.targets.boards.detect import detect_board
from astroedge.targets.boards.gpus import find_gpus, has_nvidia
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.families import ARCHITECTURES
from astroedge.targets.link.linker import find_linker
from astroedge.workflows.doctor.findings import BROKEN, DEVICE, HOST, MISSING, OK, UNTESTED, Finding
from astroedge.workflows.doctor.packages import find_extras, find_packages

_OLDEST_GLIBC = (2, 28)


def examine(imports: bool = False, progress: Callable[[str], None] = lambda name: None) -> list[Finding]:
    """Look at everything, from what a device needs to what only the tests need.

    Without `imports` packages are looked up in what is installed, which takes no time; with it each is imported as
    well, so that one is found broken whose libraries are not there, which takes some seconds. `progress` is told what
    is looked at. Nothing is changed and nothing is downloaded.
    """
    progress("machine")
    findings = [_python(), _c_library(), _processor(), *_gpus(), _temporary_files()]
    progress("packages")
    findings += [*find_packages(imports), *find_extras()]
    progress("linkers")
    findings += [_linker(architecture.generic) for architecture in ARCHITECTURES.values()]
    return [*findings, *(_emulator(arch) for arch, architecture in ARCHITECTURES.items() if architecture.emulator)]


def _python() -> Finding:
    """The interpreter: 3.10 loads bundles, 3.11 exports and compiles as well."""
    host = sys.version_info >= (3, 11)
    return Finding(
        side=DEVICE,
        name="Python",
        state=OK,
        version=platform.python_version(),
        purpose="everything" if host else "loading and running bundles; exporting and compiling need 3.11",
        cure="" if host else "use Python 3.11 or later to export and compile",
    )


def _c_library() -> Finding:
    """The C library that bundles are loaded with."""
    name, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    right = name == "glibc" and numbers >= _OLDEST_GLIBC
    return Finding(
        side=DEVICE,
        name="C library",
        state=OK if right else UNTESTED,
        version=f"{name} {version}".strip(),
        purpose="loading bundles",
        cure="" if right else "bundles are linked for glibc 2.28 or later, on Linux: use a newer system",
    )


def _processor() -> Finding:
    """The board or instruction set that bundles for this machine are compiled for."""
    try:
        return Finding(DEVICE, "Processor", OK, detect_board().name, "running bundles compiled for this target")
    except AstroEdgeError as error:
        return Finding(DEVICE, "Processor", MISSING, "", "running bundles", str(error))


def _gpus(root: Path = Path("/")) -> list[Finding]:
    """NVIDIA's driver, and the GPUs that it shows; nothing on a machine that has neither, which lacks nothing.

    `root` is where the files of Linux start.
    """
    purpose = "running bundles compiled for a GPU"
    try:
        gpus = find_gpus()
    except TargetError as error:
        return [Finding(DEVICE, "GPU", MISSING, "", purpose, str(error))] if has_nvidia(root) else []
    return [
        Finding(DEVICE, f"GPU {number}", BROKEN if gpu.lack else OK, gpu.text(), purpose, gpu.lack)
        for number, gpu in enumerate(gpus)
    ]


def _temporary_files() -> Finding:
    """Where files that live for a moment are written."""
    name, purpose = "temporary files", "exporting and compiling"
    try:
        with scratch_folder("doctor") as folder:
            return Finding(HOST, name, OK, str(folder.parent), purpose)
    except OSError as error:
        return Finding(HOST, name, MISSING, "", purpose, str(error.strerror))


def _linker(target_name: str) -> Finding:
    """What links libraries for an architecture."""
    target = resolve_target(target_name)
    name, purpose = f"linker, {target.arch}", f"compiling for {target.arch}"
    try:
        return Finding(HOST, name, OK, find_linker(target).version, purpose)
    except LinkError as error:
        return Finding(HOST, name, MISSING, "", purpose, str(error))


def _emulator(arch: str) -> Finding:
    """The emulator that runs bundles of an architecture on another processor."""
    program, family = ARCHITECTURES[arch].emulator, ARCHITECTURES[arch].family.upper()
    name, purpose = f"{family} emulator", f"running {family} bundles on this machine, in the tests"
    if platform.machine() == arch:
        return Finding(HOST, name, OK, "not needed", purpose)
    path = shutil.which(f"{program}-static") or shutil.which(program)
    if path is None:
        return Finding(HOST, name, MISSING, "", purpose, "apt-get install qemu-user-static")
    result = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    version = (result.stdout.splitlines() or [""])[0].replace(f"{program} version ", "")
    return Finding(HOST, name, OK if result.returncode == 0 else BROKEN, version, purpose)

"""What works on this machine: Python, C library, temporary files, packages, linkers, emulator. Each gap with a cure."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from astroedge.errors import AstroEdgeError, LinkError, TargetError
from astroedge.host_package import variables_for_imports
from astroedge.scratch import scratch_folder
from astroedge.targets.boards.detect import detect_board
from astroedge.targets.boards.gpus import find_gpus, has_nvidia
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.cuda import nvrtc
from astroedge.targets.families import ARCHITECTURES
from astroedge.targets.link.linker import find_linker

OK = "ok"
UNTESTED = "untested"
MISSING = "missing"
BROKEN = "broken"

_DEVICE = "pip install astroedge"
_HOST = 'pip install "astroedge[host]"'
_NOT_FROM_HERE = "import sys; sys.path[:] = [path for path in sys.path if path]"
"""Python looks in the working directory first, where a torch.py may lie that is not PyTorch."""
_OLDEST_GLIBC = (2, 28)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `state` is "ok"; "untested" for another version than the tested one, which may well work; "missing"; or "broken"
    for what is there but does not run. `version` is "" where nothing was found. `purpose` says what needs it and `cure`
    what to do, "" where nothing is to be done.
    """

    name: str
    state: str
    version: str
    purpose: str
    cure: str = ""


@dataclass(frozen=True)
class Package:
    """A distribution AstroEdge uses: the module that is imported, what for, how to get it."""

    name: str
    module: str
    purpose: str
    install: str = _HOST


PACKAGES = (
    Package("numpy", "numpy", "loading and running bundles", _DEVICE),
    Package("click", "click", "the command line", _DEVICE),
    Package("rich", "rich", "tables and progress bars", _DEVICE),
    Package("psutil", "psutil", "memory in profiles", _DEVICE),
    Package("torch", "torch", "exporting models"),
    Package("onnx", "onnx", "reading and writing step graphs"),
    Package("onnxscript", "onnxscript", "exporting models"),
    Package("onnxruntime", "onnxruntime", "the reference that bundles are compared with"),
    Package("apache-tvm", "tvm", "compiling"),
    Package("apache-tvm-ffi", "tvm_ffi", "compiling"),
    Package("h5py", "h5py", "reading NIR files"),
    Package("safetensors", "safetensors", "checkpoints of the reference models"),
    Package("ziglang", "ziglang", "linking for every target"),
    Package(nvrtc.PACKAGE, nvrtc.MODULE, "compiling for GPUs", nvrtc.INSTALL),
)


def examine() -> list[Finding]:
    """Look at everything, from what a device needs to what only the tests need.

    Each installed package is imported in a process of its own, so that one which crashes is found broken too; this
    takes some seconds. Nothing is changed and nothing is downloaded.
    """
    findings = [_python(), _c_library(), _processor(), *_gpus(), _temporary_files()]
    tested = pinned_versions()
    findings += [_package(package, tested[package.name]) for package in PACKAGES]
    findings += [_linker(architecture.generic) for architecture in ARCHITECTURES.values()]
    return [*findings, *(_emulator(arch) for arch, architecture in ARCHITECTURES.items() if architecture.emulator)]


def pinned_versions() -> dict[str, str]:
    """The version of each distribution that AstroEdge is tested with on this Python, from `tested.txt`."""
    other_python = 'python_version >= "3.11"' if sys.version_info < (3, 11) else 'python_version < "3.11"'
    lines = Path(__file__).with_name("tested.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.partition(";")[0].strip().partition("==") for line in lines if not line.endswith(other_python))
    return {name: version for name, separator, version in pins if separator}


def _python() -> Finding:
    """The interpreter: 3.10 loads bundles, 3.11 exports and compiles as well."""
    host = sys.version_info >= (3, 11)
    return Finding(
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
        name="C library",
        state=OK if right else UNTESTED,
        version=f"{name} {version}".strip(),
        purpose="loading bundles",
        cure="" if right else "bundles are linked for glibc 2.28 or later, on Linux: use a newer system",
    )


def _processor() -> Finding:
    """The board or instruction set that bundles for this machine are compiled for."""
    try:
        return Finding("Processor", OK, detect_board().name, "running bundles compiled for this target")
    except AstroEdgeError as error:
        return Finding("Processor", MISSING, "", "running bundles", str(error))


def _gpus(root: Path = Path("/")) -> list[Finding]:
    """NVIDIA's driver, and the GPUs that it shows; nothing on a machine that has neither, which lacks nothing.

    `root` is where the files of Linux start.
    """
    purpose = "running bundles compiled for a GPU"
    try:
        gpus = find_gpus()
    except TargetError as error:
        return [Finding("GPU", MISSING, "", purpose, str(error))] if has_nvidia(root) else []
    return [
        Finding(f"GPU {number}", BROKEN if gpu.lack else OK, gpu.text(), purpose, gpu.lack)
        for number, gpu in enumerate(gpus)
    ]


def _temporary_files() -> Finding:
    """Where files that live for a moment are written."""
    name, purpose = "temporary files", "exporting and compiling"
    try:
        with scratch_folder("doctor") as folder:
            return Finding(name, OK, str(folder.parent), purpose)
    except OSError as error:
        return Finding(name, MISSING, "", purpose, str(error.strerror))


def _package(package: Package, tested: str) -> Finding:
    """An installed distribution: its version, and whether it can be imported."""
    try:
        version = metadata.version(package.name)
    except metadata.PackageNotFoundError:
        return Finding(package.name, MISSING, "", package.purpose, package.install)
    result = subprocess.run(
        [sys.executable, "-c", f"{_NOT_FROM_HERE}; import {package.module}"],
        env=os.environ | variables_for_imports(),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or [f"it crashed, exit status {result.returncode}"])[-1]
        return Finding(
            package.name, BROKEN, version, package.purpose, f"{package.install} --force-reinstall ({reason})"
        )
    # A local version such as 2.13.0+cpu is the same release in another build.
    state = OK if version.partition("+")[0] == tested else UNTESTED
    return Finding(package.name, state, version, package.purpose, "" if state == OK else f"tested: {tested}")


def _linker(target_name: str) -> Finding:
    """What links libraries for an architecture."""
    target = resolve_target(target_name)
    name, purpose = f"linker, {target.arch}", f"compiling for {target.arch}"
    try:
        return Finding(name, OK, find_linker(target).version, purpose)
    except LinkError as error:
        return Finding(name, MISSING, "", purpose, str(error))


def _emulator(arch: str) -> Finding:
    """The emulator that runs bundles of an architecture on another processor."""
    program, family = ARCHITECTURES[arch].emulator, ARCHITECTURES[arch].family.upper()
    name, purpose = f"{family} emulator", f"running {family} bundles on this machine, in the tests"
    if platform.machine() == arch:
        return Finding(name, OK, "not needed", purpose)
    path = shutil.which(f"{program}-static") or shutil.which(program)
    if path is None:
        return Finding(name, MISSING, "", purpose, "apt-get install qemu-user-static")
    result = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    version = (result.stdout.splitlines() or [""])[0].replace(f"{program} version ", "")
    return Finding(name, OK if result.returncode == 0 else BROKEN, version, purpose)

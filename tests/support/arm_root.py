"""A 64-bit ARM Linux in a folder, with Python and NumPy, whose programs run on this machine in QEMU's user mode.

Debian's own packages for arm64 are fetched by apt-get with a package database of its own below the folder, so nothing
of this system changes and no rights are needed; NumPy is its aarch64 wheel. Programs run on an emulated Cortex-A72, the
processor of a Raspberry Pi 4, which refuses every instruction that processor lacks.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.places import ROOT

CACHE = ROOT / "build" / "arm-root"
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
CPU = "cortex-a72"
# What NumPy's wheel needs beside what apt finds that Python needs.
LIBRARIES = ("libgcc-s1", "libstdc++6")


class NoArmRootError(Exception):
    """This machine cannot make or run an ARM userland; the message says what is missing."""


@dataclass(frozen=True)
class ArmRoot:
    """An ARM userland in `folder` with its `python`, as paths of this machine."""

    folder: Path
    python: Path
    emulator: str

    def run(self, *command: str | Path, cpu: str = CPU) -> subprocess.CompletedProcess[str]:
        """Run an ARM program with its output captured; Python programs see this repository and NumPy, nothing else."""
        environment = {
            "PATH": os.environ["PATH"],
            "QEMU_CPU": cpu,
            "QEMU_LD_PREFIX": str(self.folder / "root"),
            "PYTHONHOME": str(self.folder / "root" / "usr"),
            "PYTHONPATH": f"{self.folder / 'site'}:{ROOT}",
            "PYTHONPYCACHEPREFIX": str(self.folder / "pycache"),
            "PYTHONNOUSERSITE": "1",
        }
        words = [self.emulator, *map(str, command)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def arm_root() -> ArmRoot:
    """The userland, made at the first call and kept below `build/`.

    Raises NoArmRootError without an emulator, without apt, or when a download fails.
    """
    emulator = next(filter(None, map(shutil.which, EMULATORS)), None)
    if emulator is None:
        raise NoArmRootError("qemu-aarch64-static is not installed (Debian: qemu-user-static)")
    folder = CACHE / _debian()
    if not folder.is_dir():
        _build(folder)
    return ArmRoot(folder, next((folder / "root/usr/bin").glob("python3.*")), emulator)


def _build(folder: Path) -> None:
    """Make the userland beside its place and move it there whole: half of one is never taken for a good one."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE, prefix="partial-") as name:
        partial = Path(name) / folder.name
        _unpack_packages(partial / "root", Path(name) / "apt")
        version = next((partial / "root/usr/bin").glob("python3.*")).name.removeprefix("python")
        _unpack_numpy(partial / "site", Path(name) / "wheels", version)
        os.rename(partial, folder)


def _debian() -> str:
    """A name for the distribution whose packages are used, such as "debian-12"."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError as error:
        raise NoArmRootError(f"the distribution is unknown ({error})") from error
    values = dict(re.findall(r'^(\w+)="?(.*?)"?$', text, re.MULTILINE))
    return f"{values.get('ID', 'linux')}-{values.get('VERSION_ID', 'rolling')}"


def _unpack_packages(root: Path, apt: Path) -> None:
    """Fetch Python and what it needs for arm64 and unpack it to `root`."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NoArmRootError("apt-get and dpkg-deb are needed to fetch an ARM userland")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    settings = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    _call("apt-get", *options, "--quiet=2", "update")
    wanted = _python_packages(_call("apt-cache", *options, "depends", "libpython3-stdlib"))
    install = ("install", "--quiet=2", "--yes", "--download-only", "--no-install-recommends")
    _call("apt-get", *options, *install, *wanted, *LIBRARIES)
    root.mkdir(parents=True)
    for name in ("bin", "lib", "sbin"):  # newer packages hold usr/lib alone and expect these links to be there
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        _call("dpkg-deb", "--extract", str(package), str(root))


def _python_packages(depends: str) -> tuple[str, str]:
    """The packages of the distribution's own Python: the interpreter and the standard library."""
    found = re.search(r"libpython(3\.\d+)-stdlib", depends)
    if found is None:
        raise NoArmRootError("apt knows no arm64 package of Python's standard library")
    return f"python{found[1]}-minimal", f"libpython{found[1]}-stdlib"


def _unpack_numpy(site: Path, wheels: Path, version: str) -> None:
    """Fetch the aarch64 wheel of the NumPy that the constraints name and unpack it to `site`."""
    platforms = [f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (28, 27, 17)]
    abi = f"--abi=cp{version.replace('.', '')}"
    choice = ["--only-binary=:all:", "--no-deps", "--implementation=cp", f"--python-version={version}", abi]
    constraints = f"--constraint={ROOT / 'constraints.txt'}"
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
    _call(*pip, *choice, *platforms, constraints, f"--dest={wheels}", "numpy")
    for wheel in wheels.glob("*.whl"):
        _call(sys.executable, "-m", "zipfile", "-e", str(wheel), str(site))


def _call(*command: str) -> str:
    """Run a program of this machine; NoArmRootError with its last error line when it fails."""
    result = _finished(command)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no message"]
        raise NoArmRootError(f"{command[0]} failed: {lines[-1]}")
    return result.stdout


def _finished(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

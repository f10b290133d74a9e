"""ARM Linux systems in folders, with Python and NumPy, whose programs run on this machine in QEMU's user mode.

Debian's own packages for arm64 and armhf are fetched by apt-get with a package database of its own below the folder, so
nothing of this system changes and no rights are needed. NumPy is its wheel where there is one, else Debian's package.
Programs run on an emulated processor that refuses every instruction it lacks: the Cortex-A72 of a Raspberry Pi 4, the
Cortex-A7 of a Raspberry Pi 2.
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


@dataclass(frozen=True)
class System:
    """A userland: Debian's name of its architecture, who runs it, as which processor, and packages beside Python's.

    `wheels` is the architecture in the names of NumPy's wheels, "" where NumPy is among the packages.
    """

    debian: str
    emulators: tuple[str, ...]
    cpu: str
    packages: tuple[str, ...]
    wheels: str = ""


# NumPy's wheel needs two libraries beside what apt finds that Python needs.
ARM64 = System(
    "arm64", ("qemu-aarch64-static", "qemu-aarch64"), "cortex-a72", ("libgcc-s1", "libstdc++6"), wheels="aarch64"
)
ARMHF = System("armhf", ("qemu-arm-static", "qemu-arm"), "cortex-a7", ("python3-numpy",))


class NoArmRootError(Exception):
    """This machine cannot make or run an ARM userland; the message says what is missing."""


@dataclass(frozen=True)
class ArmRoot:
    """An ARM userland in `folder` with its `python`, as paths of this machine."""

    folder: Path
    python: Path
    emulator: str
    cpu: str

    def run(self, *command: str | Path, cpu: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run an ARM program with its output captured; Python programs see this repository and NumPy, nothing else."""
        packages = self.folder / "root/usr/lib/python3/dist-packages"
        environment = {
            "PATH": os.environ["PATH"],
            "QEMU_CPU": cpu or self.cpu,
            "QEMU_LD_PREFIX": str(self.folder / "root"),
            "PYTHONHOME": str(self.folder / "root" / "usr"),
            "PYTHONPATH": f"{self.folder / 'site'}:{packages}:{ROOT}",
            "PYTHONPYCACHEPREFIX": str(self.folder / "pycache"),
            "PYTHONNOUSERSITE": "1",
        }
        words = [self.emulator, *map(str, command)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def arm_root(system: System = ARM64) -> ArmRoot:
    """The userland, made at the first call and kept below `build/`.

    Raises NoArmRootError without an emulator, without apt, or when a download fails.
    """
    emulator = next(filter(None, map(shutil.which, system.emulators)), None)
    if emulator is None:
        raise NoArmRootError(f"{system.emulators[0]} is not installed (Debian: qemu-user-static)")
    folder = CACHE / (_debian() if system is ARM64 else f"{_debian()}-{system.debian}")
    if not folder.is_dir():
        _build(folder, system)
    return ArmRoot(folder, _python(folder / "root"), emulator, system.cpu)


def _python(root: Path) -> Path:
    return next(path for path in (root / "usr/bin").glob("python3.*") if re.fullmatch(r"python3\.\d+", path.name))


def _build(folder: Path, system: System) -> None:
    """Make the userland beside its place and move it there whole: half of one is never taken for a good one."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE, prefix="partial-") as name:
        partial = Path(name) / folder.name
        _unpack_packages(partial / "root", Path(name) / "apt", system)
        _link_algebra(partial / "root")
        if system.wheels:
            version = _python(partial / "root").name.removeprefix("python")
            _unpack_numpy(partial / "site", Path(name) / "wheels", version, system.wheels)
        os.rename(partial, folder)


def _debian() -> str:
    """A name for the distribution whose packages are used, such as "debian-12"."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError as error:
        raise NoArmRootError(f"the distribution is unknown ({error})") from error
    values = dict(re.findall(r'^(\w+)="?(.*?)"?$', text, re.MULTILINE))
    return f"{values.get('ID', 'linux')}-{values.get('VERSION_ID', 'rolling')}"


def _unpack_packages(root: Path, apt: Path, system: System) -> None:
    """Fetch Python and what is needed beside it and unpack it to `root`."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NoArmRootError("apt-get and dpkg-deb are needed to fetch an ARM userland")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    settings = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": system.debian,
        "APT::Architectures": system.debian,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    # A mirror in the middle of its update lacks a list or two; whether the rest will do, the next commands say.
    _finished(("apt-get", *options, "--quiet=2", "update"))
    wanted = _python_packages(_call("apt-cache", *options, "depends", "libpython3-stdlib"))
    install = ("install", "--quiet=2", "--yes", "--download-only", "--no-install-recommends")
    _call("apt-get", *options, *install, *wanted, *system.packages)
    root.mkdir(parents=True)
    for name in ("bin", "lib", "sbin"):  # newer packages hold usr/lib alone and expect these links to be there
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        _call("dpkg-deb", "--extract", str(package), str(root))


def _link_algebra(root: Path) -> None:
    """Put the libraries of linear algebra where Debian's NumPy looks for them; installing their packages would."""
    for kind in ("blas", "lapack"):
        for library in (root / "usr/lib").glob(f"*/{kind}/lib{kind}.so.3"):
            (library.parents[1] / library.name).symlink_to(f"{kind}/{library.name}")


def _python_packages(depends: str) -> tuple[str, str]:
    """The packages of the distribution's own Python: the interpreter and the standard library."""
    found = re.search(r"libpython(3\.\d+)-stdlib", depends)
    if found is None:
        raise NoArmRootError("apt knows no ARM package of Python's standard library")
    return f"python{found[1]}-minimal", f"libpython{found[1]}-stdlib"


def _unpack_numpy(site: Path, wheels: Path, version: str, machine: str) -> None:
    """Fetch the wheel of the NumPy that the constraints name and unpack it to `site`."""
    platforms = [f"--platform=manylinux_2_{glibc}_{machine}" for glibc in (28, 27, 17)]
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

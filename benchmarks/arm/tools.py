"""The programs needed, fetched once to `build/arm-bench/`: QEMU, LLVM, and for ARM Python, NumPy and ONNX Runtime.

QEMU is Debian's `qemu-user`, which unlike `qemu-user-static` loads plugins. LLVM is the version whose models are the
newest that Debian 12 has, and that TVM 0.27 generates code with.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.arm.debian import NoPackagesError, call, unpack
from benchmarks.places import REPOSITORY

FOLDER = REPOSITORY / "build" / "arm-bench"
LLVM = 22
PYTHON = "3.11"
BOARD_PACKAGES = (f"python{PYTHON}-minimal", f"libpython{PYTHON}-stdlib", "libgcc-s1", "libstdc++6")
CPUINFO = """processor\t: 0
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part:#x}
CPU revision\t: 1
"""
# What Linux says of each: the part number, and the features that libraries choose their kernels by.
PARTS = {
    "cortex-a53": (0xD03, "fp asimd evtstrm crc32 cpuid"),
    "cortex-a72": (0xD08, "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": (0xD0B, "fp asimd evtstrm crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"),
}
HOST_C_LIBRARY = ("libc6", "libgcc-s1", "gcc-12-base")  # the host's own are used: the loader must be of the same build
PLUGIN = Path(__file__).with_name("count_blocks.c")
GUEST = Path(__file__).with_name("guest.py")


@dataclass(frozen=True)
class Tools:
    """Where the programs lie: `host` has Debian's of this machine, `board` those for ARM, `site` Python's packages."""

    host: Path
    board: Path
    site: Path
    plugin: Path

    def llvm(self, program: str, *arguments: str, given: str) -> str:
        """What a program of LLVM prints for a text.

        Raises NoPackagesError when it fails.
        """
        path = self.host / "usr/lib" / f"llvm-{LLVM}" / "bin" / program
        finished = subprocess.run(
            [path, *arguments], input=given, env=self._libraries(), capture_output=True, text=True, check=False
        )
        if finished.returncode != 0:
            raise NoPackagesError(f"{program} failed: {finished.stderr.strip().splitlines()[-1:]}")
        return finished.stdout

    def count(self, cpu: str, cases: Path, written: Path, *code: str) -> None:
        """Run `guest.py` on an emulated `cpu`, the plugin writing to a file, with blocks of files that hold a `code`.

        Raises NoPackagesError with the guest's last line when it fails.
        """
        root = self.board
        _describe_processor(root, cpu)
        environment = {
            **self._libraries(),
            "QEMU_CPU": cpu,
            "QEMU_LD_PREFIX": str(root),
            "PYTHONHOME": str(root / "usr"),
            "PYTHONPATH": f"{self.site}:{REPOSITORY}",
            "PYTHONPYCACHEPREFIX": str(FOLDER / "pycache"),
            "PYTHONNOUSERSITE": "1",
            "PYTHONHASHSEED": "0",
        }
        qemu, python = self.host / "usr/bin/qemu-aarch64", root / f"usr/bin/python{PYTHON}"
        plugin = ",".join([str(self.plugin), f"out={written}", *(f"code={word}" for word in code)])
        words = [str(qemu), "-plugin", plugin, *map(str, (python, GUEST, cases))]
        finished = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            lines = finished.stderr.strip().splitlines() or ["no message"]
            raise NoPackagesError(f"The emulated {cpu} failed: {lines[-1]}")

    def versions(self) -> dict[str, str]:
        """Versions of QEMU and LLVM as they say themselves."""
        environment = self._libraries()
        qemu = call(str(self.host / "usr/bin/qemu-aarch64"), "--version", **environment)
        mca = self.llvm("llvm-mca", "--version", given="")
        found = re.search(r"version ([\d.]+)", qemu), re.search(r"LLVM version ([\d.]+)", mca)
        return {name: match[1] for name, match in zip(("qemu", "llvm-mca"), found, strict=True) if match}

    def _libraries(self) -> dict[str, str]:
        places = (self.host / "usr/lib/x86_64-linux-gnu", self.host / "usr/lib" / f"llvm-{LLVM}" / "lib")
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, places))}


def fetch_tools() -> Tools:
    """The tools, fetched where they are not there yet: some 300 MB.

    Raises NoPackagesError when one cannot be had.
    """
    tools = Tools(FOLDER / "host", FOLDER / "board", FOLDER / "site", FOLDER / "count_blocks.so")
    if not tools.host.is_dir():
        unpack(tools.host, "amd64", ("qemu-user", f"llvm-{LLVM}"), without=HOST_C_LIBRARY)
    if not tools.board.is_dir():
        unpack(tools.board, "arm64", BOARD_PACKAGES)
    if not tools.site.is_dir():
        _unpack_wheels(tools.site)
    flags = ("-std=c11", "-O2", "-D_GNU_SOURCE", "-shared", "-fPIC")
    call(sys.executable, "-m", "ziglang", "cc", *flags, str(PLUGIN), "-o", str(tools.plugin))
    return tools


def _describe_processor(root: Path, cpu: str) -> None:
    """Files that QEMU opens in place of this machine's, so that libraries see one ARM core and no x86 processor.

    ONNX Runtime chooses kernels by them, and crashes on those of an x86 processor.
    """
    part, features = PARTS[cpu]
    files = {"proc/cpuinfo": CPUINFO.format(part=part, features=features)}
    files |= {f"sys/devices/system/cpu/{name}": "0\n" for name in ("possible", "present", "online")}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def _unpack_wheels(site: Path) -> None:
    """The wheels for ARM of the NumPy and ONNX Runtime that this environment has."""
    platforms = [f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (28, 27, 17)]
    choice = ["--only-binary=:all:", "--no-deps", "--implementation=cp", f"--python-version={PYTHON}", *platforms]
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
    wheels = FOLDER / "wheels"
    names = [f"{package}=={version(package)}" for package in ("numpy", "onnxruntime")]
    call(*pip, *choice, f"--dest={wheels}", *names)
    for wheel in sorted(wheels.glob("*.whl")):
        call(sys.executable, "-m", "zipfile", "-e", str(wheel), str(site))

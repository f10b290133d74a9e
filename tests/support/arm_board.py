"""A Raspberry Pi 4 on this machine, for SSH: a 64-bit ARM root without Python, all of whose programs QEMU runs.

BusyBox is Debian's own for arm64, and PRoot the program that starts every ARM program of the root in QEMU's user mode,
the processor being the Pi's; what the kernel says of the board is the Pi's too. No rights are needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.arm_root import NoArmRootError
from tests.support.places import ROOT

CACHE = ROOT / "build" / "arm-board"
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
MODEL = "Raspberry Pi 4 Model B Rev 1.4"
CPUINFO = (
    "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
    "CPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
)


def arm_shell(home: Path) -> str:
    """The command that runs a line in the shell of a new board below `home`, which is seen there under the same path.

    Raises NoArmRootError where this machine cannot make or run one.
    """
    emulator = next(filter(None, map(shutil.which, EMULATORS)), None)
    proot = shutil.which("proot")
    if emulator is None or proot is None:
        raise NoArmRootError("proot and qemu-aarch64-static are needed (Debian: proot, qemu-user-static)")
    root, facts = home.with_name(f"{home.name}-root"), home.with_name(f"{home.name}-facts")
    (root / "bin").mkdir(parents=True)
    for name in ("proc", "dev", "tmp"):
        (root / name).mkdir()
    shutil.copy(_busybox(), root / "bin/busybox")
    listed = subprocess.run([emulator, root / "bin/busybox", "--list"], capture_output=True, text=True, check=True)
    for applet in listed.stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    facts.mkdir()
    (facts / "cpuinfo").write_text(CPUINFO)
    (facts / "model").write_bytes(MODEL.encode() + b"\0")
    binds = f"-b /dev -b /proc -b {facts}/cpuinfo:/proc/cpuinfo -b {facts}/model:/proc/device-tree/model -b {home}"
    return f"{proot} -q '{emulator} -cpu cortex-a72' -r {root} {binds} -w / /bin/sh -c"


def _busybox() -> Path:
    """BusyBox for arm64, fetched once, with a package database of its own as in `arm_root`."""
    path = CACHE / "busybox"
    if path.is_file():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE, prefix="partial-") as name:
        apt = Path(name)
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (apt / folder).mkdir(parents=True)
        (apt / "status").touch()
        options = [
            *(
                "-o",
                f"Dir::State={apt}/state",
                "-o",
                f"Dir::State::status={apt}/status",
                "-o",
                f"Dir::Cache={apt}/cache",
            ),
            *("-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64", "-o", "APT::Sandbox::User="),
        ]
        _call("apt-get", *options, "-o", "Debug::NoLocking=1", "--quiet=2", "update")
        install = ("install", "--quiet=2", "--yes", "--download-only", "--no-install-recommends", "busybox-static")
        _call("apt-get", *options, "-o", "Debug::NoLocking=1", *install)
        package = next((apt / "cache/archives").glob("busybox-static_*.deb"))
        _call("dpkg-deb", "--extract", str(package), str(apt / "root"))
        os.replace(next((apt / "root").rglob("bin/busybox")), path)
    return path


def _call(*command: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise NoArmRootError(f"{command[0]} failed: {said}") from error

"""NumPy for a board that has none: the wheel for its Python and C library, fetched here: it needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from astroedge.errors import DeviceError, printable
from astroedge.scratch import scratch_folder
from astroedge.workflows.devices.copy_files import RemoteFile
from astroedge.workflows.devices.python_there import NUMPY
from astroedge.workflows.devices.remote_board import RemoteBoard

_OLDEST_GLIBC, _NEWEST_GLIBC = 17, 40


def numpy_archive(board: RemoteBoard, device: str) -> RemoteFile:
    """The wheel of NumPy for a board's Python, fetched by this Python's pip from its own index.

    Raises DeviceError where pip is missing or finds no such wheel.
    """
    python = board.python
    numbers = python.version.split(".")[:2]
    with scratch_folder("wheels") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={numbers[0]}.{numbers[1]}"]
        command += [f"--abi=cp{numbers[0]}{numbers[1]}", *(f"--platform={tag}" for tag in _platforms(board))]
        done = subprocess.run(
            [*command, f"--dest={folder}", "numpy>=1.26"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise DeviceError(
                f"No NumPy can be fetched for {device} (Python {python.version}, {board.target.arch}, {board.libc}): "
                f"{printable(reason)[:300]}. Is this machine online? Else install NumPy there by its own packages."
            )
        return RemoteFile(NUMPY, wheels[0].read_bytes())


def _platforms(board: RemoteBoard) -> list[str]:
    """The tags of wheels that the board's C library runs, the newest first."""
    machine = board.target.arch  # wheels have the kernel's names
    if "musl" in board.libc.lower():
        return [f"musllinux_1_{minor}_{machine}" for minor in (2, 1)]
    found = re.search(r"2\.(\d{1,2})$", board.libc)
    newest = min(int(found[1]), _NEWEST_GLIBC) if found else 28
    return [f"manylinux_2_{minor}_{machine}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)]

"""What a board is: its processor, system, memory and Python, from the texts of the keeper's probe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from astroedge.errors import DeviceError, TargetError
from astroedge.targets.boards.board_file import Target
from astroedge.targets.boards.detect import detect_board
from astroedge.targets.families.machine import Machine

LEAST_PYTHON = (3, 10)
LEAST_NUMPY = (1, 26)
LONGEST_NAME = 100


@dataclass(frozen=True)
class RemotePython:
    """The python3 of a board, of 32 or 64 bits; versions are "" where there is none."""

    version: str = ""
    bits: int = 64
    numpy: str = ""
    astroedge: str = ""

    @property
    def is_new_enough(self) -> bool:
        """Whether bundles run in it once there is NumPy."""
        return bool(self.version) and _numbers(self.version) >= LEAST_PYTHON

    def works(self, install: bool) -> bool:
        """Whether bundles run in it, with `install` once NumPy is there."""
        return not self.lack or (install and self.is_new_enough)

    @property
    def lack(self) -> str:
        """Why bundles do not run in it, in a few words; "" where they do."""
        if not self.version:
            return "no python3"
        if not self.is_new_enough:
            return f"Python {self.version}, older than {'.'.join(map(str, LEAST_PYTHON))}"
        if not self.numpy:
            return f"Python {self.version} without NumPy"
        if _numbers(self.numpy) < LEAST_NUMPY:
            return f"NumPy {self.numpy}, older than {'.'.join(map(str, LEAST_NUMPY))}"
        return ""


@dataclass(frozen=True)
class RemoteBoard:
    """A board: its own `name`, the shipped `target` that it is or that its processor runs, and what stands on it.

    `is_known` says whether a board file names this very board. `memory_bytes` is 0 where the kernel does not tell.
    """

    name: str
    target: Target
    is_known: bool
    kernel: str
    libc: str
    memory_bytes: int
    home: str
    python: RemotePython


def describe_board(texts: Mapping[str, str], device: str) -> RemoteBoard:
    """The board that the texts of a probe describe; `device` is its address, for messages.

    Raises DeviceError for a system that is not Linux, and for a processor that no step is compiled for.
    """
    system, _, release = texts.get("system", "").strip().partition("\n")
    if system != "Linux":
        raise DeviceError(f"{device} runs {_short(system) or 'an unknown system'}; compiled steps run on Linux.")
    arch, width = texts.get("machine", "").strip(), texts.get("bits", "").strip()
    files = {"proc/cpuinfo": texts.get("cpuinfo", ""), "proc/device-tree/model": texts.get("model", "")}
    machine = Machine(arch=arch, bits=32 if width == "1" else 64, texts=files)
    try:
        target = detect_board(machine)
    except TargetError as error:
        raise DeviceError(
            f"{device} is {_short(arch) or 'an unknown machine'} with {machine.bits}-bit programs, for which nothing "
            f"can be compiled ({error})"
        ) from error
    model = (machine.cpuinfo("model name") or [""])[0]
    memory = re.search(r"^MemTotal:\s+(\d{1,15}) kB$", texts.get("meminfo", ""), re.MULTILINE)
    return RemoteBoard(
        name=_short(machine.model or model or texts.get("product", "")) or f"a {target.arch} machine",
        target=target,
        is_known=bool(target.device_tree or target.model_names),
        kernel=f"Linux {_short(release)}",
        libc=_libc(texts.get("libc", "")),
        memory_bytes=int(memory[1]) * 1024 if memory else 0,
        home=texts.get("home", "").partition("\n")[0],
        python=_read_python(texts.get("python", "")),
    )


def _read_python(text: str) -> RemotePython:
    """What the probe's Python said: its version and bits, and the versions of packages or "-"."""
    version = r"(-|\d[\w.+]{0,40})"
    found = re.match(
        rf"(\d{{1,3}}\.\d{{1,3}}[\w.+]{{0,20}}) (32|64)\nnumpy {version}\nastroedge {version}\n", f"{text}\n"
    )
    if found is None:
        return RemotePython()
    numpy, astroedge = ("" if text == "-" else text for text in (found[3], found[4]))
    return RemotePython(found[1], int(found[2]), numpy, astroedge)


def _libc(text: str) -> str:
    """The C library, where a program there tells it."""
    return _short(text) if re.search("glibc|musl", text, re.IGNORECASE) else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _short(text: str) -> str:
    """The first line of what a board says of itself, for a terminal and a table."""
    line = text.strip("\0 \t\n").partition("\n")[0]
    return "".join(sign for sign in line if sign.isprintable())[:LONGEST_NAME]

"""Which board or processor this machine is, from what the Linux kernel shows; standard library only.

Sources: /proc/device-tree/model (a board's own name), /proc/cpuinfo (flags; on ARM also implementer and part, as in the
kernel's Documentation/arch/arm64/cpu-feature-registers.rst), /sys/devices/system/cpu/cpu0/cache. The x86-64 levels are
those of the x86-64 psABI.
"""

from __future__ import annotations

import os
import platform
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from astroedge.errors import TargetError
from astroedge.targets.boards.board_file import Target, shipped_boards

_X86_LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64-v2")

_ARMV8_0 = ("fp", "asimd")
_ARMV8_2 = ("fp", "asimd", "asimdrdm", "fphp", "asimdhp", "asimddp")

# MIDR part numbers of Arm Ltd. (implementer 0x41) → LLVM's name and what LLVM may use for it. Cores with SVE are left
# out on purpose: compiled steps use fixed-width vectors, so those cores get generic code with the flags they have.
_ARM_PARTS = {
    0xD03: ("cortex-a53", _ARMV8_0),
    0xD04: ("cortex-a35", _ARMV8_0),
    0xD05: ("cortex-a55", _ARMV8_2),
    0xD07: ("cortex-a57", _ARMV8_0),
    0xD08: ("cortex-a72", _ARMV8_0),
    0xD09: ("cortex-a73", _ARMV8_0),
    0xD0A: ("cortex-a75", _ARMV8_2),
    0xD0B: ("cortex-a76", _ARMV8_2),
    0xD0C: ("neoverse-n1", _ARMV8_2),
    0xD0D: ("cortex-a77", _ARMV8_2),
    0xD0E: ("cortex-a76ae", _ARMV8_2),
    0xD41: ("cortex-a78", _ARMV8_2),
    0xD42: ("cortex-a78ae", _ARMV8_2),
}

# /proc/cpuinfo flags → the LLVM attribute they allow, for cores that the table above does not name.
_ARM_ATTRIBUTES = {
    "+rdm": ("asimdrdm",),
    "+fullfp16": ("fphp", "asimdhp"),
    "+dotprod": ("asimddp",),
}

# Multiply-add instructions of int16 and int8 that are beyond any x86-64 level: the level they build on, then as above.
_X86_ATTRIBUTES = {
    "+avx512vnni": ("x86-64-v4", "avx512_vnni"),
    "+avxvnni": ("x86-64-v3", "avx_vnni"),
}


@dataclass(frozen=True)
class Machine:
    """What the kernel says about a machine, as text; `root` stands for /, so another machine's files can be read."""

    arch: str
    bits: int
    root: Path = Path("/")

    def read(self, path: str) -> str:
        """The text of a file below the root, without NUL and white space around it; "" where there is none."""
        try:
            return (self.root / path).read_bytes().decode("utf-8", "replace").strip("\0 \n\t")
        except OSError:
            return ""

    @property
    def model(self) -> str:
        """The board's own name, "" where there is no device tree."""
        return self.read("proc/device-tree/model")

    def cpuinfo(self, key: str) -> list[str]:
        """The values of a key in /proc/cpuinfo, one a processor."""
        pairs = [line.partition(":") for line in self.read("proc/cpuinfo").splitlines()]
        return [value.strip() for name, _, value in pairs if name.strip() == key]

    @property
    def flags(self) -> frozenset[str]:
        """The CPU flags that every processor has."""
        each = [frozenset(value.split()) for key in ("flags", "Features") for value in self.cpuinfo(key)]
        return frozenset.intersection(*each) if each else frozenset()

    def cache_bytes(self, level: int) -> int:
        """Size of the data or unified cache of a level that the first processor uses, 0 where the kernel shows none."""
        folder = self.root / "sys/devices/system/cpu/cpu0/cache"
        for index in sorted(folder.glob("index*")):
            text = {name: self.read(f"{index.relative_to(self.root)}/{name}") for name in ("level", "type", "size")}
            if text["level"] == str(level) and text["type"] != "Instruction" and text["size"].endswith("K"):
                return int(text["size"][:-1]) * 1024
        return 0


def this_machine() -> Machine:
    """The machine this process runs on.

    Raises TargetError where compiled bundles cannot run at all: not Linux, or another architecture.
    """
    if platform.system() != "Linux":
        raise TargetError(
            f"Compiled bundles run on Linux and this is {platform.system()}; compile for a board by its name instead."
        )
    return Machine(arch=platform.machine(), bits=struct.calcsize("P") * 8)


def detect_board(machine: Machine | None = None) -> Target:
    """The shipped board that a machine is, else the shipped generic target its processor can run.

    Raises TargetError for an architecture without any target, and for a 32-bit Python on a 64-bit kernel.
    """
    machine = machine or this_machine()
    _check_bits(machine)
    boards = shipped_boards()
    for board in boards.values():
        if any(text in machine.model for text in board.device_tree):
            return board
    return _x86_level(machine) if machine.arch == "x86_64" else boards["aarch64"]


def detect_native(machine: Machine | None = None) -> Target:
    """A target called "native" for the very processor of a machine: its instruction set, caches and memory.

    On x86-64 the instruction set is the highest psABI level whose flags are all there, not the marketing name of the
    processor: a hypervisor can mask flags that the name would imply. On aarch64 it is the core's own name when all
    processors are alike and known, else generic code with the flags that all of them have.

    Raises TargetError as `detect_board` does.
    """
    machine = machine or this_machine()
    _check_bits(machine)
    basis = _x86_basis(machine) if machine.arch == "x86_64" else _arm_basis(machine)
    model = (machine.cpuinfo("model name") or [machine.model])[0]
    return replace(
        basis,
        name="native",
        description=f"The machine that compiled: {model or basis.cpu}",
        l1_bytes=machine.cache_bytes(1) or basis.l1_bytes,
        l2_bytes=machine.cache_bytes(2) or basis.l2_bytes,
        l3_bytes=machine.cache_bytes(3),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        device_tree=(),
        notes="",
    )


def _check_bits(machine: Machine) -> None:
    """Refuse architectures and interpreters that no bundle runs on."""
    if machine.arch not in ("x86_64", "aarch64"):
        raise TargetError(f"This machine is {machine.arch}; bundles are compiled for x86_64 and aarch64.")
    if machine.bits != 64:
        raise TargetError(
            f"This Python is a {machine.bits}-bit program on a 64-bit kernel, as on a 32-bit Raspberry Pi OS; "
            "bundles are 64-bit libraries: install the 64-bit system image."
        )


def _x86_level(machine: Machine) -> Target:
    """The highest x86-64 level all of whose flags the machine has."""
    boards = shipped_boards()
    for name in _X86_LEVELS:
        if machine.flags.issuperset(boards[name].features):
            return boards[name]
    lacking = sorted(set(boards[_X86_LEVELS[-1]].features) - machine.flags)
    raise TargetError(f"This processor lacks {', '.join(lacking)}; x86-64-v2 (2009 and later) is the least that runs.")


def _x86_basis(machine: Machine) -> Target:
    """The machine's level, with the instructions beyond it that pay and that every processor has."""
    level = _x86_level(machine)
    built_on = _X86_LEVELS[_X86_LEVELS.index(level.name) :]
    allowed = {
        attribute: flag
        for attribute, (least, flag) in _X86_ATTRIBUTES.items()
        if least in built_on and flag in machine.flags
    }
    return replace(level, attributes=tuple(allowed), features=(*level.features, *allowed.values()))


def _arm_basis(machine: Machine) -> Target:
    """The generic aarch64 target, made more precise by the processor's part number or its flags."""
    generic = shipped_boards()["aarch64"]
    flags = machine.flags
    makers, parts = set(machine.cpuinfo("CPU implementer")), set(machine.cpuinfo("CPU part"))
    if makers == {"0x41"} and len(parts) == 1:
        cpu, features = _ARM_PARTS.get(int(parts.pop(), 16), ("", ()))
        if cpu and flags.issuperset(features):
            return replace(generic, cpu=cpu, features=features)
    allowed = {attribute: needs for attribute, needs in _ARM_ATTRIBUTES.items() if flags.issuperset(needs)}
    used = tuple(flag for needs in allowed.values() for flag in needs)
    return replace(generic, attributes=(*generic.attributes, *allowed), features=(*generic.features, *used))

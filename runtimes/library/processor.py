"""What this Python process runs on, and whether a bundle's code may run there."""

from __future__ import annotations

import os
import struct
import sys
from functools import cache

from astroedge.bundle.manifest import TargetIdentity
from astroedge.errors import IncompatibleError

# e_machine and class (32 or 64 bits) of an ELF file → architecture.
_ELF_MACHINES = {
    (62, 2): "x86_64",
    (62, 1): "x32",
    (183, 2): "aarch64",
    (40, 1): "armv7l",
    (3, 1): "i686",
    (243, 2): "riscv64",
}

# The bits of AT_HWCAP and AT_HWCAP2 from 0, by the names /proc/cpuinfo has for them; see the Linux headers
# arch/arm64/include/uapi/asm/hwcap.h and its likes of arch/arm and arch/riscv.
_HWCAPS = {
    "aarch64": (
        """
        fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop sha3 sm3
        sm4 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg
        """,
        """
        dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svef32mm svef64mm svebf16 i8mm bf16
        dgh rng bti mte
        """,
    ),
    "armv7l": (
        """
        swp half thumb 26bit fastmult fpa vfp edsp java iwmmxt crunch thumbee neon vfpv3 vfpv3d16 tls vfpv4 idiva idivt
        vfpd32 lpae evtstrm fphp asimdhp asimddp asimdfhm asimdbf16 i8mm
        """,
        "aes pmull sha1 sha2 crc32 sb ssbs",
    ),
    "riscv64": ("a b c d e f g h i j k l m n o p q r s t u v w x y z", ""),
}
_AT_HWCAP, _AT_HWCAP2 = 16, 26


def elf_architecture(header: bytes) -> str:
    """The architecture an ELF file is for, from its first 20 bytes; "unknown" when it is no ELF file or another one."""
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return "unknown"
    machine = struct.unpack_from("<H" if header[5] == 1 else ">H", header, 18)[0]
    return _ELF_MACHINES.get((machine, header[4]), "unknown")


@cache
def interpreter_architecture() -> str:
    """The architecture of this Python program itself.

    The kernel's answer (`platform.machine()`) is another one where a 32-bit system runs on a 64-bit kernel, as on a
    32-bit Raspberry Pi OS.
    """
    itself = "/proc/self/exe"
    with open(itself if os.path.exists(itself) else sys.executable, "rb") as file:
        return elf_architecture(file.read(20))


@cache
def processor_features() -> frozenset[str]:
    """The CPU flags a process may use, by their names in /proc/cpuinfo.

    On ARM and RISC-V they come from the process's own auxiliary vector, because /proc/cpuinfo shows the host's
    processor to an emulated process, and a 64-bit kernel its 64-bit programs' flags to a 32-bit one.

    Raises IncompatibleError when the kernel shows neither.
    """
    try:
        names = _HWCAPS.get(interpreter_architecture())
        return _auxiliary_features(*names) if names else _cpuinfo_features()
    except OSError as error:
        raise IncompatibleError(
            f"This processor's features cannot be read ({error}); is /proc mounted? Without them no bundle is started."
        ) from error


def check_processor(target: TargetIdentity) -> None:
    """Refuse a bundle whose code this process could not run.

    Raises IncompatibleError naming the architecture or the CPU features that are missing.
    """
    here = interpreter_architecture()
    if target.arch != here:
        raise IncompatibleError(
            f"The bundle is compiled for {target.name} ({target.arch}) and this Python is an {here} program; compile "
            "the graph for this machine, or use a Python for that processor."
        )
    missing = sorted(set(target.features) - processor_features()) if target.features else []
    if missing:
        raise IncompatibleError(
            f"The bundle is compiled for {target.name} and this processor has no {', '.join(missing)}; "
            "compile the graph for this board or for a more general target."
        )


def _cpuinfo_features() -> frozenset[str]:
    """The flags that every processor in /proc/cpuinfo has."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        pairs = (line.partition(":") for line in file)
        each = [frozenset(value.split()) for key, _, value in pairs if key.strip() in ("flags", "Features")]
    return frozenset.intersection(*each) if each else frozenset()


def _auxiliary_features(hwcap: str, hwcap2: str) -> frozenset[str]:
    """The flags in AT_HWCAP and AT_HWCAP2 of /proc/self/auxv, pairs of numbers as wide as an address."""
    with open("/proc/self/auxv", "rb") as file:
        content = file.read()
    pair = struct.Struct("@LL")
    entries = dict(pair.iter_unpack(content[: len(content) // pair.size * pair.size]))
    return frozenset(
        name
        for key, names in ((_AT_HWCAP, hwcap), (_AT_HWCAP2, hwcap2))
        for bit, name in enumerate(names.split())
        if entries.get(key, 0) >> bit & 1
    )

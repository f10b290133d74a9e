"""What a processor family can do: one file a family, one dict; nothing else in the repository asks which it is.

Imports nouns only, runs on a device too; below `boards`, whose files name an architecture and by it a family.
"""

from __future__ import annotations

from astroedge.targets.families.arm import Arm
from astroedge.targets.families.arm32 import Arm32
from astroedge.targets.families.cuda import Cuda
from astroedge.targets.families.family import Architecture, Family
from astroedge.targets.families.riscv import RiscV
from astroedge.targets.families.x86 import X86

_X86, _ARM, _ARM32, _RISCV, _CUDA = X86(), Arm(), Arm32(), RiscV(), Cuda()

FAMILIES: dict[str, Family] = {"x86": _X86, "arm": _ARM, "arm32": _ARM32, "riscv": _RISCV, "cuda": _CUDA}
"""Who computes a tick, by name."""

ARCHITECTURES: dict[str, Architecture] = {
    "x86_64": _X86,
    "aarch64": _ARM,
    "armv7l": _ARM32,
    "riscv64": _RISCV,
}
"""Who loads a library, by the name that the kernel, GCC's triples and a board file's `arch` give it."""


def family_of(arch: str, gpu: bool = False) -> Family:
    """The family that computes on a board: its GPU, or the processor of that architecture itself."""
    return _CUDA if gpu else FAMILIES[ARCHITECTURES[arch].family]


def architecture_of(kernel: str, bits: int) -> str | None:
    """The architecture of a system's programs, None where no bundle runs.

    `kernel` is what `uname -m` says, `bits` the width of the programs' addresses: 32-bit systems run on 64-bit kernels.
    """
    for name, architecture in ARCHITECTURES.items():
        if kernel in architecture.kernels and bits == architecture.bits:
            return name
    return None


def triple_family(triple: str) -> Family:
    """The family that computes on the processors of a triple such as "aarch64-linux-gnu"."""
    (name,) = (name for name, architecture in ARCHITECTURES.items() if architecture.triple == triple)
    return family_of(name)

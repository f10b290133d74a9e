"""What a processor family can do: one file a family, one dict; nothing else in the repository asks which it is.

Imports nouns only, runs on a device too; below `boards`, whose files name an architecture and by it a family.
"""

from __future__ import annotations

from astroedge.targets.families.arm import Arm
from astroedge.targets.families.cuda import Cuda
from astroedge.targets.families.family import Architecture, Family
from astroedge.targets.families.x86 import X86

_X86, _ARM, _CUDA = X86(), Arm(), Cuda()

FAMILIES: dict[str, Family] = {"x86": _X86, "arm": _ARM, "cuda": _CUDA}
"""Who computes a tick, by name."""

ARCHITECTURES: dict[str, Architecture] = {"x86_64": _X86, "aarch64": _ARM}
"""Who loads a library, by the name that the kernel, GCC's triples and a board file's `arch` give it."""


def family_of(arch: str, gpu: bool = False) -> Family:
    """The family that computes on a board: its GPU, or the processor of that architecture itself."""
    return _CUDA if gpu else FAMILIES[ARCHITECTURES[arch].family]

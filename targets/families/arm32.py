"""32-bit ARM: Armv7-A and later processors under a 32-bit Linux with the hard-float calling convention (armhf).

Their vector unit NEON takes denormal numbers for 0, in every mode, and so gives other bits than any other processor;
the scalar unit beside it, VFP, keeps them once it is told to. So no code here uses NEON, and floats are computed one at
a time.

Part numbers are those of Arm's manuals, flags those of the kernel's arch/arm/include/uapi/asm/hwcap.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from astroedge.targets.families.family import InstructionSet
from astroedge.targets.families.machine import Machine

# VFPv4 beside NEON has all 32 registers of 64 bits and converts halves. A 64-bit kernel shows 32-bit programs no flag
# for those registers (vfpd32), so that of NEON stands for them.
_VFPV4 = ("vfp", "vfpv3", "neon", "vfpv4", "idiva")
# No flag says Armv8, which rounds to whole numbers by an instruction, but its first 32-bit programs saw this one.
_ARMV8 = (*_VFPV4, "crc32")

# MIDR part numbers of Arm Ltd. (implementer 0x41) → LLVM's name and what LLVM may use for it.
_PARTS = {
    0xC07: ("cortex-a7", _VFPV4),
    0xC0D: ("cortex-a12", _VFPV4),
    0xC0E: ("cortex-a17", _VFPV4),
    0xC0F: ("cortex-a15", _VFPV4),
    0xD03: ("cortex-a53", _ARMV8),
    0xD04: ("cortex-a35", _ARMV8),
    0xD07: ("cortex-a57", _ARMV8),
    0xD08: ("cortex-a72", _ARMV8),
    0xD09: ("cortex-a73", _ARMV8),
}


class Arm32:
    """A 32-bit ARM processor, or a 64-bit one that runs 32-bit programs: loads the library and computes the tick."""

    family = "arm32"
    kernels: tuple[str, ...] = ("armv7l", "armv8l", "aarch64")
    bits = 32
    triple = "arm-linux-gnueabihf"
    generic = "armv7"
    emulator = "qemu-arm"
    attributes: tuple[str, ...] = ("-neon",)
    float_abi = "hard"
    # What every processor of the generic target has: Armv7-A, VFPv3 with 16 registers, no NEON, no division.
    shim_options: Mapping[str, tuple[str, ...]] = {
        "zig": ("-mcpu=generic+v7a-neon-d32",),
        "gcc": ("-marm", "-march=armv7-a", "-mfpu=vfpv3-d16", "-mfloat-abi=hard"),
    }
    shim_sources: tuple[str, ...] = ("arm32_calls.c",)

    least_l3_bytes = 0
    reads_rows = False  # not measured
    adds_from_memory = False
    adds_widened = False  # no vectors, in which that pays
    single_addition = 2.2  # that of 64-bit ARM, not measured
    half_attribute = "fp16"
    fences_halves = False
    fused_feature = "vfpv4"
    multiply_add: Mapping[int, str] = {}
    byte_dots: Mapping[str, tuple[str, int]] = {}
    permute: Mapping[int, str] = {}

    def choose_generic(self, flags: frozenset[str], needs: Mapping[str, tuple[str, ...]]) -> str:
        """The one generic target; what it needs is compared when a bundle is loaded."""
        return self.generic

    def refine(self, generic: InstructionSet, machine: Machine) -> InstructionSet:
        """The core's own name when all processors are alike and known."""
        makers, parts = set(machine.cpuinfo("CPU implementer")), set(machine.cpuinfo("CPU part"))
        if makers == {"0x41"} and len(parts) == 1:
            cpu, features = _PARTS.get(int(parts.pop(), 16), ("", ()))
            if cpu and machine.flags.issuperset(features):
                return replace(generic, cpu=cpu, features=features, attributes=())
        return generic

    def vector_registers(self, vector_bits: int) -> int:
        """VFP has 32 registers of one float32."""
        return 32

    def loop_lanes(self, vector_bits: int) -> int:
        """One number at a time."""
        return 1

    def packs_lanes(self, vector_bits: int) -> bool:
        """Without vectors there is no such instruction."""
        return False

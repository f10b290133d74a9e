"""64-bit ARM: Armv8-A with NEON, and its cores by the part number that the kernel shows.

The part numbers and flags are those of the kernel's Documentation/arch/arm64/cpu-feature-registers.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from astroedge.targets.families.family import InstructionSet
from astroedge.targets.families.machine import Machine

_ARMV8_0 = ("fp", "asimd")
_ARMV8_2 = ("fp", "asimd", "asimdrdm", "fphp", "asimdhp", "asimddp")

# MIDR part numbers of Arm Ltd. (implementer 0x41) → LLVM's name and what LLVM may use for it. Cores with SVE are left
# out on purpose: compiled steps use fixed-width vectors, so those cores get generic code with the flags they have.
_PARTS = {
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
_ATTRIBUTES = {
    "+rdm": ("asimdrdm",),
    "+fullfp16": ("fphp", "asimdhp"),
    "+dotprod": ("asimddp",),
}


class Arm:
    """A 64-bit ARM processor: loads the library and computes the tick."""

    family = "arm"
    kernels: tuple[str, ...] = ("aarch64",)
    bits = 64
    triple = "aarch64-linux-gnu"
    generic = "aarch64"
    emulator = "qemu-aarch64"
    attributes: tuple[str, ...] = ()
    float_abi = ""
    shim_options: Mapping[str, tuple[str, ...]] = {}
    shim_sources: tuple[str, ...] = ()

    least_l3_bytes = 0
    reads_rows = True  # not measured on a board
    adds_from_memory = False
    # By llvm-mca (benchmarks/results/arm.md), as none of these was measured: 2.2 on the Cortex-A76, 3.0 on the A72.
    single_addition = 2.2
    adds_widened = True
    half_attribute = ""
    fences_halves = True
    fused_feature = ""
    multiply_add: Mapping[int, str] = {}
    byte_dots: Mapping[str, tuple[str, int]] = {"dotprod": ("llvm.aarch64.neon.sdot", 4)}
    permute: Mapping[int, str] = {}

    def choose_generic(self, flags: frozenset[str], needs: Mapping[str, tuple[str, ...]]) -> str:
        """The one generic target: every 64-bit ARM Linux has its flags.

        They are not compared, because /proc/cpuinfo shows the flags of the host to an emulated process.
        """
        return self.generic

    def refine(self, generic: InstructionSet, machine: Machine) -> InstructionSet:
        """The core's own name when all processors are alike and known, else the flags that all of them have."""
        flags = machine.flags
        makers, parts = set(machine.cpuinfo("CPU implementer")), set(machine.cpuinfo("CPU part"))
        if makers == {"0x41"} and len(parts) == 1:
            cpu, features = _PARTS.get(int(parts.pop(), 16), ("", ()))
            if cpu and flags.issuperset(features):
                return replace(generic, cpu=cpu, features=features)
        allowed = {attribute: needs for attribute, needs in _ATTRIBUTES.items() if flags.issuperset(needs)}
        used = tuple(flag for needs in allowed.values() for flag in needs)
        return replace(generic, attributes=(*generic.attributes, *allowed), features=(*generic.features, *used))

    def vector_registers(self, vector_bits: int) -> int:
        """NEON has 32."""
        return 32

    def loop_lanes(self, vector_bits: int) -> int:
        """Two vectors, so that one is under way while the other is computed."""
        return 2 * vector_bits // 32

    def packs_lanes(self, vector_bits: int) -> bool:
        """NEON has no such instruction."""
        return False

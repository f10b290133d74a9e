"""64-bit RISC-V: RV64GC with the calling convention lp64d, floats one at a time.

Vectors (V) have no fixed width there and kernels do not compile with them, so that a vector of IR becomes scalar
instructions. Denormals are kept in every mode. An operation that gives a NaN gives always the same one, without the
payload of its operands: bits of a NaN are other ones than elsewhere, as they are between x86 and ARM.

Flags are the letters of the extensions, as the kernel's arch/riscv/include/uapi/asm/hwcap.h has them.
"""

from __future__ import annotations

from collections.abc import Mapping

from astroedge.targets.families.family import InstructionSet
from astroedge.targets.families.machine import Machine


class RiscV:
    """A 64-bit RISC-V processor: loads the library and computes the tick."""

    family = "riscv"
    kernels: tuple[str, ...] = ("riscv64",)
    bits = 64
    triple = "riscv64-linux-gnu"
    generic = "riscv64"
    emulator = "qemu-riscv64"
    # LLVM's generic processor has none of these; without +d the calling convention would be another one.
    attributes: tuple[str, ...] = ("+m", "+a", "+f", "+d", "+c", "-v")
    float_abi = ""
    shim_options: Mapping[str, tuple[str, ...]] = {"gcc": ("-march=rv64gc", "-mabi=lp64d")}
    shim_sources: tuple[str, ...] = ("riscv_calls.c",)

    least_l3_bytes = 0
    reads_rows = False  # not measured
    adds_from_memory = False
    adds_widened = False  # no vectors, in which that pays
    single_addition = 2.2  # that of 64-bit ARM, not measured
    half_attribute = "zfhmin"
    fences_halves = False
    fused_feature = "d"  # with doubles, as with floats, come fmadd and its kin
    multiply_add: Mapping[int, str] = {}
    byte_dots: Mapping[str, tuple[str, int]] = {}
    permute: Mapping[int, str] = {}

    def choose_generic(self, flags: frozenset[str], needs: Mapping[str, tuple[str, ...]]) -> str:
        """The one generic target; what it needs is compared when a bundle is loaded."""
        return self.generic

    def refine(self, generic: InstructionSet, machine: Machine) -> InstructionSet:
        """The generic code: no core is known to give other code that pays."""
        return generic

    def vector_registers(self, vector_bits: int) -> int:
        """There are 32 registers of one float."""
        return 32

    def loop_lanes(self, vector_bits: int) -> int:
        """One number at a time."""
        return 1

    def packs_lanes(self, vector_bits: int) -> bool:
        """Without vectors there is no such instruction."""
        return False

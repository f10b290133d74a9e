"""x86-64: the levels of its psABI, AVX2 and AVX-512."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from astroedge.errors import TargetError
from astroedge.targets.families.family import InstructionSet
from astroedge.targets.families.machine import Machine

_LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64-v2")  # LLVM's names of the levels, and those of the shipped targets

# Multiply-add instructions of int16 and int8 that are beyond any level: the LLVM attribute that allows them → the level
# they build on, and the flag of /proc/cpuinfo.
_BEYOND_LEVELS = {
    "+avx512vnni": ("x86-64-v4", "avx512_vnni"),
    "+avxvnni": ("x86-64-v3", "avx_vnni"),
}


class X86:
    """A 64-bit x86 processor: loads the library and computes the tick."""

    family = "x86"
    kernels: tuple[str, ...] = ("x86_64",)
    bits = 64
    triple = "x86_64-linux-gnu"
    generic = "x86-64-v2"
    emulator = ""
    attributes: tuple[str, ...] = ()
    float_abi = ""
    shim_options: Mapping[str, tuple[str, ...]] = {}
    shim_sources: tuple[str, ...] = ()

    least_l3_bytes = 8 * 1024 * 1024
    reads_rows = True
    adds_from_memory = True
    single_addition = 1.5
    adds_widened = False
    half_attribute = "f16c"
    fences_halves = True
    fused_feature = "fma"
    # LLVM joins the addition of the sums after it where there is VNNI.
    multiply_add: Mapping[int, str] = {
        32: "llvm.x86.avx512.pmaddw.d.512",
        16: "llvm.x86.avx2.pmadd.wd",
        8: "llvm.x86.sse2.pmadd.wd",
    }
    # Of AVX-512 and of AVX2; LLVM has one name for both.
    byte_dots: Mapping[str, tuple[str, int]] = {
        "avx512vnni": ("llvm.x86.avx512.vpdpbusd.512", 16),
        "avxvnni": ("llvm.x86.avx512.vpdpbusd.256", 8),
    }

    permute: Mapping[int, str] = {16: "llvm.x86.avx512.permvar.sf.512", 8: "llvm.x86.avx2.permps"}

    def choose_generic(self, flags: frozenset[str], needs: Mapping[str, tuple[str, ...]]) -> str:
        """The highest level all of whose flags the processor has.

        That, and not the marketing name of the processor: a hypervisor can mask flags that the name would imply.

        Raises TargetError for a processor below every level.
        """
        for level in _LEVELS:
            if flags.issuperset(needs[level]):
                return level
        lacking = sorted(set(needs[self.generic]) - flags)
        raise TargetError(
            f"This processor lacks {', '.join(lacking)}; {self.generic} (2009 and later) is the least that runs."
        )

    def refine(self, generic: InstructionSet, machine: Machine) -> InstructionSet:
        """The machine's level, with the instructions beyond it that pay."""
        built_on = _LEVELS[_LEVELS.index(generic.cpu) :]
        allowed = {
            attribute: flag
            for attribute, (least, flag) in _BEYOND_LEVELS.items()
            if least in built_on and flag in machine.flags
        }
        return replace(generic, attributes=tuple(allowed), features=(*generic.features, *allowed.values()))

    def vector_registers(self, vector_bits: int) -> int:
        """AVX-512 doubles their number."""
        return 32 if vector_bits == 512 else 16

    def loop_lanes(self, vector_bits: int) -> int:
        """Two vectors, so that one is under way while the other is computed."""
        return 2 * vector_bits // 32

    def packs_lanes(self, vector_bits: int) -> bool:
        """AVX-512's vpcompressd."""
        return vector_bits == 512

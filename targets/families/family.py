"""What a processor family can do, in two halves: who loads a bundle's library, and who computes its tick.

A CPU does both, so one object has both halves. A GPU beside a CPU only computes: its tick is launched by a shim that is
part of an ordinary library for the board's own processor. So its board file has that processor's `arch`, `triple`,
`glibc` and `features`, `Architecture` is answered by the processor's object, and linker and loader see nothing new; the
key `gpu` of the board file makes `Target.family` the GPU's. The members about vectors are read only by kernels that
LLVM compiles, so a GPU, which has kernels of its own, answers no.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from astroedge.targets.families.machine import Machine


@dataclass(frozen=True)
class InstructionSet:
    """What code may use, as the keys of a board file have it: LLVM's cpu and attributes, flags of /proc/cpuinfo."""

    cpu: str
    features: tuple[str, ...]
    attributes: tuple[str, ...]


class Architecture(Protocol):
    """Who loads a bundle's library: what the kernel of a machine, the shim, the linker and the loader see."""

    family: str
    """The family that computes on it, by its name in FAMILIES; `Target.family` reads it."""

    generic: str
    """The shipped target that asks least of a processor; the doctor looks for a linker for it."""

    kernels: tuple[str, ...]
    """What `uname -m` says where its programs run; `detect_board` asks."""

    bits: int
    """Width of an address: 64, or 32 where no buffer holds 2 GiB; `plan_memory` asks."""

    triple: str
    """What GCC and LLVM call the architecture, with Linux and glibc."""

    attributes: tuple[str, ...]
    """LLVM attributes of all code for it, whatever a board file says, without which bits would be others; `tvm_target`
    writes them last."""

    float_abi: str
    """How functions take floats, in LLVM's words, where the triple does not tell TVM: "hard" in registers for floats,
    "" as usual; `tvm_target` asks."""

    shim_options: Mapping[str, tuple[str, ...]]
    """Options for compiling the shim, by the kind of compiler ("zig", "gcc"), where its usual code asks for more than
    the generic target has; `linker.py` reads them."""

    shim_sources: tuple[str, ...]
    """Further files of the shim: functions that LLVM calls where the processor has no instruction; `linker.py` reads
    them."""

    emulator: str
    """QEMU's program that runs its processes elsewhere, in the tests, "" where none do; the doctor looks for it."""

    def choose_generic(self, flags: frozenset[str], needs: Mapping[str, tuple[str, ...]]) -> str:
        """The name of the shipped target for a processor that is no known board; `boards/detect.py` asks.

        `flags` are the processor's in /proc/cpuinfo, `needs` the features of every shipped target by its name.

        Raises TargetError, naming what is lacking, for a processor that runs none of them.
        """

    def refine(self, generic: InstructionSet, machine: Machine) -> InstructionSet:
        """The instruction set of the target "native": that of the generic target and what the very machine has on top.

        Nothing goes in that not every processor of the machine has. `boards/detect.py` asks.
        """


class Family(Protocol):
    """Who computes a tick: what the choice of kernels and the kernels themselves ask."""

    least_l3_bytes: int
    """Bytes of third-level cache that there are even if a board file gives none; `kernel_cost.level_of` reads it."""

    reads_rows: bool
    """Whether long pieces of several rows are read side by side where weights have to be waited for, which takes some
    twenty registers; `kernel_cost.reads_rows` reads it."""

    adds_from_memory: bool
    """Whether an addition takes a number from memory, with no register for it; `event_gemv.event_tile` reads it."""

    multiply_add: Mapping[int, str]
    """LLVM's intrinsics that multiply vectors of int16 and add neighbouring products, by their int16 lanes: empty where
    that is no single instruction. `fixed_gemv` reads it."""

    byte_dots: Mapping[str, tuple[str, int]]
    """Instructions that multiply unsigned bytes below 128 with signed ones and add four neighbouring products: LLVM's
    attribute → its intrinsic and that one's int32 lanes. `select/byte_dots` reads it."""

    single_addition: float
    """Cycles of adding one number at a computed place, those of loading both and storing the sum included, in a long
    row of such; `kernel_cost.MatrixCost.pruned` reads it."""

    adds_widened: bool
    """Whether one instruction widens narrow integers and adds them to wider sums; `MatrixCost` reads it."""

    permute: Mapping[int, str]
    """LLVM's intrinsics that put the elements of a vector of float32 where a vector of int32 says, by their lanes:
    empty where that is no single instruction. `pruned_lanes` reads it."""

    half_attribute: str
    """LLVM's attribute for converting float16 to float32 by an instruction, "" where every processor has one;
    `widen_halves.needs_widening` reads it."""

    fences_halves: bool
    """Whether LLVM takes a fence around a float16 there; `widen_fences` asks."""

    fused_feature: str
    """The flag of /proc/cpuinfo for multiplying and adding with one rounding in one instruction, "" where every
    processor can; `tir_builder.fuses` reads it."""

    def vector_registers(self, vector_bits: int) -> int:
        """How many vector registers of so many bits there are; `tir_builder.register_floats` asks."""

    def loop_lanes(self, vector_bits: int) -> int:
        """How many numbers of 32 bits a loop over elements computes at once; `vectorize.schedule_blocks` asks."""

    def packs_lanes(self, vector_bits: int) -> bool:
        """Whether one instruction packs the chosen lanes of a vector of int32; `active_list.can_compress` asks."""

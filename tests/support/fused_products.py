"""Finds fused multiply-adds in machine code: the instructions that round a product and a sum once instead of twice."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

# aarch64: a fixed 32 bits an instruction. (mask, value) of each form, from the Arm Architecture Reference Manual, C4.1.
_ARM_FORMS = {
    "fmadd, fmsub, fnmadd, fnmsub": (0xFF000000, 0x1F000000),
    "fmla, fmls (vector)": (0xBF20FC00, 0x0E20CC00),
    "fmla, fmls (vector, half)": (0xBF60FC00, 0x0E400C00),
    "fmla, fmls (by element)": (0x9F80B400, 0x0F801000),
    "fmla, fmls (by element, half)": (0x9FC0B400, 0x0F001000),
}
# 32-bit ARM: a fixed 32 bits too, the same manual, F4.1. Constants lie between the instructions, so only those are told
# that are always done: with a condition they look like 1/3.
_ARM32_FORMS = {
    "vfma, vfms": (0xFFB00E10, 0xEEA00A00),
    "vfnma, vfnms": (0xFFB00E10, 0xEE900A00),
    "vfma, vfms (vector)": (0xFF800F10, 0xF2000C10),
}
_FORMS = {"aarch64": _ARM_FORMS, "armv7l": _ARM32_FORMS}
# RISC-V: four opcodes, in instructions of 32 bits (the Unprivileged ISA, chapter "F").
_RISCV_FUSED = {0x43: "fmadd", 0x47: "fmsub", 0x4B: "fnmsub", 0x4F: "fnmadd"}
# x86: VEX or EVEX, map 0F38, prefix 66, opcodes 96–9F, A6–AF and B6–BF (Intel SDM, volume 2, VFMADD… and its kin).
_X86_FORMS = {
    "vfmadd and kin (VEX)": rb"\xc4[\x42\x62\x82\xa2\xc2\xe2\x02\x22](?s:.)[\x96-\x9f\xa6-\xaf\xb6-\xbf]",
    "vfmadd and kin (EVEX)": rb"\x62(?s:..)(?s:.)[\x96-\x9f\xa6-\xaf\xb6-\xbf]",
}


def fused_products(arch: str, code: bytes) -> list[str]:
    """The forms of fused multiply-add that occur in `code`.

    On x86, where instructions have any length, every byte is tried as a beginning: nothing found means nothing there,
    while a find in very long code could be a coincidence.
    """
    if arch == "riscv64":
        return sorted({_RISCV_FUSED[opcode] for opcode in _riscv_opcodes(code) if opcode in _RISCV_FUSED})
    if arch in _FORMS:
        words = np.frombuffer(code[: len(code) // 4 * 4], "<u4")
        return [name for name, (mask, value) in _FORMS[arch].items() if ((words & mask) == value).any()]
    return [name for name, form in _X86_FORMS.items() if any(_is_fused(*found) for found in _finds(form, code))]


def _riscv_opcodes(code: bytes) -> Iterator[int]:
    """The opcodes of instructions of 32 bits, one after the other; those of 16 bits do not end in two ones."""
    at = 0
    while at < len(code):
        wide = code[at] & 3 == 3
        if wide:
            yield code[at] & 0x7F
        at += 4 if wide else 2


def _finds(form: bytes, code: bytes) -> list[tuple[str, bytes]]:
    """Every place where the pattern begins, overlapping ones too."""
    kind = "evex" if form.startswith(b"\\x62") else "vex"
    return [(kind, found[1]) for found in re.finditer(b"(?=(" + form + b"))", code)]


def _is_fused(kind: str, found: bytes) -> bool:
    """What a byte pattern cannot say: the prefix is 66, and for EVEX the map is 0F38 and a fixed bit is 1."""
    if kind == "vex":
        return found[2] & 0b11 == 0b01
    return found[1] & 0b1111 == 0b0010 and found[2] & 0b111 == 0b101

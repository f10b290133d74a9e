"""A kernel with every instruction that computes, and what it has to give: for the emulator, and for a GPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.cuda_emulator.float_reference import float_forms
from tests.cuda_emulator.instruction_reference import LUT, Form, integer_forms, size

FORMS = [*integer_forms(), *float_forms()]
SAMPLES = 160
# Registers of a type: the letter and its class in PTX.
REGISTERS = {"pred": ("p", "pred"), "f32": ("f", "f32"), "f64": ("d", "f64")}
SIZES = {8: ("h", "b16"), 16: ("h", "b16"), 32: ("r", "b32"), 64: ("l", "b64")}
CLASSES = tuple(dict.fromkeys((*REGISTERS.values(), *SIZES.values())))
EDGES = [
    *(0, 1, 2, 3, 5, 31, 32, 33, 63, 64, 127, 128, 255, 256),
    *(0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
    *(1 << 63, (1 << 63) - 1, (1 << 64) - 1, 0x3C00, 0x7BFF, 0x7C00, 0x0001, 0x83FF),
    # float32: 1, −1, 0.5, 2.5, −2.5, the smallest, infinities, 2³¹ and its neighbours, 2⁶³, 65519, 65520
    *(0x3F800000, 0xBF800000, 0x3F000000, 0x40200000, 0xC0200000, 1, 0x807FFFFF, 0x7F800000, 0xFF800000, 0x7FC00001),
    *(0x4F000000, 0x4EFFFFFF, 0xCF000000, 0x5F000000, 0x477FEF00, 0x477FF000, 0x7F7FFFFF, 0x3EFFFFFF, 0x33000000),
    # float64: 1, −1, 0.5, 2.5, −3.5, the smallest, infinities, NaN, 2³¹ − 0.5, 2⁶³, 2⁶⁴, beside a half of float32
    *(0x3FF0000000000000, 0xBFF0000000000000, 0x3FE0000000000000, 0x4004000000000000, 0xC00C000000000000),
    *(0x000FFFFFFFFFFFFF, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000001, 0x41DFFFFFFFE00000),
    *(0x43E0000000000000, 0x43F0000000000000, 0x3FF0000010000001, 0x3FF0000030000000, 0x40EFFDFFFFFFFFFF),
]


def register(t: str, place: int | str) -> str:
    """A register that holds a type."""
    return f"%{REGISTERS.get(t, SIZES.get(size(t)))[0]}{place}"


def statement(form: Form, number: int) -> str:
    """The instruction, and its result stored as 64 bits."""
    to = register(form.result, 9)
    given = [str(LUT) if t == "lut" else register(t, place) for place, t in enumerate(form.operands)]
    width = size(form.result)
    wide = {
        "p": "selp.b64 %l8, 1, 0, %p9;",
        "f": "mov.b32 %r8, %f9; cvt.u64.u32 %l8, %r8;",
        "d": "mov.b64 %l8, %d9;",
        "h": "cvt.u64.u16 %l8, %h9;",
        "r": "cvt.u64.u32 %l8, %r9;",
        "l": "mov.b64 %l8, %l9;",
    }[to[1]]
    cut = "and.b64 %l8, %l8, 255;" if width == 8 else ""
    return f"{form.name} {to}, {', '.join(given)}; {wide} {cut} st.global.u64 [%out+{8 * SAMPLES * number}], %l8;"


def instruction_module() -> str:
    """PTX with the kernel `all`, which runs all instructions, on one sample a thread."""
    return f"""
.version 7.4
.target sm_80
.address_size 64
.visible .entry all(.param .u64 given, .param .u64 result)
{{
    .reg .b64 %in, %out;
    ld.param.u64 %in, [given];
    ld.param.u64 %out, [result];
    {instruction_text()}
    ret;
}}
"""


def instruction_text() -> str:
    """The instructions alone, between registers %in and %out with the addresses of operands and results."""
    registers = "".join(f".reg .{kind} %{letter}<10>;" for letter, kind in CLASSES)
    loads = "".join(
        f"ld.global.u64 %l{i}, [%in+{8 * SAMPLES * i}]; cvt.u32.u64 %r{i}, %l{i}; cvt.u16.u64 %h{i}, %l{i}; "
        f"mov.b32 %f{i}, %r{i}; mov.b64 %d{i}, %l{i}; and.b32 %r8, %r{i}, 1; setp.ne.u32 %p{i}, %r8, 0;\n"
        for i in range(4)
    )
    lines = "\n".join(statement(form, number) for number, form in enumerate(FORMS))
    return f"""
    {registers}
    .reg .b64 %at;
    mov.u32 %r0, %tid.x;
    mul.wide.u32 %at, %r0, 8;
    add.s64 %in, %in, %at;
    add.s64 %out, %out, %at;
    {loads}
    {lines}"""


def drawn_operands() -> NDArray[np.uint64]:
    """Four operands a sample: edges against edges, then bits of all kinds."""
    draw = np.random.default_rng(0)
    given = draw.integers(0, 1 << 64, (4, SAMPLES), np.uint64)
    given[:, : len(EDGES)] = EDGES
    for place in (1, 2, 3):
        draw.shuffle(given[place])
    given[1, len(EDGES) : 2 * len(EDGES)] = given[0, len(EDGES) : 2 * len(EDGES)]  # equal operands
    small = draw.random((4, SAMPLES)) < 0.3
    given[small] %= np.uint64(70)
    return given


def empty_results() -> NDArray[np.uint64]:
    """What the kernel writes to."""
    return np.zeros((len(FORMS), SAMPLES), np.uint64)


def wrong_results(operands: NDArray[np.uint64], results: NDArray[np.uint64]) -> list[str]:
    """The instructions that gave other bits than the reference, each with the first sample for which they did."""
    wrong = []
    for form, found in zip(FORMS, results.tolist(), strict=True):
        given = [
            [LUT] * SAMPLES if t == "lut" else (operands[place] & np.uint64((1 << size(t)) - 1)).tolist()
            for place, t in enumerate(form.operands)
        ]
        for values, bits in zip(zip(*given, strict=True), found, strict=True):
            with np.errstate(all="ignore"):
                expected = form.evaluate(*values)
            if expected != bits:
                wrong.append(f"{form.name} {[hex(v) for v in values]}: {expected:#x}, not {bits:#x}")
                break
    return wrong

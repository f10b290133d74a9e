"""The gate that the PTX of every build passes: only instructions whose results are the same on every processor.

A float sum, product, quotient or root must say that it rounds to the nearest (`.rn`), which also keeps the driver's
compiler from contracting it. Refused is everything else that computes with floats, such as fused, approximate and
flushing instructions and atomic float additions, and every instruction that is not known here.

Reference: PTX ISA, docs.nvidia.com/cuda/parallel-thread-execution.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from astroedge.targets.pass_list import UnknownForm

_INTEGER = r"(?:[us](?:8|16|32|64)|b(?:8|16|32|64))"
_ANY = r"(?:[usbf](?:8|16|32|64)|pred)"
_FLOAT = r"f(?:32|64)"
_COMPARE = r"(?:eq|ne|lt|le|gt|ge|lo|ls|hi|hs|equ|neu|ltu|leu|gtu|geu|num|nan)"
_SPACE = r"(?:\.(?:global|shared|local|param|const))?"

ALLOWED = (
    # numbers with a point: rounded to the nearest, or only moved
    rf"(?:add|sub|mul|div|sqrt|rcp)\.rn\.{_FLOAT}",
    rf"(?:neg|abs|copysign)\.{_FLOAT}",
    # NVRTC writes a > c ? a : c so where c is a constant other than 0: of a NaN and c both give c
    rf"(?:min|max)\.{_FLOAT}",
    rf"testp\.(?:finite|infinite|number|notanumber|normal|subnormal)\.{_FLOAT}",
    # conversions: exact, to the nearest, or to an integer in a named direction, which PTX bounds by itself
    r"cvt\.f64\.f32",
    r"cvt\.f(?:32|64)\.f16",
    r"cvt\.rn\.(?:f32\.f64|f16\.f32|f16\.f64)",
    rf"cvt\.rn\.{_FLOAT}\.[us](?:8|16|32|64)",
    rf"cvt\.r[nzmp]i\.({_FLOAT})\.\1",
    rf"cvt\.r[nzmp]i\.[us](?:8|16|32|64)\.{_FLOAT}",
    r"cvt\.[usb](?:8|16|32|64)\.[usb](?:8|16|32|64)",
    # choices
    rf"setp\.{_COMPARE}(?:\.(?:and|or|xor))?\.(?:{_INTEGER}|{_FLOAT})",
    rf"selp\.(?:{_INTEGER}|{_FLOAT})",
    rf"slct\.(?:{_INTEGER}|{_FLOAT})\.s32",
    # integers and bits
    rf"(?:add|sub|min|max|neg|abs|div|rem|popc|clz|brev|bfind|bfind\.shiftamt)\.{_INTEGER}",
    rf"(?:mul|mad)\.(?:lo|hi|wide)\.{_INTEGER}",
    r"(?:and|or|xor|not|cnot|shl|shr)\.(?:[usb](?:8|16|32|64)|pred)",
    rf"(?:bfe|bfi|prmt|lop3|sad)\.{_INTEGER}",
    r"shf\.[lr]\.(?:wrap|clamp)\.b32",
    r"dp[24]a(?:\.(?:lo|hi))?\.[us]32\.[us]32",
    # memory
    rf"ld(?:\.volatile|\.relaxed\.\w+|\.acquire\.\w+)?{_SPACE}(?:\.nc)?(?:\.v[24])?\.{_ANY}",
    rf"st(?:\.volatile|\.relaxed\.\w+|\.release\.\w+)?{_SPACE}(?:\.v[24])?\.{_ANY}",
    rf"mov\.{_ANY}",
    rf"cvta(?:\.to)?{_SPACE}\.u64",
    rf"(?:atom|red){_SPACE}\.(?:add|or|and|exch|min|max|cas)\.{_INTEGER}",
    # control, and threads
    r"bra(?:\.uni)?",
    r"ret(?:\.uni)?",
    r"call(?:\.uni)?",
    r"exit",
    r"trap",
    r"bar\.sync",
    r"barrier\.sync",
    r"bar\.warp\.sync",
    r"membar\.(?:cta|gl|sys)",
    r"fence(?:\.sc|\.acq_rel)?\.(?:cta|gpu|sys)",
    r"activemask\.b32",
    r"vote\.sync\.(?:ballot\.b32|any\.pred|all\.pred)",
    r"match\.any\.sync\.b(?:32|64)",
    r"shfl\.sync\.(?:up|down|bfly|idx)\.b32",
)
"""Instructions with their modifiers, as regular expressions."""

_IS_ALLOWED = re.compile("|".join(f"(?:{form})" for form in ALLOWED))
_INSTRUCTION = re.compile(r"(?:@!?[%$\w]+\s+)?([a-z][a-z0-9]*(?:\.[A-Za-z0-9_]+|::\w+)*)(?=\s|$)")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_LABEL = re.compile(r"[$%\w]+:\s*")


def check_ptx(ptx: str) -> None:
    """Let pass only PTX that gives the same bits everywhere.

    Raises UnknownForm naming the first instruction that is not allowed, and how many there are.
    """
    refused = [name for name in instructions(ptx) if not _IS_ALLOWED.fullmatch(name)]
    if refused:
        others = f", and {len(set(refused)) - 1} other kinds" if len(set(refused)) > 1 else ""
        raise UnknownForm(
            f"The GPU's code holds {refused[0]}{others}, which may give other bits than a CPU; this is a defect of the "
            "compiler: report it with the graph, and use the board's CPU target meanwhile."
        )


def instructions(ptx: str) -> Iterator[str]:
    """The instructions of a text with their modifiers, in its order; directives and labels are none."""
    for part in re.split(r"[;{}]", _COMMENT.sub("", ptx)):
        statement = part.strip()
        while label := _LABEL.match(statement):
            statement = statement[label.end() :]
        found = _INSTRUCTION.match(statement)
        if found:
            yield found[1]
        elif statement.startswith("@"):
            yield statement.split()[0]

"""The parts of a PTX text: functions with their parameters and statements, and variables outside functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Bytes of a fundamental type, by the digits of its name.
_TYPE = r"\.(?:pred|[busf](?P<bits>8|16|32|64))"
_VARIABLE = re.compile(
    rf"(?:\.(?:visible|weak|extern)\s+)?\.(?P<space>global|const|shared|local|param)\s+(?:\.align\s+(?P<align>\d+)\s+)?"
    rf"{_TYPE}\s+(?P<name>[\w$%]+)\s*(?P<array>\[(?P<count>\d*)\])?\s*(?:=\s*(?P<values>.*))?$",
    re.DOTALL,
)
_FUNCTION = re.compile(
    r"(?:\.(?:visible|weak|extern)\s+)*\.(?P<kind>entry|func)\s*(?:\((?P<result>[^)]*)\)\s*)?(?P<name>[\w$]+)\s*"
    r"(?:\((?P<parameters>[^)]*)\))?(?P<rest>[^;{]*)(?P<end>[;{])",
)
_TARGETS = re.compile(r"([\w$]+)\s*:\s*\.branchtargets\s+([^;]+);")


class PtxRefusedError(ValueError):
    """The text holds what is not known to be exact, or not known at all; the message names it."""


@dataclass(frozen=True)
class Variable:
    """A variable in a state space: `size` bytes (0 for what the launch gives), and what they are at first."""

    space: str
    name: str
    size: int
    align: int
    data: bytes = b""


@dataclass(frozen=True)
class Function:
    """A function; `statements` are empty for a declaration, `branch_targets` are the lists that brx.idx names."""

    name: str
    entry: bool
    result: Variable | None
    parameters: tuple[Variable, ...]
    statements: tuple[str, ...]
    branch_targets: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Module:
    """A PTX text. `capability` is the least compute capability times ten, `version` that of the PTX language."""

    version: str
    capability: int
    functions: tuple[Function, ...]
    variables: tuple[Variable, ...]


def parse_module(text: str) -> Module:
    """Take a PTX text apart. Raises PtxRefusedError where it is no PTX, or is for 32-bit addresses."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    version = re.search(r"\.version\s+(\d+\.\d+)", text)
    target = re.search(r"\.target\s+sm_(\d+)", text)
    if version is None or target is None or not re.search(r"\.address_size\s+64", text):
        raise PtxRefusedError("the text does not begin with .version, .target and .address_size 64")
    functions, outside, at = [], "", 0
    while (found := _FUNCTION.search(text, at)) is not None:
        outside += text[at : found.start()]
        at = found.end()
        body = ""
        if found["end"] == "{":
            at = _closing_brace(text, found.end())
            body = text[found.end() : at - 1]
        functions.append(_function(found, body))
    outside = re.sub(r"\.(?:version|target|address_size)[^\n]*", "", outside + text[at:])
    variables = tuple(parse_variable(part.strip()) for part in outside.split(";") if part.strip())
    return Module(version[1], int(target[1]), tuple(functions), variables)


def parse_variable(text: str) -> Variable:
    """One declaration, such as `.shared .align 4 .b8 list[544]`."""
    found = _VARIABLE.match(" ".join(text.split()))
    if found is None:
        raise PtxRefusedError(f"the declaration {text!r} is not understood")
    each = int(found["bits"] or 8) // 8
    count = 1 if not found["array"] else int(found["count"] or 0)
    data = _initial(found["values"], each) if found["values"] else b""
    return Variable(found["space"], found["name"], each * count, int(found["align"] or each), data)


def _function(found: re.Match[str], body: str) -> Function:
    """A function from what the pattern found of its head, and the text between its braces."""
    given = [part.strip() for part in (found["parameters"] or "").split(",") if part.strip()]
    # A pointer's parameter may say where it points: `.param .u64 .ptr .global .align 4 x`.
    parameters = tuple(parse_variable(re.sub(r"\.ptr(\s+\.\w+)*(\s+\.align\s+\d+)?", "", part)) for part in given)
    targets = {name: tuple(word.strip() for word in list_.split(",")) for name, list_ in _TARGETS.findall(body)}
    return Function(
        found["name"],
        found["kind"] == "entry",
        parse_variable(found["result"].strip()) if (found["result"] or "").strip() else None,
        parameters,
        _statements(_TARGETS.sub("", body)),
        targets,
    )


def _closing_brace(text: str, at: int) -> int:
    """Behind the brace that closes what was opened before `at`."""
    depth = 1
    while depth:
        brace = re.compile(r"[{}]").search(text, at)
        if brace is None:
            raise PtxRefusedError("a brace is not closed")
        depth += 1 if brace[0] == "{" else -1
        at = brace.end()
    return at


def _statements(body: str) -> tuple[str, ...]:
    """The statements of a body, with single spaces; braces and labels (with their colon) are statements too.

    The braces around operands are written < >.
    """
    body = re.sub(r"\{([^{};]*)\}", r"<\1>", body)
    body = re.sub(r"([{}])", r";\1;", re.sub(r"(?<![\w$:])([\w$]+)\s*:(?!:)", r"\1:;", body))
    return tuple(" ".join(part.split()) for part in body.split(";") if part.strip())


def _initial(values: str, each: int) -> bytes:
    """The bytes of a list of numbers. Floating-point numbers are given as bits, 0f3F800000."""
    data = b""
    for word in values.strip(" {}").split(","):
        number = word.strip()
        if re.fullmatch(r"0[fFdD][0-9A-Fa-f]+", number):
            value = int(number[2:], 16)
        elif re.fullmatch(r"-?(0[xX][0-9A-Fa-f]+|\d+)U?", number):
            value = int(number.rstrip("U"), 0)
        else:
            raise PtxRefusedError(f"{number!r} is no number to begin with")
        data += (value % (1 << 8 * each)).to_bytes(each, "little")
    return data

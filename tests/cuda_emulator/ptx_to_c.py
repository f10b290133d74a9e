"""PTX → C: the code that NVRTC made runs on a CPU, instruction by instruction.

Only what the tables know is translated. Anything else is refused by name, so that fused, approximate or flushing
arithmetic cannot pass unseen.
"""

from __future__ import annotations

import re
from functools import cache

from tests.cuda_emulator.ptx_floats import float_instructions, fused_instructions
from tests.cuda_emulator.ptx_integers import Emit, integer_instructions
from tests.cuda_emulator.ptx_memory import memory_instructions
from tests.cuda_emulator.ptx_operands import Operands, Scope, c_type, label_name, register_name, variable_name
from tests.cuda_emulator.ptx_text import Function, Module, PtxRefusedError, Variable, parse_module, parse_variable

SHARED_BYTES = 48 * 1024  # that a block may have without asking for more
_STATEMENT = re.compile(r"(?:@(?P<guard>!?%?[\w$]+) )?(?P<opcode>[a-z][\w.:]*)(?: (?P<operands>.*))?$")
_REGISTERS = re.compile(r"\.reg \.(?P<type>\w+) (?P<names>.*)$")
_NOTHING = re.compile(r"\.(pragma|loc|file)\b")
_ROUNDED = re.compile(r"(add|sub|mul|mad|div|sqrt|rcp)(\.|$)")


@cache
def instructions(fused: bool = False) -> dict[str, Emit]:
    """The instructions that are known, by their full names, each with what writes the C for it."""
    known = {**dict(integer_instructions()), **dict(float_instructions()), **dict(memory_instructions())}
    return known | dict(fused_instructions()) if fused else known


def translate(text: str, fused: bool = False) -> str:
    """C11 for a PTX text, to be compiled with runtime/ptx.h and without contraction of floating-point expressions.

    Each entry becomes the functions that PTX_KERNEL makes. Raises PtxRefusedError, naming what is not known; with
    `fused`, fused arithmetic passes.
    """
    module = parse_module(text)
    shared = _place_shared(module)
    bodies = {f.name: _function(f, module, shared[1], fused) for f in module.functions if f.statements}
    declared = dict.fromkeys(f"static {_head(f)};" for f in module.functions)
    missing = {f.name for f in module.functions} - set(bodies)
    if missing:
        raise PtxRefusedError(f"the function {min(missing)} has no body")
    variables = [_global(v) for v in module.variables if v.space in ("global", "const")]
    kernels = [
        f"PTX_KERNEL({f.name}, {''.join(f'{p.size}, ' for p in f.parameters)}0)" for f in module.functions if f.entry
    ]
    head = ['#include "ptx.h"', f"#define SHARED_BYTES {shared[0]}"]
    return "\n".join([*head, *variables, *declared, *bodies.values(), *kernels, ""])


def _place_shared(module: Module) -> tuple[int, dict[str, int]]:
    """How much shared memory a block has, and where each variable lies in it; what the launch gives comes last."""
    inner = [parse_variable(s) for f in module.functions for s in f.statements if s.startswith(".shared ")]
    every = [v for v in (*module.variables, *inner) if v.space == "shared"]
    size, offsets = 0, dict[str, int]()
    for variable in sorted(every, key=lambda v: v.size == 0):
        size = -(-size // max(variable.align, 16)) * max(variable.align, 16)
        offsets[variable.name] = size
        size += variable.size
    if size > SHARED_BYTES:
        raise PtxRefusedError(f"{size} bytes of shared memory a block, where {SHARED_BYTES} are given")
    return size, offsets


def _global(variable: Variable) -> str:
    values = ", ".join(str(byte) for byte in variable.data)
    return (
        f"static unsigned char {variable_name(variable.name)}[{variable.size}] "
        f"__attribute__((aligned({variable.align}))) = {{{values or 0}}};"
    )


def _head(function: Function) -> str:
    """The C head of a function: an entry gets the addresses of all parameters in an array, as cuLaunchKernel does."""
    if function.entry:
        return f"void f_{function.name}(void **arguments)"
    given = [v for v in (function.result, *function.parameters) if v is not None]
    names = ", ".join(f"unsigned char *{variable_name(v.name)}" for v in given)
    return f"void f_{function.name.replace('$', '_')}({names or 'void'})"


def _function(function: Function, module: Module, shared_offsets: dict[str, int], fused: bool) -> str:
    scope = Scope(
        registers={},
        variables={v.name: v for v in module.variables if v.space in ("global", "const")},
        shared_offsets=shared_offsets,
        branch_targets=function.branch_targets,
        entry=function.entry,
    )
    scope.variables |= {v.name: v for v in (function.result, *function.parameters) if v is not None}
    lines = [f"static {_head(function)} {{", "emulated_thread *const self = emulated_self;"]
    if function.entry:
        lines += [
            f"unsigned char *{variable_name(v.name)} = arguments[{place}];"
            for place, v in enumerate(function.parameters)
        ]
    lines += [_statement(statement, scope, fused) for statement in function.statements]
    return "\n".join([*lines, "}"])


def _statement(text: str, scope: Scope, fused: bool) -> str:
    """The C for a statement, a declaration, a label or a brace."""
    if text in ("{", "}"):
        return text
    if text.endswith(":"):
        return f"{label_name(text[:-1])}:;"
    if _NOTHING.match(text):
        return ""
    registers = _REGISTERS.match(text)
    if registers is not None:
        return _declare_registers(registers["type"], registers["names"], scope)
    if text.startswith("."):
        return _declare_memory(parse_variable(text), scope)
    found = _STATEMENT.match(text)
    if found is None:
        raise PtxRefusedError(f"the PTX statement {text!r} is not understood")
    opcode = found["opcode"]
    emit = instructions(fused).get(opcode)
    if emit is None:
        raise PtxRefusedError(f"the PTX instruction {opcode} is refused: {_why_refused(opcode)}")
    operands = Operands(opcode, found["operands"] or "", scope)
    try:
        code = emit(operands)
    except IndexError:
        raise PtxRefusedError(f"the PTX statement {text!r} lacks an operand") from None
    if found["guard"]:
        return f"if ({operands.read(found['guard'], 'pred')}) {{ {code} }}"
    return code


def _declare_registers(ptx_type: str, names: str, scope: Scope) -> str:
    """Registers begin as zero; PTX leaves open what they hold."""
    kind = c_type("pred" if ptx_type == "pred" else f"b{max(int(ptx_type[1:]), 8)}")
    every = []
    for name in (part.strip() for part in names.split(",")):
        counted = re.fullmatch(r"(%?[\w$]+)<(\d+)>", name)
        every += [f"{counted[1]}{number}" for number in range(int(counted[2]))] if counted else [name]
    scope.registers |= dict.fromkeys(every, kind)
    return f"{kind} {', '.join(f'{register_name(name)} = 0' for name in every)};" if every else ""


def _declare_memory(variable: Variable, scope: Scope) -> str:
    if variable.space == "shared":
        return ""
    scope.variables[variable.name] = variable
    align = max(variable.align, 8)
    return f"unsigned char {variable_name(variable.name)}[{variable.size}] __attribute__((aligned({align})));"


def _why_refused(opcode: str) -> str:
    """What kind of thing an unknown instruction is."""
    parts = opcode.split(".")
    if parts[0] in ("fma", "mad") and parts[-1].startswith(("f", "bf")):
        return "it is fused"
    if "approx" in parts or parts[0] in ("ex2", "lg2", "sin", "cos", "tanh", "rsqrt"):
        return "it is approximate"
    if "ftz" in parts:
        return "it flushes small numbers to zero"
    if {"rz", "rm", "rp"} & set(parts):
        return "it does not round to the nearest"
    if _ROUNDED.match(opcode) and parts[-1] in ("f32", "f64") and "rn" not in parts:
        return "it does not say how it rounds, and may be fused with another"
    if parts[0] in ("atom", "red") and parts[-1].startswith(("f", "bf")):
        return "the order of its sums is not fixed"
    return "the emulator does not know it"

"""The operands of one PTX instruction as C expressions.

Registers are unsigned integers of their size in C, floating-point numbers their bits, so that a move never changes one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.cuda_emulator.ptx_text import PtxRefusedError, Variable

_SPECIAL = {
    **{f"%tid.{axis}": f"self->index.{axis}" for axis in "xyz"},
    **{f"%ctaid.{axis}": f"self->block->index.{axis}" for axis in "xyz"},
    **{f"%ntid.{axis}": f"emulated_current->block.{axis}" for axis in "xyz"},
    **{f"%nctaid.{axis}": f"emulated_current->grid.{axis}" for axis in "xyz"},
    "%laneid": "self->lane",
    "%warpid": "self->warp",
    "%lanemask_eq": "(1u << self->lane)",
    "%lanemask_lt": "((1u << self->lane) - 1)",
    "%lanemask_le": "((2u << self->lane) - 1)",
    "%lanemask_gt": "~((2u << self->lane) - 1)",
    "%lanemask_ge": "~((1u << self->lane) - 1)",
    "WARP_SZ": "32u",
}


@dataclass
class Scope:
    """What names mean in a function: registers with their C types, and variables of memory."""

    registers: dict[str, str]
    variables: dict[str, Variable]
    shared_offsets: dict[str, int]
    branch_targets: dict[str, tuple[str, ...]]
    entry: bool


def c_type(ptx_type: str) -> str:
    """The C type of a PTX type such as "s32"; bits are unsigned."""
    if ptx_type == "pred":
        return "uint8_t"
    if ptx_type in ("f32", "f64"):
        return {"f32": "float", "f64": "double"}[ptx_type]
    return f"{'' if ptx_type[0] == 's' else 'u'}int{ptx_type[1:]}_t"


def register_name(name: str) -> str:
    """The C name of a register."""
    return "r_" + name.lstrip("%").replace("$", "_")


def split_operands(text: str) -> list[str]:
    """Cut at the commas that lie in no brackets."""
    parts, depth, part = [], 0, ""
    for sign in text:
        depth += {"<": 1, "(": 1, "[": 1, ">": -1, ")": -1, "]": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += sign
    return [*parts, part.strip()] if part.strip() else parts


class Operands:
    """Operands by their place; `value` reads one as a type, `put` writes the first."""

    def __init__(self, opcode: str, text: str, scope: Scope) -> None:
        self.opcode = opcode
        self.texts = split_operands(text)
        self.scope = scope

    def value(self, place: int, ptx_type: str) -> str:
        """A C expression of the type, from a register, a number, a special register or the address of a variable."""
        return self.read(self.texts[place], ptx_type)

    def read(self, text: str, ptx_type: str) -> str:
        """The same for the text of an operand."""
        if ptx_type == "pred":
            return self._predicate(text)
        bits = self._bits(text)
        if ptx_type in ("f32", "f64"):
            return f"ptx_{ptx_type}({bits})"
        return f"({c_type(ptx_type)})({bits})"

    def number(self, place: int) -> int:
        """An operand that has to be a number in the text."""
        text = self.texts[place]
        if not re.fullmatch(r"-?(0[xX][0-9A-Fa-f]+|\d+)", text):
            raise PtxRefusedError(f"{self.opcode}: {text!r} is no number")
        return int(text, 0)

    def put(self, expression: str, ptx_type: str, place: int = 0) -> str:
        """A C statement that writes a value of the type to the register at `place`; a smaller type is extended."""
        return self.assign(self.texts[place], expression, ptx_type)

    def assign(self, register: str, expression: str, ptx_type: str) -> str:
        """The same for a register's name; "_" takes what nobody wants."""
        value = f"ptx_bits_{ptx_type}({expression})" if ptx_type in ("f32", "f64") else expression
        if register == "_":
            return f"(void)({value});"
        self._known_register(register)
        if ptx_type == "pred":
            return f"{register_name(register)} = ({value}) != 0;"
        cast = "" if ptx_type in ("f32", "f64") else f"({c_type(ptx_type)})"
        return f"{register_name(register)} = {cast}({value});"

    def vector(self, place: int) -> list[str]:
        """The parts of an operand in braces, or the operand alone."""
        text = self.texts[place]
        return [part.strip() for part in text[1:-1].split(",")] if text.startswith("<") else [text]

    def address(self, place: int, space: str) -> str:
        """The address that an operand in square brackets stands for, as a C pointer to bytes."""
        found = re.fullmatch(r"\[\s*([%\w$]+)\s*(?:\+\s*(-?\d+))?\s*\]", self.texts[place])
        if found is None:
            raise PtxRefusedError(f"{self.opcode}: the address {self.texts[place]!r} is not understood")
        base, offset = found[1], int(found[2] or 0)
        variable = self.scope.variables.get(base)
        if space == "shared":
            return f"(self->block->shared + (uint32_t)({self._bits(base)} + {offset}))"
        if space == "param" and variable is None:
            raise PtxRefusedError(f"{self.opcode}: the parameter {base!r} is not declared")
        return f"((unsigned char *)(uintptr_t)({self._bits(base)} + {offset}))"

    def label(self, place: int) -> str:
        """The C label of a branch's target."""
        return label_name(self.texts[place])

    def _known_register(self, name: str) -> str:
        if name not in self.scope.registers:
            raise PtxRefusedError(f"{self.opcode}: {name!r} is no register, number or variable that is known")
        return name

    def _predicate(self, text: str) -> str:
        if re.fullmatch(r"-?\d+", text):  # a predicate may be given as a number
            return str(int(int(text) != 0))
        name = register_name(self._known_register(text.lstrip("!")))
        return f"!{name}" if text.startswith("!") else name

    def _bits(self, text: str) -> str:
        if text in _SPECIAL:
            return _SPECIAL[text]
        if text in self.scope.registers:
            return register_name(text)
        if re.fullmatch(r"0[fF][0-9A-Fa-f]{8}", text):
            return f"0x{text[2:]}u"
        if re.fullmatch(r"0[dD][0-9A-Fa-f]{16}", text):
            return f"0x{text[2:]}ull"
        if re.fullmatch(r"-?(0[xX][0-9A-Fa-f]+|\d+)U?", text):
            return f"{int(text.rstrip('U'), 0) % (1 << 64)}ull"
        if text in self.scope.shared_offsets:
            return f"{self.scope.shared_offsets[text]}ull"
        if text in self.scope.variables:
            return f"(uint64_t)(uintptr_t){variable_name(text)}"
        return self._known_register(text)


def label_name(label: str) -> str:
    """The C name of a label."""
    return "l_" + label.replace("$", "_")


def variable_name(name: str) -> str:
    """The C name of a variable."""
    return "v_" + name.replace("$", "_").lstrip("%")

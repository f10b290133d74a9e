"""Arithmetic in the words of CUDA C, each operation with the result that it has on every other processor.

Sums, products, quotients and roots round by themselves (`__fadd_rn`, …), so that nothing contracts them and the code is
the same where contraction is allowed; the larger of two floats and the smaller are selections that give the second
where either is a NaN; a comparison for being unequal is false with a NaN, as LLVM's; numbers that TVM would print with
too few digits are written as their bits.

Requires: nothing may change arithmetic afterwards.
Ensures: no LLVM intrinsic, no float sum, product or quotient but in a function's name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import tvm_ffi
from tvm import ir, tirx

from astroedge.targets.cuda.plain_storage import dtype_of
from astroedge.targets.cuda.scalar_lanes import llvm_name
from astroedge.targets.pass_list import UnknownForm

C_TYPES = {
    "float32": "float", "float64": "double", "int8": "signed char", "uint8": "unsigned char", "int16": "short",
    "uint16": "unsigned short", "int32": "int", "uint32": "unsigned int", "int64": "int64_t", "uint64": "uint64_t",
    "bool": "bool", "float16": "unsigned short",
}  # fmt: skip
"""What a number of each dtype is in CUDA C."""

_LETTER = {"float32": "f", "float64": "d"}
_ROUNDED = {tirx.Add: "add", tirx.Sub: "sub", tirx.Mul: "mul", tirx.Div: "div"}
_EXTREMES = {tirx.Max: "ae_max", tirx.Min: "ae_min"}
_ROUNDINGS = ("fabs", "floor", "ceil", "trunc")
_NARROW = ("int8", "uint8", "int16", "uint16")
_WRAPPING = (tirx.Add, tirx.Sub, tirx.Mul, tirx.LShift)


def device_arithmetic(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with floating-point arithmetic as CUDA C has it.

    Raises UnknownForm for an LLVM intrinsic that has no form there.
    """
    refused: list[str] = []  # an exception that crosses TVM's C++ loses its class

    def call(node: Any, mutator: Any) -> Any:
        arguments = [mutator.mutate(argument) for argument in node.args]
        name = llvm_name(node)
        if name in _LLVM:
            return _LLVM[name](*arguments[1:])
        if name:
            refused.append(name)
        operator = node.op.name.rpartition(".")[2] if isinstance(node.op, ir.Op) else ""
        if operator in _OPERATORS:
            return _OPERATORS[operator](node, arguments)
        if operator in _ROUNDINGS:
            suffix = "f" if dtype_of(node) == "float32" else ""
            return tirx.call_pure_extern(dtype_of(node), operator + suffix, *arguments)
        return ir.Call(node.op, arguments, attrs=node.attrs, ret_ty=node.ty)

    handlers = [
        (ir.Call, call),
        (tuple(_ROUNDED), _rounded),
        (tuple(_EXTREMES), _extreme),
        (tirx.NE, _unequal),
        (tirx.FloatImm, _number),
    ]
    body = tvm_ffi.structural_mutate(function.body, handlers)
    if refused:
        raise UnknownForm(f"{refused[0]} has no form in CUDA C; this is a defect of the compiler.")
    return function.with_body(body)


def c_integers(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with integers as C computes them.

    Sums and products of 8 and 16 bits are cut to their width, since C computes with 32; the lowest number is a
    difference, since C reads a minus sign and a number that its type does not have.
    """

    def wrap(node: Any, mutator: Any) -> Any:
        return _cut(type(node)(mutator.mutate(node.a), mutator.mutate(node.b)))

    def flip(node: Any, mutator: Any) -> Any:
        return _cut(tirx.BitwiseNot(mutator.mutate(node.a)))

    handlers = [(_WRAPPING, wrap), (tirx.BitwiseNot, flip), (tirx.IntImm, _lowest)]
    return function.with_body(tvm_ffi.structural_mutate(function.body, handlers))


def _lowest(number: Any, _mutator: Any) -> Any:
    dtype, value = dtype_of(number), int(number.value)
    if dtype not in ("int32", "int64") or value != -(2 ** (int(dtype[3:]) - 1)):
        return number
    return tirx.Sub(tirx.const(value + 1, dtype), tirx.const(1, dtype))


def _cut(node: Any) -> Any:
    dtype = dtype_of(node)
    return tirx.Cast(dtype, tirx.Cast("int32", node)) if dtype in _NARROW else node


def _rounded(node: Any, mutator: Any) -> Any:
    a, b = mutator.mutate(node.a), mutator.mutate(node.b)
    dtype = dtype_of(a)
    if dtype not in _LETTER:
        return type(node)(a, b)
    if isinstance(node, tirx.Div) and isinstance(node.a, tirx.FloatImm) and float(node.a.value) == 1.0:
        # NVIDIA's assembler makes a reciprocal of it only where contraction is allowed, and other code then.
        return tirx.call_pure_extern(dtype, f"__{_LETTER[dtype]}rcp_rn", b)
    return tirx.call_pure_extern(dtype, f"__{_LETTER[dtype]}{_ROUNDED[type(node)]}_rn", a, b)


def _extreme(node: Any, mutator: Any) -> Any:
    a, b = mutator.mutate(node.a), mutator.mutate(node.b)
    dtype = dtype_of(a)
    return tirx.call_pure_extern(dtype, f"{_EXTREMES[type(node)]}<{C_TYPES[dtype]}>", a, b)


def _unequal(node: Any, mutator: Any) -> Any:
    a, b = mutator.mutate(node.a), mutator.mutate(node.b)
    return tirx.call_pure_extern("bool", "ae_unequal", a, b) if dtype_of(a) in _LETTER else tirx.NE(a, b)


def _number(number: Any, _mutator: Any) -> Any:
    dtype, value = dtype_of(number), float(number.value)
    finite = value - value == 0.0
    return tirx.const(float(np.float32(value)), dtype) if dtype == "float32" and finite else _bits(value, dtype)


def _bits(value: float, dtype: str) -> Any:
    """A float constant by its bits."""
    if dtype == "float32":
        (pattern,) = struct.unpack("<i", struct.pack("<f", value))
        return tirx.call_pure_extern("float32", "__int_as_float", tirx.const(pattern, "int32"))
    (pattern,) = struct.unpack("<q", struct.pack("<d", value))
    return tirx.call_pure_extern("float64", "__longlong_as_double", tirx.const(pattern, "int64"))


def _rooted(value: Any) -> Any:
    return tirx.call_pure_extern(dtype_of(value), f"__{_LETTER[dtype_of(value)]}sqrt_rn", value)


def _rounded_to_even(value: Any) -> Any:
    return tirx.call_pure_extern(dtype_of(value), "rintf" if dtype_of(value) == "float32" else "rint", value)


def _trailing_zeros(value: Any, _defined: Any) -> Any:
    return tirx.call_pure_extern(dtype_of(value), f"ae_trailing_zeros<{C_TYPES[dtype_of(value)]}>", value)


def _reinterpret(node: Any, arguments: list[Any]) -> Any:
    wanted, given = dtype_of(node), dtype_of(arguments[0])
    if wanted == given:
        return arguments[0]
    return tirx.call_pure_extern(wanted, f"ae_bits<{C_TYPES[wanted]}, {C_TYPES[given]}>", arguments[0])


def _counted(name: str) -> Callable[[Any, list[Any]], Any]:
    def count(node: Any, arguments: list[Any]) -> Any:
        return tirx.call_pure_extern(dtype_of(node), f"{name}<{C_TYPES[dtype_of(arguments[0])]}>", arguments[0])

    return count


_LLVM: dict[str, Callable[..., Any]] = {
    "llvm.arithmetic.fence": lambda value: value,
    "llvm.sqrt": _rooted,
    "llvm.rint": _rounded_to_even,
    "llvm.cttz": _trailing_zeros,
}
_OPERATORS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "keep": lambda _node, arguments: arguments[0],
    "reinterpret": _reinterpret,
    "popcount": _counted("ae_ones"),
    "clz": _counted("ae_leading_zeros"),
}

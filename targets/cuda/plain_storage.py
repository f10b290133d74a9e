"""float16 and Booleans as a GPU's thread keeps them: float32 numbers and conditions, in memory uint16 and bytes.

NVRTC has no header of float16 arithmetic, so each operation is made in float32 and its result rounded to float16: for
one sum, product, quotient or root that gives the same bits as rounding once (float32 has more than twice the digits).
The bytes of a Boolean are 0 and 1.

Requires: a function of raw pointers without intrinsics that have an exact form.
Ensures: no array, name or expression of float16; no array of Booleans.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import ir, tirx
from tvm.ir import TensorLoad

from astroedge.targets.cuda.scalar_lanes import llvm_name

HALF, TRUTH = "float16", "bool"
STORED = {HALF: "uint16", TRUTH: "uint8"}
"""What memory holds in the place of a dtype."""

_ROUNDED = (tirx.Add, tirx.Sub, tirx.Mul, tirx.Div)
_COMPARED = (tirx.EQ, tirx.NE, tirx.LT, tirx.LE, tirx.GT, tirx.GE, tirx.Max, tirx.Min)
_EXACT_CALLS = ("if_then_else", "fabs", "floor", "ceil", "trunc", "keep")
_EXACT_LLVM = ("llvm.arithmetic.fence", "llvm.rint")


def plain_storage(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with float16 computed in float32, and with the arrays that memory has."""
    storage = _Storage()
    parameters = [storage.parameter(item) for item in function.params]
    handlers = [
        (tirx.DeclBuffer, storage.declare),
        (tirx.AllocBuffer, storage.allocate),
        (tirx.BufferStore, storage.store),
        (tirx.stmt.Bind, storage.bind),
        (TensorLoad, storage.load),
        ((*_ROUNDED, *_COMPARED), storage.operation),
        (tirx.Select, storage.select),
        (tirx.Cast, storage.cast),
        (tirx.Let, storage.let),
        (tirx.Var, storage.name),
        (tirx.FloatImm, storage.number),
        (tvm.ir.Call, storage.call),
    ]
    body = tvm_ffi.structural_mutate(function.body, handlers)
    return tirx.PrimFunc(parameters, body, function.ret_type).with_attrs(dict(function.attrs))


def dtype_of(expression: Any) -> str:
    """The dtype of an expression, "" of what is no number."""
    return str(expression.ty.dtype) if isinstance(expression.ty, ir.PrimType) else ""


class _Storage:
    """Rewrites one function; `names` has what stands for its arrays, pointers and names."""

    def __init__(self) -> None:
        self.names: dict[Any, Any] = {}

    def parameter(self, item: Any) -> Any:
        if isinstance(item.ty, ir.PointerType):
            stored = STORED.get(str(item.ty.element_type.dtype))
            if stored:
                self.names[item] = tirx.Var(item.name, ir.PointerType(ir.PrimType(stored)))
        return self.names.get(item, item)

    def array(self, buffer: Any) -> Any:
        """The array that stands for `buffer`."""
        stored = STORED.get(str(buffer.ty.dtype))
        if stored and buffer not in self.names:
            self.names[buffer] = tirx.decl_buffer(buffer.ty.shape, stored, name=buffer.name)
        return self.names.get(buffer, buffer)

    def declare(self, statement: Any, mutator: Any) -> Any:
        return tirx.DeclBuffer(self.array(statement.buffer), data=mutator.mutate(statement.data))

    def allocate(self, statement: Any, _mutator: Any) -> Any:
        return tirx.AllocBuffer(self.array(statement.buffer))

    def store(self, statement: Any, mutator: Any) -> Any:
        kind, value = dtype_of(statement.value), mutator.mutate(statement.value)
        if kind == HALF:
            value = tirx.call_pure_extern("uint16", "ae_float_to_half", value)
        elif kind == TRUTH:
            value = tirx.Select(value, tirx.const(1, "uint8"), tirx.const(0, "uint8"))
        indices = [mutator.mutate(index) for index in statement.indices]
        return tirx.BufferStore(self.array(statement.buffer), value, indices)

    def load(self, load: Any, mutator: Any) -> Any:
        kind = dtype_of(load)
        found = tirx.BufferLoad(self.array(load.source), [mutator.mutate(index) for index in load.indices])
        if kind == HALF:
            return tirx.call_pure_extern("float32", "ae_half_to_float", found)
        return tirx.NE(found, tirx.const(0, "uint8")) if kind == TRUTH else found

    def bind(self, statement: Any, mutator: Any) -> Any:
        value = mutator.mutate(statement.value)
        return tirx.stmt.Bind(self._renamed(statement.var, value), value)

    def let(self, node: Any, mutator: Any) -> Any:
        value = mutator.mutate(node.value)
        return tirx.Let(self._renamed(node.var, value), value, mutator.mutate(node.body))

    def _renamed(self, var: Any, value: Any) -> Any:
        if dtype_of(var) == HALF:
            self.names[var] = tirx.Var(var.name, value.ty)
        return self.names.get(var, var)

    def name(self, var: Any, _mutator: Any) -> Any:
        return self.names.get(var, var)

    def number(self, number: Any, _mutator: Any) -> Any:
        return tirx.const(float(np.float16(number.value)), "float32") if dtype_of(number) == HALF else number

    def operation(self, node: Any, mutator: Any) -> Any:
        rebuilt = type(node)(mutator.mutate(node.a), mutator.mutate(node.b))
        return _round(rebuilt) if isinstance(node, _ROUNDED) and dtype_of(node) == HALF else rebuilt

    def select(self, node: Any, mutator: Any) -> Any:
        return tirx.Select(*(mutator.mutate(part) for part in (node.condition, node.true_value, node.false_value)))

    def cast(self, node: Any, mutator: Any) -> Any:
        value, wanted = mutator.mutate(node.value), dtype_of(node)
        if wanted != HALF:
            return value if dtype_of(value) == wanted else tirx.Cast(wanted, value)
        exact = dtype_of(node.value) in (HALF, TRUTH, "int8", "uint8")
        single = value if dtype_of(value) == "float32" else tirx.Cast("float32", value)
        return single if exact else _round(single)

    def call(self, call: Any, mutator: Any) -> Any:
        arguments = [mutator.mutate(argument) for argument in call.args]
        name = call.op.name.rpartition(".")[2] if isinstance(call.op, ir.Op) else ""
        if name == "reinterpret" and HALF in (dtype_of(call), dtype_of(call.args[0])):
            return _reinterpret(call, arguments[0])
        if dtype_of(call) != HALF:
            return ir.Call(call.op, arguments, attrs=call.attrs, ret_ty=call.ty)
        result = ir.Call(call.op, arguments, attrs=call.attrs, ret_ty="float32")
        return result if name in _EXACT_CALLS or llvm_name(call) in _EXACT_LLVM else _round(result)


def _round(value: Any) -> Any:
    """A float32 rounded to float16, as a float32."""
    return tirx.call_pure_extern("float32", "ae_round_half", value)


def _reinterpret(call: Any, value: Any) -> Any:
    """The bits of a float16, or the float16 of bits."""
    if dtype_of(call) == HALF:
        return tirx.call_pure_extern("float32", "ae_half_to_float", tirx.Cast("uint16", value))
    bits = tirx.call_pure_extern("uint16", "ae_float_to_half", value)
    return bits if dtype_of(call) == "uint16" else tirx.Cast(dtype_of(call), bits)

"""Vectors written as loops over their lanes: a GPU's thread computes one number at a time.

A store of a vector becomes a loop that stores one lane after the other. Where a lane could read what the statement
itself has written before, all lanes are computed into an array of their own first, so that the loop means what the
vector meant. The additions of a lane stay in their order, so the bits stay the same.

Requires: a kernel that is not lowered yet.
Ensures: no expression, array or name has more than one lane, and no loop is vectorised.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import tvm
import tvm_ffi
from tvm import sym, tirx
from tvm.ir import TensorLoad
from tvm.target import codegen

from astroedge.errors import CompileError
from astroedge.targets.pass_list import UnknownForm

_BINARY = (
    *(tirx.Add, tirx.Sub, tirx.Mul, tirx.Div, tirx.Mod, tirx.FloorDiv, tirx.FloorMod, tirx.Min, tirx.Max),
    *(tirx.EQ, tirx.NE, tirx.LT, tirx.LE, tirx.GT, tirx.GE, tirx.And, tirx.Or),
    *(tirx.BitwiseAnd, tirx.BitwiseOr, tirx.BitwiseXor, tirx.LShift, tirx.RShift),
)
_LLVM_CALLS = ("tirx.call_llvm_pure_intrin", "tirx.call_llvm_intrin")
_ACROSS = {
    "llvm.vector.reduce.add": lambda a, b: a + b,
    "llvm.vector.reduce.smax": tirx.max,
    "llvm.vector.reduce.smin": tirx.min,
}
"""LLVM's intrinsics that make one integer of all lanes; those of floats have no order that is told."""


def scalar_lanes(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The kernel with every vector statement as a loop over lanes.

    Raises UnknownForm for an operation across lanes that has no scalar form.
    """
    writer = _Writer()
    handlers = [
        (tirx.AllocBuffer, writer.allocate),
        (tirx.BufferStore, writer.store),
        (tirx.For, writer.loop),
        (tirx.stmt.Bind, writer.bind),
    ]
    body = tvm_ffi.structural_mutate(function.body, handlers)
    if writer.refused:  # an exception that crosses TVM's C++ loses its class
        raise UnknownForm(writer.refused[0])
    return function.with_body(body)


def lanes_of(expression: Any) -> int:
    """How many numbers an expression has."""
    return int(expression.ty.dtype.lanes) if isinstance(expression.ty, tvm.ir.PrimType) else 1


def llvm_name(call: Any) -> str:
    """The name of the LLVM intrinsic that an expression calls, "" if it calls none."""
    if not isinstance(call, tvm.ir.Call) or not isinstance(call.op, tvm.ir.Op) or call.op.name not in _LLVM_CALLS:
        return ""
    return _intrinsic_names().get(int(call.args[0]), f"LLVM intrinsic {call.args[0]}")


def _intrinsic_names() -> dict[int, str]:
    """The names of the intrinsics that kernels use, by LLVM's numbers."""
    if not _NAMES:
        known = ("arithmetic.fence", "sqrt", "rint", "fma", "fmuladd", "cttz", "experimental.vector.compress")
        names = (*_ACROSS, *(f"llvm.{name}" for name in known))
        _NAMES.update((codegen.llvm_lookup_intrinsic_id(name), name) for name in names)
    return _NAMES


_NAMES: dict[int, str] = {}


class _Writer:
    """Rewrites the statements of one kernel; `wide` has the arrays of numbers that stand for arrays of vectors."""

    def __init__(self) -> None:
        self.wide: dict[Any, Any] = {}
        self.refused: list[str] = []

    def allocate(self, statement: Any, mutator: Any) -> Any:
        buffer = statement.buffer
        lanes = int(buffer.ty.dtype.dtype.lanes)
        if lanes == 1:
            return mutator.default_mutate(statement)
        size = reduce(lambda a, b: a * b, map(int, buffer.ty.shape), 1)
        self.wide[buffer] = tirx.decl_buffer((size * lanes,), _scalar(buffer.ty.dtype), name=buffer.name)
        return tirx.AllocBuffer(self.wide[buffer])

    def loop(self, statement: Any, mutator: Any) -> Any:
        statement = mutator.default_mutate(statement)
        if int(statement.kind) != int(tirx.ForKind.VECTORIZED):
            return statement
        serial = tirx.ForKind.SERIAL
        return tirx.For(statement.loop_var, statement.min, statement.extent, serial, statement.body)

    def bind(self, statement: Any, mutator: Any) -> Any:
        if lanes_of(statement.value) > 1:
            self.refused.append(f"A name for a vector ({statement.var.name}) has no scalar form.")
            return statement
        return tirx.stmt.Bind(statement.var, _Lane(self, None).of(statement.value))

    def store(self, statement: Any, _mutator: Any) -> Any:
        lanes = lanes_of(statement.value)
        if lanes == 1:
            own = _Lane(self, None)
            return tirx.BufferStore(
                statement.buffer, own.of(statement.value), [own.of(index) for index in statement.indices]
            )
        kept = tirx.decl_buffer((lanes,), _scalar(statement.value.ty.dtype), name="lanes")

        def write(own: _Lane, value: Any) -> Any:
            buffer, indices = own.place(statement.buffer, statement.indices, lanes)
            return tirx.BufferStore(buffer, value, indices)

        if not _reads_other_lanes(statement, lanes):
            return self._each_lane(statement, lanes, lambda own: write(own, own.of(statement.value)))
        compute = self._each_lane(
            statement, lanes, lambda own: tirx.BufferStore(kept, own.of(statement.value), [own.number])
        )
        place = self._each_lane(statement, lanes, lambda own: write(own, tirx.BufferLoad(kept, [own.number])))
        return tirx.SeqStmt([tirx.AllocBuffer(kept), compute, place])

    def _each_lane(self, statement: Any, lanes: int, write: Callable[[_Lane], Any]) -> Any:
        """A loop over the lanes, or all of them one after the other where each is chosen from a different place."""
        if _chooses(statement):
            return tirx.SeqStmt([write(_Lane(self, tirx.const(number, "int32"))) for number in range(lanes)])
        lane = tirx.Var("lane", "int32")
        body = write(_Lane(self, lane))
        return tirx.For(lane, tirx.const(0, "int32"), tirx.const(lanes, "int32"), tirx.ForKind.SERIAL, body)


class _Lane:
    """One lane of expressions; `number` is which, None where everything has one lane only."""

    def __init__(self, writer: _Writer, number: Any) -> None:
        self.writer = writer
        self.number = number
        self.names: dict[Any, Any] = {}

    def of(self, node: Any) -> Any:
        """The lane of an expression."""
        if isinstance(node, tirx.Ramp):
            dtype = node.base.ty.dtype
            lane = self.number if str(dtype) == "int32" else tirx.Cast(dtype, self.number)
            return self.of(node.base) + self.of(node.stride) * lane
        if isinstance(node, tirx.Broadcast):
            return self.of(node.value)
        if isinstance(node, tirx.Shuffle):
            return self._chosen(node)
        if isinstance(node, _BINARY):
            return type(node)(self.of(node.a), self.of(node.b))
        if isinstance(node, (tirx.Not, tirx.BitwiseNot)):
            return type(node)(self.of(node.a))
        if isinstance(node, tirx.Select):
            return tirx.Select(self.of(node.condition), self.of(node.true_value), self.of(node.false_value))
        if isinstance(node, tirx.Cast):
            return tirx.Cast(_scalar(node.ty.dtype), self.of(node.value))
        if isinstance(node, TensorLoad):
            return tirx.BufferLoad(*self.place(node.source, node.indices, lanes_of(node)))
        return self._name_or_call(node)

    def place(self, buffer: Any, indices: Any, lanes: int) -> tuple[Any, list[Any]]:
        """Where a lane of an access of `lanes` numbers lies."""
        if buffer not in self.writer.wide:
            return buffer, [self.of(index) for index in indices]
        index = self.of(indices[0])
        return self.writer.wide[buffer], [index * tirx.const(lanes, index.ty.dtype) + self.number]

    def _name_or_call(self, node: Any) -> Any:
        if isinstance(node, tirx.Let):
            value = self.of(node.value)
            self.names[node.var] = tirx.Var(node.var.name, value.ty)
            return tirx.Let(self.names[node.var], value, self.of(node.body))
        if isinstance(node, tirx.Var):
            return self.names.get(node, node)
        if isinstance(node, tvm.ir.Call):
            return self._call(node)
        return node

    def _call(self, call: Any) -> Any:
        name = llvm_name(call)
        if name in _ACROSS:
            lanes = lanes_of(call.args[1])
            each = [_Lane(self.writer, tirx.const(lane, "int32")) for lane in range(lanes)]
            for other in each:
                other.names = dict(self.names)
            return reduce(_ACROSS[name], [other.of(call.args[1]) for other in each])
        if name.startswith("llvm.experimental") or (name.startswith("LLVM intrinsic") and lanes_of(call) > 1):
            self.writer.refused.append(f"{name} works across lanes and has no scalar form.")
        arguments = [self.of(argument) for argument in call.args]
        return tvm.ir.Call(call.op, arguments, attrs=call.attrs, ret_ty=_scalar(call.ty.dtype))

    def _chosen(self, shuffle: Any) -> Any:
        """The element of the joined vectors that a shuffle puts into this lane."""
        wanted = int(shuffle.indices[int(self.number)])
        for vector in shuffle.vectors:
            lanes = lanes_of(vector)
            if wanted < lanes:
                other = _Lane(self.writer, tirx.const(wanted, "int32"))
                other.names = dict(self.names)
                return other.of(vector)
            wanted -= lanes
        raise CompileError("A shuffle takes a lane that its vectors do not have; this is a defect of the compiler.")


def _reads_other_lanes(statement: Any, lanes: int) -> bool:
    """Whether a lane could read an element that a lane before it writes in the same statement."""
    loads: list[Any] = []
    note = (TensorLoad, lambda load: loads.append(load))
    for part in (statement.value, *statement.indices):
        tvm_ffi.structural_walk(part, note)
    own = [load for load in loads if load.source.same_as(statement.buffer)]
    return any(not _stays_ahead(load, statement, lanes) for load in own)


def _stays_ahead(load: Any, statement: Any, lanes: int) -> bool:
    """Whether no lane of a load is an element that an earlier lane of the store has written."""
    if len(load.indices) != 1 or len(statement.indices) != 1:
        return False
    read, written = load.indices[0], statement.indices[0]
    if not isinstance(written, tirx.Ramp):  # a vector of an array of vectors, at the same place or another
        return not isinstance(read, tirx.Ramp)
    if not (isinstance(written.stride, tirx.IntImm) and int(written.stride) == 1):
        return False
    if isinstance(read, tirx.Ramp) and not (isinstance(read.stride, tirx.IntImm) and int(read.stride) == 1):
        return False
    base = read.base if isinstance(read, tirx.Ramp) else read
    if lanes_of(base) > 1:
        return False
    distance = sym.Analyzer().simplify(base - written.base)
    if not isinstance(distance, tirx.IntImm):
        return False
    apart = int(distance)
    if isinstance(read, tirx.Ramp):
        return apart >= 0 or apart <= -lanes
    return apart < 0 or apart >= lanes - 1


def _chooses(statement: Any) -> bool:
    found: list[Any] = []
    tvm_ffi.structural_walk(statement, (tirx.Shuffle, lambda node: found.append(node)))
    return bool(found)


def _scalar(dtype: Any) -> str:
    """The dtype of one lane."""
    return str(dtype).partition("x")[0]

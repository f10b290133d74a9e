"""TVM's own lowerings of operators, of which calls alike are lowered once: ticks of a loop repeat each other.

Calls are alike when they have the same operator, the same attributes and numbers, and operands of the same shapes.
What is lowered is then the same function, which TVM would make anew and find to be one that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from functools import partial
from typing import Any

import tvm
from tvm import relax
from tvm_ffi import structural_equal, structural_hash

from astroedge.targets.compiler.lower.lowerings.relax_calls import is_constant, numbers_of

Lowering = Callable[[relax.BlockBuilder, relax.Call], relax.Expr]


def lower_once(module: tvm.IRModule, own: Collection[str]) -> dict[str, Lowering]:
    """The lowerings of the operators in `main` that TVM lowers, by their names; `own` are those that have another."""
    found: dict[str, Lowering] = {}
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            operator = getattr(binding.value, "op", None)
            if isinstance(operator, tvm.ir.Op) and operator.name not in own and operator.name not in found:
                lowering = operator.get_attr("FLegalize")
                if lowering is not None:
                    found[operator.name] = partial(_lower, lowering, {})
    return found


def _lower(
    lowering: Lowering, known: dict[Hashable, list[tuple[relax.Call, relax.Call, list[int]]]], *arguments: Any
) -> relax.Expr:
    """The lowered call, by a function that a call like it has left in `known` if there was one."""
    builder, call = arguments
    operands: list[relax.Expr] = []
    key = _key(call.args, operands)
    if key is None or len(call.ty_args) > 0:
        return lowering(builder, call)
    alike = known.setdefault((key, structural_hash(call.attrs)), [])
    for first, lowered, order in alike:
        if structural_equal(first.attrs, call.attrs):
            fields = relax.Tuple([operands[place] for place in order])
            return relax.Call(lowered.op, [lowered.args[0], fields], lowered.attrs, lowered.ty_args)
    lowered = lowering(builder, call)
    places = _order(lowered, operands)
    if places is not None:
        alike.append((call, lowered, places))
    return lowered


def _key(arguments: Collection[Any], operands: list[relax.Expr]) -> tuple[Hashable, ...] | None:
    """What makes arguments alike, but for the tensors themselves, which are appended to `operands`; None if unknown."""
    parts: list[Hashable] = []
    for argument in arguments:
        if isinstance(argument, relax.Tuple):
            inner = _key(argument.fields, operands)
            if inner is None:
                return None
            parts.append(inner)
        elif isinstance(argument, tvm.tirx.IntImm):
            parts.append((str(argument.ty), int(argument)))
        elif isinstance(argument, relax.ShapeExpr):
            inner = _key(argument.values, operands)
            parts.append(("shape", inner))
        elif _is_tensor(argument):
            parts.append(_tensor_key(argument, operands))
        else:
            return None
    return tuple(parts)


def _tensor_key(tensor: relax.Expr, operands: list[relax.Expr]) -> Hashable:
    """Shape, dtype and which operand it is again; of a single number, which a lowering may write out, its value too."""
    place = next((place for place, known in enumerate(operands) if known.same_as(tensor)), len(operands))
    operands.append(tensor)
    shape = tuple(map(str, tensor.ty.shape))
    value = numbers_of(tensor).tobytes() if is_constant(tensor) and not shape else None
    return place, shape, str(tensor.ty.dtype), value


def _order(lowered: relax.Expr, operands: list[relax.Expr]) -> list[int] | None:
    """Which operands a lowered call reads, in its order; None if it reads anything else or is no single call."""
    if not isinstance(lowered, relax.Call) or not isinstance(lowered.op, tvm.ir.Op):
        return None
    if lowered.op.name != "relax.call_tir" or len(lowered.args) != 2:
        return None
    order = []
    for field in lowered.args[1].fields:
        place = next((place for place, known in enumerate(operands) if known.same_as(field)), None)
        if place is None:
            return None
        order.append(place)
    return order


def _is_tensor(argument: Any) -> bool:
    """Whether the argument is a stored or computed tensor of a known shape."""
    given = isinstance(argument, relax.Var) or is_constant(argument)
    return given and isinstance(argument.ty, relax.TensorType) and argument.ty.shape is not None

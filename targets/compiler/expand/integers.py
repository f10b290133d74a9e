"""Products and powers of integers, and powers whose base and exponent have different dtypes."""

from __future__ import annotations

from math import prod

import numpy as np
from onnx import TensorProto, helper

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, refuse
from astroedge.targets.compiler.expand.forms import reduced, reshaped

LARGEST_PRODUCT = 2**20
"""The most products of two integers that a matrix product is written out as."""
_BITS = 6  # no integer type holds a 64th power but those of 0, 1 and −1


def matmul(call: Call, builder: NodeBuilder) -> bool:
    """A matrix product of integers as products of all pairs of elements and sums of these, which wrap around."""
    if call.dtype().kind not in "iu":
        return False
    left, right = call.shape(0), call.shape(1)
    rows, columns = (left if len(left) > 1 else (1, *left)), (right if len(right) > 1 else (*right, 1))
    batch = np.broadcast_shapes(rows[:-2], columns[:-2])
    count = prod((*batch, *rows[-2:], columns[-1]))
    if count > LARGEST_PRODUCT:
        refuse(call, f"{call.dtype()} and {count} products (above {LARGEST_PRODUCT})")
    first = reshaped(builder, call.input(0), (*rows, 1))
    second = reshaped(builder, call.input(1), (*columns[:-2], 1, *columns[-2:]))
    total = reduced(call, builder, "ReduceSum", builder.op("Mul", [first, second]), [-2], keep=False)
    ending = (*left[-2:-1], *right[1:][-1:])
    reshaped(builder, total, (*batch, *ending), call.output(0))
    return True


def power(call: Call, builder: NodeBuilder) -> bool:
    """A power of integers by products; one of two dtypes in float32 and then in the dtype of the base."""
    base, exponent = call.dtype(0), call.dtype(1)
    stored = call.constant(1)
    whole = exponent.kind in "iu" or (stored is not None and bool((stored == np.floor(stored)).all()))
    kind = helper.np_dtype_to_tensor_dtype(base)
    if base.kind in "iu" and whole:
        _integer_power(call, builder, builder.op("Cast", [call.input(1)], to=kind))
        return True
    if base == exponent:
        return False
    operands = [builder.op("Cast", [call.input(place)], to=TensorProto.FLOAT) for place in range(2)]
    builder.op("Cast", [builder.op("Pow", operands)], call.output(0), to=kind)
    return True


def _integer_power(call: Call, builder: NodeBuilder, exponent: str) -> None:
    """Repeated squaring. A negative exponent leaves powers of ±1 and, where ONNX Runtime has infinity too, 0."""
    zero, one, limit, rest = (builder.constant(number, call.dtype(0), "number") for number in (0, 1, 63, 62))
    base, size = call.input(0), builder.op("Abs", [exponent])
    parity = builder.op("Mod", [size, builder.constant(2, call.dtype(0), "two")])
    # Beyond 63 only the parity is left to see: of 0, 1 and −1; the powers of all others have overflowed.
    size = builder.op("Where", [builder.op("Greater", [size, limit]), builder.op("Add", [parity, rest]), size])
    result, factor = one, base
    for bit in range(_BITS):
        shifted = builder.op("Div", [size, builder.constant(1 << bit, call.dtype(0), "power")])
        odd = builder.op("Mod", [shifted, builder.constant(2, call.dtype(0), "two")])
        taken = builder.op("Equal", [odd, one])
        result = builder.op("Where", [taken, builder.op("Mul", [result, factor]), result])
        factor = builder.op("Mul", [factor, factor])
    unit = builder.op("Equal", [builder.op("Mul", [base, base]), one])
    vanishing = builder.op("And", [builder.op("Less", [exponent, zero]), builder.op("Not", [unit])])
    builder.op("Where", [vanishing, zero, result], call.output(0))


RULES: dict[str, Rule] = {"MatMul": matmul, "Pow": power}

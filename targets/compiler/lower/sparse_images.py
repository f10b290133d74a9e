"""Sparse tensors through the operators of convolutional networks: pooling, reductions, padding, joined branches.

Where a result's firing rate depends on which elements fire together, it is reckoned as if they fired independently:
real images fire in patches, and so less often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import tvm
import tvm_ffi
from tvm import relax, tirx

from astroedge.step.operators import relax_operators
from astroedge.targets.compiler.lower.sparsity import Sparsity

POOLS = relax_operators(lambda row: row.sparsity == "pooled")
JOINS = relax_operators(lambda row: row.sparsity == "joined")
REDUCES = relax_operators(lambda row: row.sparsity == "reduced")
BESIDE = relax_operators(lambda row: row.sparsity == "beside")
KEEP_ONES = relax_operators(lambda row: row.keeps_ones)
"""Poolings, reductions and joins behind which spikes are still 0 or 1."""


def through_images(value: relax.Expr, module: tvm.IRModule, known: Mapping[relax.Var, Sparsity]) -> Sparsity | None:
    """What a call makes of the sparse tensors in `known`; None where it is not sparse or not one of these operators."""
    if not isinstance(value, relax.Call) or not isinstance(value.op, tvm.ir.Op):
        return None
    operator = value.op.name
    if operator == "relax.call_tir":
        return _padded(value, module, known)
    operands = list(value.args[0].fields) if operator in BESIDE else list(value.args)
    sparse = [known.get(item) if isinstance(item, relax.Var) else None for item in operands]
    found = [item for item in sparse if item is not None]
    if len(found) < len(sparse):
        return None
    if operator in POOLS:
        return _joint(found * prod(int(extent) for extent in value.attrs.pool_size), operator in KEEP_ONES)
    if operator in REDUCES:
        merged = prod(_shape(operands[0])) // prod(_shape(value))
        return _joint(found * merged, operator in KEEP_ONES)
    if operator in JOINS:
        return _joint(found, operator in KEEP_ONES)
    if operator in BESIDE:
        sizes = [prod(_shape(item)) for item in operands]
        active = sum(item.rate * size for item, size in zip(found, sizes, strict=True))
        return Sparsity(_sources(found), active / sum(sizes), all(item.binary for item in found))
    return None


def _joint(parts: list[Sparsity], keeps_binary: bool) -> Sparsity:
    """What is 0 only where all of `parts` are."""
    silent = prod(1 - part.rate for part in parts)
    return Sparsity(_sources(parts), 1 - silent, keeps_binary and all(part.binary for part in parts))


def _sources(parts: list[Sparsity]) -> str:
    return " and ".join(dict.fromkeys(part.source for part in parts))


def _padded(call: relax.Call, module: tvm.IRModule, known: Mapping[relax.Var, Sparsity]) -> Sparsity | None:
    """Zeros around an image; the importer has already written the padding as loops."""
    operands = call.args[1].fields
    if not call.args[0].name_hint.startswith("pad") or len(operands) != 1 or operands[0] not in known:
        return None
    fills: list[float] = []
    choices = (tvm.ir.Call, lambda item: fills.append(_fill(item)) if _is_choice(item) else None)
    tvm_ffi.structural_walk(module[call.args[0]].body, choices)
    if fills != [0.0]:
        return None
    sparsity = known[operands[0]]
    return replace(sparsity, rate=sparsity.rate * prod(_shape(operands[0])) / prod(_shape(call)))


def _is_choice(call: tvm.ir.Call) -> bool:
    return isinstance(call.op, tvm.ir.Op) and call.op.name.endswith(".if_then_else")


def _fill(choice: tvm.ir.Call) -> float:
    """The constant that a choice falls back on; NaN if it is no constant."""
    value = choice.args[2]
    return float(value.value) if isinstance(value, tirx.FloatImm | tirx.IntImm) else float("nan")


def _shape(expression: relax.Expr) -> list[int]:
    return [int(extent) for extent in expression.ty.shape]

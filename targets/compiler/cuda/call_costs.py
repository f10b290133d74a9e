"""How much longer a call takes where each block of threads makes all of it, instead of all blocks together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tvm_ffi
from tvm import ir, tirx

from astroedge.targets.compiler.cuda.divide_calls import BLOCK_THREADS, DeviceForm, count_in_order
from astroedge.targets.compiler.lower.lowerings.tables import EMBEDDING
from astroedge.targets.compiler.program.step_program import KernelCall
from astroedge.targets.exact.exact_intrinsics import EXACT_AS_THEY_ARE
from astroedge.targets.families.gpu_costs import GpuCosts

_FUNCTION_OPERATIONS = 30  # of an exact function such as exp, one after the other
_LIBRARY = {"finish-gemv": (1, 10), EMBEDDING: (2, 10)}
_SUMS = (4, 150)
"""Loads and operations of a thread that need each other, by the kind of a call of the library; of reductions."""


class CallCosts:
    """Estimates for the calls of a step, in nanoseconds: `more` of each, and `barrier` of a wait of all blocks."""

    def __init__(self, costs: GpuCosts, calls: Sequence[KernelCall], forms: Sequence[DeviceForm]) -> None:
        blocks = [-(-form.parts // BLOCK_THREADS) for form in forms]
        self.costs = costs
        self.blocks = max(1, min(costs.blocks, max(blocks, default=1)))
        self.barrier = costs.barrier(self.blocks)
        self.more = [
            (count - -(-count // self.blocks)) * self._turn(call, form)
            for call, form, count in zip(calls, forms, blocks, strict=True)
        ]

    def _turn(self, call: KernelCall, form: DeviceForm) -> float:
        """What a thread takes for one of its parts: its loads wait for each other with those of the part before."""
        if form.function is None:
            loads, count = _LIBRARY.get(call.kind, _SUMS)
            return loads * self.costs.load + count * self.costs.operation
        return self.costs.load + operations(form.function.body) * self.costs.operation


def operations(statement: tirx.Stmt) -> int:
    """How many operations a thread makes one after the other; a loop over its own part counts once."""
    return count_in_order(statement, lambda store: _of_value(store.value))


def _of_value(value: Any) -> int:
    """The operations of an expression: those of its nodes that are no numbers and names."""
    found: list[int] = []

    def note(node: Any) -> None:
        if isinstance(node, ir.Call) and node.op.name.removeprefix("tirx.") not in EXACT_AS_THEY_ARE:
            found.append(_FUNCTION_OPERATIONS)
        elif not isinstance(node, tirx.Var | tirx.IntImm | tirx.FloatImm | ir.Op):
            found.append(1)

    tvm_ffi.structural_walk(value, (ir.Expr, note))
    return sum(found)

"""Which tensors of the step are mostly zero, and how often each fires.

A spike tensor stays one through casts, reshapes, transposes, picking and selections of 1 and 0; multiplied by a value
it is still as sparse, but graded, and so are a quotient of it, a power, and the straight-through form of training,
`(spike - soft) + soft`. Pooling and other operators on images are in sparse_images.py. What a rectifier lets through is
graded too, where export found it mostly zero. A state whose next value is sparse and that starts at zero is sparse too
(recurrent and delayed spikes), which is found by repeating the walk until nothing changes around the loop. An input is
sparse when export measured that in the example data, or was told so.

Only a comparison inside the step proves that a value is exactly 0 or 1. States and inputs can be set to anything by the
user, so they count as graded: their kernels multiply by the value.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tvm
from tvm import relax

from astroedge.step.operators import relax_operators
from astroedge.step.spec import StepSpec
from astroedge.targets.compiler.lower.import_graph import ImportedStep
from astroedge.targets.compiler.lower.sparse_images import through_images
from astroedge.targets.compiler.lower.sparsity import Sparsity

MOVES = relax_operators(lambda row: row.sparsity == "moved")
SCALES = relax_operators(lambda row: row.sparsity == "scaled")


def find_sparsity(step: ImportedStep, spec: StepSpec) -> dict[relax.Var, Sparsity]:
    """Map the sparse variables of `step.module["main"]` to what is known of them."""
    main = step.module["main"]
    rates = {item.name: item.firing_rate for item in (*spec.spikes, *spec.activations)}
    known: dict[relax.Var, Sparsity] = {}
    for var, tensor in zip(main.params, spec.inputs, strict=False):
        if tensor.firing_rate is not None:
            known[var] = Sparsity(tensor.name, tensor.firing_rate, binary=False)
    bindings = [binding for block in main.body.blocks for binding in block.bindings]
    bound = {binding.var: binding.value for binding in bindings}
    nexts = _next_states(bindings, spec)
    states = list(main.params)[len(spec.inputs) :]
    while True:
        found = dict(known)
        for binding in bindings:
            sparsity = (
                _of_binding(binding, step, rates, found)
                or _straight_through(binding.value, bound, found)
                or through_images(binding.value, step.module, found)
            )
            if sparsity is not None:
                found[binding.var] = sparsity
        before = len(known)
        for var, after, state in zip(states, nexts, spec.states, strict=True):
            if after in found and state.initial == 0.0:
                known[var] = replace(found[after], binary=False)
        if len(known) == before:
            return found


def _next_states(bindings: list[relax.Binding], spec: StepSpec) -> list[relax.Expr]:
    """The variables that become the next states, from the returned tuple."""
    fields = list(bindings[-1].value.fields)
    return fields[len(spec.outputs) : len(spec.outputs) + len(spec.states)]


def _of_binding(
    binding: relax.Binding, step: ImportedStep, rates: dict[str, float], known: dict[relax.Var, Sparsity]
) -> Sparsity | None:
    """What one binding makes, given what is known of its operands."""
    value = binding.value
    if isinstance(value, relax.Var):
        return known.get(value)
    if not isinstance(value, relax.Call):
        return None
    if binding.var in step.spikes:
        name = step.spikes[binding.var]
        return Sparsity(name, rates[name], binary=_is_zero_or_one(binding.var, value))
    if binding.var in step.activations:
        name = step.activations[binding.var]
        return Sparsity(name, rates[name], binary=False)
    operator = value.op.name if isinstance(value.op, tvm.ir.Op) else ""
    operands = [known.get(argument) for argument in value.args if isinstance(argument, relax.Var)]
    first = known.get(value.args[0]) if value.args and isinstance(value.args[0], relax.Var) else None
    if operator in MOVES:
        return first
    if operator == "relax.where" and first is not None and first.binary and _selects_one_or_zero(value):
        return first
    if operator not in SCALES or (operator == "relax.power" and not _is_positive(value.args[1])):
        return None
    scaled = operands if operator == "relax.multiply" else [first]
    sparse = [item for item in scaled if item is not None]
    return replace(min(sparse, key=lambda item: item.rate), binary=False) if sparse else None


def _straight_through(
    value: relax.Expr, bound: dict[relax.Var, relax.Expr], known: dict[relax.Var, Sparsity]
) -> Sparsity | None:
    """What `(spike - soft) + soft` makes: exactly 0 where the spike is 0, and 1 up to rounding where it is 1.

    Where `soft` is infinite or NaN the sum is NaN, which an event kernel reads like any value but 0.
    """
    operands = _operands(value, "relax.add")
    for difference, soft in (operands, operands[::-1]) if operands else ():
        parts = _operands(bound.get(difference), "relax.subtract")
        if parts and parts[1].same_as(soft) and parts[0] in known:
            return replace(known[parts[0]], binary=False)
    return None


def _operands(value: relax.Expr | None, operator: str) -> list[relax.Var]:
    """The two operands of a call of `operator` on two variables; none for anything else."""
    if not isinstance(value, relax.Call) or not isinstance(value.op, tvm.ir.Op) or value.op.name != operator:
        return []
    operands = list(value.args)
    return operands if all(isinstance(operand, relax.Var) for operand in operands) else []


def _is_zero_or_one(var: relax.Var, value: relax.Call) -> bool:
    """True for a Boolean, its cast to a number, and a choice of 1 or 0: a step graph may call any value a spike."""
    if _is_boolean(var):
        return True
    operator = value.op.name if isinstance(value.op, tvm.ir.Op) else ""
    cast = operator == "relax.astype" and _is_boolean(value.args[0])
    return cast or (operator == "relax.where" and _selects_one_or_zero(value))


def _is_positive(exponent: relax.Expr) -> bool:
    """Whether an exponent is a constant that leaves zero zero."""
    return isinstance(exponent, tvm.ir.GenericConst) and bool(np.all(exponent.value.numpy() > 0))


def _is_boolean(expression: relax.Expr) -> bool:
    return str(expression.ty.dtype.dtype) == "bool"


def _selects_one_or_zero(call: relax.Call) -> bool:
    """True for where(spike, 1, 0)."""
    chosen = call.args[1:]
    if not all(isinstance(argument, tvm.ir.GenericConst) for argument in chosen):
        return False
    ones, zeros = (argument.value.numpy() for argument in chosen)
    return bool(np.all(ones == 1) and np.all(zeros == 0))

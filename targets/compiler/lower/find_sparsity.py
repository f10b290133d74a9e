"""Which operands of products are mostly zero, by what astroedge/step/find_sparsity.py knows of the step graph's values.

The importer may reshape, transpose or scale an operand before it multiplies; what is known stays true.
"""

from __future__ import annotations

from dataclasses import replace

import tvm
from tvm import relax

from astroedge.step.find_sparsity import find_sparsity as find_sparse_values
from astroedge.step.graph import StepGraph
from astroedge.step.operators import relax_operators
from astroedge.step.sparsity import Sparsity
from astroedge.targets.compiler.lower.import_graph import ImportedStep

MOVES = relax_operators(lambda row: row.sparsity == "moved" or row.kind == "cast")


def find_sparsity(step: ImportedStep, graph: StepGraph) -> dict[relax.Var, Sparsity]:
    """Map the sparse operands of products in `step`, which `graph` was imported as, to what is known of them."""
    values = find_sparse_values(graph.model, graph.spec)
    found = {var: values[name] for var, name in step.operands if name in values}
    found |= {var: values[name] for var, name in step.operands if name in values and values[name].binary}
    for block in step.module["main"].body.blocks:
        for binding in block.bindings:
            call = binding.value
            if binding.var in found or not isinstance(call, relax.Call) or not isinstance(call.op, tvm.ir.Op):
                continue
            operand = next((item for item in call.args if isinstance(item, relax.Var) and item in found), None)
            if operand is not None and call.op.name in MOVES and operand.same_as(call.args[0]):
                found[binding.var] = found[operand]
            elif operand is not None and _scales(call):
                found[binding.var] = replace(found[operand], binary=False, exact=False)
    return found


def _scales(call: relax.Call) -> bool:
    """Whether a call multiplies by a stored number, as the importer does with the alpha of a Gemm."""
    return bool(call.op.name == "relax.multiply" and any(isinstance(item, tvm.ir.GenericConst) for item in call.args))

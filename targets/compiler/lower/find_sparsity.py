"""Which operands of products are mostly zero, by what astroedge/step/find_sparsity.py knows of the step graph's values.

The importer may reshape or transpose an operand before it multiplies; what is known stays true.
"""

from __future__ import annotations

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
            if call.op.name in MOVES and isinstance(call.args[0], relax.Var) and call.args[0] in found:
                found[binding.var] = found[call.args[0]]
    return found

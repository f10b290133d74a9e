"""What is known of ONNX operators, looked up, and which of them a graph holds that no bundle can.

A step graph may hold those for ONNX Runtime: export says so, compile refuses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from astroedge.step.operator_facts import Operator
from astroedge.step.operator_table import ROWS

if TYPE_CHECKING:
    import onnx

OPERATORS = {row.name: row for row in ROWS}


def operator(name: str) -> Operator:
    """The row of an operator; one that is not in the table may stand in a graph, and TVM's importer has the last word.

    Nothing else is taken for granted of it: its result counts as dense, its error bound starts afresh.
    """
    return OPERATORS.get(name) or Operator(name)


def operators(wanted: Callable[[Operator], bool]) -> frozenset[str]:
    """The names of the operators whose row is `wanted`."""
    return frozenset(row.name for row in ROWS if wanted(row))


def relax_operators(wanted: Callable[[Operator], bool]) -> frozenset[str]:
    """The names in TVM's Relax (`relax.multiply`) of the operators whose row is `wanted`."""
    return frozenset(f"relax.{name}" for row in ROWS if wanted(row) for name in row.relax)


def uncompiled(graph: onnx.GraphProto, *, fast: bool = False) -> list[str]:
    """For each operator of `graph` that cannot be compiled, what it is, which module made it, and why not.

    `fast` allows functions without an exact kernel, as `compile(math="fast")` does.
    """
    found = []
    for node in graph.node:
        row = operator(node.op_type)
        if not row.imported:
            found.append(f"{made_by([node])} uses {node.op_type}, for which TVM has no importer")
        elif row.inexact_functions and not fast:
            found.append(
                f"{made_by([node])} uses {node.op_type}, and {row.inexact_functions[0]} has no exact kernel: its bits "
                "would depend on the device's C library"
            )
    return list(dict.fromkeys(found))


def made_by(nodes: Iterable[onnx.NodeProto]) -> str:
    """The modules that made some nodes, in words: their paths are in the names that export gives nodes."""
    paths = list(dict.fromkeys(node.name.rpartition("/")[0] for node in nodes))
    named = [repr(path) for path in paths if path]
    if not named:
        return "The step"
    return f"Module {named[0]}" if len(paths) == 1 else f"Modules {', '.join(named)}"

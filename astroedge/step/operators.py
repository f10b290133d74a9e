"""ONNX operators that a step graph may hold, for ONNX Runtime, and that no bundle can: export says so, compile refuses.

The importer is that of TVM's ONNX front end; exact kernels are those of `targets/exact/exact_math.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

NO_IMPORTER = frozenset(
    {
        *("Celu", "CenterCropPad", "Col2Im", "ConvInteger", "CumProd", "DFT", "DeformConv", "Det", "LpNormalization"),
        *("QLinearConv", "QLinearMatMul", "ReverseSequence", "RotaryEmbedding", "STFT", "Swish", "TensorScatter"),
    }
)
NO_EXACT_KERNEL = frozenset({"Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh", "Tan"})


def uncompiled(graph: onnx.GraphProto, *, fast: bool = False) -> list[str]:
    """For each operator of `graph` that cannot be compiled, what it is, which module made it, and why not.

    `fast` allows functions without an exact kernel, as `compile(math="fast")` does.
    """
    found = []
    for node in graph.node:
        if node.op_type in NO_IMPORTER:
            found.append(f"{made_by([node])} uses {node.op_type}, for which TVM has no importer")
        elif node.op_type in NO_EXACT_KERNEL and not fast:
            function = node.op_type.lower()
            found.append(
                f"{made_by([node])} uses {node.op_type}, and {function} has no exact kernel: its bits would depend on "
                "the device's C library"
            )
    return list(dict.fromkeys(found))


def made_by(nodes: Iterable[onnx.NodeProto]) -> str:
    """The modules that made some nodes, in words: their paths are in the names that export gives nodes."""
    paths = list(dict.fromkeys(node.name.rpartition("/")[0] for node in nodes))
    named = [repr(path) for path in paths if path]
    if not named:
        return "The step"
    return f"Module {named[0]}" if len(paths) == 1 else f"Modules {', '.join(named)}"

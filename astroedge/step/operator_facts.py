"""What is known of an ONNX operator: the columns of the table in operator_table.py and the words that stand in them.

Each fact holds for every call of an operator. What is true of one form of a call (a Clip from 0, a power with a
positive exponent) is decided where the call is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Refusal = Literal["", "control flow", "randomness", "varying size", "recurrence", "no tensor"]
"""Why no step graph can hold an operator; "" where one can."""

Kind = Literal[
    "", "comparison", "equality", "logic", "copy", "cast", "reshape", "permutation", "product", "reduction",
    "arg reduction", "staircase",
]  # fmt: skip
"""What an operator is to those who look for spikes, matrices and sums; "" where it is nothing special to them.

A comparison orders two numbers: a neuron's threshold. Copy, cast and reshape keep elements and their order. A staircase
is flat but for jumps from one whole number to the next.
"""

Rounding = Literal["exact", "composed", "ordered sum"]
"""How far the bits are defined: by IEEE 754 and ONNX alone (exact); by the order of the operations that it is made of,
each rounded once (composed); by the order of additions (ordered sum)."""

ErrorBound = Literal[
    "", "addition", "preserving", "product", "quotient", "matmul", "gemm", "convolution", "contraction",
    "normalisation", "tanh", "sigmoid", "reduction", "window", "movement", "slope", "jump", "known",
]  # fmt: skip
"""How the parity check follows the largest operand of a sum through an operator (`runtimes/checking/error_bounds.py`).

With "slope" it tries how far the result moves with the operands. It starts afresh behind a jump, which may enlarge an
error without bound, at what is known before the first tick, and with "" at integers and Booleans."""

Zeros = Literal[
    "", "elementwise", "moved", "scaled", "beside", "written", "pooled", "reduced", "padded", "resampled", "summed",
]  # fmt: skip
"""What becomes of zeros. Element by element the operator is computed for them, so that it needs no rule. Elements are
moved, so that 0 and 1 stay; scaled, so that 0 stays; put beside each other, or written among others; pooled, 0 where a
window is 0; reduced, 0 where an axis is 0; padded with 0; resampled, 0 where the neighbours are; summed with weights, 0
where all that have one are. With "" the result counts as dense."""

Gpu = Literal["loops", "rows", "library", "both"]
"""What computes it on a GPU in its plainest form: the processor's loops, those of "rows" such that one thread goes
through a row, of which long ones are refused; a kernel of the CUDA library and what loops stand around it; or both."""

DEFAULT_CURE = "write it with other torch functions"

FUNCTION_ERRORS = {
    **{"exp": 1.1, "expm1": 1.5, "log": 1.0, "log1p": 2.5, "tanh": 3.0, "sigmoid": 2.5, "sin": 0.51, "cos": 0.51},
    **{"erf": 1.5, "sqrt": 0.5, "rsqrt": 1.5},
    **dict.fromkeys(("tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"), 0.51),
}
"""The functions that have the same bits everywhere, with the largest error of each in units of the last place."""


@dataclass(frozen=True)
class Operator:
    """One operator of ONNX, by its name there; the defaults are what is taken for granted of an unknown one.

    `refused` says why a step graph cannot hold it, `cure` what to write instead. `imported` is False where TVM has no
    importer, or one for another operator of that name. `limits` says which forms alone are compiled, "" for all usual
    ones. `functions` are the mathematical functions it computes; one that is not in `FUNCTION_ERRORS` has no exact
    kernel. `elements` are the inputs whose elements it moves, None for all of them. `keeps_ones` is True where pooled
    or reduced spikes are still 0 or 1. `traced` operators lie between a neuron's state and its threshold: behind them
    the state is looked for that a spike is named after. `relax` has the names, without "relax.", of what TVM's importer
    makes of it, where the compiler looks for that. `gpu` says what computes it on a GPU.
    """

    name: str
    kind: Kind = ""
    refused: Refusal = ""
    cure: str = DEFAULT_CURE
    imported: bool = True
    limits: str = ""
    rounding: Rounding = "exact"
    functions: tuple[str, ...] = ()
    bound: ErrorBound = ""
    elements: tuple[int, ...] | None = (0,)
    sparsity: Zeros = ""
    keeps_ones: bool = False
    traced: bool = False
    relax: tuple[str, ...] = ()
    gpu: Gpu = "loops"

    @property
    def inexact_functions(self) -> tuple[str, ...]:
        """Functions that only the device's C library has, with bits of its own."""
        return tuple(function for function in self.functions if function not in FUNCTION_ERRORS)

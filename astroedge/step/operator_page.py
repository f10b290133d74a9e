"""The table of operators as Markdown, for `docs/operators.md`.

    python -m astroedge.step.operator_page

prints it, with nothing installed but NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from astroedge.step.operator_facts import FUNCTION_ERRORS, Gpu, Operator, Rounding, Zeros
from astroedge.step.operator_table import CONSTANT, ROWS

HEADERS = ("operator", "in a step graph", "compiled", "GPU", "bits", "zeros", "error bound")
BITS: dict[Rounding, str] = {
    "exact": "exact",
    "composed": "rounded at each operation",
    "ordered sum": "one order of sums",
}
GPU: dict[Gpu, str] = {
    "loops": "loops",
    "rows": "loops; refused: long rows",
    "library": "own kernel",
    "both": "own kernel; refused: long rows",
}
ZEROS: dict[Zeros, str] = {
    "": "",
    "elementwise": "f(0)",
    "moved": "0 and 1 stay",
    "scaled": "0 stays",
    "beside": "0 and 1 stay",
    "written": "0 and 1 stay",
    "pooled": "0 where all are",
    "reduced": "0 where all are",
    "padded": "0 and 1 stay",
    "resampled": "0 where all are",
    "summed": "0 where all are",
}


def table() -> list[str]:
    """The lines of the table, its header first."""
    lines = [HEADERS, tuple("---" for _ in HEADERS), *(tuple(_cells(row)) for row in ROWS)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cells(row: Operator) -> Iterator[str]:
    """What the table says of one operator, column by column."""
    yield row.name
    if row.refused:
        yield from (f"no: {row.refused}", "", "", "", "", "")
        return
    yield "yes"
    compiled = _compiled(row)
    yield compiled
    if not row.imported:
        yield from ("", "", "", row.bound)
        return
    yield _gpu(row)
    yield _bits(row)
    ones = ", 1 stays" if row.keeps_ones else ""
    yield f"{ZEROS[row.sparsity]}{ones}"
    yield row.bound


def _compiled(row: Operator) -> str:
    if row.inexact_functions:
        return "with `--math fast`"
    if row.limits:
        return f"only {row.limits}"
    return "yes" if row.imported else "no importer"


def _gpu(row: Operator) -> str:
    if row.inexact_functions:
        return "refused: no exact kernel"
    if row.limits == CONSTANT:
        return ""
    return GPU[row.gpu]


def _bits(row: Operator) -> str:
    """How the result is rounded; a function is at most so many units of the last place from its true value."""
    if row.inexact_functions:
        return "the C library's"
    functions = [f"{function} ({FUNCTION_ERRORS[function]:g} ulp)" for function in row.functions]
    rounding = [] if functions and row.rounding == "exact" else [BITS[row.rounding]]
    return ", ".join([*functions, *rounding])


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")

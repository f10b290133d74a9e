"""Determinants of small matrices, by the first row and the minors below it."""

from __future__ import annotations

from itertools import combinations

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, refuse
from astroedge.targets.compiler.expand.forms import reshaped, sliced

LARGEST = 4


def determinant(call: Call, builder: NodeBuilder) -> bool:
    """The determinant of the last two axes: minors of the last row, then of the last two, each computed once."""
    *batch, size, _ = call.shape()
    if not 1 <= size <= LARGEST:
        refuse(call, f"a {size}×{size} matrix (above {LARGEST}×{LARGEST})")
    rows = [sliced(builder, call.input(0), -2, row, row + 1) for row in range(size)]
    elements = [[sliced(builder, row, -1, column, column + 1) for column in range(size)] for row in rows]
    minors: dict[tuple[int, ...], str] = {(column,): element for column, element in enumerate(elements[-1])}
    for row in reversed(elements[:-1]):
        minors = {
            columns: _expanded(builder, row, columns, minors)
            for columns in combinations(range(size), len(next(iter(minors))) + 1)
        }
    reshaped(builder, minors[tuple(range(size))], batch, call.output(0))
    return True


def _expanded(
    builder: NodeBuilder, row: list[str], columns: tuple[int, ...], minors: dict[tuple[int, ...], str]
) -> str:
    """Σ ± row[c] · the minor without c, over `columns`, signs alternating."""
    total = ""
    for place, column in enumerate(columns):
        product = builder.op("Mul", [row[column], minors[(*columns[:place], *columns[place + 1 :])]])
        total = builder.op("Sub" if place % 2 else "Add", [total, product]) if total else product
    return total


RULES: dict[str, Rule] = {"Det": determinant}

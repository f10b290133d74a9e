"""Where the conditions inside assignments change along one axis."""

from __future__ import annotations

import tvm_ffi
from tvm import tirx

from astroedge.targets.schedule.loop_nest import Assignment, Axis, Expression, coefficients, loads_of


def split_points(assignments: list[Assignment], axis: Axis, extent: int) -> set[int]:
    """The values of `axis` at which a comparison of it with constants (or reduced axes) becomes true or false.

    A comparison that also depends on another axis of the result gives none: it is the same for a whole vector.
    """
    points: set[int] = set()
    for item in assignments:
        for left, right, inclusive in _comparisons(item):
            if loads_of(left) or loads_of(right):
                continue  # about data, not about places; the simplifier would take long over it
            # left < right is c·axis + rest < 0; left <= right is c·axis + rest < 1.
            steps = coefficients(left - right, item.all_axes, item.all_extents)
            if steps is None:
                continue
            position = next(index for index, other in enumerate(item.axes) if other.same_as(axis))
            step, constant = steps[position], steps[-1] - inclusive
            others = [value for index, value in enumerate(steps[:-1]) if index != position]
            if step == 0 or any(others[: len(item.axes) - 1]):
                continue
            spans = zip(others[len(item.axes) - 1 :], item.reduced_extents, strict=True)
            reach = [value * (size - 1) for value, size in spans]
            low, high = sum(min(0, span) for span in reach), sum(max(0, span) for span in reach)
            for rest in (constant + low, constant + high):
                points.add(-(rest // step) if step > 0 else rest // -step + 1)
    return {point for point in points if 0 < point < extent}


def _comparisons(item: Assignment) -> list[tuple[Expression, Expression, int]]:
    """(a, b, inclusive) of every a < b (0) or a <= b (1) between integers, and both of them for a == b."""
    found: list[tuple[Expression, Expression, int]] = []

    def note(node: Expression) -> None:
        if not str(node.a.ty.dtype).startswith("int"):
            return
        if isinstance(node, (tirx.LT, tirx.LE)):
            found.append((node.a, node.b, int(isinstance(node, tirx.LE))))
        elif isinstance(node, (tirx.GT, tirx.GE)):
            found.append((node.b, node.a, int(isinstance(node, tirx.GE))))
        else:
            found.extend([(node.a, node.b, 0), (node.a, node.b, 1)])

    kinds = (tirx.LT, tirx.LE, tirx.GT, tirx.GE, tirx.EQ, tirx.NE)
    for _, value in item.stores:
        tvm_ffi.structural_walk(value, (kinds, note))
    return found

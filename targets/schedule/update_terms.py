"""The terms of an element-wise update: what they are made of, and along which axes they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad

from astroedge.targets.exact.fence_products import is_fence
from astroedge.targets.schedule.loop_nest import Assignment, Axis, Buffer, Expression, inline

LARGEST = 300
"""Operations in a test; one that takes more than a few is not worth it."""


class Terms:
    """The expressions at a point of `item`, which is made of what `made` assigns, of `old` and of other arrays.

    `column` is the last axis that has several places, `long` all of them; what is in `stored` never changes.
    """

    def __init__(
        self, item: Assignment, made: Mapping[Buffer, Assignment], old: Buffer, stored: frozenset[Buffer]
    ) -> None:
        self.item, self.made, self.old, self.stored = item, made, old, stored
        self.long = [axis for axis, extent in zip(item.axes, item.extents, strict=True) if extent > 1]
        self.column = self.long[-1]
        self.masks: list[TensorLoad] = []

    def axes_of(self, expression: Expression) -> set[Axis]:
        """The axes of several places that an expression depends on."""
        found: list[Any] = []
        tvm_ffi.structural_walk(expression, (tirx.Var, lambda var: found.append(var)))
        return {axis for axis in self.long if any(axis.same_as(var) for var in found)}

    def is_mask(self, part: Expression) -> bool:
        """Whether it is a stored truth value of each row and column."""
        if not isinstance(part, TensorLoad) or part.source not in self.stored:
            return False
        return self.axes_of(part) == set(self.long[-2:]) and self._in_order(part)

    def _in_order(self, part: TensorLoad) -> bool:
        """Whether its last two indices are the row and the column of an array of so many."""
        places = [item for item in zip(part.indices, map(int, part.source.ty.shape), strict=True) if item[1] > 1]
        indices, extents = [index for index, _ in places], [extent for _, extent in places]
        wanted = [extent for extent in self.item.extents if extent > 1][-2:]
        own = [index.same_as(axis) for index, axis in zip(indices, self.long[-2:], strict=False)]
        return len(indices) == 2 and all(own) and extents == wanted

    def expanded(self, expression: Expression) -> Expression | None:
        """The expression with all that was made for it in it."""
        item = Assignment("test", self.item.axes, self.item.extents, ((self.old, expression),))
        while made := next((self.made[load.source] for load in item.loads if load.source in self.made), None):
            item = inline(item, made)
            if _size(item.stores[0][1]) > LARGEST:
                return None
        return item.stores[0][1]

    def look(self, expression: Expression) -> Expression:
        """The expression itself: what a load of something made stands for, without fences, truth values as such."""
        while True:
            if isinstance(expression, TensorLoad) and expression.source in self.made:
                item = Assignment("value", self.item.axes, self.item.extents, ((self.old, expression),))
                expression = inline(item, self.made[expression.source]).stores[0][1]
            elif is_fence(expression):
                expression = expression.args[1]
            elif (truth := _as_truth(expression)) is not None:
                expression = truth
            else:
                return expression


# What each comparison says of two numbers; guard_floats writes them so that it is False of a NaN.
COMPARISONS: dict[type, Any] = {
    tirx.LT: lambda a, b: a < b,
    tirx.LE: lambda a, b: a <= b,
    tirx.GT: lambda a, b: a > b,
    tirx.GE: lambda a, b: a >= b,
    tirx.EQ: lambda a, b: a == b,
    tirx.NE: lambda a, b: a != b,
}


def _as_truth(expression: Expression) -> Expression | None:
    """The truth value t of `0 < integer(t)`, as TVM writes a condition."""
    if not isinstance(expression, tirx.LT) or not isinstance(expression.a, tirx.IntImm) or int(expression.a) != 0:
        return None
    cast = expression.b
    return cast.value if isinstance(cast, tirx.Cast) and is_truth(cast.value) else None


def opposite(test: Expression) -> Expression:
    """Not the test: TVM would turn the `Not` of a comparison into another one, which a NaN fails as well."""
    return tirx.Select(test, tirx.const(False, "bool"), tirx.const(True, "bool"))


def _size(expression: Expression) -> int:
    found: list[Any] = []
    tvm_ffi.structural_walk(expression, (tvm.ir.Expr, lambda node: found.append(None)))
    return len(found)


def is_float(value: Expression) -> bool:
    """Whether an expression is a float."""
    return "float" in str(value.ty.dtype)


def is_truth(value: Expression) -> bool:
    """Whether an expression is a truth value."""
    return str(value.ty.dtype) == "bool"

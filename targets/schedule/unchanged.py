"""Where an element-wise update provably leaves a state as it is, bit for bit: outside of rows and columns that fired.

A weight matrix W that learns is often written `where(pre[:, None] | post[None, :], changed, W)`: what is not in the row
of a neuron that fired, nor in the column of one, is W. Here that is proved from the expression: the value at a point
is the old one whenever certain *tests* are false, each of which depends on the row alone or on the column alone. A
column is a place along the last axis that has several places, a row one along all the others.

Only choices are followed, and sums of integers. A sum of floats with a zero is no proof: −0.0 + 0.0 is +0.0, 0 times
an infinity is NaN, and a state may be set to anything. Nor is a clip, which changes what was outside its bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad

from astroedge.targets.exact.fence_products import fence
from astroedge.targets.schedule.loop_nest import Assignment, Buffer, Expression, loads_of
from astroedge.targets.schedule.update_terms import COMPARISONS, Terms, is_float, is_truth, opposite

Tests = tuple[Any, ...] | None  # all of which are false where something holds; None if nothing is known to imply it


@dataclass(frozen=True)
class Firing:
    """What has to be true for the value at a point to be another than the old one: one of the tests, and all masks.

    `rows` do not depend on the column; `columns` depend on it, and of the other axes on the first `shared` ones alone.
    `masks` are loads, at the point itself, of stored truth values.
    """

    rows: tuple[Expression, ...]
    columns: tuple[Expression, ...]
    shared: int
    masks: tuple[TensorLoad, ...]


def find_firing(assignments: list[Assignment], old: Buffer, stored: frozenset[Buffer]) -> Firing | None:
    """When the last of `assignments` changes what it reads of `old`; None if that is not known, or always.

    The others are values that it uses; `stored` are arrays that never change.
    """
    item = assignments[-1]
    proof = _Proof(item, {other.stores[0][0]: other for other in assignments[:-1]}, old, stored)
    tests = proof.keeps(item.stores[0][1], outermost=True)
    if not tests:
        return None
    columns = [test for test in tests if proof.column in proof.axes_of(test)]
    rows = [test for test in tests if proof.column not in proof.axes_of(test)]
    used = {axis for test in columns for axis in proof.axes_of(test)} - {proof.column}
    shared = max((proof.long.index(axis) + 1 for axis in used), default=0)
    if columns and shared >= len(proof.long) - 1:
        return None
    return Firing(_distinct(rows), _distinct(columns), shared, tuple(proof.masks))


def _distinct(tests: list[Expression]) -> tuple[Expression, ...]:
    """Each test once."""
    kept: list[Expression] = []
    for test in tests:
        if not any(tvm_ffi.structural_equal(test, other) for other in kept):
            kept.append(test)
    return tuple(kept)


class _Proof(Terms):
    """Searches for tests whose being false implies what is asked of an expression at a point of `item`."""

    def keeps(self, value: Expression, outermost: bool = False) -> Tests:
        """The value is the old one, at all points that the `masks` of the `outermost` choice do not rule out."""
        value = self.look(value)
        if isinstance(value, TensorLoad):
            return () if value.source.same_as(self.old) and self.item.is_own_point(value) else None
        if isinstance(value, tirx.Select):
            kept = self.keeps(value.false_value)
            if kept is not None:
                holds = self._masked if outermost and not kept else self._false
                return _both(holds(value.condition), kept)
            return _both(self._true(value.condition), self.keeps(value.true_value))
        if isinstance(value, tirx.Add | tirx.Sub) and not is_float(value):
            kept = _both(self.keeps(value.a), self._zero(value.b))
            swapped = isinstance(value, tirx.Add) and kept is None
            return _both(self.keeps(value.b), self._zero(value.a)) if swapped else kept
        return None

    def _masked(self, condition: Expression) -> Tests:
        """The condition is false, or a stored mask that it holds is."""
        parts = list(self._conjuncts(condition))
        masks = [part for part in parts if self.is_mask(part)]
        rest = [part for part in parts if not self.is_mask(part)]
        if not rest:
            return None
        tests = self._false(rest[0])
        for part in rest[1:]:
            tests = self._any_false(tests, self._false(part))
        self.masks += masks if tests is not None else []
        return tests

    def _conjuncts(self, condition: Expression) -> Iterator[Expression]:
        condition = self.look(condition)
        if isinstance(condition, tirx.And):
            yield from self._conjuncts(condition.a)
            yield from self._conjuncts(condition.b)
        else:
            yield condition

    def _false(self, condition: Expression) -> Tests:
        """A truth value is false."""
        condition = self.look(condition)
        if isinstance(condition, tirx.IntImm):
            return None if int(condition) else ()
        test = self._test(condition)
        if test is not None:
            return (test,)
        if isinstance(condition, tirx.Or):
            return _both(self._false(condition.a), self._false(condition.b))
        if isinstance(condition, tirx.And):
            return self._any_false(self._false(condition.a), self._false(condition.b))
        if isinstance(condition, tirx.Not):
            return self._true(condition.a)
        if isinstance(condition, tirx.Select):
            return self._chosen(condition, self._false)
        return self._compared(condition, truth=False)

    def _true(self, condition: Expression) -> Tests:
        """A truth value is true."""
        condition = self.look(condition)
        if isinstance(condition, tirx.IntImm):
            return () if int(condition) else None
        test = self._test(condition)
        if test is not None:
            return (opposite(test),)
        if isinstance(condition, tirx.And):
            return _both(self._true(condition.a), self._true(condition.b))
        if isinstance(condition, tirx.Or):
            return self._any_false(self._true(condition.a), self._true(condition.b))
        if isinstance(condition, tirx.Not):
            return self._false(condition.a)
        if isinstance(condition, tirx.Select):
            return self._chosen(condition, self._true)
        return self._compared(condition, truth=True)

    def _compared(self, condition: Expression, *, truth: bool) -> Tests:
        """A comparison with a number comes out so where what is compared is 0."""
        holds = COMPARISONS.get(type(condition))
        if holds is None:
            return None
        left, right = (self.look(operand) for operand in (condition.a, condition.b))
        number = next((side for side in (left, right) if isinstance(side, tirx.FloatImm | tirx.IntImm)), None)
        if number is None or number.value != number.value:
            return None
        value, sides = (right, (number.value, 0)) if number is left else (left, (0, number.value))
        if holds(*sides) is not truth:
            return None
        # A comparison with a NaN is false, as guard_floats writes them.
        return self._zero(value, or_nan=not truth)

    def _zero(self, value: Expression, or_nan: bool = False) -> Tests:
        """A number is 0 with either sign; or NaN where that does as well."""
        value = self.look(value)
        if isinstance(value, tirx.FloatImm | tirx.IntImm):
            return () if value.value == 0 else None
        if is_truth(value):
            return self._false(value)
        if isinstance(value, tirx.Cast) and is_truth(value.value):
            return self._false(value.value)
        test = self._test(value)
        if test is not None:
            hidden = fence(test) if is_float(test) else test
            return (opposite(tirx.EQ(hidden, tirx.const(0, test.ty.dtype))),)
        if isinstance(value, tirx.Cast):
            return self._zero(value.value, or_nan and is_float(value))
        if isinstance(value, tirx.Select):
            return self._chosen(value, lambda part: self._zero(part, or_nan))
        if isinstance(value, tirx.Mul):
            a, b = self._zero(value.a, or_nan), self._zero(value.b, or_nan)
            bounded = or_nan or not is_float(value)
            return self._any_false(
                a if bounded or self._is_bounded(value.b) else None, b if bounded or self._is_bounded(value.a) else None
            )
        if isinstance(value, tirx.Add | tirx.Sub | tirx.Max | tirx.Min):
            return _both(self._zero(value.a, or_nan), self._zero(value.b, or_nan))
        return None

    def _is_bounded(self, value: Expression) -> bool:
        """Whether a float is a truth value, and so never infinite."""
        value = self.look(value)
        return isinstance(value, tirx.Cast) and is_truth(value.value)

    def _chosen(self, choice: tirx.Select, proves: Any) -> Tests:
        """What `proves` proves of one side of a choice holds for the choice."""
        first, second = proves(choice.true_value), proves(choice.false_value)
        if (both := _both(first, second)) is not None:
            return both  # and not by the condition: that b == b is false would do, for one, where this writes a maximum
        options = (_both(first, self._true(choice.condition)), _both(second, self._false(choice.condition)))
        return self._least([option for option in options if option is not None])

    def _any_false(self, first: Tests, second: Tests) -> Tests:
        """One of two is enough. A test of a whole stream, or of stored numbers, narrows down what the other tests."""
        if first is None or second is None:
            return second if first is None else first
        for gate, others in ((first, second), (second, first)):
            if len(gate) == 1 and self._is_gate(gate[0]):
                narrow = not self.axes_of(gate[0])
                return tuple(
                    tirx.And(gate[0], test) if narrow or self.column not in self.axes_of(test) else test
                    for test in others
                )
        return self._least([first, second])

    def _is_gate(self, test: Expression) -> bool:
        stored = all(load.source in self.stored for load in loads_of(test))
        return not self.axes_of(test) or (stored and self.column not in self.axes_of(test))

    def _least(self, options: list[tuple[Any, ...]]) -> Tests:
        """The tests with the fewest columns among them: a row is walked faster than a column."""
        return min(options, key=lambda tests: (self._columns_in(tests), len(tests)), default=None)

    def _columns_in(self, tests: tuple[Any, ...]) -> int:
        return sum(self.column in self.axes_of(test) for test in tests)

    def _test(self, expression: Expression) -> Expression | None:
        """The expression, in terms of what the function reads, if it can be found once for a row or for a column."""
        whole = self.expanded(expression)
        if whole is None or not (used := self.axes_of(whole)) <= set(self.long):
            return None
        if self.column in used and len(used) == len(self.long):
            return None
        return whole if loads_of(whole) else None


def _both(first: Tests, second: Tests) -> Tests:
    return None if first is None or second is None else (*first, *second)

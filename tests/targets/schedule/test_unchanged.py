"""What has to fire for an element-wise update to change a state is found from its expression, or nothing is claimed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tvm import te, tirx, topi

from astroedge.targets.schedule.unchanged import Firing, find_firing
from astroedge.targets.schedule.vectorize import merged_assignments

ROWS, COLUMNS = 12, 40
Value = Any


def _found(update: Callable[..., Value], kinds: tuple[str, ...] = ("float32", "float32")) -> Firing | None:
    """What is found of `update(W, row, column)`, with a row's and a column's number of these types."""
    W = te.placeholder((ROWS, COLUMNS), "float32", "W")
    row, column = te.placeholder((ROWS, 1), kinds[0], "row"), te.placeholder((COLUMNS,), kinds[1], "column")
    function = te.create_prim_func([W, row, column, update(W, row, column)])
    return find_firing(merged_assignments(function), function.params[0], frozenset())


def _number(value: float) -> Value:
    return tirx.const(value, "float32")


def _where(condition: Value, W: Value) -> Value:
    return topi.where(condition, topi.add(W, _number(1)), W)


def _above(value: Value, bound: float = 0.0) -> Value:
    return topi.greater(value, _number(bound))


@pytest.mark.parametrize(
    ("update", "rows", "columns"),
    [
        (lambda W, row, column: _where(topi.logical_or(_above(row), _above(column)), W), 1, 1),
        (lambda W, row, column: _where(topi.logical_and(_above(row), _above(column)), W), 1, 0),
        (lambda W, row, column: _where(_above(topi.add(row, column)), W), 1, 1),
        (lambda W, row, column: _where(_above(topi.multiply(row, column)), W), 1, 0),
        (lambda W, row, column: _where(topi.not_equal(topi.maximum(row, column), _number(0)), W), 1, 1),
        (lambda W, row, column: _where(topi.greater_equal(topi.add(row, column), _number(1)), W), 1, 1),
        (lambda W, row, column: topi.where(topi.equal(topi.add(row, column), _number(0)), W, topi.negative(W)), 1, 1),
        (lambda W, row, column: _where(topi.greater(_number(-1), topi.subtract(row, column)), W), 1, 1),
    ],
)
def test_tests_of_rows_and_columns_are_found(update: Callable[..., Value], rows: int, columns: int) -> None:
    """An or needs both silent, an and or a product one; sums, extremes and either side of a choice are followed."""
    found = _found(update)
    assert found is not None
    assert (len(found.rows), len(found.columns)) == (rows, columns)


@pytest.mark.parametrize(
    "update",
    [
        # −0.0 + 0.0 is +0.0, and 0 times an infinity is NaN.
        lambda W, row, column: topi.add(W, topi.multiply(row, column)),
        lambda W, row, column: topi.clip(W, -1, 1),
        lambda W, row, column: topi.multiply(W, topi.add(row, column)),
        # True where nothing fires, or where a NaN does: a product of 0 and an infinity is not 0.
        lambda W, row, column: _where(topi.greater(topi.add(row, column), _number(-1)), W),
        lambda W, row, column: _where(topi.not_equal(topi.multiply(row, column), _number(0)), W),
        lambda W, row, column: topi.where(_above(topi.add(row, column)), W, topi.negative(W)),
        # A test of every point, and a choice that changes both ways.
        lambda W, row, column: _where(_above(topi.add(W, row)), W),
        lambda W, row, column: topi.where(_above(row), topi.add(W, row), topi.negative(W)),
        lambda W, row, column: topi.where(_above(row), topi.add(W, row), topi.flip(W, 0)),
    ],
)
def test_what_may_change_in_silence_is_not_claimed(update: Callable[..., Value]) -> None:
    """Sums of floats, clips, comparisons that hold at 0 or may see a NaN, and other points prove nothing."""
    assert _found(update) is None


def test_a_product_with_a_truth_value_is_zero_where_that_is_false() -> None:
    """A Boolean as a number is finite: then a product that is not 0 needs it, in integers any factor."""
    kept = lambda W, row, column: _where(  # noqa: E731
        topi.not_equal(topi.multiply(topi.cast(row, "float32"), topi.cast(column, "float32")), _number(0)), W
    )
    found = _found(kept, ("bool", "bool"))
    assert found is not None
    assert (len(found.rows), len(found.columns)) == (1, 0)
    assert _found(kept) is None

"""A vector loop is cut exactly where a condition on its axis changes."""

from __future__ import annotations

import pytest
from tvm import te, tirx, topi

from astroedge.targets.schedule.loop_nest import inline, read_assignments
from astroedge.targets.schedule.split_points import split_points
from tests.support.kernels.harness import operator


def _points(source: te.Tensor, result: te.Tensor) -> list[int]:
    item = read_assignments(operator([source], [result]))[-1]
    return sorted(split_points([item], item.axes[-1], item.extents[-1]))


@pytest.fixture
def x() -> te.Tensor:
    """A matrix of 4 × 20."""
    return te.placeholder((4, 20), "float32", name="x")


def test_concatenation_changes_at_the_seam(x: te.Tensor) -> None:
    """Two operands of 20 columns meet at column 20."""
    assert _points(x, topi.concatenate([x, x], 1)) == [20]


def test_padding_changes_at_both_ends(x: te.Tensor) -> None:
    """One column before and two behind."""
    assert _points(x, topi.nn.pad(x, [0, 1], [0, 2])) == [1, 21]


def test_a_condition_on_another_axis_cuts_nothing(x: te.Tensor) -> None:
    """Rows joined along the first axis are whole vectors; a triangle has no fixed seam."""
    assert _points(x, topi.concatenate([x, x], 0)) == []
    assert _points(x, topi.trilu(x, tirx.const(0, "int32"), True)) == []


@pytest.mark.parametrize(
    ("condition", "cuts"),
    [
        (lambda i: i < 7, [7]),
        (lambda i: i <= 7, [8]),
        (lambda i: i > 7, [8]),
        (lambda i: 7 - i > 0, [7]),
        (lambda i: i * 2 < 7, [4]),
        (lambda i: 9 - i * 3 >= 0, [4]),
        (lambda i: tirx.EQ(i, 7), [7, 8]),
        (lambda i: i < 30, []),
    ],
)
def test_every_comparison_is_cut_where_it_flips(condition: object, cuts: list[int], x: te.Tensor) -> None:
    """Strict or not, either side, with any step."""
    zero = tirx.const(0.0, "float32")
    result = te.compute((4, 20), lambda i, j: tirx.if_then_else(condition(j), x[i, j], zero))  # type: ignore[operator]
    assert _points(x, result) == cuts


def test_a_window_over_padding_leaves_the_inside_free() -> None:
    """A convolution of 3 over one padded column: inside, no position of the window is outside."""
    image = te.placeholder((1, 1, 1, 8), "float32", name="image")
    weights = te.placeholder((1, 1, 1, 3), "float32", name="weights")
    padded, product = read_assignments(
        operator([image, weights], [topi.nn.conv2d(image, weights, 1, (0, 1), 1, "NCHW")])
    )
    window = inline(product, padded)
    points = split_points([window], window.axes[-1], 8)
    assert {1, 7} <= points
    assert not any(1 < point < 7 for point in points)

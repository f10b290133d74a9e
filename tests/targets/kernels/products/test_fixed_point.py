"""Inputs in fixed point are the nearest integers, and say by how much they were multiplied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.kernels.products.fixed_point import PLANES, blocks
from tests.support.kernels import reference_order
from tests.support.kernels.harness import RUNNABLE, same_bits
from tests.support.kernels.products import planes_of


def _integers(planes: np.ndarray, batch: int, size: int) -> np.ndarray:
    """X [batch, size] put together from both planes."""
    halves = planes.view(np.int16).reshape(batch, PLANES, -1).astype(np.int64)
    assert halves[:, 1].min(initial=0) >= 0
    assert not halves[:, :, size:].any()
    return (halves[:, 0] * 2**15 + halves[:, 1])[:, :size]


@settings(max_examples=30, deadline=None)
@given(
    size=st.one_of(st.integers(1, 40), st.integers(250, 270), st.integers(500, 800)),
    batch=st.integers(1, 3),
    exponent=st.sampled_from([-149, -126, -60, 0, 60, 127]),
    target=st.sampled_from(RUNNABLE),
    seed=st.integers(0, 99),
)
def test_every_input_becomes_the_nearest_integer(
    size: int, batch: int, exponent: int, target: dict[str, object], seed: int
) -> None:
    """X is x times a power of two, rounded to even, for any size, magnitude and target; the factor undoes it."""
    rng = np.random.default_rng(seed)
    mantissas = rng.uniform(-1, 1, (batch, size)) * 2.0 ** rng.integers(-30, 1, (batch, size))
    x = np.ldexp(mantissas, exponent).astype(np.float32)
    planes, factors = planes_of(x, target)
    expected = [reference_order.fixed_point(row) for row in x]
    assert np.array_equal(_integers(planes, batch, size), np.stack([integers for integers, _ in expected]))
    assert same_bits(factors.reshape(batch, -1), np.stack([row for _, row in expected]))


@pytest.mark.parametrize(("rows", "cut"), [(1, [(0, 1)]), (256, [(0, 256)]), (600, [(0, 256), (256, 512), (512, 600)])])
def test_blocks_cover_the_inputs_once(rows: int, cut: list[tuple[int, int]]) -> None:
    """256 inputs a block, the last one shorter."""
    assert blocks(rows) == cut


def test_the_largest_input_keeps_all_its_bits() -> None:
    """30 bits hold a float32, and those of inputs 64 times smaller."""
    x = np.array([[np.nextafter(np.float32(2), np.float32(0)), 1 / 64 + 2.0**-29, -1.0]], np.float32)
    planes, factors = planes_of(x)
    assert np.array_equal(_integers(planes, 1, 3).astype(np.float64) * factors[0], x.astype(np.float64))


def test_truth_values_are_zero_and_one() -> None:
    """A bool tensor is taken as it lies."""
    x = np.array([[True, False, True]])
    planes, factors = planes_of(x)
    assert (_integers(planes, 1, 3) * factors[0]).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_block_with_a_number_that_is_not_finite_has_no_factor(value: float) -> None:
    """Its factor is NaN, so that every result is; the other blocks have theirs."""
    x = np.ones((1, 600), np.float32)
    x[0, 300] = value
    assert np.isnan(planes_of(x)[1]).tolist() == [False, True, False]

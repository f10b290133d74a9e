"""Stored weights: exact products, bounded error, the documented layout."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.weight_format import GROUP, LARGEST, PRECISIONS, Precision, store

WEIGHTS = np.random.default_rng(0).normal(size=(200, 37)).astype(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_dequantised_matrix_is_stored_without_loss(precision: Precision) -> None:
    """Every product scale * q is exact in float32: float64 gives the same number."""
    stored = store(WEIGHTS, precision)
    exact = stored.values.astype(np.float64)
    if stored.scales is not None:
        rows = np.arange(len(WEIGHTS)) // (GROUP if precision == "int4" else len(WEIGHTS))
        exact = exact * stored.scales.astype(np.float64)[rows]
    assert np.array_equal(stored.dequantise().astype(np.float64), exact)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_the_error_is_at_most_half_a_step_where_nothing_is_clipped(precision: Precision) -> None:
    """A weight differs by half of its scale at most, but for int4 weights that a smaller scale clips."""
    stored = store(WEIGHTS, precision)
    assert stored.scales is not None
    assert np.abs(stored.values).max() == LARGEST[precision]
    rows = np.arange(len(WEIGHTS)) // (GROUP if precision == "int4" else len(WEIGHTS))
    inside = np.abs(stored.values) < LARGEST[precision]
    error = np.abs(stored.dequantise() - WEIGHTS)
    assert np.all(error[inside] <= 0.5001 * stored.scales[rows][inside])


def test_scales_are_by_column_for_int8_and_by_group_of_inputs_for_int4() -> None:
    """200 rows give one row of scales in int8 and four in int4, the last for eight inputs."""
    assert store(WEIGHTS, "int8").scales.shape == (1, 37)  # type: ignore[union-attr]
    assert store(WEIGHTS, "int4").scales.shape == (4, 37)  # type: ignore[union-attr]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_column_of_zeros_stays_zero(precision: Precision) -> None:
    """A silent column has a finite scale and dequantises to zeros."""
    weights = WEIGHTS.copy()
    weights[:, 3] = 0
    stored = store(weights, precision)
    assert np.all(stored.dequantise()[:, 3] == 0)


def test_int4_scales_are_no_worse_than_the_plain_ones() -> None:
    """The chosen scale has no larger squared error than one that maps the largest weight of a group to 7."""
    stored = store(WEIGHTS[:GROUP], "int4")
    peak = np.abs(WEIGHTS[:GROUP]).max(axis=0) / 7
    plain = np.clip(np.rint(WEIGHTS[:GROUP] / peak), -7, 7) * peak
    assert np.square(stored.dequantise() - WEIGHTS[:GROUP]).sum() <= np.square(plain - WEIGHTS[:GROUP]).sum()

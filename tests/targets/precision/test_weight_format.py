"""Stored weights: exact products, bounded error, the documented layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from astroedge.targets.precision.short_scales import short_scales, sums_are_exact
from astroedge.targets.precision.storage import GROUP, INT4, INT8, STORAGES, Storage
from astroedge.targets.precision.weight_format import StoredMatrix, store

WEIGHTS = np.random.default_rng(0).normal(size=(200, 37)).astype(np.float32)


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_the_dequantised_matrix_is_stored_without_loss(storage: Storage) -> None:
    """Every product scale * q is exact in float32: float64 gives the same number."""
    stored = store(WEIGHTS, storage)
    exact = stored.values.astype(np.float64)
    if stored.scales is not None:
        rows = np.arange(len(WEIGHTS)) // (GROUP if storage is INT4 else len(WEIGHTS))
        exact = exact * stored.scales.astype(np.float64)[rows]
    assert np.array_equal(stored.dequantise().astype(np.float64), exact)


@pytest.mark.parametrize("storage", [INT8, INT4], ids=["int8", "int4"])
def test_the_error_is_at_most_half_a_step_where_nothing_is_clipped(storage: Storage) -> None:
    """A weight differs by half of its scale at most, but for int4 weights that a smaller scale clips."""
    stored = store(WEIGHTS, storage)
    assert stored.scales is not None
    lowest = -storage.largest if storage is INT8 else storage.lowest
    assert (stored.values.min(), stored.values.max()) == (lowest, storage.largest)
    rows = np.arange(len(WEIGHTS)) // (GROUP if storage is INT4 else len(WEIGHTS))
    inside = (stored.values > storage.lowest) & (stored.values < storage.largest)
    error = np.abs(stored.dequantise() - WEIGHTS)
    assert np.all(error[inside] <= 0.5001 * np.abs(stored.scales[rows][inside]))


def test_scales_are_by_column_for_int8_and_by_group_of_inputs_for_int4() -> None:
    """200 rows give one row of scales in int8 and four in int4, the last for eight inputs."""
    assert store(WEIGHTS, INT8).scales.shape == (1, 37)  # type: ignore[union-attr]
    assert store(WEIGHTS, INT4).scales.shape == (4, 37)  # type: ignore[union-attr]


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_a_column_of_zeros_stays_zero(storage: Storage) -> None:
    """A silent column has a finite scale and dequantises to zeros."""
    weights = WEIGHTS.copy()
    weights[:, 3] = 0
    stored = store(weights, storage)
    assert np.all(stored.dequantise()[:, 3] == 0)


def test_int4_scales_are_no_worse_than_the_plain_ones() -> None:
    """The chosen scale has a fifth less squared error than one that maps the largest weight of a group to 7."""
    stored = store(WEIGHTS[:GROUP], INT4)
    peak = np.abs(WEIGHTS[:GROUP]).max(axis=0) / 7
    plain = np.clip(np.rint(WEIGHTS[:GROUP] / peak), -7, 7) * peak
    assert np.square(stored.dequantise() - WEIGHTS[:GROUP]).sum() < 0.8 * np.square(plain - WEIGHTS[:GROUP]).sum()


@pytest.mark.parametrize("sign", [1, -1])
def test_an_int4_weight_larger_than_all_others_is_minus_eight_of_its_scale(sign: int) -> None:
    """The sixteenth number is used for either sign: 8, 7 and −7 halves have no other scale without error."""
    weights = sign * np.array([[4.0], [3.5], [-3.5], [0.0]], np.float32)
    stored = store(weights, INT4)
    assert stored.scales is not None
    assert (stored.values.ravel().tolist(), stored.scales.item()) == ([-8, -7, 7, 0], -0.5 * sign)


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@given(
    weights=arrays(
        np.float32,
        st.tuples(st.integers(1, GROUP + 3), st.integers(1, 3)),
        elements=st.one_of(
            st.sampled_from([0.0, -0.0, 1.0, -1.0, 7.0, -8.0, 2.0**-126, -(2.0**-149), 6e4]),
            st.floats(-4, 4, width=32, allow_subnormal=True),
        ),
    )
)
def test_what_a_stored_matrix_stands_for_is_stored_as_that_matrix(
    storage: Storage, weights: NDArray[np.float32]
) -> None:
    """Storing is idempotent to the bit, but that an int4 group may get another of the scales that give its weights."""
    once = store(weights, storage)
    again = store(once.dequantise(), storage)
    assert np.array_equal(again.dequantise(), once.dequantise())
    if storage is INT4:
        return
    assert again.values.tobytes() == once.values.tobytes()
    if once.scales is not None and again.scales is not None:
        assert again.scales.tobytes() == once.scales.tobytes()


@given(st.integers(2, 3 * GROUP + 3), st.integers(0, 99))
def test_the_scales_of_an_int4_column_are_multiples_of_a_unit(rows: int, seed: int) -> None:
    """Whatever the shape: an int8 and the column's unit give each scale exactly, those of zeros aside."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([0, 1e-3, 1, 50], (4, 5)).repeat(GROUP, axis=0)[:rows]
    sizes[:2] = 1  # on no grid
    stored = store((rng.standard_normal((rows, 5)) * sizes).astype(np.float32), INT4)
    short = short_scales(stored)
    assert short is not None
    fires = np.stack([part.any(axis=0) for part in np.split(stored.values, range(GROUP, rows, GROUP))])
    assert np.array_equal(np.where(fires, short[0] * short[1], 0), np.where(fires, stored.scales, 0))


@given(st.integers(2, 4000), st.integers(0, 99), st.sampled_from([1e-30, 1e-3, 1.0, 1e30]))
def test_scaled_sums_of_an_int4_column_are_float32_numbers(rows: int, seed: int, size: float) -> None:
    """Of weights on no grid, whatever fires: all partial sums of groups, in float64, are what float32 makes of them."""
    rng = np.random.default_rng(seed)
    stored = store((size * rng.standard_normal((rows, 3))).astype(np.float32), INT4)
    short = short_scales(stored)
    assert stored.scales is not None
    assert short is not None
    assert sums_are_exact(stored, *short)
    fires = rng.random(rows) < rng.random()
    values = stored.values * fires[:, None]
    groups = np.stack([values[start : start + GROUP].sum(axis=0) for start in range(0, rows, GROUP)])
    sums = np.cumsum(stored.scales.astype(np.float64) * groups, axis=0)
    assert np.array_equal(sums, sums.astype(np.float32))


@pytest.mark.parametrize(
    ("values", "scale", "exact"),
    [
        ([7, 7], 2.0**20, True),
        ([1] * 64, (2**24 - 1) / 2**10, False),  # of 24 bits: twice that is a float32, three times is not
        ([7] * 64, 2.0**125, False),  # beyond the largest float32
    ],
    ids=["one-bit", "many-bits", "overflow"],
)
def test_sums_are_exact_where_float32_holds_the_largest(values: list[int], scale: float, exact: bool) -> None:
    """What can fire together decides, not what does."""
    stored = StoredMatrix(INT4, np.array(values, np.int8)[:, None], np.array([[scale]], np.float32))
    short = short_scales(stored)
    assert short is not None
    assert sums_are_exact(stored, *short) is exact


@pytest.mark.parametrize(
    ("values", "scale", "unit", "exact"),
    [
        ([-8] * 64, 64, 511, True),  # 2^15 times so much
        ([-8] * 64, 64, 513, False),
        ([-8] * 64, -64, 513, False),
        ([7] * 64, 127, 293, True),
        ([7] * 64, 127, 295, False),
        ([7, -7] * 32, 127, 593, False),  # which add up to 0 only if all fire
        ([1] * 64, 1, 2.0**-130, False),  # which some processors flush to 0
    ],
)
def test_the_largest_sum_decides(values: list[int], scale: int, unit: float, exact: bool) -> None:
    """That of all positive numbers, or of all negative ones, times the unit: at most 2^24 times a power of two."""
    stored = StoredMatrix(INT4, np.array(values, np.int8)[:, None], np.array([[scale * unit]], np.float32))
    short = np.array([[scale]], np.int8), np.array([unit], np.float32)
    assert sums_are_exact(stored, *short) is exact


def test_scales_of_a_grid_are_kept_though_they_are_no_multiples() -> None:
    """Weights that were trained on grids of any scales stay as they are, and there are no short scales."""
    rng = np.random.default_rng(5)
    scales = rng.uniform(0.1, 1, (3, 4)).astype(np.float32).repeat(GROUP, axis=0)
    weights = rng.integers(-8, 8, (3 * GROUP, 4)).astype(np.float32) * scales
    stored = store(weights, INT4)
    assert np.array_equal(stored.dequantise(), weights)
    assert short_scales(stored) is None

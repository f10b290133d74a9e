"""The list of active inputs: ascending, complete, cut into groups of 64, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.kernels.products.active_list import active_list, bounds_size
from tests.support.kernels.harness import run


def _list(x: np.ndarray, compress: bool, counter: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    batch, size = x.shape
    outputs = [np.full(batch * size, -1, np.int32), np.full(batch * bounds_size(size), -1, np.int32)]
    func = active_list(size, str(x.dtype), batch, compress)
    indices, bounds, count = run(func, [x.ravel()], [*outputs, np.array([counter], np.int64)])
    return indices.reshape(batch, size), bounds.reshape(batch, -1), int(count[0])


@settings(max_examples=20, deadline=None)
@given(
    size=st.one_of(st.integers(1, 40), st.integers(250, 270), st.integers(500, 1100)),
    batch=st.integers(1, 3),
    rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    dtype=st.sampled_from(["bool", "uint8", "int8", "float32"]),
    compress=st.booleans(),
    seed=st.integers(0, 99),
)
def test_lists_every_active_input_of_every_row(
    size: int, batch: int, rate: float, dtype: str, compress: bool, seed: int
) -> None:
    """For each row, bounds[g] active indices lie below 64·g, and the counter grows."""
    x = (np.random.default_rng(seed).random((batch, size)) < rate).astype(dtype)
    indices, bounds, count = _list(x, compress, counter=5)
    assert count == 5 + np.count_nonzero(x)
    for row in range(batch):
        active = np.flatnonzero(x[row])
        assert indices[row, : len(active)].tolist() == active.tolist()
        edges = [np.count_nonzero(active < 64 * group) for group in range(bounds_size(size))]
        assert bounds[row].tolist() == edges


@pytest.mark.parametrize("compress", [False, True])
def test_minus_zero_is_silent_and_nan_is_not(compress: bool) -> None:
    """−0.0 is zero; a NaN must not vanish."""
    indices, bounds, _ = _list(np.array([[0.0, -0.0, np.nan, 1e-45, -2.0]], np.float32), compress)
    assert indices[0, : bounds[0, -1]].tolist() == [2, 3, 4]


@pytest.mark.parametrize(("size", "bounds"), [(1, 2), (64, 2), (65, 3), (4096, 65)])
def test_bounds_has_one_entry_more_than_groups(size: int, bounds: int) -> None:
    """Where each group of 64 begins, and where the last one ends."""
    assert bounds_size(size) == bounds

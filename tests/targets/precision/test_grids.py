"""Weights on a grid are recognised, and stored without loss."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.precision.grids import grid_scales
from astroedge.targets.precision.storage import INT4, INT8, Storage
from astroedge.targets.precision.weight_format import store

RNG = np.random.default_rng(0)


def on_grid(storage: Storage, lowest: int, largest: int, rows: int = 200) -> np.ndarray:
    """Integers times a scale of 24 bits for each column and group, each product rounded once."""
    scales = RNG.uniform(0.01, 0.02, (storage.scale_rows(rows), 7)).astype(np.float32)
    integers = RNG.integers(lowest, largest + 1, (rows, 7)).astype(np.float32)
    weights: np.ndarray = integers * np.repeat(scales, storage.group_rows(rows), axis=0)[:rows]
    return weights


@pytest.mark.parametrize(
    ("storage", "lowest", "largest"),
    [(INT8, -127, 127), (INT8, -128, 127), (INT8, -7, 7), (INT8, -1, 1), (INT4, -7, 7), (INT4, -8, 7), (INT4, -1, 1)],
)
def test_weights_on_a_grid_keep_every_bit(storage: Storage, lowest: int, largest: int) -> None:
    """What the stored integers and scales stand for are the weights, whichever part of the range they use."""
    weights = on_grid(storage, lowest, largest)
    assert np.array_equal(store(weights, storage).dequantise(), weights)


def test_a_weight_beside_the_grid_is_found() -> None:
    """One weight that is off by its last bit, far down its column, leaves the column without a grid."""
    weights = on_grid(INT8, -127, 127)
    weights[150, 3] = np.nextafter(weights[150, 3], np.float32(1))
    assert grid_scales(weights, -128, 127)[1].tolist() == [True] * 3 + [False] + [True] * 3


def test_a_grid_finer_than_the_range_is_rounded() -> None:
    """Multiples of one scale up to 300 do not fit eight bits."""
    weights = (np.arange(-300, 301) * np.float32(0.01)).reshape(-1, 1).astype(np.float32)
    assert not grid_scales(weights, -128, 127)[1].any()
    assert not np.array_equal(store(weights, INT8).dequantise(), weights)


def test_columns_of_zeros_and_of_the_smallest_numbers_have_a_scale() -> None:
    """Zeros have the scale 1, and a denormal is once itself."""
    weights = np.float32([[0, 2.0**-149], [0, -(2.0**-149)]])
    scales, found = grid_scales(weights, -128, 127)
    assert found.all()
    assert scales[0] == 1
    assert np.array_equal(store(weights, INT8).dequantise(), weights)

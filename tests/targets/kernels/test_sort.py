"""The best elements come in order, equal ones as they stand, whatever the elements are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from astroedge.targets.kernels.sort import COUNTED, key_dtype, scratch_sizes, top_k
from tests.support.kernels.harness import NATIVE, OLDEST, run

EXTREMES = np.array([np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -1e-45, 0.0, -0.0, 1.0, -1.0, np.nan], np.float32)
Array = NDArray[Any]


def best(row: Array, count: int, largest: bool) -> Array:
    """The places of the best elements by Python's stable sort; a NaN is larger than every number."""
    sign = -1 if largest else 1

    def rank(place: int) -> tuple[int, float]:
        value = float(row[place])
        return (sign, 0.0) if np.isnan(value) else (0, sign * value)

    return np.array(sorted(range(len(row)), key=rank)[:count])


@pytest.mark.parametrize(
    ("width", "count", "largest", "dtype", "target"),
    [
        (37, 37, True, "float32", NATIVE),
        (37, 5, False, "float32", OLDEST),
        (200, COUNTED, True, "float32", NATIVE),
        (200, COUNTED + 1, True, "float32", OLDEST),
        (150, 150, False, "float32", NATIVE),
        (90, 70, True, "int64", NATIVE),
        (40, 3, False, "uint8", NATIVE),
        (33, 8, True, "int8", NATIVE),
        (33, 33, False, "float16", NATIVE),
    ],
)
def test_the_best_come_in_order(width: int, count: int, largest: bool, dtype: str, target: dict[str, Any]) -> None:
    """Counted or sorted byte by byte, all or some: rows of few values with ties, extremes and NaNs among them."""
    rng = np.random.default_rng(width + count)
    x = rng.choice(EXTREMES, (3, width)) if dtype == "float32" else rng.integers(0, 99, (3, width)).astype(dtype)
    if dtype == "int64":
        x[:, ::3] = rng.choice(np.array([2**62, -(2**63), 2**40 + 1, -1]), x[:, ::3].shape)
    keys, places = scratch_sizes(width, count)
    outputs = [
        np.zeros(3 * count, dtype),
        np.zeros(3 * count, np.int64),
        np.zeros(keys, key_dtype(dtype)),
        np.zeros(places, np.int32),
    ]
    values, indices = run(top_k(3, width, count, largest, dtype), [x.ravel()], outputs, target)[:2]
    wanted = np.stack([best(row, count, largest) for row in x])
    np.testing.assert_array_equal(indices.reshape(3, count), wanted)
    np.testing.assert_array_equal(values.reshape(3, count), np.take_along_axis(x, wanted, 1))

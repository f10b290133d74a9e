"""What every element computes by itself has the bits of the kernels that do one thing after the other."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.kernels.by_element import (
    scatter_elements_by_element,
    scatter_slices_by_element,
    top_k_by_element,
)
from astroedge.targets.kernels.scatter import scatter_elements, scatter_slices
from astroedge.targets.kernels.sort import key_dtype, scratch_sizes, top_k
from tests.support.kernels.harness import run

RNG = np.random.default_rng(6)
EXTREMES = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, 2.0, -1.0], np.float32)


@pytest.mark.parametrize(("count", "largest", "dtype"), [(5, True, "float32"), (37, False, "int64")])
def test_the_best_come_in_the_same_order(count: int, largest: bool, dtype: str) -> None:
    """Rows with ties, infinities, NaN and zeros of both signs."""
    x = RNG.choice(EXTREMES, (3, 37)) if dtype == "float32" else RNG.integers(-9, 9, (3, 37))
    keys, places = scratch_sizes(37, count)
    results = [np.zeros(3 * count, dtype), np.zeros(3 * count, np.int64)]
    scratch = [np.zeros(keys, key_dtype(dtype)), np.zeros(places, np.int32)]
    expected = run(top_k(3, 37, count, largest, dtype), [x.ravel()], [*results, *scratch])[:2]
    given = run(top_k_by_element(3, 37, count, largest, dtype), [x.ravel()], results)
    assert [item.tobytes() for item in given] == [item.tobytes() for item in expected]


@pytest.mark.parametrize(
    ("shape", "places", "axis", "reduction"),
    [
        ((4, 5, 6), (2, 3, 6), 0, "update"),
        ((4, 5, 6), (4, 7, 2), 1, "add"),
        ((3, 5), (3, 9), 1, "min"),
        ((3, 5), (2, 9), 1, "max"),
    ],
)
def test_updates_of_elements_keep_their_order(
    shape: tuple[int, ...], places: tuple[int, ...], axis: int, reduction: str
) -> None:
    """Several at one place, some outside, NaN among them; fewer places than the array has on the other axes."""
    x, updates = (RNG.normal(size=size).astype(np.float32) for size in (shape, places))
    updates.flat[::5] = np.nan
    indices = RNG.integers(-shape[axis] - 2, shape[axis] + 2, places)
    arrays, result = [x.ravel(), indices.ravel(), updates.ravel()], [np.zeros(x.size, np.float32)]
    form = (shape, places, axis, reduction, "float32", "int64")
    (given,), (expected,) = (
        run(make(*form), arrays, result) for make in (scatter_elements_by_element, scatter_elements)
    )
    assert given.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("shape", "depth", "reduction"), [((4, 3, 19), 2, "add"), ((4, 3), 2, "mul"), ((4, 9), 1, "update")]
)
def test_updates_of_slices_keep_their_order(shape: tuple[int, ...], depth: int, reduction: str) -> None:
    """A slice goes to the place that its row of indices names, or nowhere if one of them is outside."""
    x, updates = RNG.normal(size=shape).astype(np.float32), RNG.normal(size=(9, *shape[depth:])).astype(np.float32)
    indices = np.stack([RNG.integers(-extent - 1, extent + 1, 9) for extent in shape[:depth]], 1)
    arrays, result = [x.ravel(), indices.ravel(), updates.ravel()], [np.zeros(x.size, np.float32)]
    form = (shape, 9, depth, reduction, "float32", "int64")
    (given,), (expected,) = (run(make(*form), arrays, result) for make in (scatter_slices_by_element, scatter_slices))
    assert given.tobytes() == expected.tobytes()

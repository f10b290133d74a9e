"""Updates are written, added, … one after the other; a place outside the axis is left out."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.kernels.scatter import COMBINE, scatter_elements, scatter_slices
from tests.support.kernels.harness import run

RNG = np.random.default_rng(2)
COMBINED = {
    "update": lambda held, new: new,
    "add": np.add,
    "mul": np.multiply,
    "min": lambda held, new: held if held < new else new,
    "max": lambda held, new: held if new < held else new,
}


@pytest.mark.parametrize("reduction", COMBINE)
def test_elements_are_combined_in_order(reduction: str) -> None:
    """Several at one place, places counted from the end, and places outside, which change nothing."""
    x = RNG.normal(size=(3, 5)).astype(np.float32)
    indices = RNG.integers(-7, 7, (3, 9))
    updates = RNG.normal(size=(3, 9)).astype(np.float32)
    updates[::2, ::4] = np.nan
    expected = x.copy()
    for row in range(3):
        for index, update in zip(indices[row], updates[row], strict=True):
            if -5 <= index < 5:
                expected[row, index] = COMBINED[reduction](expected[row, index], update)
    function = scatter_elements((3, 5), (3, 9), 1, reduction, "float32", "int64")
    (given,) = run(function, [x.ravel(), indices.ravel(), updates.ravel()], [np.zeros(15, np.float32)])
    assert given.tobytes() == expected.tobytes()


def test_slices_are_combined_in_order() -> None:
    """A slice goes to the place that its row of indices names, or nowhere if one of them is outside."""
    x = RNG.normal(size=(4, 3, 19)).astype(np.float32)
    indices = np.array([[1, 2], [-1, 0], [1, -1], [4, 0], [0, -4], [1, 2]])
    updates = RNG.normal(size=(6, 19)).astype(np.float32)
    expected = x.copy()
    for (row, column), update in zip(indices, updates, strict=True):
        if -4 <= row < 4 and -3 <= column < 3:
            expected[row, column] += update
    function = scatter_slices((4, 3, 19), 6, 2, "add", "float32", "int64")
    (given,) = run(function, [x.ravel(), indices.ravel(), updates.ravel()], [np.zeros(x.size, np.float32)])
    assert given.tobytes() == expected.tobytes()


def test_booleans_are_joined() -> None:
    """A sum of Booleans is an or, a product an and."""
    x, updates = np.array([True, False, True, False]), np.array([False, True, False])
    for reduction, expected in (("add", [True, True, True, False]), ("mul", [False, False, False, False])):
        function = scatter_elements((4,), (3,), 0, reduction, "bool", "int64")
        (given,) = run(function, [x, np.array([0, 1, 2]), updates], [np.zeros(4, bool)])
        assert given.tolist() == expected

"""What is left unmeasured is no worse than what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from astroedge.runtimes.checking.findings import share_bound

TOLERANCE = 1e-5
Floats = NDArray[np.float32]


def _exact(ours: Floats, theirs: Floats, scale: Floats) -> float:
    """The largest error as a share of its tolerance, in float64."""
    error = np.abs(ours.astype(np.float64) - theirs)
    return float((error / (TOLERANCE * np.maximum(scale.astype(np.float64), 1.0))).max())


@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e-3, 1.0, 1e4, 1e30])
def test_the_bound_is_above_every_error_and_close_to_the_largest(size: float) -> None:
    """Whatever the numbers are, denormal ones too, no element is further off than the bound says."""
    draw = np.random.default_rng(5)
    for _ in range(50):
        theirs = (draw.standard_normal(300) * size).astype(np.float32)
        ours = np.nextafter(theirs, np.float32(np.inf), dtype=np.float32)
        scale = np.abs(theirs) * np.float32(draw.uniform(0.5, 40.0))
        exact = _exact(ours, theirs, scale)
        assert exact <= share_bound(ours, theirs, scale, TOLERANCE) <= exact * 1.0001 + 1e-4


def test_equal_numbers_have_no_share() -> None:
    """Nothing lies above 0, for floats with a scale as for integers, Booleans and spikes without one."""
    floats = np.linspace(-3, 3, 7, dtype=np.float32)
    assert share_bound(floats, floats.copy(), np.abs(floats), TOLERANCE) == 0.0
    for values in (np.arange(5), np.array([True, False]), floats):
        assert share_bound(values, values.copy(), None, TOLERANCE) == 0.0


@pytest.mark.parametrize(
    ("ours", "theirs", "scale"),
    [
        ([np.nan, 1.0], [np.nan, 1.0], [1.0, 1.0]),
        ([np.inf, 1.0], [np.inf, 1.0], [1.0, 1.0]),
        ([np.inf, 1.0], [1.0, 1.0], [1.0, 1.0]),
        ([3e38, 1.0], [-3e38, 1.0], [1.0, 1.0]),
        ([1.0, 2.0], [1.0, 1.0], [1.0, np.inf]),
        ([1.0, 2.0], [1.0, 1.0], [np.nan, 1.0]),
    ],
)
def test_what_is_not_finite_is_measured(ours: list[float], theirs: list[float], scale: list[float]) -> None:
    """NaN, infinity and what overflows have no bound, so that each element is looked at."""
    arrays = [np.array(item, np.float32) for item in (ours, theirs, scale)]
    assert share_bound(arrays[0], arrays[1], arrays[2], TOLERANCE) == np.inf


def test_other_numbers_are_measured() -> None:
    """float16 and float64 have tolerances of their own, and integers that differ are wrong."""
    for dtype in (np.float16, np.float64):
        assert share_bound(np.ones(2, dtype), np.zeros(2, dtype), np.ones(2, np.float32), TOLERANCE) == np.inf
    assert share_bound(np.array([1, 2]), np.array([1, 3]), None, TOLERANCE) == np.inf
    assert share_bound(np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32), TOLERANCE) == np.inf

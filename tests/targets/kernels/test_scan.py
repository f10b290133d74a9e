"""Sums of all elements up to each one are made one addition after the other."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.kernels.scan import cumulative_sum
from tests.support.kernels.harness import run


@pytest.mark.parametrize(("outer", "width", "inner"), [(2, 9, 1), (2, 5, 21)])
@pytest.mark.parametrize("exclusive", [True, False])
def test_sums_are_made_in_ascending_order(outer: int, width: int, inner: int, exclusive: bool) -> None:
    """The bits are those of float32 additions in a loop; an exclusive sum lacks the element itself."""
    x = np.random.default_rng(1).normal(size=(outer, width, inner)).astype(np.float32)
    expected, total = np.zeros_like(x), np.zeros((outer, inner), np.float32)
    for place in range(width):
        if exclusive:
            expected[:, place] = total
        total = total + x[:, place]
        if not exclusive:
            expected[:, place] = total
    function = cumulative_sum(outer, width, inner, exclusive, "float32")
    (given,) = run(function, [x.ravel()], [np.zeros(x.size, np.float32)])
    assert given.tobytes() == expected.tobytes()

"""A precision made of parts that others have needs no kernel of its own: every product asks what it is made of."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.precision.storage import Speeds, Storage
from astroedge.targets.precision.weight_format import store
from tests.support.kernels import reference_order
from tests.support.kernels.harness import same_bits
from tests.support.kernels.products import dense_product, event_product, fixed_product

MADE_UP = [
    Storage("int8 by group", 8, "int8", Speeds(16.0, 4.0, 12.0), lowest=-127, largest=127, group=128),
    Storage("int4 by column", 4, "uint8", Speeds(22.0, 3.0, 8.0), lowest=-8, largest=7),
    Storage("int4 by large group", 4, "uint8", Speeds(22.0, 3.0, 8.0), lowest=-8, largest=7, group=256),
]


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("storage", MADE_UP, ids=lambda storage: storage.name)
def test_products_have_the_bits_of_the_reduction_order(storage: Storage, graded: bool) -> None:
    """Event-driven and dense, whether integers are added as such or multiplied as floats."""
    rng = np.random.default_rng(0)
    stored = store(rng.standard_normal((530, 70)).astype(np.float32), storage)
    x = (rng.random((2, 530)) < 0.4).astype(np.float32)
    if graded:
        x *= rng.standard_normal(x.shape).astype(np.float32)
    expected = np.stack([reference_order.product(row, stored) for row in x])
    assert same_bits(event_product(x, stored, graded=graded), expected)
    assert same_bits(dense_product(x, stored), expected)


@pytest.mark.parametrize("storage", MADE_UP, ids=lambda storage: storage.name)
def test_products_in_fixed_point_are_rounded_once(storage: Storage) -> None:
    """Whatever a block's largest sum is, it is added in a type that holds it."""
    rng = np.random.default_rng(1)
    stored = store(rng.uniform(0.5, 1, (530, 35)).astype(np.float32), storage)
    x = rng.uniform(1, 2, (1, 530)).astype(np.float32)
    assert same_bits(fixed_product(x, stored)[0], reference_order.fixed_product(x[0], stored))

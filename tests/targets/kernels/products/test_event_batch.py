"""Products of a batch by weights in tiles have the bits of the reduction order, of every precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.errors import CompileError
from astroedge.targets.kernels.products.dense_gemv import pack_dense
from astroedge.targets.kernels.products.event_batch import event_batch
from astroedge.targets.precision.storage import INT4, INT8, STORAGES
from tests.support.kernels import reference_order
from tests.support.kernels.harness import run, same_bits
from tests.support.kernels.products import ROWS, Case, cases, lists_of


@settings(max_examples=10, deadline=None)
@given(
    case=cases(
        rows=ROWS,
        columns=st.integers(1, 150),
        batch=st.integers(1, 4),
        rate=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        kind=st.sampled_from(["spikes", "graded"]),
        storage=st.sampled_from(list(STORAGES.values())),
    ),
    tile=st.sampled_from([16, 64, 96, 128]),
)
def test_equals_the_reduction_order(case: Case, tile: int) -> None:
    """Any shape, rate, tile, precision and target: the bits of the order in NumPy, for each row of the batch."""
    x, stored, _ = case.draw()
    tile = 128 if case.storage is INT4 else tile
    data, scales = pack_dense(stored, tile)
    func = event_batch(
        case.rows, case.columns, tile=tile, batch=case.batch, graded=case.graded, storage=case.storage
    )  # fmt: skip
    inputs = [*([x.ravel()] if case.graded else []), *lists_of(x), data, *([] if scales is None else [scales])]
    empty = [np.full(case.batch * case.columns, np.nan, np.float32)]
    result = run(func, inputs, empty, case.target)[0].reshape(case.batch, case.columns)
    assert same_bits(result, np.stack([reference_order.product(row, stored) for row in x]))


def test_sums_that_float32_might_not_hold_are_refused() -> None:
    """As those of the other kernels of integer weights."""
    with pytest.raises(CompileError, match="131073 inputs"):
        event_batch(131_073, 1, tile=128, batch=2, storage=INT8)

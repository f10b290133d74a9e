"""Rows of stored tables are exactly the dequantised ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.kernels.products.embedding import embedding_row, pack_embedding
from astroedge.targets.precision.storage import FLOAT32, INT8, STORAGES, Storage
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels.harness import CORTEX_A72, RUNNABLE, X86_64_V3, assembly, run, same_bits


def _rows(
    table: np.ndarray, indices: np.ndarray, storage: Storage, target: dict[str, object] = RUNNABLE[0]
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's rows and the whole dequantised table."""
    entries, width = table.shape
    stored = quantise(np.ascontiguousarray(table.T), storage)
    data, scales = pack_embedding(stored)
    func = embedding_row(len(indices), entries, width, storage=storage, index_dtype=str(indices.dtype))
    inputs = [indices, data, *([] if scales is None else [scales])]
    result = run(func, inputs, [np.zeros(len(indices) * width, np.float32)], target)[0]
    return result.reshape(-1, width), np.ascontiguousarray(stored.dequantise().T)


@settings(max_examples=30, deadline=None)
@given(
    entries=st.integers(1, 20),
    width=st.one_of(st.integers(1, 40), st.integers(60, 68), st.integers(120, 300)),
    count=st.integers(1, 3),
    storage=st.sampled_from(list(STORAGES.values())),
    index_dtype=st.sampled_from(["int32", "int64"]),
    target=st.sampled_from(RUNNABLE),
    seed=st.integers(0, 99),
)
def test_a_row_is_what_the_stored_numbers_stand_for(
    entries: int, width: int, count: int, storage: Storage, index_dtype: str, target: dict[str, object], seed: int
) -> None:
    """Any table, precision and index type: the bits of scale · q, the scales being those of the entry."""
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((entries, width)).astype(np.float32)
    indices = rng.integers(0, entries, count).astype(index_dtype)
    rows, dequantised = _rows(table, indices, storage, target)
    assert same_bits(rows, dequantised[indices])


def test_an_index_outside_the_table_takes_the_nearest_entry() -> None:
    """Nothing outside the table is read, however wild the index."""
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    rows, _ = _rows(table, np.array([-5, 7, 2**40]), FLOAT32)
    assert rows[:, 0].tolist() == [0, 8, 8]


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_rows_are_widened_in_vectors(target: dict[str, object]) -> None:
    """int8 numbers are converted and scaled by whole vectors.

    A guard: slow code computes the same numbers.
    """
    code = assembly(embedding_row(1, 10, 256, storage=INT8), target)
    assert ("vpmovsxbd" in code and "vmulss" not in code) or ("scvtf\tv" in code and "fmul\ts" not in code)

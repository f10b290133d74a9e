"""Products with pruned weights have the bits of the dense and of the event-driven kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tvm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astroedge.targets.compiler.threads.divide_loops import divide_loops
from astroedge.targets.kernels.products.pruned_gemv import FIXED, LISTED, REAL, PrunedForm, pruned_gemv
from astroedge.targets.kernels.products.pruned_lists import PrunedArrays, pack_pruned
from astroedge.targets.precision.storage import FLOAT16, FLOAT32, INT4, INT8, STORAGES
from astroedge.targets.precision.weight_format import StoredMatrix
from tests.support.kernels import reference_order
from tests.support.kernels.harness import (
    CORTEX_A72,
    FUSED,
    NATIVE,
    RUNNABLE,
    X86_64_V3,
    assembly,
    build,
    innermost_loops,
    run,
    same_bits,
)
from tests.support.kernels.products import ROWS, Case, cases, lists_of, planes_of, prune


def arrays_of(packed: PrunedArrays) -> list[np.ndarray]:
    """The arrays that there are."""
    return [array for array in packed.in_order if array is not None]


def pruned_product(
    x: np.ndarray, stored: StoredMatrix, inputs: str, *, graded: bool = False, tile: int = 512, target: dict = NATIVE
) -> np.ndarray:
    """x (batch, rows) by a stored matrix (rows, columns)."""
    batch, rows = x.shape
    columns = stored.values.shape[1]
    packed = pack_pruned(stored, tile)
    form = PrunedForm(
        rows, columns, len(packed.weights), stored.storage, inputs, graded=graded, batch=batch, dtype=str(x.dtype)
    )
    arrays = [*([x.ravel()] if form.reads_x else []), *(lists_of(x) if inputs == LISTED else [])]
    arrays += [*(planes_of(x, target) if inputs == FIXED else []), *arrays_of(packed)]
    results = [np.full(batch * columns, np.nan, np.float32), np.zeros(batch * columns, form.sum_type)]
    return run(pruned_gemv(form, tile), arrays, results, target)[0].reshape(batch, columns)


@settings(max_examples=8, deadline=None)
@given(
    cases(
        rows=ROWS,
        columns=st.one_of(st.integers(1, 70), st.integers(250, 530)),
        batch=st.integers(1, 2),
        rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        kind=st.sampled_from(["bool", "spikes", "graded"]),
        storage=st.sampled_from(list(STORAGES.values())),
    ),
    st.sampled_from([0.0, 0.003, 0.05, 0.2, 0.6]),
    st.sampled_from([64, 512]),
)
@example(Case(600, 1100, 1, 0.3, "spikes", INT4, RUNNABLE[0], 0), 0.2, 512)
@example(Case(600, 1100, 1, 0.3, "graded", FLOAT32, RUNNABLE[0], 0), 0.001, 512)  # gaps that no byte holds
@example(Case(600, 300, 2, 0.3, "spikes", INT8, RUNNABLE[0], 0), 0.2, 512)
@example(Case(600, 300, 2, 0.3, "graded", INT8, RUNNABLE[0], 0), 0.2, 512)
def test_equals_the_reduction_order(case: Case, density: float, tile: int) -> None:
    """Any shape, rate, precision and share of zeros: the bits of the order in NumPy, which multiplies the zeros too."""
    x, stored, _ = case.draw()
    stored = prune(stored, density)
    expected = np.stack([reference_order.product(row.astype(np.float32), stored) for row in x])
    if case.kind != "bool" or not stored.storage.is_integer:
        listed = pruned_product(x, stored, LISTED, graded=case.graded, tile=tile, target=case.target)
        assert same_bits(listed, expected)
    assert same_bits(pruned_product(x, stored, REAL, tile=tile, target=case.target), expected)
    if stored.storage.is_integer:
        fixed = np.stack([reference_order.fixed_product(row, stored) for row in x])
        assert same_bits(pruned_product(x, stored, FIXED, tile=tile, target=case.target), fixed)


@pytest.mark.parametrize("storage", [FLOAT32, FLOAT16, INT4], ids=str)
@pytest.mark.parametrize("inputs", [REAL, LISTED])
def test_zeros_meet_infinities(storage: object, inputs: str) -> None:
    """An infinite input, or NaN, makes NaN of every weight that is 0 and an infinity of the others, as dense does."""
    case = Case(300, 40, 1, 0.5, "graded", storage, NATIVE, 1)
    x, stored, _ = case.draw()
    stored = prune(stored, 0.3)
    for place, value in ((7, np.inf), (280, -np.inf), (281, np.nan)):
        unusual = x.copy()
        unusual[0, place] = value
        with np.errstate(invalid="ignore"):
            expected = reference_order.product(unusual[0], stored)
        assert np.isnan(expected).any()
        assert same_bits(pruned_product(unusual, stored, inputs, graded=inputs == LISTED)[0], expected)


def test_subnormal_halves_keep_their_value() -> None:
    """A float16 weight below the smallest normal one is widened exactly, with its sign, and so is the largest."""
    values = np.float16([[6e-8, 0, -3e-5], [0, 65504, 0], [-6.1e-5, 0, 0]])
    stored = StoredMatrix(FLOAT16, values, None)
    x = np.float32([[1.0, -1.0, 3.0]])
    assert same_bits(pruned_product(x, stored, REAL)[0], reference_order.product(x[0], stored))


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_terms_are_rounded_before_they_are_added(target: dict[str, object]) -> None:
    """The product of an input and a weight is never fused with its addition, and the loop of a list is short.

    A guard: another processor would show other numbers, and slow code the same.
    """
    code = assembly(pruned_gemv(PrunedForm(300, 130, 5000, FLOAT32)), target)
    assert not FUSED.search(code)
    assert "Workspace" not in code
    assert min(len(loop) for loop in innermost_loops(code)) < 20


def test_threads_divide_the_tiles() -> None:
    """Each thread of a team writes its own columns, with the bits that one thread would give them."""
    x, stored, _ = Case(300, 600, 1, 0.2, "spikes", FLOAT32, NATIVE, 3).draw()
    stored = prune(stored, 0.2)
    packed = pack_pruned(stored, 256)
    form = divide_loops(pruned_gemv(PrunedForm(300, 600, len(packed.weights), FLOAT32), 256))
    assert form is not None
    assert form.parts == 3
    module = build(form.function)
    parts = []
    for thread in range(2):
        unwritten = [np.full(600, np.nan, np.float32) for _ in range(2)]
        tensors = [tvm.runtime.tensor(array) for array in (x.ravel(), *arrays_of(packed), *unwritten)]
        module["kernel"](*tensors, thread, 2)
        parts.append(tensors[-2].numpy())
    written = ~np.isnan(np.stack(parts))
    assert written.sum(axis=0).tolist() == [1] * 600
    assert same_bits(np.where(written[0], *parts), reference_order.product(x[0], stored))


def test_lists_hold_what_is_not_zero() -> None:
    """At 80 % zeros the lists take 0.26, 0.33, 0.43 and 0.45 of the bytes; a matrix of zeros alone has one entry."""
    rng = np.random.default_rng(0)
    for storage, share in ((FLOAT32, 0.26), (FLOAT16, 0.33), (INT8, 0.43), (INT4, 0.45)):
        values = rng.integers(1, 8, (512, 512)).astype(np.int8 if storage.is_integer else storage.data_type)
        stored = prune(StoredMatrix(storage, values, None), 0.2)
        assert sum(array.nbytes for array in arrays_of(pack_pruned(stored))) < share * stored.nbytes
        nothing = pack_pruned(replace(stored, values=np.zeros_like(values)))
        assert len(nothing.weights) == 1

"""Products by long pieces of rows have the bits of the reduction order, read rows in step and fetch what follows."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astroedge.targets.compiler.threads.divide_loops import divide_loops
from astroedge.targets.kernels.products.event_gemv import pack_event
from astroedge.targets.kernels.products.event_rows import event_rows, sums_type
from astroedge.targets.precision.short_scales import short_scales, sums_are_exact
from astroedge.targets.precision.storage import FLOAT16, FLOAT32, INT4, INT8, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels import reference_order
from tests.support.kernels.harness import (
    CORTEX_A72,
    FUSED,
    RUNNABLE,
    SCALAR,
    SPILL,
    X86_64_V3,
    X86_64_V4,
    assembly,
    build,
    innermost_loops,
    run,
    same_bits,
)
from tests.support.kernels.products import Case, cases, lists_of


@settings(max_examples=20, deadline=None)
@given(
    case=cases(
        rows=st.one_of(st.integers(1, 40), st.integers(250, 270), st.integers(500, 800)),
        columns=st.one_of(st.integers(1, 140), st.integers(250, 530)),
        batch=st.integers(1, 2),
        rate=st.sampled_from([0.0, 0.02, 0.1, 0.3, 1.0]),
        kind=st.sampled_from(["spikes", "graded"]),
        storage=st.sampled_from([FLOAT32, FLOAT16, INT8, INT4]),
    ),
    scales=st.sampled_from(["float32", "short", "exact"]),
    piece_bytes=st.sampled_from([64, 512, 2048]),
)
# One row of every size of group, wide tiles and a tail; as many rows as int16 and bytes hold, and more.
@example(case=Case(15, 1100, 1, 1.0, "spikes", FLOAT32, RUNNABLE[0], 0), scales="float32", piece_bytes=2048)
@example(case=Case(600, 200, 1, 1.0, "spikes", INT8, RUNNABLE[1], 0), scales="float32", piece_bytes=64)
@example(case=Case(600, 200, 2, 1.0, "spikes", INT4, RUNNABLE[1], 0), scales="exact", piece_bytes=64)
@example(case=Case(600, 200, 2, 0.2, "spikes", INT4, RUNNABLE[1], 1), scales="exact", piece_bytes=64)
def test_equals_the_reduction_order(case: Case, scales: str, piece_bytes: int) -> None:
    """Any shape, rate, precision and target: the bits of the order in NumPy, which reads silent inputs too."""
    x, stored, _ = case.draw()
    made = short_scales(stored) if scales != "float32" else None
    exact = scales == "exact" and not case.graded and made is not None and sums_are_exact(stored, *made)
    result = product(x, stored, made, graded=case.graded, exact=exact, piece_bytes=piece_bytes, target=case.target)
    assert same_bits(result, np.stack([reference_order.product(row, stored) for row in x]))


def product(
    x: np.ndarray,
    stored: StoredMatrix,
    short: tuple[np.ndarray, np.ndarray] | None,
    *,
    graded: bool,
    exact: bool,
    piece_bytes: int,
    target: dict[str, object],
) -> np.ndarray:
    """x (batch, rows) by a stored matrix (rows, columns), whose scales may be `short`."""
    (batch, rows), columns = x.shape, stored.values.shape[1]
    weights, scales = pack_event(stored)
    operands = [weights, *([] if scales is None else [scales])]
    if short is not None:
        operands[1:] = [short[0].ravel(), short[1]]
    func = event_rows(
        rows,
        columns,
        graded=graded,
        batch=batch,
        storage=stored.storage,
        short_scales=short is not None,
        exact_sums=exact,
        piece_bytes=piece_bytes,
    )
    sums = sums_type(stored.storage, graded)
    empty = [np.full(batch * columns, np.nan, np.float32), *([np.full(batch * columns, 77, sums)] if sums else [])]
    inputs = [*([x.ravel()] if graded else []), *lists_of(x), *operands]
    return run(func, inputs, empty, target)[0].reshape(batch, columns)


@pytest.mark.parametrize("scale", [127, -127])
def test_the_largest_sums_of_a_group(scale: int) -> None:
    """64 rows of the lowest number, and the largest scale of an int8: more than an int16 holds."""
    short = np.full((2, 200), scale, np.int8), np.full(200, 0.75, np.float32)
    stored = StoredMatrix(INT4, np.full((128, 200), -8, np.int8), (short[0] * short[1]).astype(np.float32))
    x = np.ones((1, 128), np.float32)
    for exact in (False, True):
        result = product(x, stored, short, graded=False, exact=exact, piece_bytes=64, target=RUNNABLE[0])
        assert same_bits(result[0], reference_order.product(x[0], stored))


@pytest.mark.guard
@pytest.mark.parametrize("storage", [FLOAT32, INT8, INT4], ids=["float32", "int8", "int4"])
@pytest.mark.parametrize(
    ("target", "instruction"), [(X86_64_V3, "prefetcht0"), (CORTEX_A72, "prfm\tpldl1keep")], ids=["x86-64", "aarch64"]
)
def test_the_rows_that_follow_are_fetched(storage: Storage, target: dict[str, object], instruction: str) -> None:
    """Every loop over the lines of a piece asks for those of the next rows.

    A guard: slow code computes the same numbers.
    """
    assert instruction in assembly(event_rows(600, 512, storage=storage, short_scales=storage is INT4), target)


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_graded_rows_are_not_fused(target: dict[str, object]) -> None:
    """The product of a graded value and a weight is rounded before it is added.

    A guard: another processor would show other numbers, this one need not.
    """
    assert not FUSED.search(assembly(event_rows(300, 130, graded=True), target))


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, X86_64_V4, CORTEX_A72], ids=["x86-64-v3", "x86-64-v4", "cortex-a72"])
def test_eight_rows_are_added_between_a_load_and_a_store_of_the_sums(target: dict[str, object]) -> None:
    """Rows are added by whole vectors, without a spilled sum, a scalar or an allocator.

    A guard: slow code computes the same numbers.
    """
    code = assembly(event_rows(600, 512), target)
    inside = [line for loop in innermost_loops(code) for line in loop]
    assert not [line for line in inside if SPILL.search(line) or SCALAR.search(line)]
    assert "Workspace" not in code


def test_threads_divide_the_tiles() -> None:
    """Each thread of a team writes its own columns, with the bits that one thread would give them."""
    rng = np.random.default_rng(3)
    stored = quantise(rng.standard_normal((300, 600)).astype(np.float32), FLOAT32)
    x = (rng.random((1, 300)) < 0.2).astype(np.float32)
    form = divide_loops(event_rows(300, 600, piece_bytes=1024))
    assert form is not None
    assert form.parts == 3
    module = build(form.function)
    parts = []
    for thread in range(2):
        unwritten = [np.full(600, np.nan, np.float32) for _ in range(2)]
        tensors = [tvm.runtime.tensor(array) for array in (*lists_of(x), pack_event(stored)[0], *unwritten)]
        module["kernel"](*tensors, thread, 2)
        parts.append(tensors[-2].numpy())
    written = ~np.isnan(np.stack(parts))
    assert written.sum(axis=0).tolist() == [1] * 600
    assert same_bits(np.where(written[0], *parts), reference_order.product(x[0], stored))

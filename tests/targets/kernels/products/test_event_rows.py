"""Products by whole rows have the bits of the reduction order, and read eight rows in step."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astroedge.targets.compiler.threads.divide_loops import divide_loops
from astroedge.targets.kernels.products.event_gemv import pack_event
from astroedge.targets.kernels.products.event_rows import event_rows
from astroedge.targets.precision.storage import FLOAT16, FLOAT32, Storage
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels import reference_order
from tests.support.kernels.harness import (
    CORTEX_A72,
    FUSED,
    RUNNABLE,
    X86_64_V3,
    X86_64_V4,
    assembly,
    build,
    innermost_loops,
    run,
    same_bits,
)
from tests.targets.kernels.products.test_event_gemv import SCALAR, SPILL, lists_of


@settings(max_examples=20, deadline=None)
@given(
    rows=st.one_of(st.integers(1, 40), st.integers(250, 270), st.integers(500, 800)),
    columns=st.one_of(st.integers(1, 70), st.integers(250, 530)),
    batch=st.integers(1, 2),
    rate=st.sampled_from([0.0, 0.02, 0.1, 0.3, 1.0]),
    graded=st.booleans(),
    storage=st.sampled_from([FLOAT32, FLOAT16]),
    target=st.sampled_from(RUNNABLE),
    seed=st.integers(0, 99),
)
@example(15, 1100, 1, 1.0, False, FLOAT32, RUNNABLE[0], 0)  # one row of every size of group, wide tiles and a tail
def test_equals_the_reduction_order(
    rows: int,
    columns: int,
    batch: int,
    rate: float,
    graded: bool,
    storage: Storage,
    target: dict[str, object],
    seed: int,
) -> None:
    """Any shape, rate and target: the bits of the order in NumPy, which reads silent inputs too."""
    rng = np.random.default_rng(seed)
    stored = quantise(rng.standard_normal((rows, columns)).astype(np.float32), storage)
    x = (rng.random((batch, rows)) < rate).astype(np.float32)
    if graded:
        x *= rng.standard_normal((batch, rows)).astype(np.float32)
    func = event_rows(rows, columns, graded=graded, batch=batch, storage=storage)
    inputs = [*([x.ravel()] if graded else []), *lists_of(x), pack_event(stored)[0]]
    empty = [np.full(batch * columns, np.nan, np.float32) for _ in range(2)]
    result = run(func, inputs, empty, target)[0].reshape(batch, columns)
    assert same_bits(result, np.stack([reference_order.product(row, stored) for row in x]))


@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_graded_rows_are_not_fused(target: dict[str, object]) -> None:
    """The product of a graded value and a weight is rounded before it is added."""
    assert not FUSED.search(assembly(event_rows(300, 130, graded=True), target))


@pytest.mark.parametrize("target", [X86_64_V3, X86_64_V4, CORTEX_A72], ids=["x86-64-v3", "x86-64-v4", "cortex-a72"])
def test_eight_rows_are_added_between_a_load_and_a_store_of_the_sums(target: dict[str, object]) -> None:
    """Rows are added by whole vectors, without a spilled sum, a scalar or an allocator."""
    code = assembly(event_rows(600, 512), target)
    assert not [line for loop in innermost_loops(code) for line in loop if SPILL.search(line)]
    assert not [line for line in code.splitlines() if SCALAR.search(line)]
    assert "Workspace" not in code


def test_threads_divide_the_tiles() -> None:
    """Each thread of a team writes its own columns, with the bits that one thread would give them."""
    rng = np.random.default_rng(3)
    stored = quantise(rng.standard_normal((300, 600)).astype(np.float32), FLOAT32)
    x = (rng.random((1, 300)) < 0.2).astype(np.float32)
    form = divide_loops(event_rows(300, 600))
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

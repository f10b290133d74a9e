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
from astroedge.targets.precision.storage import FLOAT16, FLOAT32
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
    cases(
        rows=st.one_of(st.integers(1, 40), st.integers(250, 270), st.integers(500, 800)),
        columns=st.one_of(st.integers(1, 70), st.integers(250, 530)),
        batch=st.integers(1, 2),
        rate=st.sampled_from([0.0, 0.02, 0.1, 0.3, 1.0]),
        kind=st.sampled_from(["spikes", "graded"]),
        storage=st.sampled_from([FLOAT32, FLOAT16]),
    )
)
# One row of every size of group, wide tiles and a tail.
@example(Case(15, 1100, 1, 1.0, "spikes", FLOAT32, RUNNABLE[0], 0))
def test_equals_the_reduction_order(case: Case) -> None:
    """Any shape, rate and target: the bits of the order in NumPy, which reads silent inputs too."""
    x, stored, _ = case.draw()
    func = event_rows(case.rows, case.columns, graded=case.graded, batch=case.batch, storage=case.storage)
    inputs = [*([x.ravel()] if case.graded else []), *lists_of(x), pack_event(stored)[0]]
    empty = [np.full(case.batch * case.columns, np.nan, np.float32) for _ in range(2)]
    result = run(func, inputs, empty, case.target)[0].reshape(case.batch, case.columns)
    assert same_bits(result, np.stack([reference_order.product(row, stored) for row in x]))


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

"""Products with pruned weights in vectors have the bits of the dense kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.threads.divide_loops import divide_loops
from astroedge.targets.families import FAMILIES
from astroedge.targets.kernels.products.pruned_lanes import pruned_lanes
from astroedge.targets.kernels.products.pruned_lists import PrunedSize
from astroedge.targets.kernels.products.pruned_steps import lanes_of, pack_lanes
from astroedge.targets.precision.storage import FLOAT16, FLOAT32, INT8
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels import reference_order
from tests.support.kernels.harness import (
    FUSED,
    SPILL,
    WIDTHS,
    X86_64_V3,
    X86_64_V4,
    assembly,
    build,
    innermost_loops,
    run,
    same_bits,
)
from tests.support.kernels.products import prune

PERMUTE = FAMILIES["x86"].permute
LANES = {8: X86_64_V3, 16: X86_64_V4}
RUNNING = [lanes for lanes, name in ((8, "x86-64-v3"), (16, "x86-64-v4")) if name in WIDTHS]
needs_lanes = pytest.mark.skipif(not RUNNING, reason="this processor permutes no vector of float32")


def kernel_of(stored: StoredMatrix, lanes: int, batch: int = 1, *, sort: bool = False) -> tuple[Any, list[np.ndarray]]:
    """The kernel of a stored matrix, and its arrays."""
    rows, columns = stored.values.shape
    packed = pack_lanes(stored, lanes, sort=sort)
    function = pruned_lanes(
        batch,
        rows,
        columns,
        steps=len(packed.windows),
        lanes=lanes,
        permute=PERMUTE[lanes],
        storage=stored.storage,
        ordered=sort,
    )
    return function, [array for array in packed.in_order if array is not None]


def drawn(rows: int, columns: int, density: float, storage: Any = FLOAT32) -> StoredMatrix:
    """A pruned matrix."""
    rng = np.random.default_rng(rows + columns)
    return prune(quantise(rng.standard_normal((rows, columns)).astype(np.float32), storage), density)


@needs_lanes
@settings(max_examples=8, deadline=None)
@given(
    st.one_of(st.integers(16, 40), st.integers(240, 256), st.integers(272, 300), st.integers(530, 800)),
    st.one_of(st.integers(1, 70), st.integers(120, 140)),
    st.sampled_from([0.0, 0.05, 0.2, 0.6]),
    st.sampled_from([FLOAT32, FLOAT16]),
    st.sampled_from(RUNNING or [0]),
)
@example(600, 130, 0.2, FLOAT32, max(RUNNING or [0]))
@example(300, 1100, 0.2, FLOAT32, min(RUNNING or [0]))  # more than is packed together
def test_equals_the_reduction_order(rows: int, columns: int, density: float, storage: Any, lanes: int) -> None:
    """Any shape, batch and share of zeros: the bits of the order in NumPy, with infinities and NaNs too."""
    stored = drawn(rows, columns, density, storage)
    rng = np.random.default_rng(5)
    x = rng.standard_normal((3, rows)).astype(np.float32)
    x[0, rng.random(rows) < 0.3] = 0
    x[1, rows // 2] = np.inf
    x[2, [0, rows - 1]] = np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        expected = np.stack([reference_order.product(row, stored) for row in x])
    function, arrays = kernel_of(stored, lanes, len(x))
    unwritten = np.full(x.shape[0] * columns, np.nan, np.float32)
    result = run(function, [x.ravel(), *arrays], [unwritten], LANES[lanes])[0]
    assert same_bits(result.reshape(expected.shape), expected)


@pytest.mark.guard
@pytest.mark.parametrize("lanes", [8, 16])
def test_sums_stay_in_registers(lanes: int) -> None:
    """A loop permutes for every group of columns, without a spilled sum or a fused product.

    A guard: slow code computes the same numbers, another processor others.
    """
    code = assembly(kernel_of(drawn(512, 8 * lanes, 0.2), lanes)[0], LANES[lanes])
    assert not FUSED.search(code)
    assert "Workspace" not in code
    loops = [loop for loop in innermost_loops(code) if any("vpermps" in line or "vpermd" in line for line in loop)]
    assert loops
    assert not [line for line in loops[0] if SPILL.search(line)]


@needs_lanes
@pytest.mark.parametrize("sort", [False, True])
def test_threads_divide_the_tiles(sort: bool) -> None:
    """Each thread writes its own columns, in whatever order these are stored, with the bits of one thread."""
    lanes = RUNNING[0]
    columns = 9 * lanes + 3
    stored = drawn(300, columns, 0.2)
    function, arrays = kernel_of(stored, lanes, sort=sort)
    form = divide_loops(function)
    assert form is not None
    assert form.parts == 3
    x = np.random.default_rng(1).standard_normal(300).astype(np.float32)
    module = build(form.function, LANES[lanes])
    parts = []
    for thread in range(2):
        unwritten = [np.full(columns, np.nan, np.float32) for _ in range(1 + sort)]
        tensors = [tvm.runtime.tensor(array) for array in (x, *arrays, *unwritten)]
        module["kernel"](*tensors, thread, 2)
        parts.append(tensors[1 + len(arrays)].numpy())
    written = ~np.isnan(np.stack(parts))
    assert written.sum(axis=0).tolist() == [1] * columns
    assert same_bits(np.where(written[0], *parts), reference_order.product(x, stored))


def test_four_of_five_zeros_leave_a_third_of_the_steps() -> None:
    """At 80 % zeros a kernel of 16 lanes makes less than 0.32 of the steps of a dense one; of none, one a block."""
    stored = drawn(512, 512, 0.2)
    assert len(pack_lanes(stored, 16).windows) < 0.32 * 512 * 32
    assert len(pack_lanes(drawn(512, 512, 0.0), 16).windows) == 2 * 32


def test_dead_outputs_cost_nothing() -> None:
    """Where four of five columns are empty, wherever they are, a fifth of the steps is left; of full rows likewise."""
    rng = np.random.default_rng(4)
    values = rng.standard_normal((512, 640)).astype(np.float32)
    columns, rows = values.copy(), values.copy()
    columns[:, rng.permutation(640)[:512]] = 0
    rows[rng.permutation(512)[:410]] = 0
    size = PrunedSize.of(StoredMatrix(FLOAT32, columns, None))
    assert size is not None
    assert size.sorts
    assert size.longest < 0.25
    assert len(pack_lanes(StoredMatrix(FLOAT32, columns, None), 16, sort=True).windows) < 0.25 * 512 * 40
    size = PrunedSize.of(StoredMatrix(FLOAT32, rows, None))
    assert size is not None
    assert not size.sorts
    assert len(pack_lanes(StoredMatrix(FLOAT32, rows, None), 16).windows) < 0.25 * 512 * 40


def test_where_lanes_are_permuted() -> None:
    """Floats on processors with AVX2 or AVX-512, whose windows fit into the last block of inputs."""
    v2, v3, v4, arm = map(resolve_target, ("x86-64-v2", "x86-64-v3", "x86-64-v4", "raspberry-pi-5"))
    assert [lanes_of(target, 512, FLOAT32) for target in (v2, v3, v4, arm)] == [0, 8, 16, 0]
    assert [lanes_of(v4, rows, FLOAT16) for rows in (15, 16, 256, 271, 272)] == [0, 16, 16, 0, 16]
    assert lanes_of(v4, 512, INT8) == 0

"""Products in fixed point are exact integer sums, rounded once a block, whatever the processor multiplies with."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.products.fixed_gemv import fixed_gemv, fixed_tile
from astroedge.targets.precision.storage import INT4, INT8, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels import reference_order
from tests.support.kernels.harness import (
    CORTEX_A72,
    X86_64_V3,
    X86_64_V4,
    assembly,
    innermost_loops,
    same_bits,
)
from tests.support.kernels.products import BOARDS, INPUTS, ROWS, event_product, fixed_product

_CONVERTED = re.compile(r"cvt|pextr|pinsr|\t[us]mov")
_SPILLED = re.compile(r", -?\d*\(%rsp\)|\tst[rp]\t.*\[sp")


@settings(max_examples=40, deadline=None)
@given(
    rows=ROWS,
    columns=st.integers(1, 150),
    batch=st.integers(1, 5),
    tile=st.sampled_from([None, (16, 1), (16, 2), (48, 2)]),
    inputs=st.sampled_from(sorted(INPUTS)),
    storage=st.sampled_from([INT8, INT4]),
    board=st.sampled_from(sorted(BOARDS)),
    seed=st.integers(0, 99),
)
def test_equals_integer_sums_rounded_once_a_block(
    rows: int,
    columns: int,
    batch: int,
    tile: tuple[int, int] | None,
    inputs: str,
    storage: Storage,
    board: str,
    seed: int,
) -> None:
    """Any shape, tiling, inputs and processor: every row has the bits of that row alone in 64-bit integers."""
    rng = np.random.default_rng(seed)
    stored = quantise(rng.standard_normal((rows, columns)).astype(np.float32), storage)
    x = INPUTS[inputs](rng, (batch, rows))
    result = fixed_product(x, stored, tile=tile, board=board)
    assert same_bits(result, np.stack([reference_order.fixed_product(row, stored) for row in x]))


@pytest.mark.parametrize("storage", [INT8, INT4], ids=["int8", "int4"])
def test_spikes_give_the_bits_of_the_event_driven_kernel(storage: Storage) -> None:
    """With inputs 0 and 1 the choice between event-driven and dense changes nothing."""
    rng = np.random.default_rng(5)
    stored = quantise(rng.standard_normal((700, 90)).astype(np.float32), storage)
    x = rng.random((2, 700)) < 0.3
    assert same_bits(fixed_product(x, stored), event_product(x, stored, None, graded=False))


@pytest.mark.parametrize("storage", [INT8, INT4], ids=["int8", "int4"])
def test_results_are_more_accurate_than_sums_of_floats(storage: Storage) -> None:
    """Against float64 the error is at most a few roundings of the result's size."""
    rng = np.random.default_rng(6)
    stored = quantise(rng.standard_normal((1000, 40)).astype(np.float32), storage)
    x = rng.standard_normal((1, 1000)).astype(np.float32)
    exact = x.astype(np.float64) @ stored.dequantise().astype(np.float64)
    assert np.abs(fixed_product(x, stored) - exact).max() < 4 * 2.0**-24 * np.abs(exact).max()


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("storage", [INT8, INT4], ids=["int8", "int4"])
def test_large_sums_are_rounded_once(storage: Storage, board: str) -> None:
    """Where all products are positive, not even half a sum of int8 weights fits a float32."""
    rng = np.random.default_rng(7)
    stored = quantise(rng.uniform(0.5, 1, (600, 70)).astype(np.float32), storage)
    x = rng.uniform(1, 2, (1, 600)).astype(np.float32)
    assert same_bits(fixed_product(x, stored, board=board)[0], reference_order.fixed_product(x[0], stored))


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(("storage", "groups", "weights"), [(INT8, 1, (127, -127)), (INT4, 8, (7, -8))])
def test_the_largest_sums_do_not_overflow(storage: Storage, groups: int, weights: tuple[int, int], board: str) -> None:
    """Blocks of the largest inputs, of the largest low halves too, and weights, of equal and of opposite signs."""
    largest = np.nextafter(np.float32(2), np.float32(0))
    low = np.r_[np.float32(1), np.full(511, 2.0**-14 - 2.0**-29)].astype(np.float32)
    for weight in weights:
        stored = StoredMatrix(storage, np.full((512, 16), weight, np.int8), np.ones((groups, 16), np.float32))
        for x in (np.full((1, 512), largest), np.full((1, 512), -largest), low[None], -low[None]):
            assert same_bits(fixed_product(x, stored, board=board)[0], reference_order.fixed_product(x[0], stored))


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_finite_in_every_column(value: float, board: str) -> None:
    """A NaN or an infinity among the inputs of a row makes that row's results NaN, and no other's."""
    stored = quantise(np.ones((300, 3), np.float32), INT8)
    x = np.ones((2, 300), np.float32)
    x[1, 4] = value
    assert np.isnan(fixed_product(x, stored, board=board)).tolist() == [[False] * 3, [True] * 3]


@pytest.mark.guard
@pytest.mark.parametrize("storage", [INT8, INT4], ids=["int8", "int4"])
@pytest.mark.parametrize(
    ("harness", "board", "instruction"),
    [
        ({**X86_64_V3, "mcpu": "x86-64-v2"}, "x86-64-v2", "pmaddwd"),
        (X86_64_V3, "x86-64-v3", "vpmaddwd"),
        (X86_64_V4, "x86-64-v4", "vpmaddwd"),
        ({**X86_64_V4, "mattr": ["+avx512vnni"]}, "x86-64-v4", "vpdpwssd"),
        (CORTEX_A72, "raspberry-pi-4", "smlal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pairs_are_multiplied_by_one_instruction(
    harness: dict[str, object], board: str, instruction: str, storage: Storage
) -> None:
    """The inner loop multiplies integers by the instruction for it, converts nothing to float and spills nothing.

    A guard: slow code computes the same numbers.
    """
    target = resolve_target(board)
    tile, row_tile = fixed_tile(1, target)
    func = fixed_gemv(1, 600, 200, target=target, tile=tile, row_tile=row_tile, storage=storage)
    code = assembly(func, harness)
    loops = ["\n".join(loop) for loop in innermost_loops(code)]
    assert all(loop.count(instruction) >= 2 for loop in loops if instruction in loop)
    assert any(instruction in loop for loop in loops)
    assert not any(_CONVERTED.search(loop) or _SPILLED.search(loop) for loop in loops)
    assert "call" not in code
    assert "\tbl\t" not in code


@pytest.mark.guard
def test_weights_that_have_to_be_waited_for_are_asked_for_ahead() -> None:
    """Some way behind the pair that is read, line by line.

    A guard: what is asked for in vain, or too late, changes no bit.
    """
    target = resolve_target("x86-64-v4")
    func = fixed_gemv(1, 600, 128, target=target, tile=64, storage=INT8, waits=True)
    loops = [loop for loop in map("\n".join, innermost_loops(assembly(func, X86_64_V4))) if "prefetcht0" in loop]
    for loop in loops:
        read, asked = (
            sorted(int(number or 0) for number in re.findall(rf"{word}\t(-?\d*)\(", loop))
            for word in ("vpmovsxbw", "prefetcht0")
        )
        assert asked == [place + 2048 for place in read[::2]]
    assert loops

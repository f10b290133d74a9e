"""Products of int4 weights by bytes have the bits of `fixed_gemv`, by one instruction for four products a lane."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.products.dot_gemv import ByteDots, byte_dots, dot_gemv, dot_tile, pack_dots
from astroedge.targets.kernels.products.fixed_bytes import DIGITS, QUAD, quad_count
from astroedge.targets.precision.storage import INT4, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels import reference_order
from tests.support.kernels.harness import CORTEX_A72, X86_64_V3, X86_64_V4, assembly, innermost_loops, run, same_bits
from tests.support.kernels.products import ROWS, digits_of

HERE = resolve_target("native")
HARNESS: dict[str, Any] = {
    "kind": "llvm",
    "mtriple": HERE.triple,
    "mcpu": HERE.cpu,
    "mattr": list(HERE.attributes),
}
WIDE = replace(INT4, group=256)
RUNS = [ByteDots(*HERE.family.byte_dots[flag]) for flag in HERE.family.byte_dots if flag in HERE.features]
needs_dots = pytest.mark.skipif(not RUNS, reason="this processor has no instruction that multiplies four bytes a lane")


def product(
    x: np.ndarray, stored: StoredMatrix, dots: ByteDots, tile: tuple[int, int] | None = None, waits: bool = False
) -> np.ndarray:
    """x (batch, rows) by a stored matrix (rows, columns), on this processor."""
    (batch, rows), columns = x.shape, stored.values.shape[1]
    width, row_tile = tile or dot_tile(batch, HERE, dots)
    func = dot_gemv(batch, rows, columns, dots=dots, tile=width, row_tile=row_tile, storage=stored.storage, waits=waits)
    inputs = [*digits_of(x, stored.storage, HARNESS), *pack_dots(stored, width, dots)]
    return run(func, inputs, [np.zeros(batch * columns, np.float32)], HARNESS)[0].reshape(batch, columns)


@needs_dots
@settings(max_examples=20, deadline=None)
@given(
    rows=ROWS,
    columns=st.integers(1, 150),
    batch=st.integers(1, 3),
    scale=st.sampled_from([0, -140, 90]),
    dots=st.sampled_from(RUNS or [None]),
    storage=st.sampled_from([INT4, WIDE]),
    waits=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_integer_sums_rounded_once_a_group(
    rows: int, columns: int, batch: int, scale: int, dots: ByteDots, storage: Storage, waits: bool, seed: int
) -> None:
    """Any shape, inputs and size of group: every row has the bits of that row alone in 64-bit integers."""
    rng = np.random.default_rng(seed)
    stored = quantise(rng.standard_normal((rows, columns)).astype(np.float32), storage)
    x = np.ldexp(rng.standard_normal((batch, rows)), scale).astype(np.float32)
    expected = np.stack([reference_order.fixed_product(row, stored) for row in x])
    tile = (dots.span, 2) if seed % 2 else None
    assert same_bits(product(x, stored, dots, tile, waits), expected)


@needs_dots
@pytest.mark.parametrize("dots", RUNS, ids=lambda dots: str(dots.lanes))
@pytest.mark.parametrize(("storage", "groups"), [(INT4, 8), (WIDE, 2)], ids=["64", "256"])
def test_the_largest_sums_do_not_overflow(dots: ByteDots, storage: Storage, groups: int) -> None:
    """Blocks of the largest inputs, and of those with the largest digits, and weights, of either sign."""
    largest = np.nextafter(np.float32(2), np.float32(0))
    digits = np.r_[np.float32(1), np.full(511, np.float32((2**23 + 2**15 + 2**7) / 2**29))].astype(np.float32)
    for weight in (7, -8):
        stored = StoredMatrix(storage, np.full((512, 40), weight, np.int8), np.ones((groups, 40), np.float32))
        for x in (np.full((1, 512), largest), np.full((1, 512), -largest), digits[None], -digits[None]):
            assert same_bits(product(x, stored, dots)[0], reference_order.fixed_product(x[0], stored))


@needs_dots
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_finite_in_every_column(value: float) -> None:
    """A NaN or an infinity among the inputs of a row makes that row's results NaN, and no other's."""
    stored = quantise(np.ones((300, 3), np.float32), INT4)
    x = np.ones((2, 300), np.float32)
    x[1, 4] = value
    assert np.isnan(product(x, stored, RUNS[0])).tolist() == [[False] * 3, [True] * 3]


@needs_dots
def test_digits_are_those_of_the_integers() -> None:
    """Base 256 with digits of both signs; offsets take back the 8 that nibbles have too much."""
    x = np.random.default_rng(3).standard_normal((1, 70)).astype(np.float32)
    digits, offsets, factors = digits_of(x, INT4, HARNESS)
    integers, expected = reference_order.fixed_point(x[0])
    found = digits.reshape(DIGITS, QUAD * quad_count(70)).astype(np.int64)
    assert (np.tensordot(256 ** np.arange(DIGITS), found, 1)[:70] == integers).all()
    assert not found[:, 70:].any()
    sums = np.stack([found[:, :64].sum(axis=1), found[:, 64:].sum(axis=1)])
    assert (offsets.reshape(2, DIGITS) == -8 * sums).all()
    assert same_bits(factors, np.array(expected, np.float32))


def test_the_widest_instruction_of_a_processor_is_taken() -> None:
    """Boards whose processors have none multiply int16, as before."""
    lanes = {name: byte_dots(resolve_target(name)) for name in ("raspberry-pi-4", "raspberry-pi-5", "intel-n100")}
    assert {name: dots and dots.lanes for name, dots in lanes.items()} == {
        "raspberry-pi-4": None,
        "raspberry-pi-5": 4,
        "intel-n100": 8,
    }
    both = replace(resolve_target("x86-64-v4"), features=("avx_vnni", "avx512_vnni"))
    assert byte_dots(both) == ByteDots("llvm.x86.avx512.vpdpbusd.512", 16)


@pytest.mark.guard
@pytest.mark.parametrize(
    ("harness", "board", "instruction", "ahead"),
    [
        ({**X86_64_V4, "mattr": ["+avx512vnni"]}, "x86-64-v4", "vpdpbusd", "prefetcht0"),
        ({**X86_64_V3, "mattr": ["+avxvnni"]}, "intel-n100", "vpdpbusd", "prefetcht0"),
        ({**CORTEX_A72, "mcpu": "cortex-a76"}, "raspberry-pi-5", "sdot", "prfm"),
    ],
    ids=["avx512", "avx2", "arm"],
)
def test_four_bytes_are_multiplied_by_one_instruction(
    harness: dict[str, object], board: str, instruction: str, ahead: str
) -> None:
    """The inner loop has one for each vector and digit, widens nothing, spills nothing and asks for what follows.

    A guard: slow code computes the same numbers.
    """
    target = resolve_target(board)
    if board == "x86-64-v4":
        target = replace(target, features=(*target.features, "avx512_vnni"))
    dots = byte_dots(target)
    assert dots is not None
    tile, row_tile = dot_tile(1, target, dots)
    func = dot_gemv(1, 600, 2 * tile, dots=dots, tile=tile, row_tile=row_tile, storage=INT4, waits=True)
    code = assembly(func, harness)
    loops = ["\n".join(loop) for loop in innermost_loops(code)]
    multiplying = [loop for loop in loops if instruction in loop]
    for loop in multiplying:
        assert loop.count(instruction) % (DIGITS * tile // dots.lanes) == 0
        assert ahead in loop
        assert not any(word in loop for word in ("pmovsx", "sshll", "(%rsp)", "[sp"))
    assert multiplying

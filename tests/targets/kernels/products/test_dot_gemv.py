"""Products of int4 weights by bytes have the bits of `fixed_gemv`, by one instruction for four products a lane."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.select.byte_dots import byte_dots
from astroedge.targets.kernels.products.dot_gemv import ByteDots, dot_gemv, dot_tile, pack_dots
from astroedge.targets.kernels.products.fixed_bytes import DIGITS, QUAD, fixed_bytes, quad_count
from astroedge.targets.precision.storage import INT4, INT8, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels import reference_order
from tests.support.kernels.harness import CORTEX_A72, X86_64_V3, X86_64_V4, assembly, innermost_loops, run, same_bits
from tests.support.kernels.products import INPUTS, ROWS, digits_of, event_product

HERE = resolve_target("native")
HARNESS: dict[str, Any] = {
    "kind": "llvm",
    "mtriple": HERE.triple,
    "mcpu": HERE.cpu,
    "mattr": list(HERE.attributes),
}
WIDE = replace(INT4, group=256)
WIDEST = byte_dots(HERE, INT4)
RUNS = [] if WIDEST is None else [ByteDots(*found) for found in HERE.family.byte_dots.values()]
RUNS = [dots for dots in RUNS if WIDEST is not None and dots.lanes <= WIDEST.lanes]
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
    inputs=st.sampled_from(sorted(INPUTS)),
    dots=st.sampled_from(RUNS or [None]),
    storage=st.sampled_from([INT4, WIDE]),
    waits=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_integer_sums_rounded_once_a_group(
    rows: int, columns: int, batch: int, inputs: str, dots: ByteDots, storage: Storage, waits: bool, seed: int
) -> None:
    """Any shape, inputs and size of group: every row has the bits of that row alone in 64-bit integers."""
    rng = np.random.default_rng(seed)
    stored = quantise(rng.standard_normal((rows, columns)).astype(np.float32), storage)
    x = INPUTS[inputs](rng, (batch, rows))
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
@pytest.mark.parametrize("dots", RUNS, ids=lambda dots: str(dots.lanes))
def test_an_odd_sum_beyond_the_digits_keeps_its_last_bit(dots: ByteDots) -> None:
    """The lower digits of this group sum to −2²⁴ − 2¹⁶ + odd, which no float32 is; the whole sum, 32,633, is one."""
    integers = np.zeros(256)
    integers[:32], integers[32:63], integers[63], integers[64] = 65536 - 32896, -32896, -32895, 2**29
    weights = np.zeros((256, 5), np.int8)
    weights[:63], weights[63] = -8, -7
    stored = StoredMatrix(INT4, weights, np.ones((4, 5), np.float32))
    x = np.ldexp(integers, -29).astype(np.float32)
    assert same_bits(product(x[None], stored, dots)[0], np.full(5, np.ldexp(32633, -29), np.float32))
    assert same_bits(product(x[None], stored, dots)[0], reference_order.fixed_product(x, stored))


@needs_dots
def test_spikes_give_the_bits_of_the_event_driven_kernel() -> None:
    """With inputs 0 and 1 the choice between event-driven and dense changes nothing."""
    rng = np.random.default_rng(5)
    stored = quantise(rng.standard_normal((700, 90)).astype(np.float32), INT4)
    x = rng.random((2, 700)) < 0.3
    assert same_bits(product(x, stored, RUNS[0]), event_product(x, stored, None, graded=False))


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
    """Boards whose processors have none multiply int16, as before, and so does what has no groups."""
    lanes = {}
    for name in ("raspberry-pi-4", "raspberry-pi-5", "intel-n100", "cuda:sm_87"):
        dots = byte_dots(resolve_target(name), INT4)
        lanes[name] = dots and dots.lanes
    assert lanes == {"raspberry-pi-4": None, "raspberry-pi-5": 4, "intel-n100": 8, "cuda:sm_87": None}
    both = replace(resolve_target("x86-64-v4"), attributes=("+avxvnni", "+avx512vnni"))
    assert byte_dots(both, INT4) == ByteDots("llvm.x86.avx512.vpdpbusd.512", 16)
    assert byte_dots(replace(both, vector_bits=256), INT4) == ByteDots("llvm.x86.avx512.vpdpbusd.256", 8)
    assert byte_dots(both, replace(INT4, group=0)) is None
    assert byte_dots(both, INT8) is None


def test_what_llvm_does_not_allow_is_not_taken() -> None:
    """A board file may list a flag of its processor that neither `cpu` nor `attributes` give to LLVM."""
    flags = replace(resolve_target("aarch64"), features=("fp", "asimd", "asimddp"))
    assert byte_dots(flags, INT4) is None


@pytest.mark.guard
def test_inputs_of_any_number_take_the_code_of_a_block() -> None:
    """Groups and blocks are gone through in loops: more inputs are no more instructions.

    A guard: code that no cache holds computes the same numbers.
    """
    one, eight = (len(assembly(fixed_bytes(1, size, "float32", INT4), X86_64_V3)) for size in (512, 4096))
    assert eight < 1.1 * one


@pytest.mark.guard
@pytest.mark.parametrize("batch", [1, 2])
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
    harness: dict[str, object], board: str, instruction: str, ahead: str, batch: int
) -> None:
    """The inner loop has one for each vector and digit, widens nothing, spills nothing and asks for what follows.

    A guard: slow code computes the same numbers.
    """
    target = resolve_target(board)
    if board == "x86-64-v4":
        target = replace(target, attributes=("+avx512vnni",))
    dots = byte_dots(target, INT4)
    assert dots is not None
    tile, row_tile = dot_tile(batch, target, dots)
    assert tile % dots.span == 0  # or half of what is multiplied would be padding
    func = dot_gemv(batch, 600, 2 * tile, dots=dots, tile=tile, row_tile=row_tile, storage=INT4, waits=True)
    code = assembly(func, harness)
    loops = ["\n".join(loop) for loop in innermost_loops(code)]
    multiplying = [loop for loop in loops if instruction in loop]
    for loop in multiplying:
        assert loop.count(instruction) % (row_tile * DIGITS * tile // dots.lanes) == 0
        assert ahead in loop
        assert not any(word in loop for word in ("pmovsx", "sshll", "(%rsp)", "[sp"))
    assert multiplying

"""Event-driven products get the kernel for where their weights lie, and a form of their own for threads."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.step.sparsity import Sparsity
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.event_products import EventProducts
from astroedge.targets.compiler.select.kernel_cost import L2, L3, MEMORY, MemoryLevel
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.compiler.threads.divide_loops import divide_loops
from astroedge.targets.precision.quantise_weights import StoredWeights, WeightChoice, matrix_key
from astroedge.targets.precision.storage import FLOAT32, INT4, INT8, Storage
from astroedge.targets.precision.weight_format import StoredMatrix, store

ROWS, COLUMNS = 64, 2048


def product_of(storage: Storage, level: MemoryLevel, binary: bool = True, board: str = "x86-64-v3") -> KernelCall:
    """The call for a product of spikes, or graded ones, with a matrix that lies in `level`."""
    weights = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    return added(store(weights, storage), level, binary, board)[0]


def added(form: StoredMatrix, level: MemoryLevel, binary: bool, board: str) -> tuple[KernelCall, str]:
    """The call for a product with a stored matrix, and what is told of it."""
    storage, rows = form.storage, len(form.values)
    matrix = form.dequantise()
    key = matrix_key(matrix)
    choices = (WeightChoice("W", rows, COLUMNS, key, storage, ""),)
    weights = StoredWeights(storage.name, "0" * 64, choices, {} if storage.is_plain else {key: form})
    calls: list[KernelCall] = []
    product = Product("layer", 1, 1, rows, COLUMNS, True, Sparsity("s", 0.1, binary))
    operands = (
        Value("s", (1, rows), "float32", "computed"),
        Value("weight_0", matrix.shape, "float32", "weight", matrix),
    )
    lists = Value("indices", (1, rows), "int32", "computed"), Value("bounds", (1, 2), "int32", "computed")
    result = Value("y", (1, COLUMNS), "float32", "computed")
    products = EventProducts(resolve_target(board), WeightValues(weights), calls)
    _, note = products.add(product, operands, result, lists, level)
    return calls[0], note


@pytest.mark.parametrize(
    ("storage", "reads", "sums"),
    [
        (FLOAT32, ["float32"], ["float32"]),
        (INT8, ["int8", "float32"], ["int16"]),
        (INT4, ["uint8", "int8", "float32"], []),
    ],
    ids=["float32", "int8", "int4"],
)
@pytest.mark.parametrize("level", [L3, MEMORY], ids=["L3", "memory"])
def test_weights_that_have_to_be_waited_for_are_read_by_rows(
    level: MemoryLevel, storage: Storage, reads: list[str], sums: list[str]
) -> None:
    """Sums of integers are int16 or bytes; int4 scales are an int8 and a unit."""
    call = product_of(storage, level)
    assert [value.dtype for value in call.reads[2:]] == reads
    assert [value.dtype for value in call.writes[1:]] == sums


def test_weights_in_a_near_cache_are_read_in_tiles() -> None:
    """Nothing but the result is written, the scales of int4 are float32, and threads divide the same kernel."""
    call = product_of(INT4, L2)
    assert [value.dtype for value in call.reads[2:]] == ["uint8", "float32"]
    assert len(call.writes) == 1
    assert call.divided is None


def test_graded_values_are_read_beside_their_list() -> None:
    """The value of each active element multiplies its row, and the sums are floats."""
    call = product_of(INT8, MEMORY, binary=False)
    assert call.reads[0].name == "s"
    assert call.writes[1].dtype == "float32"


@pytest.mark.parametrize("storage", [FLOAT32, INT8, INT4], ids=["float32", "int8", "int4"])
def test_threads_divide_shorter_pieces(storage: Storage) -> None:
    """One thread reads up to half a page of a row at a time, threads quarters of a row that have two lines or more."""
    call = product_of(storage, MEMORY)
    form = divide_loops(call.divided or call.function)
    assert form is not None
    assert form.parts == 4


def test_few_registers_read_tiles() -> None:
    """32-bit ARM has not the registers for eight rows and those that follow."""
    assert len(product_of(INT8, MEMORY, board="armv7").writes) == 1


def test_scales_that_take_four_bytes_are_told_of() -> None:
    """A grid of any scales is kept: where it is read from memory, the reason says what that costs."""
    rng = np.random.default_rng(1)
    grid = rng.integers(-8, 8, (2 * ROWS, COLUMNS)) * rng.uniform(0.1, 1, (2, COLUMNS)).repeat(ROWS, axis=0)
    stored = store(grid.astype(np.float32), INT4)
    call, note = added(stored, MEMORY, True, "x86-64-v3")
    assert [value.dtype for value in call.reads[2:]] == ["uint8", "float32"]
    assert "four bytes" in note
    assert added(stored, L2, True, "x86-64-v3")[1] == ""


def test_units_of_many_bits_are_told_of() -> None:
    """Weights on no grid are added as integers; a grid's unit of 24 bits scales each group where inputs are 0 or 1."""
    rng = np.random.default_rng(2)
    grid = rng.integers(-8, 8, (2 * ROWS, COLUMNS)) * np.float32((2**24 - 1) / 2**20)
    stored = store(grid.astype(np.float32), INT4)
    call, note = added(stored, MEMORY, True, "x86-64-v3")
    assert [value.dtype for value in call.reads[2:]] == ["uint8", "int8", "float32"]
    assert "so many bits" in note
    assert call.rows is not None
    assert not call.rows.exact_sums
    assert added(stored, MEMORY, False, "x86-64-v3")[1] == ""
    other = store(rng.standard_normal((2 * ROWS, COLUMNS)).astype(np.float32), INT4)
    call, note = added(other, MEMORY, True, "x86-64-v3")
    assert note == ""
    assert call.rows is not None
    assert call.rows.exact_sums


def test_a_product_touches_the_rows_that_fire_and_all_scales() -> None:
    """At 10 %, of 64 rows of 2,048 nibbles six, a scale of a byte a column and its unit."""
    assert product_of(INT4, MEMORY).touched == round(0.1 * ROWS * COLUMNS / 2 + COLUMNS + 4 * COLUMNS)

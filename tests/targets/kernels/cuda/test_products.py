"""Products by the CUDA C library have the bits of the CPU's kernels, however blocks and threads come in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product as combinations

import numpy as np
import pytest

from astroedge.targets.families.gpu_costs import gpu_costs
from astroedge.targets.kernels.cuda.products import (
    IntegerProduct,
    RowsForm,
    RowsProduct,
    count_active,
    embedding_row,
    pack_rows,
)
from astroedge.targets.kernels.products.dense_gemv import batched_matmul
from astroedge.targets.kernels.products.embedding import embedding_row as embedding_on_cpu
from astroedge.targets.kernels.products.embedding import pack_embedding
from astroedge.targets.kernels.products.integer_gemv import integer_matmul
from astroedge.targets.precision.storage import STORAGES, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels.cuda_library import CudaLibrary
from tests.support.kernels.harness import run, same_bits
from tests.support.kernels.products import dense_product, event_product, fixed_product

ORDERS = ((1, 0), (3, 1), (5, 7))
"""Blocks of a launch, and a seed for the order in which they and their threads come."""

COSTS = gpu_costs(("sm_87",), 16)
WHOLE, SPLIT = RowsForm("rows"), RowsForm("rows", split=True)
STRIPS = (RowsForm("strips"), RowsForm("strips", split=True))
FIXED = (RowsForm("fixed"), RowsForm("fixed", split=True))


@dataclass(frozen=True)
class Case:
    """A product of the library in one form: what it reads, and what a CPU's kernel makes of that."""

    product: RowsProduct | IntegerProduct
    form: RowsForm
    operands: tuple[np.ndarray, ...]
    expected: np.ndarray

    def functions(self) -> list[object]:
        """The calls of the product."""
        if isinstance(self.product, IntegerProduct):
            first = self.product.product(self.form.split)
        else:
            first = self.product.product(self.form)
        return [first, self.product.finish()] if self.form.split else [first]

    def run(self, library: CudaLibrary, grid: int, seed: int) -> np.ndarray:
        """The result, whose every element has to be written."""
        functions, (x, weights, *scales) = self.functions(), self.operands
        unwritten = np.full(self.expected.size, 77, self.expected.dtype)
        if self.form.split:
            sums = np.full(self.product.sums_shape, 77, self.expected.dtype)
            sums = library.run(functions[0], [x, weights], [sums], grid, seed)[0]
            return library.run(functions[1], [sums, *scales], [unwritten], grid, seed)[0]
        return library.run(functions[0], self.operands, [unwritten], grid, seed)[0]


def _inputs(kind: str, batch: int, rows: int) -> np.ndarray:
    rng = np.random.default_rng(rows)
    x = rng.random((batch, rows)) < 0.2
    if kind == "graded":
        return x * (rng.standard_normal((batch, rows)) * 10.0 ** rng.integers(-9, 3, (batch, rows))).astype(np.float32)
    return x if kind == "bool" else x.astype(np.float32)


def _stored(rows: int, columns: int, storage: Storage) -> StoredMatrix:
    return quantise(np.random.default_rng(columns).standard_normal((rows, columns)).astype(np.float32), storage)


def _case(stored: StoredMatrix, x: np.ndarray, form: RowsForm, expected: np.ndarray, skips: bool) -> Case:
    (batch, rows), columns = x.shape, stored.values.shape[1]
    graded = x.dtype == np.float32 and bool((x != x.round()).any())
    product = RowsProduct(batch, rows, columns, batch, graded, skips, True, str(x.dtype), stored.storage)
    data, scales = pack_rows(stored)
    operands = (x, data) if scales is None else (x, data, scales)
    return Case(replace(product, fixed=form.name == "fixed"), form, operands, expected)


def _constant_weights() -> Iterator[Case]:
    """Every storage and kind of input, read by active elements and without, in every form."""
    shapes = (("bool", 1, 700, 150), ("graded", 18, 320, 21), ("spikes", 3, 257, 1))
    for storage, (kind, batch, rows, columns) in combinations(STORAGES.values(), shapes):
        stored, x = _stored(rows, columns, storage), _inputs(kind, batch, rows)
        expected = event_product(x, stored, graded=kind == "graded")
        yield from (_case(stored, x, form, expected, True) for form in (WHOLE, SPLIT))
        yield from (_case(stored, x, form, expected, False) for form in (WHOLE, SPLIT))
        if batch > 8:
            yield _case(stored, x, RowsForm("streams", streams=8), expected, True)
            yield from (_case(stored, x, form, expected, False) for form in STRIPS)
        if storage.is_integer and kind != "spikes":
            fixed = fixed_product(x, stored)
            yield from (_case(stored, x, form, fixed, False) for form in FIXED)


def _extreme_values() -> Iterator[Case]:
    """Weights that are infinite, which nothing skips, and inputs that are: NaN whatever their factor."""
    stored = _stored(300, 40, STORAGES["float32"])
    stored.values[7, ::3] = np.inf
    x = _inputs("bool", 9, 300)
    for form in (WHOLE, SPLIT, *STRIPS):
        yield _case(stored, x, form, dense_product(x, stored), False)
    infinite = _inputs("graded", 2, 300)
    infinite[0, 260] = np.inf
    for name in ("int8", "int4"):
        stored = _stored(300, 40, STORAGES[name])
        yield from (_case(stored, infinite, form, fixed_product(infinite, stored), False) for form in FIXED)


def _computed_weights() -> Iterator[Case]:
    """Matrices that a step computes: one for each row, read by active elements, and one for several rows."""
    rng = np.random.default_rng(1)
    for rows_out, skips, forms in ((1, True, (WHOLE, SPLIT)), (3, False, (WHOLE, SPLIT)), (11, False, STRIPS)):
        x = _inputs("graded", 2 * rows_out, 270)
        weights = rng.standard_normal((2, 270, 33)).astype(np.float32)
        function = batched_matmul(2, rows_out, 270, 33)
        expected = run(function, [x.ravel(), weights.ravel()], [np.zeros(2 * rows_out * 33, np.float32)])[0]
        product = RowsProduct(2 * rows_out, 270, 33, rows_out, True, skips, False)
        yield from (Case(product, form, (x, weights), expected) for form in forms)


def _integers() -> Iterator[Case]:
    """Exact sums of integers, those that overflow modulo the range."""
    rng = np.random.default_rng(2)
    x = rng.integers(-(2**15), 2**15, (3, 700)).astype(np.int32)
    weights = rng.integers(-128, 128, (700, 50)).astype(np.int8)
    exact = (x.astype(np.int64) @ weights.astype(np.int64)).astype(np.int32)
    for form in (WHOLE, SPLIT):
        yield Case(IntegerProduct(3, 700, 50, 3, True, "int32"), form, (x, weights), exact)
    for dtype in ("int32", "int64"):
        limits = np.iinfo(dtype)
        x = rng.integers(limits.min, limits.max, (4, 300)).astype(dtype)
        weights = rng.integers(limits.min, limits.max, (2, 300, 20)).astype(dtype)
        operands = [x.ravel(), weights.ravel()]
        expected = run(integer_matmul(2, 2, 300, 20, dtype), operands, [np.zeros(80, dtype)])[0]
        for form in (WHOLE, SPLIT):
            yield Case(IntegerProduct(4, 300, 20, 2, False, dtype), form, (x, weights), expected)


@cache
def _cases() -> list[Case]:
    return [*_constant_weights(), *_extreme_values(), *_computed_weights(), *_integers()]


def test_products_have_the_bits_of_the_cpu() -> None:
    """Every storage, kind of input and form gives the CPU's bits at every number of blocks and order of threads."""
    library = CudaLibrary(function for case in _cases() for function in case.functions())
    wrong = [
        (case.product, case.form)
        for place, case in enumerate(_cases())
        for grid, seed in (ORDERS[place % len(ORDERS)], ORDERS[0])
        if not same_bits(case.run(library, grid, seed), case.expected)
    ]
    assert wrong == []


def test_threads_of_a_product_do_not_race() -> None:
    """No two threads touch the same number without a barrier between them, nor do two calls in a row."""
    forms = (WHOLE, SPLIT, STRIPS[0], FIXED[0], RowsForm("streams", streams=8))
    chosen = [next(case for case in _cases() if case.form == form) for form in forms]
    library = CudaLibrary((function for case in chosen for function in case.functions()), races=True)
    assert all(same_bits(case.run(library, 2, 1), case.expected) for case in chosen)


def test_rows_of_a_table_are_those_of_the_cpu() -> None:
    """Embeddings in every storage are the CPU's; an index outside the table takes the nearest entry."""
    indices = np.array([-3, 0, 5, 10, 99], np.int64)
    made = []
    for storage, width in combinations(STORAGES.values(), (70, 63)):
        table, scales = pack_embedding(_stored(width, 11, storage))
        beside = [] if scales is None else [scales]
        bits = table.view(np.uint16) if storage.is_half else table
        on_cpu = embedding_on_cpu(5, 11, width, storage=storage)
        expected = run(on_cpu, [indices, table, *beside], [np.zeros(5 * width, np.float32)])[0]
        made.append((embedding_row(5, 11, width, storage, "int64"), [indices, bits, *beside], expected))
    library = CudaLibrary(function for function, _, _ in made)
    for function, operands, expected in made:
        assert same_bits(library.run(function, operands, [np.full_like(expected, 77)])[0], expected)


@pytest.mark.parametrize("dtype", ["bool", "float32"])
def test_active_elements_are_counted(dtype: str) -> None:
    """The counter grows by the elements that are not zero: a NaN counts, −0.0 does not."""
    x = (np.random.default_rng(0).random(1000) < 0.3).astype(dtype)
    if dtype == "float32":
        x[:2] = np.nan, -0.0
    function = count_active(1000, dtype)
    library = CudaLibrary([function])
    for grid, seed in ORDERS:
        assert library.run(function, [x], [np.array([5], np.int64)], grid, seed)[0][0] == 5 + np.count_nonzero(x)


def test_a_product_is_divided_as_its_size_and_the_device_want() -> None:
    """Blocks of inputs are split where few threads have long sums; many rows by one matrix share its weights."""
    product = RowsProduct(1, 2048, 512, 1, True, False, True)
    assert product.form(1.0, COSTS) == SPLIT
    assert replace(product, rows=256).form(1.0, COSTS) == WHOLE
    assert replace(product, rows=500, skips=True).form(0.01, COSTS) == WHOLE
    assert replace(product, skips=True, batch=512, per_matrix=512).form(0.1, COSTS).streams == 64
    assert replace(product, batch=64, per_matrix=64).form(1.0, COSTS) == STRIPS[1]
    assert replace(product, batch=512, per_matrix=512).form(1.0, COSTS) == STRIPS[0]

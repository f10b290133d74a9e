"""Matrix products → calls of the CUDA C library: event-driven where inputs are often silent, else dense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroedge.bundle.manifest import DESPITE
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.decide_kernel import DENSE, EVENT, why_dense
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.families.gpu_costs import GpuCosts
from astroedge.targets.kernels.cuda.products import IntegerProduct, RowsProduct, pack_rows

MOST_FIRING = 0.7
"""The rate above which silent inputs save less than it takes to list the others."""


@dataclass(frozen=True)
class ChosenCalls:
    """The calls that stand for a product, their kind ("event" or "dense"), why that, and what holds the weights."""

    calls: tuple[KernelCall, ...]
    kernel: str
    reason: str
    stored: tuple[Value, ...]


class ProductCalls:
    """Chooses the calls of the products of one step.

    `kernels` is "auto", or "event" or "dense" to force one kind wherever it applies; `costs` are those of the GPU.
    """

    def __init__(self, kernels: str, weights: WeightValues, costs: GpuCosts) -> None:
        self.kernels = kernels
        self.weights = weights
        self.costs = costs

    def choose(self, product: Product, left: Value, right: Value, result: Value) -> ChosenCalls:
        """The calls that make `result` of the product of `left` and `right`.

        Raises CompileError for more inputs than exact integer sums allow.
        """
        kernel, reason = self._decide(product, right)
        stored = self._stored(product, right)
        if product.dtype != "float32":
            return ChosenCalls(self._integers(product, (left, *stored), result), kernel, reason, stored)
        rows = self._shape(product, left, right, kernel == EVENT)
        if not rows.fixed:
            rows.storage.check_rows(product.rows)
        return ChosenCalls(self._calls(product, rows, (left, *stored), result), kernel, reason, stored)

    def _decide(self, product: Product, right: Value) -> tuple[str, str]:
        """The kernel of a product, and why."""
        sparsity = product.sparsity
        if sparsity is None:
            return DENSE, why_dense(product)
        fires = f"{sparsity.source} fires at {sparsity.rate:.1%}"
        if not product.constant and (product.rows_out != 1 or product.columns == 1):
            return DENSE, f"{fires}{DESPITE}the product of two computed matrices has more than one row"
        if right.data is not None and not np.isfinite(right.data).all():
            return DENSE, f"{fires}{DESPITE}a silent input times an infinite weight is NaN"
        if self.kernels in (EVENT, DENSE):
            return self.kernels, f"asked for; {fires}"
        if sparsity.rate > MOST_FIRING:
            return DENSE, f"{fires}, at which lists cost more than they save"
        return EVENT, f"{fires}: so much of the weights is read"

    def _stored(self, product: Product, right: Value) -> tuple[Value, ...]:
        """What holds the right operand as the library reads it: row by row, with the scales of integers."""
        if self.weights.storage(right).is_plain:
            return self.weights.for_event(product.name, right)
        return self.weights.packed(product.name, right, "rows", pack_rows)

    def _shape(self, product: Product, left: Value, right: Value, skips: bool) -> RowsProduct:
        """The product as the library sees it.

        Integer weights take their inputs in fixed point, unless only 1 is not skipped or other inputs may be: there the
        bits must be those of the products that skip them.
        """
        graded = product.sparsity is None or not product.sparsity.binary
        storage = self.weights.storage(right)
        return RowsProduct(
            batch=product.batch * product.rows_out,
            rows=product.rows,
            columns=product.columns,
            per_matrix=product.rows_out,
            graded=graded,
            skips=skips,
            constant=product.constant,
            dtype=left.dtype,
            storage=storage,
            fixed=storage.is_integer and not skips and (product.sparsity is None or not graded),
        )

    def _integers(self, product: Product, reads: tuple[Value, ...], result: Value) -> tuple[KernelCall, ...]:
        """A product of integers in one call, or in one for blocks of inputs and one for their sums."""
        integers = IntegerProduct(
            batch=product.batch * product.rows_out,
            rows=product.rows,
            columns=product.columns,
            per_matrix=product.rows_out,
            constant=product.constant,
            dtype=product.dtype,
        )
        kind = "dense-gemv" if product.constant else "batched-matmul"
        if not integers.is_worth_splitting(self.costs.blocks):
            return (KernelCall(integers.product(False), reads, (result,), kind, ("matmul",)),)
        sums = Value(f"sums.{result.name}", integers.sums_shape, product.dtype, "computed")
        return (
            KernelCall(integers.product(True), reads, (sums,), kind, ("matmul",)),
            KernelCall(integers.finish(), (sums,), (result,), "finish-gemv", ("matmul",)),
        )

    def _calls(
        self, product: Product, rows: RowsProduct, reads: tuple[Value, ...], result: Value
    ) -> tuple[KernelCall, ...]:
        """One call, or one that adds up blocks of inputs and one that adds up their sums."""
        rate = product.sparsity.rate if rows.skips and product.sparsity is not None else 1.0
        kind = "event-gemv" if rows.skips else "dense-gemv"
        repeats = rows.batch if product.constant else 1
        touched = round(rate * sum(value.nbytes for value in reads[1:])) * repeats
        form = rows.form(rate, self.costs)
        if not form.split:
            return (KernelCall(rows.product(form), reads, (result,), kind, ("matmul",), touched=touched),)
        sums = Value(f"sums.{result.name}", rows.sums_shape, "float32", "computed")
        return (
            KernelCall(rows.product(form), reads[:2], (sums,), kind, ("matmul",), touched=touched),
            KernelCall(rows.finish(), (sums, *reads[2:]), (result,), "finish-gemv", ("matmul",)),
        )

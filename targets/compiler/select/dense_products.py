"""Dense products with constant weights → kernels: floats, or integers where the weights are quantised."""

from __future__ import annotations

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.kernels.products.dense_gemv import dense_gemv, dense_tile
from astroedge.targets.kernels.products.fixed_gemv import fixed_gemv, fixed_tile
from astroedge.targets.kernels.products.fixed_point import block_count, fixed_point, pair_count
from astroedge.targets.kernels.products.integer_gemv import integer_gemv, integer_matmul


class DenseProducts:
    """Appends the calls of dense products to `calls`, keeping the inputs already put in fixed point."""

    def __init__(self, target: Target, weights: WeightValues, calls: list[KernelCall]) -> None:
        self.target = target
        self.weights = weights
        self.calls = calls
        self.fixed: dict[tuple[Value, int], tuple[Value, Value]] = {}

    def add(self, product: Product, left: Value, right: Value, result: Value) -> tuple[Value, ...]:
        """Append the product with weights packed in tiles of columns; returns what holds them.

        Integer weights take their inputs in fixed point. Those that may be read by their active elements do not, unless
        they are 0 and 1: the bits must be those of the event-driven kernel.
        """
        graded = product.sparsity is not None and not product.sparsity.binary
        if self.weights.storage(right).is_integer and not graded:
            return self._add_fixed(product, left, right, result)
        tile, row_tile = dense_tile(product.rows_out, self.target)
        function = dense_gemv(
            product.rows_out,
            product.rows,
            product.columns,
            bias=False,
            tile=tile,
            row_tile=row_tile,
            dtype=left.dtype,
            storage=self.weights.storage(right),
        )
        weights = self.weights.for_dense(product.name, right, tile)
        self.calls.append(KernelCall(function, (left, *weights), (result,), "dense-gemv", ("matmul",)))
        return weights

    def add_integers(self, product: Product, left: Value, right: Value, result: Value) -> tuple[Value, ...]:
        """Append a product of integers; returns what holds its weights."""
        if not product.constant:
            function = integer_matmul(product.batch, product.rows_out, product.rows, product.columns, product.dtype)
            self.calls.append(KernelCall(function, (left, right), (result,), "batched-matmul", ("matmul",)))
            return (right,)
        tile, row_tile = fixed_tile(product.rows_out, self.target)
        function = integer_gemv(
            product.rows_out, product.rows, product.columns, target=self.target, tile=tile, row_tile=row_tile
        )
        weights = self.weights.for_integers(product.name, right, tile)
        self.calls.append(KernelCall(function, (left, *weights), (result,), "dense-gemv", ("matmul",)))
        return weights

    def _add_fixed(self, product: Product, left: Value, right: Value, result: Value) -> tuple[Value, ...]:
        """The product of inputs in fixed point with integer weights; returns what holds those."""
        tile, row_tile = fixed_tile(product.rows_out, self.target)
        function = fixed_gemv(
            product.rows_out,
            product.rows,
            product.columns,
            target=self.target,
            tile=tile,
            row_tile=row_tile,
            storage=self.weights.storage(right),
        )
        weights = self.weights.for_fixed(product.name, right, tile)
        inputs = self.fixed_point(left, product.rows_out, product.rows)
        self.calls.append(KernelCall(function, (*inputs, *weights), (result,), "dense-gemv", ("matmul",)))
        return weights

    def fixed_point(self, value: Value, batch: int, width: int) -> tuple[Value, Value]:
        """The rows of `value` in fixed point and their factors, made at their first use."""
        key = (value, batch)
        if key not in self.fixed:
            planes = Value(f"fixed.{value.name}", (batch, 2, pair_count(width)), "int32", "computed")
            factors = Value(f"fixed_factors.{value.name}", (batch, block_count(width)), "float32", "computed")
            function = fixed_point(batch, width, value.dtype)
            self.calls.append(KernelCall(function, (value,), (planes, factors), "fixed-point", ("fixed_point",)))
            self.fixed[key] = (planes, factors)
        return self.fixed[key]

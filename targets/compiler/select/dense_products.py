"""Dense products with constant weights → kernels: floats, or integers where the weights are quantised."""

from __future__ import annotations

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.byte_dots import byte_dots
from astroedge.targets.compiler.select.kernel_cost import MemoryLevel, reads_rows
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.kernels.products.dense_gemv import dense_gemv, dense_tile
from astroedge.targets.kernels.products.dot_gemv import ByteDots, dot_gemv, dot_tile
from astroedge.targets.kernels.products.fixed_bytes import DIGITS, QUAD, fixed_bytes, quad_count
from astroedge.targets.kernels.products.fixed_gemv import fixed_gemv, fixed_tile
from astroedge.targets.kernels.products.fixed_point import block_count, fixed_point, pair_count
from astroedge.targets.kernels.products.integer_gemv import integer_gemv, integer_matmul
from astroedge.targets.precision.storage import Storage


class DenseProducts:
    """Appends the calls of dense products to `calls`, keeping the inputs already put in fixed point."""

    def __init__(self, target: Target, weights: WeightValues, calls: list[KernelCall]) -> None:
        self.target = target
        self.weights = weights
        self.calls = calls
        self.fixed: dict[tuple[Value, int], tuple[Value, Value]] = {}
        self.digits: dict[tuple[Value, int, int], tuple[Value, ...]] = {}

    def add(self, product: Product, left: Value, right: Value, result: Value, level: MemoryLevel) -> tuple[Value, ...]:
        """Append the product with weights packed in tiles of columns, which lie in `level`; returns what holds them.

        Integer weights take their inputs in fixed point. Those that may be read by their active elements do not, unless
        they are 0 and 1: the bits must be those of the event-driven kernel.
        """
        graded = product.sparsity is not None and not product.sparsity.binary
        storage, waits = self.weights.storage(right), reads_rows(level, self.target)
        if storage.is_integer and not graded:
            dots = byte_dots(self.target, storage)
            if dots is not None:
                return self._add_dots(product, (left, right), result, dots, waits)
            return self._add_fixed(product, left, right, result, waits)
        tile, row_tile = dense_tile(product.rows_out, self.target)
        function = dense_gemv(
            product.rows_out,
            product.rows,
            product.columns,
            bias=False,
            tile=tile,
            row_tile=row_tile,
            dtype=left.dtype,
            storage=storage,
            waits=waits,
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

    def _add_fixed(self, product: Product, left: Value, right: Value, result: Value, waits: bool) -> tuple[Value, ...]:
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
            waits=waits,
        )
        weights = self.weights.for_fixed(product.name, right, tile)
        inputs = self.fixed_point(left, product.rows_out, product.rows)
        self.calls.append(KernelCall(function, (*inputs, *weights), (result,), "dense-gemv", ("matmul",)))
        return weights

    def _add_dots(
        self, product: Product, operands: tuple[Value, Value], result: Value, dots: ByteDots, waits: bool
    ) -> tuple[Value, ...]:
        """The same with int4 weights, by an instruction that multiplies bytes four by four."""
        (left, right), batch, rows = operands, product.rows_out, product.rows
        storage = self.weights.storage(right)
        tile, row_tile = dot_tile(batch, self.target, dots)
        function = dot_gemv(
            batch, rows, product.columns, dots=dots, tile=tile, row_tile=row_tile, storage=storage, waits=waits
        )
        weights = self.weights.for_dots(product.name, right, tile, dots)
        inputs = self._digits(left, batch, rows, storage)
        self.calls.append(KernelCall(function, (*inputs, *weights), (result,), "dense-gemv", ("matmul",)))
        return weights

    def _digits(self, value: Value, batch: int, width: int, storage: Storage) -> tuple[Value, ...]:
        """The rows of `value` as digits with the offsets of groups and factors, made at their first use."""
        key = (value, batch, storage.group)
        if key not in self.digits:
            name = f"{storage.group}.{value.name}"
            shapes = ((batch, DIGITS, QUAD * quad_count(width)), (batch, storage.scale_rows(width), DIGITS))
            made = (
                Value(f"fixed.digits.{name}", shapes[0], "int8", "computed"),
                Value(f"fixed_offsets.{name}", shapes[1], "int32", "computed"),
                Value(f"fixed_digit_factors.{name}", (batch, block_count(width)), "float32", "computed"),
            )
            function = fixed_bytes(batch, width, value.dtype, storage)
            self.calls.append(KernelCall(function, (value,), made, "fixed-point", ("fixed_point",)))
            self.digits[key] = made
        return self.digits[key]

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

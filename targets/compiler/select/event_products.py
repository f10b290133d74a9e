"""Event-driven products → the kernel that reads the rows of the active inputs, by where the weights lie."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.kernel_cost import MemoryLevel, reads_rows, shares_rows
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.kernels.products.event_batch import event_batch
from astroedge.targets.kernels.products.event_gemv import event_gemv, event_tile
from astroedge.targets.kernels.products.row_form import RowForm

Form = Callable[[Product, Value, Value], tuple["partial[KernelCall]", tuple[Value, ...]]]
LONG_SCALES = "; the scales of its grid are no multiples of one unit a column and take four bytes each, not one"
LONG_UNITS = "; the units of its grid's scales have so many bits that each group of 64 inputs is scaled by itself"


class EventProducts:
    """Appends the calls of event-driven products to `calls`."""

    def __init__(self, target: Target, weights: WeightValues, calls: list[KernelCall]) -> None:
        self.target = target
        self.weights = weights
        self.calls = calls

    def add(
        self,
        product: Product,
        operands: tuple[Value, Value],
        result: Value,
        lists: tuple[Value, Value],
        level: MemoryLevel,
    ) -> tuple[tuple[Value, ...], str]:
        """Append the product of `operands`, whose weights lie in `level`; returns what holds them, and what to tell.

        `lists` are those of the active elements of the left operand.
        """
        sparsity, (left, right) = product.sparsity, operands
        assert sparsity is not None
        form = self._form(product, level)
        call, weights = form(product, right, result)
        inputs = (*(() if sparsity.binary else (left,)), *lists)
        streams = product.batch * product.rows_out if product.constant else 1
        data, *scales = (item.nbytes for item in weights)
        touched = round(sparsity.rate * data + sum(scales)) * streams
        self.calls.append(call(reads=(*inputs, *weights), touched=touched))
        return weights, self._slower(product, right, weights) if form == self._in_rows else ""

    def _slower(self, product: Product, matrix: Value, weights: tuple[Value, ...]) -> str:
        """Why the rows of a matrix on a grid take longer than others of their precision, if they do."""
        sparsity = product.sparsity
        if not self.weights.storage(matrix).scaled_by_group:
            return ""
        if len(weights) == 2:
            return LONG_SCALES
        binary = sparsity is not None and sparsity.binary
        return LONG_UNITS if binary and not self.weights.sums_exactly(matrix, weights) else ""

    def _form(self, product: Product, level: MemoryLevel) -> Form:
        if shares_rows(product):
            return self._in_packed_tiles
        return self._in_rows if product.constant and reads_rows(level, self.target) else self._in_tiles

    def _in_packed_tiles(
        self, product: Product, matrix: Value, result: Value
    ) -> tuple[partial[KernelCall], tuple[Value, ...]]:
        """The kernel for streams that share the rows they read, as a call without what it reads, and its weights."""
        assert product.sparsity is not None
        graded, storage = not product.sparsity.binary, self.weights.storage(matrix)
        tile = event_tile(self.target, graded, storage)
        function = event_batch(
            product.rows, product.columns, tile=tile, graded=graded, batch=product.rows_out, storage=storage
        )
        call = partial(KernelCall, function, writes=(result,), kind="event-gemv", operators=("matmul",))
        return call, self.weights.for_dense(product.name, matrix, tile)

    def _in_tiles(
        self, product: Product, matrix: Value, result: Value
    ) -> tuple[partial[KernelCall], tuple[Value, ...]]:
        """The kernel for weights in a near cache, likewise."""
        assert product.sparsity is not None
        graded, storage = not product.sparsity.binary, self.weights.storage(matrix)
        function = event_gemv(
            product.rows,
            product.columns,
            bias=False,
            graded=graded,
            batch=product.batch * product.rows_out,
            shared=product.constant,
            tile=event_tile(self.target, graded, storage),
            storage=storage,
        )
        call = partial(KernelCall, function, writes=(result,), kind="event-gemv", operators=("matmul",))
        return call, self.weights.for_event(product.name, matrix)

    def _in_rows(self, product: Product, matrix: Value, result: Value) -> tuple[partial[KernelCall], tuple[Value, ...]]:
        """The kernel for weights that have to be waited for, likewise; threads divide it into shorter pieces."""
        assert product.sparsity is not None
        weights = self.weights.for_rows(product.name, matrix)
        form = RowForm(
            product.rows,
            product.columns,
            graded=not product.sparsity.binary,
            batch=product.batch * product.rows_out,
            storage=self.weights.storage(matrix),
            short_scales=len(weights) > 2,
            exact_sums=product.sparsity.binary and self.weights.sums_exactly(matrix, weights),
        )
        return partial(row_call, form, result), weights


def row_call(form: RowForm, result: Value, *, reads: tuple[Value, ...], touched: int | None) -> KernelCall:
    """The call of a product by long rows, which writes `result`."""
    sums = () if form.sums is None else (Value(f"sums.{result.name}", result.shape, form.sums, "computed"),)
    return KernelCall(
        form.kernel(),
        reads,
        (result, *sums),
        "event-gemv",
        ("matmul",),
        touched=touched,
        divided=form.divided(),
        rows=form,
    )

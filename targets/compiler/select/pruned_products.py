"""Products with pruned weights → kernels that read lists of the weights that are not zero."""

from __future__ import annotations

from math import prod

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.dense_products import DenseProducts
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.kernels.products.pruned_gemv import FIXED, LISTED, REAL, PrunedForm, pruned_gemv
from astroedge.targets.kernels.products.pruned_lanes import pruned_lanes
from astroedge.targets.kernels.products.pruned_steps import lanes_of

UNORDERED = 4  # arrays of weights in lanes whose columns are as they were


class PrunedProducts:
    """Appends the calls of products with pruned weights to `calls`; `dense` puts inputs in fixed point."""

    def __init__(self, target: Target, weights: WeightValues, calls: list[KernelCall], dense: DenseProducts) -> None:
        self.target = target
        self.weights = weights
        self.calls = calls
        self.dense = dense

    def add(
        self, product: Product, left: Value, right: Value, result: Value, lists: tuple[Value, Value] | None
    ) -> tuple[Value, ...]:
        """Append the product; `lists` is the active list of its inputs where they have one. Returns what is stored.

        Without a list, integer weights take their inputs in fixed point, as the dense product does.
        """
        storage = self.weights.storage(right)
        weights = self.weights.for_pruned(product.name, right)
        listed, fixed = lists is not None, lists is None and storage.is_integer
        form = PrunedForm(
            product.rows,
            product.columns,
            prod(weights[0].shape),
            storage,
            inputs=LISTED if listed else FIXED if fixed else REAL,
            graded=listed and product.sparsity is not None and not product.sparsity.binary,
            batch=product.rows_out,
            dtype=left.dtype,
        )
        inputs: tuple[Value, ...] = (left,) if form.reads_x else ()
        inputs += lists or ()
        inputs += self.dense.fixed_point(left, product.rows_out, product.rows) if fixed else ()
        sums = Value(f"sums.{result.name}", result.shape, form.sum_type, "computed")
        touched = round(self._share_read(product) * sum(item.nbytes for item in weights)) * product.rows_out
        function, kind = pruned_gemv(form), "pruned-gemv"
        self.calls.append(KernelCall(function, (*inputs, *weights), (result, sums), kind, ("matmul",), touched=touched))
        return weights

    def add_lanes(self, product: Product, left: Value, right: Value, result: Value) -> tuple[Value, ...]:
        """Append a product of floats in vectors; returns what is stored."""
        storage = self.weights.storage(right)
        lanes = lanes_of(self.target, product.rows, storage)
        weights = self.weights.for_lanes(product.name, right, lanes)
        ordered = len(weights) > UNORDERED
        function = pruned_lanes(
            product.rows_out,
            product.rows,
            product.columns,
            steps=prod(weights[2].shape),
            lanes=lanes,
            permute=self.target.family.permute[lanes],
            storage=storage,
            ordered=ordered,
        )
        sums = (Value(f"sums.{result.name}", result.shape, "float32", "computed"),) if ordered else ()
        self.calls.append(KernelCall(function, (left, *weights), (result, *sums), "pruned-gemv", ("matmul",)))
        return weights

    @staticmethod
    def _share_read(product: Product) -> float:
        """How many of the lists are read in a tick."""
        return 1.0 if product.sparsity is None else product.sparsity.rate

"""Which kernel a matrix product gets, and why: as asked, or the cheapest by estimates."""

from __future__ import annotations

from collections import Counter

import numpy as np

from astroedge.bundle.manifest import DESPITE, NO_SPIKES
from astroedge.errors import CompileError
from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.kernel_cost import MEMORY, MatrixCost, level_of
from astroedge.targets.compiler.select.weight_values import WeightValues

MOST_LISTED = 0.8
"""The rate from which on all of a computed matrix is multiplied by a vector sooner than what is listed of it."""

AUTO, EVENT, DENSE, PRUNED = "auto", "event", "dense", "pruned"
KERNEL_CHOICES = (AUTO, EVENT, DENSE, PRUNED)


class Decisions:
    """Decides for the products of one step.

    `kernels` is one of KERNEL_CHOICES: the cheapest, or one kind wherever it applies. Raises CompileError for any other
    word.
    """

    def __init__(self, target: Target, kernels: str, weights: WeightValues) -> None:
        check_kernels(kernels)
        self.target = target
        self.kernels = kernels
        self.weights = weights
        self.readers: Counter[Value] = Counter()
        self.level = self.pruned_level = MEMORY

    def look_ahead(self, calls: list[KernelCall], products: list[Product | ConvolutionProduct]) -> None:
        """See where the weights of the whole step fit, and how many matrices would share each list."""
        placed = [(products[call.product], call.reads) for call in calls if call.product is not None]
        weights = {right for _, (_, right) in placed if right.data is not None}
        self.level = level_of(sum(map(self.weights.stored_bytes, weights)), self.target)
        listable = {right for product, (_, right) in placed if isinstance(product, Product)}
        smallest = [self.weights.smallest_bytes(matrix, matrix in listable) for matrix in weights]
        self.pruned_level = level_of(sum(smallest), self.target)
        self.readers = Counter(left for product, (left, _) in placed if isinstance(product, Product))

    def decide(self, product: Product, left: Value, right: Value) -> tuple[str, str]:
        """The kernel of a product, and why."""
        sparsity, costs = product.sparsity, self.costs(product, left, right)
        listed = self.kernels == PRUNED and costs.pruned_size is not None
        if sparsity is None:
            why = why_dense(product)
            if listed:
                return PRUNED, f"asked for; {why}"
            return (DENSE, why) if self.kernels in (EVENT, DENSE) else costs.choose_dense(why)
        fires = f"{sparsity.source} fires at {sparsity.rate:.1%}"
        if not product.constant and (product.rows_out != 1 or product.columns == 1):
            return DENSE, f"{fires}{DESPITE}the product of two computed matrices has more than one row"
        if right.data is not None and not np.isfinite(right.data).all():
            return DENSE, f"{fires}{DESPITE}a silent input times an infinite weight is NaN"
        if listed or self.kernels in (EVENT, DENSE):
            return self.kernels, f"asked for; {fires}"
        return costs.choose(sparsity.rate, not sparsity.binary, fires)

    def decide_matrix_vector(self, product: Product, matrix: Value) -> tuple[str, str]:
        """The kernel of a vector's product with a matrix whose rows are the product's columns, and why.

        Either kernel reads the numbers of a row one by one, so that reading fewer of them pays at any rate below this.
        """
        sparsity = product.sparsity
        if sparsity is None:
            return DENSE, NO_SPIKES
        fires = f"{sparsity.source} fires at {sparsity.rate:.1%}"
        if matrix.data is not None and not np.isfinite(matrix.data).all():
            return DENSE, f"{fires}{DESPITE}a silent input times an infinite weight is NaN"
        if self.kernels in (EVENT, DENSE):
            return self.kernels, f"asked for; {fires}"
        return (EVENT, fires) if sparsity.rate <= MOST_LISTED else (DENSE, fires)

    def costs(self, product: Product, left: Value, right: Value) -> MatrixCost:
        """What a product costs by each kernel; lists of weights are for floats by constant weights."""
        level = self.level if product.constant else level_of(right.nbytes, self.target)
        listable = product.constant and product.dtype == "float32"
        return MatrixCost(
            product,
            self.weights.storage(right),
            level,
            self.target,
            self.readers[left],
            self.pruned_level,
            self.weights.pruned_size(right) if listable else None,
            left.dtype,
        )


def check_kernels(kernels: str) -> None:
    """Raise CompileError for a word that is not one of KERNEL_CHOICES."""
    if kernels not in KERNEL_CHOICES:
        raise CompileError(f"kernels={kernels!r} is not one of {', '.join(KERNEL_CHOICES)}.")


def why_dense(product: Product) -> str:
    """Why a product is dense whose left operand is not sparse."""
    if product.other is None:
        return NO_SPIKES
    return f"{product.other.source} fires at {product.other.rate:.1%}{DESPITE}it is the right operand of the product"

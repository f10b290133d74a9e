"""What the manifest tells of a matrix: its size, the kernel chosen for it and why, and how it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.manifest import Matrix
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.step_program import Value


@dataclass(frozen=True)
class Chosen:
    """The kernel of a matrix and why, the counter of its input's spikes, its bytes and their precision."""

    kernel: str
    reason: str
    spikes: str | None
    nbytes: int
    precision: str


def product_report(product: Product, matrix: Value, chosen: Chosen) -> Matrix:
    """The report of a product by `matrix`."""
    return Matrix(
        name=product.name,
        rows=product.rows,
        columns=product.columns,
        calls=product.batch * product.rows_out,
        kernel=chosen.kernel,
        reason=chosen.reason,
        spikes=chosen.spikes,
        nonzero=None if matrix.data is None else round(_density(matrix.data) * product.rows * product.columns),
        nbytes=chosen.nbytes,
        precision=chosen.precision,
        graded=is_graded(product),
    )


def _density(weights: NDArray[Any]) -> float:
    """The share of weights that are not zero, of a stack of matrices over all of them: each call meets one of these."""
    return float(np.count_nonzero(weights)) / weights.size


def convolution_report(product: ConvolutionProduct, nonzero: int, chosen: Chosen) -> Matrix:
    """The report of a convolution whose weights, of all groups, have so many numbers that are not zero."""
    conv = product.shape
    return Matrix(
        name=product.name,
        rows=conv.taps,
        columns=conv.group_outputs,
        calls=conv.batch * conv.groups * conv.out_pixels,
        kernel=chosen.kernel,
        reason=chosen.reason,
        spikes=chosen.spikes,
        nonzero=round(nonzero / conv.groups),
        nbytes=chosen.nbytes,
        precision=chosen.precision,
        graded=is_graded(product),
    )


def is_graded(product: Product | ConvolutionProduct) -> bool:
    """Whether a sparse operand has values of several magnitudes."""
    return product.sparsity is not None and not product.sparsity.spiking

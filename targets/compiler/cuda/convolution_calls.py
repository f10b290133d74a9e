"""Convolutions → calls of the CUDA C library: event-driven where inputs are often silent, else dense."""

from __future__ import annotations

import numpy as np

from astroedge.bundle.manifest import DESPITE, NO_SPIKES
from astroedge.errors import CompileError
from astroedge.targets.compiler.cuda.product_calls import ChosenCalls
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.decide_kernel import DENSE, EVENT
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.cuda.convolutions import FEW_OUTPUTS, WindowSums, has_near_taps, pack_taps, pack_windows

MOST_FIRING = 0.5
"""The rate above which silent inputs save less than it takes to list the others."""


class ConvolutionCalls:
    """Chooses the calls of the convolutions of one step; `blocks` run at once, else as in `ProductCalls`."""

    def __init__(self, kernels: str, weights: WeightValues, blocks: int) -> None:
        self.kernels = kernels
        self.weights = weights
        self.blocks = blocks
        self._taps: dict[bytes, Value] = {}

    def choose(self, product: ConvolutionProduct, images: Value, matrix: Value, result: Value) -> ChosenCalls:
        """The call that makes `result` of `images` and W[taps, outputs].

        Raises CompileError for more inputs than exact integer sums allow, and for windows that are too large.
        """
        conv, sparsity, storage = product.shape, product.sparsity, self.weights.storage(matrix)
        storage.check_rows(conv.taps)
        if not has_near_taps(conv):
            raise CompileError(
                f"The convolution {product.name!r} has windows of more than 32,768 rows or columns, for which a GPU "
                "has no kernel; compile it for the board's CPU."
            )
        kernel, reason = self._decide(product, matrix)
        form = f"windows {conv.groups} {conv.kernel}"
        stored = self.weights.packed(product.name, matrix, form, lambda weights: pack_windows(weights, conv))
        sums = WindowSums(conv, sparsity is None or not sparsity.binary, kernel == EVENT, storage, len(stored) > 1)
        reads = (images, stored[0], self._taps_of(conv), *stored[1:])
        rate = 1.0 if sparsity is None or kernel == DENSE else sparsity.rate
        touched = round(rate * stored[0].nbytes * conv.batch * conv.out_pixels)
        function = sums.function(sums.form(self.blocks))
        call = KernelCall(function, reads, (result,), f"{kernel}-conv", ("conv",), touched=touched)
        return ChosenCalls((call,), kernel, reason, stored)

    def _decide(self, product: ConvolutionProduct, matrix: Value) -> tuple[str, str]:
        """The kernel of a convolution, and why."""
        sparsity = product.sparsity
        if sparsity is None:
            return DENSE, NO_SPIKES
        fires = f"{sparsity.source} fires at {sparsity.rate:.1%}"
        if matrix.data is None or not np.isfinite(matrix.data).all():
            return DENSE, f"{fires}{DESPITE}a silent input times an infinite weight is NaN"
        if self.kernels in (EVENT, DENSE):
            return self.kernels, f"asked for; {fires}"
        if product.shape.group_outputs < FEW_OUTPUTS:
            return DENSE, f"{fires}, but lists cost more than they save for groups of so few outputs"
        if sparsity.rate > MOST_FIRING:
            return DENSE, f"{fires}, at which lists cost more than they save"
        return EVENT, f"{fires}: so much of the weights is read"

    def _taps_of(self, conv: Convolution) -> Value:
        """Where the taps of a window lie, the same for all convolutions of that form."""
        taps = pack_taps(conv)
        key = taps.tobytes()
        if key not in self._taps:
            name = f"taps.{len(self._taps)}"
            self._taps[key] = Value(name, taps.shape, str(taps.dtype), "weight", taps)
        return self._taps[key]

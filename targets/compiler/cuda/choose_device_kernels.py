"""Placeholders of matrix products and convolutions → kernels of a GPU: the CUDA twin of `select/choose_kernels.py`.

A product reads its inputs itself and each block of threads lists the active ones it needs, so nothing is listed before;
what a CPU counts while it lists is counted by calls of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from astroedge.targets.compiler.cuda.convolution_calls import ConvolutionCalls
from astroedge.targets.compiler.cuda.element_forms import by_elements
from astroedge.targets.compiler.cuda.library_forms import in_library
from astroedge.targets.compiler.cuda.product_calls import ChosenCalls, ProductCalls
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.lower.lowerings.tables import EMBEDDING, WEIGHT_ATTRIBUTE
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.compiler.select.activity import ActivityCounters, Counter
from astroedge.targets.compiler.select.choose_kernels import KernelChoice
from astroedge.targets.compiler.select.decide_kernel import EVENT, check_kernels
from astroedge.targets.compiler.select.matrix_reports import Chosen, convolution_report, product_report
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.families.gpu_costs import GpuCosts
from astroedge.targets.kernels.cuda.products import count_active
from astroedge.targets.precision.quantise_weights import StoredWeights


def choose_device_kernels(
    program: StepProgram,
    products: list[Product | ConvolutionProduct],
    spikes: dict[str, float],
    costs: GpuCosts,
    kernels: str,
    weights: StoredWeights,
) -> tuple[StepProgram, KernelChoice]:
    """Replace the placeholders in `program` by kernels of a GPU and add what counts its spikes.

    Arguments and results as of `choose_kernels`, but for the costs of the GPU in the place of the target; "pruned" is
    as "auto", for there are no such kernels on a GPU.

    Raises CompileError for any other word, and for more inputs than exact integer sums allow.
    """
    check_kernels(kernels)
    chooser = _DeviceChooser(costs, kernels, weights, dict(zip(spikes, program.spikes, strict=True)), spikes)
    for call in program.calls:
        chooser.add(call, products)
    chooser.count_the_rest()
    return replace(program, calls=chooser.calls), chooser.choice


class _DeviceChooser:
    """Walks the calls once."""

    def __init__(
        self,
        costs: GpuCosts,
        kernels: str,
        weights: StoredWeights,
        spikes: dict[str, Value],
        rates: dict[str, float],
    ) -> None:
        self.weights = WeightValues(weights)
        self.calls: list[KernelCall] = []
        self.activity = ActivityCounters(spikes, rates)
        self.choice = KernelChoice(stored=self.weights.nbytes)
        self.listed: set[tuple[Value, int]] = set()
        self.products = ProductCalls(kernels, self.weights, costs)
        self.convolutions = ConvolutionCalls(kernels, self.weights, costs.blocks)

    def add(self, call: KernelCall, products: list[Product | ConvolutionProduct]) -> None:
        """Append `call`, or the kernels that stand for it."""
        if call.product is not None:
            product = products[call.product]
            if isinstance(product, ConvolutionProduct):
                self._add_convolution(call, product)
            else:
                self._add_product(call, product)
            return
        if call.kind == EMBEDDING:
            self.weights.take_over(str(call.function.attrs[WEIGHT_ATTRIBUTE]), call.reads[1:])
        self.calls += by_elements(in_library(call))

    def count_the_rest(self) -> None:
        """Count the spike tensors that no product reads, and put the named ones first."""
        for value, counter in self.activity.uncounted_spikes():
            self._count(value, counter)
        self.choice.counters = self.activity.all

    def _add_product(self, call: KernelCall, product: Product) -> None:
        left, right = call.reads
        batch = product.batch * product.rows_out
        chosen = self.products.choose(product, left, right, call.writes[0])
        self._take(chosen, product, left, batch)
        report = self._report(chosen, left, right, product)
        self.choice.matrices.append(product_report(product, right, report))

    def _add_convolution(self, call: KernelCall, product: ConvolutionProduct) -> None:
        images, matrix = call.reads
        chosen = self.convolutions.choose(product, images, matrix, call.writes[0])
        self._take(chosen, product, images, 1)
        nonzero = 0 if matrix.data is None else int(np.count_nonzero(matrix.data))
        report = self._report(chosen, images, matrix, product)
        self.choice.matrices.append(convolution_report(product, nonzero, report))

    def _report(
        self, chosen: ChosenCalls, operand: Value, matrix: Value, product: Product | ConvolutionProduct
    ) -> Chosen:
        spikes, nbytes = self.activity.counted_as(operand, product), sum(value.nbytes for value in chosen.stored)
        return Chosen(chosen.kernel, chosen.reason, spikes, nbytes, self.weights.storage(matrix).name)

    def _take(self, chosen: ChosenCalls, product: Product | ConvolutionProduct, operand: Value, batch: int) -> None:
        """Append the calls that were chosen, and one that counts the inputs they list, once for each operand."""
        if chosen.kernel == EVENT and (operand, batch) not in self.listed:
            assert product.sparsity is not None
            self.listed.add((operand, batch))
            self._count(operand, self.activity.add_list(operand, batch, product.sparsity, product.name))
        self.calls += chosen.calls

    def _count(self, value: Value, counter: Counter) -> None:
        """Append the call that counts the active elements of a value."""
        function = count_active(counter.size, value.dtype)
        self.calls.append(KernelCall(function, (value,), (counter.value,), "count", ("count",)))

"""Placeholders of matrix products → kernels: event-driven where few inputs fire, by lists where pruned, or dense.

The active list of a spike tensor is built once, right after the tensor, and serves every matrix that reads it. All
kinds of kernel add in the one reduction order, so the choice changes the time of a step and never its bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from astroedge.bundle.manifest import Matrix
from astroedge.step.sparsity import Sparsity
from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.lower.lowerings.tables import EMBEDDING, WEIGHT_ATTRIBUTE
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.compiler.select.activity import ActivityCounters, Counter
from astroedge.targets.compiler.select.call_costs import convolution_costs, matrix_vector_costs, product_costs
from astroedge.targets.compiler.select.choose_convolutions import ConvolutionChooser
from astroedge.targets.compiler.select.decide_kernel import PRUNED, Decisions
from astroedge.targets.compiler.select.dense_products import DenseProducts
from astroedge.targets.compiler.select.event_products import EventProducts
from astroedge.targets.compiler.select.matrix_reports import Chosen, convolution_report, product_report
from astroedge.targets.compiler.select.pruned_products import PrunedProducts
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.kernels.products.active_list import active_list, bounds_size, can_compress
from astroedge.targets.kernels.products.count_active import count_active
from astroedge.targets.kernels.products.dense_gemv import batched_matmul
from astroedge.targets.kernels.products.matrix_dots import matrix_dots
from astroedge.targets.precision.quantise_weights import StoredWeights


@dataclass
class KernelChoice:
    """What was chosen: `counters` in workspace order, a report per matrix, the bytes of stored weights by their key."""

    counters: list[Counter] = field(default_factory=list)
    matrices: list[Matrix] = field(default_factory=list)
    stored: dict[str, int] = field(default_factory=dict)


def choose_kernels(
    program: StepProgram,
    products: list[Product | ConvolutionProduct],
    spikes: dict[str, float],
    target: Target,
    kernels: str,
    weights: StoredWeights,
) -> tuple[StepProgram, KernelChoice]:
    """Replace the placeholders in `program` by kernels and add what counts its spikes.

    `spikes` gives the firing rate of each spike tensor, in the order of `program.spikes`. `kernels` is "auto", or
    "event", "dense" or "pruned" to force one kind wherever it applies. `weights` has the stored form of the weights
    that are not to be stored in float32.
    """
    chooser = _Chooser(target, kernels, weights, dict(zip(spikes, program.spikes, strict=True)), spikes)
    chooser.decisions.look_ahead(program.calls, products)
    for call in program.calls:
        chooser.add(call, products)
    chooser.count_the_rest()
    return replace(program, calls=chooser.calls), chooser.choice


class _Chooser:
    """Walks the calls once, keeping the lists already built."""

    def __init__(
        self,
        target: Target,
        kernels: str,
        weights: StoredWeights,
        spikes: dict[str, Value],
        rates: dict[str, float],
    ) -> None:
        self.target = target
        self.weights = WeightValues(weights)
        self.decisions = Decisions(target, kernels, self.weights)
        self.activity = ActivityCounters(spikes, rates)
        self.calls: list[KernelCall] = []
        self.choice = KernelChoice(stored=self.weights.nbytes)
        self.lists: dict[tuple[Value, int], tuple[Value, Value]] = {}
        self.dense = DenseProducts(target, self.weights, self.calls)
        self.event = EventProducts(target, self.weights, self.calls)
        self.pruned = PrunedProducts(target, self.weights, self.calls, self.dense)
        self.convolutions = ConvolutionChooser(target, kernels, self.weights, self.calls, self._image_counter)

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
        self.calls.append(call)

    def count_the_rest(self) -> None:
        """Count the spike tensors that no matrix reads as a list, and put the named ones first."""
        for value, counter in self.activity.uncounted_spikes():
            function = count_active(counter.size, value.dtype)
            self.calls.append(KernelCall(function, (value,), (counter.value,), "count", ("count",)))
        self.choice.counters = self.activity.all

    def _add_product(self, call: KernelCall, product: Product) -> None:
        left, right = call.reads
        if product.is_matrix_vector:
            self._add_matrix_vector(call, product)
            return
        first = len(self.calls)
        kernel, reason = self.decisions.decide(product, left, right)
        weights: tuple[Value, ...] = (right,)
        if kernel == "event":
            lists = self._lists_of(product, left)
            weights, note = self.event.add(product, (left, right), call.writes[0], lists, self.decisions.level)
            reason += note
        elif kernel == PRUNED:
            rate = 1.0 if product.sparsity is None else product.sparsity.rate
            if self.decisions.costs(product, left, right).prefers_lanes(rate):
                weights = self.pruned.add_lanes(product, left, right, call.writes[0])
            else:
                listed = None if product.sparsity is None else self._lists_of(product, left)
                weights = self.pruned.add(product, left, right, call.writes[0], listed)
        elif product.dtype != "float32":
            weights = self.dense.add_integers(product, left, right, call.writes[0])
        elif product.constant:
            weights = self.dense.add(product, left, right, call.writes[0], self.decisions.level)
        else:
            function = batched_matmul(product.batch, product.rows_out, product.rows, product.columns)
            self.calls.append(KernelCall(function, call.reads, call.writes, "batched-matmul", ("matmul",)))
        spikes, costs = self.activity.counted_as(left, product), self.decisions.costs(product, left, right)
        self.calls[first:] = product_costs(self.calls[first:], product, spikes, costs)
        nbytes, precision = sum(value.nbytes for value in weights), self.weights.storage(right).name
        self.choice.matrices.append(product_report(product, right, Chosen(kernel, reason, spikes, nbytes, precision)))

    def _add_matrix_vector(self, call: KernelCall, product: Product) -> None:
        """A computed matrix times a computed vector: told of as the vector's product with the matrix turned round."""
        matrix, vector = call.reads
        turned = replace(
            product, rows_out=1, columns=product.rows_out, sparsity=product.other, other=product.sparsity
        )  # fmt: skip
        first = len(self.calls)
        kernel, reason = self.decisions.decide_matrix_vector(turned, matrix)
        listed = kernel == "event"
        graded = turned.sparsity is None or not turned.sparsity.binary
        lists = self._lists_of(turned, vector) if listed else ()
        reads = (*((vector,) if graded or not listed else ()), *lists, matrix)
        function = matrix_dots(product.rows, turned.columns, batch=product.batch, listed=listed, graded=graded)
        kind, touched = "batched-matmul", None
        if listed:
            assert turned.sparsity is not None
            kind, touched = "event-gemv", round(turned.sparsity.rate * matrix.nbytes)
        self.calls.append(KernelCall(function, reads, call.writes, kind, ("matmul",), touched=touched))
        spikes, nbytes = self.activity.counted_as(vector, turned), matrix.nbytes
        self.calls[first:] = matrix_vector_costs(self.calls[first:], turned, spikes)
        chosen = Chosen(kernel, reason, spikes, nbytes, self.weights.storage(matrix).name)
        self.choice.matrices.append(product_report(turned, matrix, chosen))

    def _add_convolution(self, call: KernelCall, product: ConvolutionProduct) -> None:
        images, weights = call.reads
        first = len(self.calls)
        made = self.convolutions.add(call, product)
        spikes, precision = self.activity.counted_as(images, product), self.weights.storage(weights).name
        self.calls[first:] = convolution_costs(self.calls[first:], product.name, product.shape, spikes, made.cycles)
        chosen = Chosen(made.kernel, made.reason, spikes, made.nbytes, precision)
        self.choice.matrices.append(convolution_report(product, made.nonzero, chosen))

    def _image_counter(self, images: Value, sparsity: Sparsity, reader: str) -> Value:
        """What counts the active elements of an image each time they are listed."""
        return self.activity.add_list(images, 1, sparsity, reader).value

    def _lists_of(self, product: Product, value: Value) -> tuple[Value, Value]:
        """The active list of each row of a product's `value` and its block bounds, made at their first use."""
        sparsity, batch = product.sparsity, product.batch * product.rows_out
        assert sparsity is not None
        key = (value, batch)
        if key not in self.lists:
            width = product.rows
            counter = self.activity.add_list(value, batch, sparsity, product.name)
            indices = Value(f"active.{value.name}", (batch, width), "int32", "computed")
            bounds = Value(f"active_bounds.{value.name}", (batch, bounds_size(width)), "int32", "computed")
            writes = (indices, bounds, counter.value)
            function = active_list(width, value.dtype, batch, can_compress(self.target))
            self.calls.append(KernelCall(function, (value,), writes, "active-list", ("active_list",)))
            self.lists[key] = (indices, bounds)
        return self.lists[key]

"""Placeholders of matrix products → kernels: event-driven where few inputs fire, dense elsewhere.

The active list of a spike tensor is built once, right after the tensor, and serves every matrix that reads it. Both
kinds of kernel add in the one reduction order, so the choice changes the time of a step and never its bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tvm import tirx

from astroedge.errors import CompileError
from astroedge.manifest import ALIGNMENT, Matrix
from astroedge.targets.board_file import Target
from astroedge.targets.compiler.find_spikes import Sparsity
from astroedge.targets.compiler.legalize import Product
from astroedge.targets.compiler.step_program import Call, Part, StepProgram, Value
from astroedge.targets.kernels.active_list import active_list, bounds_size, count_active
from astroedge.targets.kernels.dense_gemv import batched_product, dense_gemv
from astroedge.targets.kernels.event_gemv import event_gemv, pack_weights

KERNEL_CHOICES = ("auto", "event", "dense")
# An event row costs an index and a scattered row; a dense row only its products. Measured with benchmarks/kernels.py,
# event-driven products win below about this firing rate, and not at all for matrices that fit a few registers.
EVENT_RATE = 0.5
EVENT_WEIGHTS = 1024
TILE = 64  # columns a product keeps in registers at a time


@dataclass(frozen=True)
class Counter:
    """An activity counter: the uint64 at `value` grows by the active elements of a tensor of `size` every tick."""

    name: str
    size: int
    rate: float
    value: Value


@dataclass
class KernelChoice:
    """What was chosen: `counters` in workspace order and a report per matrix, weights by value beside it."""

    counters: list[Counter] = field(default_factory=list)
    matrices: list[Matrix] = field(default_factory=list)


def choose_kernels(
    program: StepProgram, products: list[Product], spikes: dict[str, float], target: Target, kernels: str
) -> KernelChoice:
    """Replace the placeholders in `program` and add what counts its spikes.

    `spikes` gives the firing rate of each spike tensor, in the order of `program.spikes`. `kernels` is "auto", or "event"
    or "dense" to force one kind wherever it applies.
    """
    if kernels not in KERNEL_CHOICES:
        raise CompileError(f"kernels={kernels!r} is not one of {', '.join(KERNEL_CHOICES)}.")
    chooser = _Chooser(program, target, kernels, dict(zip(spikes, program.spikes, strict=True)), spikes)
    for call in program.calls:
        chooser.add(call, products)
    chooser.count_the_rest()
    program.calls = chooser.calls
    return chooser.choice


class _Chooser:
    """Walks the calls once, keeping the lists already built."""

    def __init__(
        self, program: StepProgram, target: Target, kernels: str, spikes: dict[str, Value], rates: dict[str, float]
    ) -> None:
        self.target = target
        self.kernels = kernels
        self.spikes = spikes
        self.rates = rates
        self.calls: list[Call] = []
        self.choice = KernelChoice()
        self.lists: dict[Value, tuple[list[Part], list[Part]]] = {}
        self.counters: dict[Value, Counter] = {}
        self.packed: dict[Value, Value] = {}

    def add(self, call: Call, products: list[Product]) -> None:
        """Append `call`, or the kernels that stand for it."""
        if call.product is None:
            self.calls.append(call)
        else:
            self._add_product(call, products[call.product])

    def count_the_rest(self) -> None:
        """Count the spike tensors that no matrix reads as a list."""
        for name, value in self.spikes.items():
            if value not in self.counters:
                counter = self._counter(name, value, self.rates[name])
                function = count_active(counter.size, value.dtype)
                self.calls.append(Call(function, (Part(value),), (Part(counter.value),), "count", ("count",)))
        order = list(self.spikes)
        self.choice.counters = sorted(
            self.counters.values(), key=lambda item: (order.index(item.name) if item.name in order else len(order), item.name)
        )

    def _add_product(self, call: Call, product: Product) -> None:
        left, right = call.reads[0].value, call.reads[1].value
        kernel, reason = self._decide(product)
        if kernel == "event":
            self._add_event(product, left, right, call.writes[0].value)
        elif product.constant:
            self._add_dense(product, left, right, call.writes[0].value)
        else:
            function = batched_product(product.batch, product.rows_out, product.rows, product.columns)
            self.calls.append(Call(function, call.reads, call.writes, "batched-product", ("matmul",)))
        counter = self.counters.get(left)
        self.choice.matrices.append(
            Matrix(
                name=product.name,
                rows=product.rows,
                columns=product.columns,
                calls=product.batch * product.rows_out,
                kernel=kernel,
                reason=reason,
                spikes=counter.name if counter else None,
                nonzero=int(np.count_nonzero(right.data)) if right.data is not None else None,
                nbytes=right.nbytes,
            )
        )

    def _decide(self, product: Product) -> tuple[str, str]:
        """The kernel of a product, and why."""
        size = product.rows * product.columns
        sparsity = product.sparsity
        if sparsity is None:
            return "dense", "input is not a spike tensor"
        fires = f"{sparsity.source} fires at {sparsity.rate:.1%}"
        if not product.constant and (product.rows_out != 1 or product.columns == 1):
            return "dense", f"{fires}, but the product of two computed matrices has more than one row"
        if self.kernels != "auto":
            return self.kernels, f"asked for; {fires}"
        if size < EVENT_WEIGHTS:
            return "dense", f"{fires}, but {size} weights are fewer than the {EVENT_WEIGHTS} a list pays for"
        if sparsity.rate > EVENT_RATE:
            return "dense", f"{fires}, above the {EVENT_RATE:.0%} up to which a list pays"
        return "event", f"{fires}: adds {sparsity.rate * product.rows:.0f} of {product.rows} rows"

    def _add_event(self, product: Product, left: Value, right: Value, result: Value) -> None:
        """A list per row of the input (made once), then one event-driven product per row."""
        sparsity = product.sparsity
        assert sparsity is not None
        rows = product.batch * product.rows_out
        indices, bounds = self._lists(left, rows, product.rows, sparsity)
        graded = not sparsity.binary
        function = event_gemv(
            product.rows, product.columns, bias=False, graded=graded, packed=product.constant, tile=TILE
        )
        weights = self._packed(product, right) if product.constant else right
        width = np.dtype(result.dtype).itemsize
        for row in range(rows):
            matrix = Part(weights, 0 if product.constant else row * product.rows * product.columns * width)
            values = (Part(left, row * product.rows * np.dtype(left.dtype).itemsize),) if graded else ()
            reads = (*values, indices[row], bounds[row], matrix)
            write = Part(result, row * product.columns * width)
            self.calls.append(Call(function, reads, (write,), "event-gemv", ("matmul",)))

    def _add_dense(self, product: Product, left: Value, right: Value, result: Value) -> None:
        function = dense_gemv(product.rows_out, product.rows, product.columns, bias=False, tile=TILE)
        reads = (Part(left), Part(self._packed(product, right)))
        self.calls.append(Call(function, reads, (Part(result),), "dense-gemv", ("matmul",)))

    def _packed(self, product: Product, weights: Value) -> Value:
        """The weights in tiles of columns, packed once however many products read them."""
        if weights not in self.packed:
            assert weights.data is not None
            data = pack_weights(weights.data, TILE)
            self.packed[weights] = Value(f"{product.name}.weight", weights.shape, weights.dtype, "weight", data)
        return self.packed[weights]

    def _lists(self, value: Value, rows: int, width: int, sparsity: Sparsity) -> tuple[list[Part], list[Part]]:
        """The active lists of the rows of `value` and their block bounds, made at its first use."""
        if value in self.lists:
            return self.lists[value]
        name = next((name for name, spikes in self.spikes.items() if spikes is value), None)
        counter = self._counter(name or self._derived_name(value, sparsity), value, sparsity.rate)
        pitch, bounds_pitch = _aligned(width), _aligned(bounds_size(width))
        indices = Value(f"active.{value.name}", (rows, pitch), "int32", "computed")
        bounds = Value(f"active_bounds.{value.name}", (rows, bounds_pitch), "int32", "computed")
        function = active_list(width, value.dtype)
        parts: tuple[list[Part], list[Part]] = ([], [])
        for row in range(rows):
            parts[0].append(Part(indices, row * pitch * 4))
            parts[1].append(Part(bounds, row * bounds_pitch * 4))
            reads = (Part(value, row * width * np.dtype(value.dtype).itemsize),)
            writes = (parts[0][-1], parts[1][-1], Part(counter.value))
            self.calls.append(Call(function, reads, writes, "active-list", ("active_list",)))
        self.lists[value] = parts
        return parts

    def _derived_name(self, value: Value, sparsity: Sparsity) -> str:
        """A name for what a list counts when it is not a spike tensor itself: a state, an input, a product of one."""
        base = f"state.{value.name}" if value.kind == "state" else value.name
        if value.kind == "computed":
            base = f"{sparsity.source} (at {value.name})"
        return base

    def _counter(self, name: str, value: Value, rate: float) -> Counter:
        size = value.nbytes // np.dtype(value.dtype).itemsize
        counter = Counter(name, size, rate, Value(f"counter.{name}", (1,), "int64", "computed"))
        self.counters[value] = counter
        return counter


def _aligned(count: int) -> int:
    """A number of int32 that fills whole alignment units."""
    return -(-count * 4 // ALIGNMENT) * ALIGNMENT // 4

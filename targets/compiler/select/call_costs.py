"""What is known of the calls that stand for a product: whose they are, which inputs count, bytes and estimated cycles.

`astroedge profile --kernels` shows it beside what was measured. The estimate is the one that kernels are chosen by, of
the kernel alone: what prepares its inputs is a call of its own.
"""

from __future__ import annotations

from dataclasses import replace

from astroedge.bundle.manifest import COST_RATES
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.program.step_program import CallCost, KernelCall
from astroedge.targets.compiler.select.kernel_cost import MatrixCost
from astroedge.targets.kernels.convolutions.convolution import Convolution

INDEX = 4  # bytes of an active input in a list
LISTS = ("active-list", "fixed-point")  # calls that prepare inputs for every product that reads them


def product_costs(calls: list[KernelCall], product: Product, spikes: str | None, costs: MatrixCost) -> list[KernelCall]:
    """The calls of a matrix product with their costs; `spikes` names what counts its active inputs."""
    return [replace(call, cost=_product_cost(call, product, spikes, costs)) for call in calls]


def matrix_vector_costs(calls: list[KernelCall], product: Product, spikes: str | None) -> list[KernelCall]:
    """The calls of a computed matrix's product with a vector, without estimates: an active input is in every row."""
    found = []
    for call in calls:
        cost, written = CallCost(product.name, all_bytes(call)), sum(value.nbytes for value in call.writes)
        if call.kind in LISTS:
            cost = replace(cost, nbytes=cost.nbytes - call.writes[0].nbytes, spikes=spikes, row=INDEX)
        elif call.kind == "event-gemv":
            cost = CallCost(product.name, written, spikes, INDEX + 4 * product.columns)
        found.append(replace(call, cost=cost))
    return found


def _product_cost(call: KernelCall, product: Product, spikes: str | None, costs: MatrixCost) -> CallCost:
    written = sum(value.nbytes for value in call.writes)
    if call.kind in LISTS:
        listing = (round(costs.preparing * costs.readers),)
        if call.kind == "fixed-point":
            return CallCost(product.name, all_bytes(call), cycles=listing)
        indices = call.writes[0].nbytes
        return CallCost(product.name, all_bytes(call) - indices, spikes, INDEX, listing)
    graded = product.sparsity is not None and not product.sparsity.binary
    stored = sum(value.nbytes for value in call.reads if value.kind == "weight")
    if call.kind == "event-gemv":
        matrix = stored if product.constant else call.reads[-1].nbytes // max(1, product.batch)
        cycles = tuple(round(costs.event(rate, graded) - costs.preparing) for rate in COST_RATES)
        return CallCost(product.name, written, spikes, INDEX + matrix // product.rows, cycles)
    if call.kind == "pruned-gemv":
        return _pruned_cost(call, product, spikes, costs)
    if call.kind == "dense-gemv" and product.dtype == "float32":
        fixed = any(value.name.startswith("fixed.") for value in call.reads)
        return CallCost(product.name, all_bytes(call), cycles=(round(costs.dense(graded) - fixed * costs.preparing),))
    return CallCost(product.name, all_bytes(call))


def _pruned_cost(call: KernelCall, product: Product, spikes: str | None, costs: MatrixCost) -> CallCost:
    """Of lists of weights: those of active inputs, or all."""
    listed = any(value.name.startswith("active.") for value in call.reads)
    if not listed:
        rate = 1.0 if product.sparsity is None else product.sparsity.rate
        in_lanes = costs.prefers_lanes(rate)
        cycles = costs.in_lanes() if in_lanes else costs.pruned(1.0) - costs.storage.is_integer * costs.preparing
        return CallCost(product.name, all_bytes(call), cycles=(round(cycles),))
    stored = sum(value.nbytes for value in call.reads if value.kind == "weight")
    written = sum(value.nbytes for value in call.writes)
    points = tuple(costs.pruned(rate) - (rate < 1 or costs.storage.is_integer) * costs.preparing for rate in COST_RATES)
    return CallCost(product.name, written, spikes, INDEX + stored // product.rows, tuple(map(round, points)))


def convolution_costs(
    calls: list[KernelCall], name: str, conv: Convolution, spikes: str | None, cycles: tuple[int, ...]
) -> list[KernelCall]:
    """The calls of a convolution with their costs; `cycles` is the estimate of its sums."""
    found = []
    for call in calls:
        cost = CallCost(name, all_bytes(call))
        if call.kind == "active-list":
            cost = replace(cost, nbytes=cost.nbytes - call.writes[0].nbytes, spikes=spikes, row=INDEX)
        elif call.kind == "event-conv":
            weight = call.reads[-1]
            stored = weight.nbytes / max(1, conv.taps * conv.outputs)
            row = float(conv.fan_out().sum()) / conv.pixels * conv.group_outputs * stored
            written = sum(value.nbytes for value in call.writes)
            cost = CallCost(name, written, spikes, INDEX + round(row), cycles)
        elif call.kind == "dense-conv":
            cost = replace(cost, cycles=cycles)
        found.append(replace(call, cost=cost))
    return found


def all_bytes(call: KernelCall) -> int:
    """Bytes of all operands; of a table that rows are picked from, those of the rows."""
    written = sum(value.nbytes for value in call.writes)
    picks = any(operator in ("take", "gather") for operator in call.operators)
    reads = (min(value.nbytes, written) if picks and value.kind == "weight" else value.nbytes for value in call.reads)
    return written + sum(reads)

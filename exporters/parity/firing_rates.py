"""What the example data does to a step: how often each spike tensor fires, and what the inputs look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy import typing as npt
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from astroedge.errors import ExportError, UnsupportedOpError
from astroedge.exporters.graph.find_activations import Graded
from astroedge.exporters.graph.find_spikes import Spikes
from astroedge.step import onnx_session
from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import GraphIndex, attributes
from astroedge.step.operators import operators
from astroedge.step.spec import ActivationSpec, SpikeSpec, TensorSpec

MEASURED_TICKS = 64
SPARSE_RATE = 0.5
"""Below this fraction of non-zero elements a graded tensor counts as sparse."""
FEW = 16
"""Up to so many numbers are recorded, each with its share, when there are `REPEATED` elements of each on average."""
REPEATED = 4
QUANTILES = 31
"""So many stand for all numbers of data that is mostly zero."""
EXACT = 2.0**53
Array = npt.NDArray[Any]
Tick = dict[str, Array]
"""One array for each data input, by name."""
FOLLOWED = operators(lambda row: row.kind in ("copy", "cast", "reshape"))


def measure_spikes(graph: StepGraph, spikes: Sequence[Spikes], examples: Sequence[Tick]) -> tuple[SpikeSpec, ...]:
    """The firing rate of each tensor over all examples, at least 64 ticks, from the initial state."""
    measured = _measure(graph, [spike.tensor for spike in spikes], examples)
    return tuple(
        SpikeSpec(spike.name, spike.tensor, shape, rate) for spike, (shape, rate) in zip(spikes, measured, strict=True)
    )


def measure_activations(
    graph: StepGraph, graded: Sequence[Graded], examples: Sequence[Tick]
) -> tuple[ActivationSpec, ...]:
    """The tensors that are zero more often than not, with the fraction that is not, over at least 64 ticks.

    One that is zero throughout the examples is left out: that says nothing about real data.
    """
    measured = _measure(graph, [item.tensor for item in graded], examples)
    return tuple(
        ActivationSpec(item.name, item.tensor, shape, rate)
        for item, (shape, rate) in zip(graded, measured, strict=True)
        if 0 < rate < SPARSE_RATE
    )


def _measure(graph: StepGraph, tensors: Sequence[str], examples: Sequence[Tick]) -> list[tuple[tuple[int, ...], float]]:
    """The shape of each value and the fraction of its elements that is not zero, with state carried."""
    if not tensors:
        return []
    session = open_session(graph.model, tensors)
    ticks = max(MEASURED_TICKS, len(examples))
    counts = np.zeros(len(tensors))
    state = graph.initial_state()
    shapes: list[tuple[int, ...]] = []
    for tick in range(ticks):
        values = run(session, examples[tick % len(examples)], state)
        state = {name: values[f"next.{name}"] for name in state}
        counts += [np.count_nonzero(values[tensor]) / values[tensor].size for tensor in tensors]
        shapes = [values[tensor].shape for tensor in tensors]
    return [(shape, float(count / ticks)) for shape, count in zip(shapes, counts, strict=True)]


def measure_input(item: TensorSpec, graph: onnx.GraphProto, examples: Sequence[Tick]) -> TensorSpec:
    """`item` with what the examples show: range of its integers or largest finite float, how much is not 0, its values.

    Integers that are 0 or 1 throughout have no range: examples that are placeholders look the same.

    A firing rate is given only to data of zeros and ones that holds both, and to data that is zero more often than not
    (event counts, say): an example of nothing but zeros is a placeholder.
    """
    arrays = [tick[item.name] for tick in examples]
    if item.dtype.startswith(("int", "uint")):
        extent = _indexed_extent(graph, item.name)
        if extent is not None:
            return replace(item, index_range=(0, extent))
    values, counts = _count_values(arrays)
    rate = float(np.mean([np.count_nonzero(array) / array.size for array in arrays]))
    spiking = values.tolist() == [0, 1] or item.dtype == "bool" or 0 < rate < SPARSE_RATE
    span = float(np.max(np.abs(values), initial=0, where=np.isfinite(values))) if values.dtype.kind == "f" else None
    integers = values.dtype.kind in "iu" and bool(set(values) - {0, 1})
    value_range = (int(values[0]), int(values[-1]) + 1) if integers else None
    shown = None if item.dtype == "bool" else _values_shown(values, counts)
    return replace(item, span=span, value_range=value_range, firing_rate=rate if spiking else None, values=shown)


def _count_values(arrays: Sequence[Array]) -> tuple[Array, npt.NDArray[np.int64]]:
    """The different numbers of some arrays, ascending, and how often each occurs."""
    parts = [np.unique(array, return_counts=True) for array in arrays]
    values, places = np.unique(np.concatenate([part for part, _ in parts]), return_inverse=True)
    counts = np.zeros(values.size, np.int64)
    np.add.at(counts, places.reshape(-1), np.concatenate([count for _, count in parts]))
    return values, counts


def _values_shown(values: Array, counts: npt.NDArray[np.int64]) -> tuple[tuple[float, float], ...] | None:
    """Numbers that stand for `values`, each with its share; None for zeros and ones, and for dense data of many.

    Of data that is mostly zero that is all of few numbers, or zero and evenly spaced quantiles of the others. Numbers
    that are infinite or that float64 rounds stand for nothing.
    """
    numbers, total = values.astype(np.float64), int(counts.sum())
    if not (np.abs(numbers) <= EXACT).all() or set(values.tolist()) <= {0, 1}:
        return None
    if 2 <= values.size <= FEW and total >= REPEATED * values.size:
        return tuple((float(number) + 0.0, int(count) / total) for number, count in zip(numbers, counts, strict=True))
    active = numbers != 0
    fired = int(counts[active].sum())
    if not 0 < fired < SPARSE_RATE * total:
        return None
    places = np.linspace(0, fired - 1, QUANTILES).round().astype(np.int64)
    chosen = numbers[active][np.searchsorted(counts[active].cumsum(), places, side="right")]
    shares = {float(number): 0.0 for number in chosen}
    for number in chosen:
        shares[float(number)] += fired / total / QUANTILES
    return tuple(sorted({**shares, 0.0: 1 - fired / total}.items()))


def open_session(model: onnx.ModelProto, extra_outputs: Sequence[str] = ()) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the step that `model` is, one thread, with inner values as further outputs.

    Raises UnsupportedOpError when ONNX Runtime has no kernel for what it holds.
    """
    try:
        return onnx_session.open_session(model, extra_outputs)
    except failures.NotImplemented as error:
        raise UnsupportedOpError(
            f"ONNX Runtime does not run the step ({str(error).rpartition(' : ')[2]}); usually it has no kernel for the "
            "dtype of an operand: use another one there, such as float32 or int64."
        ) from error


def run(session: onnxruntime.InferenceSession, inputs: Tick, state: Tick) -> Tick:
    """One tick: every output by name, for data inputs and states by their plain names."""
    feeds = {**inputs, **{f"state.{name}": value for name, value in state.items()}}
    return run_session(session, feeds)


def run_session(session: onnxruntime.InferenceSession, feeds: Tick) -> Tick:
    """Every output by name. Raises ExportError where ONNX Runtime fails on the data."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, feeds), strict=True))
    except (failures.Fail, failures.InvalidArgument, failures.RuntimeException) as error:
        reason = " ".join(str(error).rpartition("Status Message:")[2].split())[:200]
        raise ExportError(
            f"ONNX Runtime fails on the example data ({reason}); the step is probably not defined for such numbers, as "
            "for a divisor of 0 or an index outside its table: give real `examples` (--example)."
        ) from error


def _indexed_extent(graph: onnx.GraphProto, name: str) -> int | None:
    """How many rows a constant table has from which this input selects; the smallest if there are several."""
    tables = GraphIndex(graph).initialisers
    reached, extents = {name}, []
    for node in graph.node:
        if node.op_type in FOLLOWED and node.input[0] in reached:
            reached.update(node.output)
        if node.op_type == "Gather" and node.input[1] in reached and node.input[0] in tables:
            extents.append(tables[node.input[0]].dims[attributes(node).get("axis", 0)])
    return min(extents, default=None)

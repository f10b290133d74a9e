"""What the example data does to a step: how often each spike tensor fires, and what the inputs look like."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy import typing as npt

from astroedge import onnx_file
from astroedge.exporters.find_spikes import Spikes
from astroedge.step_graph import StepGraph
from astroedge.step_spec import SpikeSpec, TensorSpec

MEASURED_TICKS = 64
Array = npt.NDArray[Any]
Tick = dict[str, Array]
"""One array for each data input, by name."""
FOLLOWED = frozenset({"Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Flatten"})


def measure_spikes(graph: StepGraph, spikes: Sequence[Spikes], examples: Sequence[Tick]) -> tuple[SpikeSpec, ...]:
    """The firing rate of each tensor over all examples, at least 64 ticks, from the initial state."""
    if not spikes:
        return ()
    session = open_session(graph.model, [spike.tensor for spike in spikes])
    ticks = max(MEASURED_TICKS, len(examples))
    counts = np.zeros(len(spikes))
    state = graph.initial_state()
    shapes: list[tuple[int, ...]] = []
    for tick in range(ticks):
        values = run(session, examples[tick % len(examples)], state)
        state = {name: values[f"next.{name}"] for name in state}
        fired = [values[spike.tensor] for spike in spikes]
        counts += [float(np.mean(array)) for array in fired]
        shapes = [array.shape for array in fired]
    return tuple(
        SpikeSpec(spike.name, spike.tensor, shape, float(count / ticks))
        for spike, shape, count in zip(spikes, shapes, counts, strict=True)
    )


def measure_input(item: TensorSpec, graph: onnx.GraphProto, examples: Sequence[Tick]) -> TensorSpec:
    """`item` with the range of indices it may take, or its largest absolute value and the fraction of ones in it.

    A firing rate is given only to data of zeros and ones that holds both: an example of nothing but zeros is a
    placeholder.
    """
    arrays = [tick[item.name] for tick in examples]
    if item.dtype.startswith(("int", "uint")):
        extent = _indexed_extent(graph, item.name)
        if extent is not None:
            return replace(item, index_range=(0, extent))
    values = np.unique(np.concatenate([np.unique(array) for array in arrays]))
    rate = float(np.mean([np.mean(array.astype(np.float64)) for array in arrays]))
    spiking = values.tolist() == [0, 1] or item.dtype == "bool"
    span = float(np.max(np.abs(values))) if item.dtype.startswith("float") else None
    return replace(item, span=span, firing_rate=rate if spiking else None)


def open_session(model: onnx.ModelProto, extra_outputs: Sequence[str] = ()) -> onnxruntime.InferenceSession:
    """ONNX Runtime on `model`, one thread, with inner values as further outputs."""
    present = {value.name for value in model.graph.output}
    wanted = [name for name in dict.fromkeys(extra_outputs) if name not in present]
    widened = onnx.ModelProto()
    widened.CopyFrom(model)
    widened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= onnx_file.EXTERNAL_LIMIT:
        return onnxruntime.InferenceSession(widened.SerializeToString(), sess_options=options, providers=providers)
    with tempfile.TemporaryDirectory(prefix="astroedge-export-") as folder:
        onnx_file.write_model(widened, Path(folder) / "graph.onnx")
        return onnxruntime.InferenceSession(Path(folder) / "graph.onnx", sess_options=options, providers=providers)


def run(session: onnxruntime.InferenceSession, inputs: Tick, state: Tick) -> Tick:
    """One tick: every output by name, for data inputs and states by their plain names."""
    feeds = {**inputs, **{f"state.{name}": value for name, value in state.items()}}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def _indexed_extent(graph: onnx.GraphProto, name: str) -> int | None:
    """How many rows a constant table has from which this input selects; the smallest if there are several."""
    tables = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    reached, extents = {name}, []
    for node in graph.node:
        if node.op_type in FOLLOWED and node.input[0] in reached:
            reached.update(node.output)
        if node.op_type == "Gather" and node.input[1] in reached and node.input[0] in tables:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            extents.append(tables[node.input[0]][axis])
    return min(extents, default=None)

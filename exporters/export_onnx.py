"""`export_onnx`: from somebody's ONNX graph of one tick, and the pairs of its states, to a checked step graph."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, version_converter

from astroedge.errors import ExportError, GraphError, NoStateError
from astroedge.exporters.finish_graph import Original, fill_value, finish_graph, keep_read_states, left_out
from astroedge.exporters.from_onnx.declared_names import (
    Array,
    as_input,
    check_names,
    check_pairs,
    fix_shapes,
    hold_constant,
    values_of,
)
from astroedge.exporters.from_onnx.drop_dropout import drop_dropout
from astroedge.exporters.from_onnx.expand_recurrent import expand_recurrent
from astroedge.exporters.from_onnx.fold_graph import fold_graph, inferred_shapes
from astroedge.exporters.from_onnx.source_session import open_foreign
from astroedge.exporters.graph.clean_graph import clean_graph
from astroedge.exporters.graph.rewrite_spikes import rewrite_spikes
from astroedge.exporters.parity.firing_rates import Tick
from astroedge.step.graph import METADATA_KEY, StepGraph
from astroedge.step.graph_check import dtype_name
from astroedge.step.onnx_file import read_model
from astroedge.step.spec import NEXT_PREFIX, STATE_PREFIX, StateSpec, StepSpec, TensorSpec

OLDEST_OPSET = 13
EXAMPLE_TICKS = 64


def export_onnx(
    source: str | os.PathLike[str] | onnx.ModelProto,
    states: Mapping[str, str],
    *,
    constants: Mapping[str, object] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
    initial: Mapping[str, object] | None = None,
    examples: Sequence[Mapping[str, Array]] | None = None,
    firing_rates: Mapping[str, float] | None = None,
    name: str | None = None,
) -> StepGraph:
    """Make a step graph of an ONNX graph whose output `states[input]` is at the next tick its input.

    `constants` are inputs that never change, such as a sampling rate; `shapes` and `batch` fix sizes that the graph
    leaves open; `initial` gives states another first value than zero, as a number or an array. `examples` are inputs
    of successive ticks, by name, for measuring firing rates and for the comparison with the original over 200 ticks
    in ONNX Runtime; without them inputs are drawn from a normal distribution. A state is named as its input. Outputs
    that feed states are not data outputs, unless no other output is there.

    Raises NoStateError without pairs, ExportError for names, shapes and values that do not fit, UnsupportedOpError for
    an operator that a step cannot hold, ParityError if step and original differ by more than rounding, GraphError for
    a file that is not valid ONNX.
    """
    original = source if isinstance(source, onnx.ModelProto) else read_model(source)
    _check_foreign(original)
    model = onnx.ModelProto()
    model.CopyFrom(original)
    _drop_defaults(model.graph)
    check_pairs(model.graph, states)
    held = hold_constant(model, constants or {})
    check_pairs(model.graph, states)
    fix_shapes(model.graph, shapes or {}, batch, states)
    model = fold_graph(_modern(model))
    drop_dropout(model)
    expand_recurrent(model)
    model = fold_graph(model)
    first = _initial_values(model.graph, states, initial or {})
    title = name or (Path(source).stem if isinstance(source, (str, os.PathLike)) else original.graph.name)
    spec = _rename(model, states, first)
    clean_graph(model, title, [])
    rewrite_spikes(model)
    kept, unread = keep_read_states(model.graph, spec.states, first)
    if not kept:
        raise NoStateError(f"Nothing in the graph reads {', '.join(unread)}; check the pairs of --state.")
    spec = replace(spec, states=kept)
    ticks = [_tick(spec, tick) for tick in examples] if examples else _random_ticks(spec)
    foreign = open_foreign(original, states, held)
    axes = foreign.batch_axes(ticks[0], first)
    spec = replace(spec, states=tuple(replace(state, batch_axis=axes[state.name]) for state in kept))
    same = Original(lambda spec: foreign.run(spec, first, ticks), "the original graph")
    graph = finish_graph(StepGraph(model, spec), ticks, firing_rates or {}, same)
    graph.notes = (*left_out(unread), *graph.notes)
    return graph


def _check_foreign(model: onnx.ModelProto) -> None:
    """Refuse what is a step graph already, or no ONNX."""
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise ExportError("This is a step graph already; give it to astroedge compile.")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split())[:200]
        raise GraphError(f"The graph is not valid ONNX ({reason}); write it again with its own exporter.") from error


def _drop_defaults(graph: onnx.GraphProto) -> None:
    """Old files list their weights as inputs too; those are no inputs of a step."""
    stored = {tensor.name for tensor in graph.initializer}
    for value in [value for value in graph.input if value.name in stored]:
        graph.input.remove(value)


def _modern(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in an operator set in which sizes are inputs, converted by ONNX if it is older."""
    version = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if version >= OLDEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, OLDEST_OPSET)
    except RuntimeError as error:
        raise ExportError(
            f"The graph uses operator set {version}, and ONNX cannot convert it to {OLDEST_OPSET} "
            f"({str(error).splitlines()[0]}); export it again with a newer one."
        ) from error


def _initial_values(
    graph: onnx.GraphProto, states: Mapping[str, str], initial: Mapping[str, object]
) -> dict[str, Array]:
    """The value of each state before the first tick."""
    check_names("state", initial, list(states))
    values = values_of(graph.input)
    first = {}
    for name in states:
        dtype, shape = values[name]
        array = as_input(graph, name, initial.get(name, np.zeros((), dtype)))
        if array.shape not in ((), shape):
            raise ExportError(f"State {name!r} has shape {shape}, its initial value {array.shape}; give one that fits.")
        first[name] = np.broadcast_to(array, shape).copy()
    return first


def _rename(model: onnx.ModelProto, states: Mapping[str, str], first: Mapping[str, Array]) -> StepSpec:
    """Give states the names and places that a step graph has for them, in place; the spec, without measurements.

    Every output is made by an Identity of its own, so that an output may also be a state, or two states one value.
    """
    graph = model.graph
    shapes, inputs = inferred_shapes(model), values_of(graph.input)
    outputs = [value.name for value in graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    specs = []
    for name, output in states.items():
        made = dtype_name(types[output]), shapes.get(output)
        if made != inputs[name]:
            raise ExportError(
                f"State {name!r} is {inputs[name][0]} {list(inputs[name][1])}, but {output!r}, which feeds it, is "
                f"{made[0]} {'of open size' if made[1] is None else list(made[1])}; check the pair and --shape."
            )
        specs.append(StateSpec(name, inputs[name][1], inputs[name][0], None, fill_value(first[name])))
    given = [name for name in outputs if name not in states.values()] or outputs
    open_sizes = [name for name in given if name not in shapes]
    if open_sizes:
        raise ExportError(f"The size of output {open_sizes[0]!r} depends on data, and a step's does not; cut it off.")
    inner = {name: f"{name}.made" for name in outputs}
    for node in graph.node:
        node.input[:] = [f"{STATE_PREFIX}{item}" if item in states else inner.get(item, item) for item in node.input]
        node.output[:] = [inner.get(item, item) for item in node.output]
    for tensor in graph.initializer:
        tensor.name = inner.get(tensor.name, tensor.name)
    made_by = {name: f"{STATE_PREFIX}{name}" if name in states else inner[name] for name in outputs}
    results = [
        *((name, name) for name in given),
        *((output, f"{NEXT_PREFIX}{name}") for name, output in states.items()),
    ]
    graph.node.extend(helper.make_node("Identity", [made_by[source]], [target]) for source, target in results)
    data = [(name, *value) for name, value in inputs.items() if name not in states]
    taken = [(f"{STATE_PREFIX}{state.name}", state.dtype, state.shape) for state in specs]
    gives = [(name, dtype_name(types[name]), shapes[name]) for name in given]
    del graph.input[:], graph.output[:]
    graph.input.extend(_value(*item) for item in (*data, *taken))
    carried = [(f"{NEXT_PREFIX}{state.name}", state.dtype, state.shape) for state in specs]
    graph.output.extend(_value(*item) for item in (*gives, *carried))
    return StepSpec(
        inputs=tuple(TensorSpec(name, shape, dtype) for name, dtype, shape in data),
        outputs=tuple(TensorSpec(name, shape, dtype) for name, dtype, shape in gives),
        states=tuple(specs),
        source={"framework": "onnx", "version": onnx.__version__},
    )


def _value(name: str, dtype: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _tick(spec: StepSpec, given: Mapping[str, Array]) -> Tick:
    """One tick of examples, checked."""
    check_names("input", given, [item.name for item in spec.inputs])
    tick: Tick = {}
    for item in spec.inputs:
        array = given.get(item.name)
        if array is None or array.shape != item.shape or array.dtype != item.dtype:
            found = "is missing" if array is None else f"is {array.dtype} {list(array.shape)}"
            raise ExportError(
                f"Input {item.name!r} {found} in the examples; a tick of it is {item.dtype} {list(item.shape)}."
            )
        tick[item.name] = array
    return tick


def _random_ticks(spec: StepSpec) -> list[Tick]:
    """Normal numbers for floats, ones at random for truth values, zeros for integers; the same on each call."""
    random = np.random.default_rng(0)

    def draw(item: TensorSpec) -> Array:
        if item.dtype == "bool":
            return random.random(item.shape) < 0.5
        if item.dtype.startswith("float"):
            return random.standard_normal(item.shape).astype(item.dtype)
        return np.zeros(item.shape, item.dtype)

    ticks = EXAMPLE_TICKS if any(item.dtype.startswith(("float", "bool")) for item in spec.inputs) else 1
    return [{item.name: draw(item) for item in spec.inputs} for _ in range(ticks)]

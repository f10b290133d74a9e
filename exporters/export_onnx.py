"""`export_onnx`: from somebody's ONNX graph of one tick, and the pairs of its states, to a checked step graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import version_converter

from astroedge.errors import ExportError, GraphError, NoStateError, UnsupportedOpError
from astroedge.exporters.finish_graph import (
    Original,
    fill_value,
    finish_graph,
    keep_read_states,
    left_out,
)
from astroedge.exporters.from_onnx.declared_names import (
    Array,
    as_input,
    check_names,
    check_pairs,
    declared_values,
    fix_shapes,
    hold_constant,
    values_of,
)
from astroedge.exporters.from_onnx.drop_dropout import drop_dropout
from astroedge.exporters.from_onnx.expand_quantised import expand_quantised
from astroedge.exporters.from_onnx.expand_recurrent import batch_second, expand_recurrent
from astroedge.exporters.from_onnx.fold_graph import fold_graph
from astroedge.exporters.from_onnx.name_graph import name_graph
from astroedge.exporters.from_onnx.older_operators import in_older_operators
from astroedge.exporters.from_onnx.source_session import open_foreign
from astroedge.exporters.graph.clean_graph import clean_graph, refuse_operators
from astroedge.exporters.graph.rewrite_booleans import rewrite_booleans
from astroedge.exporters.graph.rewrite_picks import rewrite_picks
from astroedge.exporters.graph.rewrite_products import rewrite_products
from astroedge.exporters.graph.rewrite_spikes import rewrite_spikes
from astroedge.exporters.parity.firing_rates import Tick
from astroedge.exporters.shared.batch_size import check_batch
from astroedge.parity import Allowance
from astroedge.step.assets import check_assets
from astroedge.step.graph import METADATA_KEY, StepGraph
from astroedge.step.graph_index import with_large_as_inputs
from astroedge.step.onnx_file import lighten, map_model, whole
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.step.tensor_data import Source

OLDEST_OPSET = 13
FIRST_SCAN = 9  # what Scan is since
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
    allow_flips: int | None = None,
    tolerance: float | None = None,
    check_ticks: int | None = None,
    assets: Mapping[str, bytes] | None = None,
) -> StepGraph:
    """Make a step graph of an ONNX graph whose output `states[input]` is at the next tick its input.

    `constants` are inputs that never change, such as a sampling rate; `shapes` and `batch` fix sizes that the graph
    leaves open; `initial` gives states another first value than zero, as a number or an array. `examples` are inputs
    of successive ticks, by name, for measuring firing rates and for the comparison with the original over 200 ticks
    in ONNX Runtime; without them inputs are drawn from a normal distribution. A state is named as its input. Outputs
    that feed states are not data outputs, unless no other output is there. `allow_flips`, `tolerance`, `check_ticks`
    and `assets` are as in `export`.

    Raises InputError as `export` does, NoStateError without pairs, ExportError for names, shapes and values that do not
    fit, UnsupportedOpError for an operator that a step cannot hold, ParityError if step and original differ by more
    than rounding, GraphError for a file that is not valid ONNX.
    """
    allowance = Allowance.of(allow_flips, tolerance, check_ticks)
    if batch is not None:
        check_batch(batch)
    original, sources = _original(source)
    fix = partial(fix_shapes, shapes=shapes or {}, batch=batch, states=states)
    model, held, own_sources = _folded(original, states, constants or {}, fix)
    first = _initial_values(model.graph, states, initial or {})
    title = name or (Path(source).stem if isinstance(source, (str, os.PathLike)) else original.graph.name)
    rewrite_picks(model)
    refuse_operators(model.graph.node)
    spec = name_graph(model, states, {name: fill_value(value) for name, value in first.items()})
    check_assets(assets or {}, spec)
    declared = list(model.graph.value_info)
    clean_graph(model, title, [])
    model.graph.value_info.extend(declared)
    rewrite_products(model)
    rewrite_booleans(model)
    rewrite_spikes(model)
    kept, unread = keep_read_states(model.graph, spec.states, first)
    if not kept:
        raise NoStateError(f"Nothing in the graph reads {', '.join(unread)}; check the pairs of --state.")
    spec = replace(spec, states=kept)
    ticks = [_tick(spec, tick) for tick in examples] if examples else _random_ticks(spec)
    foreign = open_foreign(original, states, held)
    del sources
    axes = foreign.batch_axes(ticks[0], first)
    spec = replace(spec, states=tuple(replace(state, batch_axis=axes[state.name]) for state in kept))
    same = Original(lambda spec: foreign.run(spec, first, ticks, allowance.ticks), "the original graph")
    traced = StepGraph(model, spec)
    del own_sources
    graph = finish_graph(traced, ticks, firing_rates or {}, same, allowance)
    graph.hold_assets(assets or {})
    graph.notes = (*left_out(unread), *graph.notes)
    return graph


def _original(source: str | os.PathLike[str] | onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[Source, ...]]:
    """A copy of the checked graph, in a form that ONNX Runtime runs, and what its references lead to."""
    given, _sources = (source, ()) if isinstance(source, onnx.ModelProto) else map_model(source)
    _check_foreign(given)
    original = onnx.ModelProto()
    original.CopyFrom(in_older_operators(given))
    batch_second(original.graph)
    return original, lighten(original)


def _folded(
    original: onnx.ModelProto,
    states: Mapping[str, str],
    constants: Mapping[str, object],
    fix: Callable[[onnx.GraphProto], None],
) -> tuple[onnx.ModelProto, dict[str, Array], tuple[Source, ...]]:
    """The graph with inputs of fixed sizes and nothing left to be computed once, and the inputs that are held.

    Last, what the graph's references lead to.
    """
    model = onnx.ModelProto()
    model.CopyFrom(original)
    _drop_defaults(model.graph)
    check_pairs(model.graph, states)
    held = hold_constant(model, constants)
    check_pairs(model.graph, states)
    fix(model.graph)
    declared = declared_values(original.graph, model.graph)
    model = _modern(model)
    expand_quantised(model)
    model = fold_graph(model, declared)
    _sources = lighten(model)
    drop_dropout(model)
    expand_recurrent(model)
    model = fold_graph(model, declared)
    return model, held, lighten(model)


def _check_foreign(model: onnx.ModelProto) -> None:
    """Refuse what is a step graph already, or no ONNX."""
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise ExportError("This is a step graph already; give it to astroedge compile.")
    try:
        onnx.checker.check_model(with_large_as_inputs(model))
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
    if version < FIRST_SCAN and any(node.op_type == "Scan" for node in model.graph.node):
        raise UnsupportedOpError(
            f"The graph uses Scan of operator set {version}, which goes through a batch as well, and ONNX cannot "
            "convert it; export the graph again with operator set 9 or a newer one."
        )
    try:
        return version_converter.convert_version(whole(model), OLDEST_OPSET)
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

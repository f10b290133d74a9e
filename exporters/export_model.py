"""`export`: from a model and example data to a checked step graph."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from astroedge.errors import ExportError, GraphError, NoStateError, UnsupportedOpError
from astroedge.exporters import frameworks
from astroedge.exporters.graph.clean_graph import clean_graph, cut, maker, prune_states, store_initial_value
from astroedge.exporters.graph.compiler_notes import compiler_notes
from astroedge.exporters.graph.find_activations import find_activations
from astroedge.exporters.graph.find_spikes import find_reset_copies, find_spikes
from astroedge.exporters.graph.rewrite_booleans import rewrite_booleans
from astroedge.exporters.graph.rewrite_spikes import rewrite_spikes
from astroedge.exporters.parity.compare import PARITY_TICKS, compare, parity_inputs
from astroedge.exporters.parity.firing_rates import Tick, measure_activations, measure_input, measure_spikes
from astroedge.exporters.shared.batch_axes import find_batch_axes
from astroedge.exporters.shared.child_process import run_in_child
from astroedge.exporters.state.find_state import find_hidden_state, separate_shared_items
from astroedge.exporters.state.first_input_values import refuse_first_input_values
from astroedge.exporters.state.locations import HiddenState, Location
from astroedge.exporters.state.refuse_changes import refuse_late_changes
from astroedge.exporters.state.snapshot import Snapshot
from astroedge.exporters.step_call.blame import blame_model
from astroedge.exporters.step_call.examples import Example, Inputs, dtype_name, example_ticks
from astroedge.exporters.step_call.signature import StepCall, make_call
from astroedge.exporters.tracing.dry_run import DryRun, dry_run
from astroedge.exporters.tracing.trace import trace, warm_up
from astroedge.exporters.tracing.trace_errors import WRAPPER
from astroedge.exporters.wrapping.assumptions import assumed_states, states_for_outputs
from astroedge.exporters.wrapping.check_model import check_model
from astroedge.exporters.wrapping.default_states import with_own_states
from astroedge.exporters.wrapping.step_module import StepModule, run_step
from astroedge.exporters.wrapping.value_names import Names, choose_names, wrapper_path
from astroedge.parity import Parity
from astroedge.step.graph import StepGraph
from astroedge.step.spec import NEXT_PREFIX, StateSpec, StepSpec, TensorSpec

TRACED, FINISHED = "traced.onnx", "finished.onnx"
SETTLING_TICKS = 3


def export(
    model: Any,
    inputs: Example,
    states: Any = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    state_names: Sequence[str] | None = None,
    name: str | None = None,
    examples: Iterable[Example] | None = None,
    firing_rates: Mapping[str, float] | None = None,
) -> StepGraph:
    """Export one tick of `model` as a step graph, compared with the model over 200 ticks.

    `model` is a module, a method of one, or a function, on the CPU and in evaluation mode. `inputs` are example
    tensors of one tick; their shapes, batch included, become those of the graph. With `states`, tensors in any
    nesting of tuples, lists, dicts and dataclasses, the model is `forward(*inputs, *states) -> (outputs…, *states)`
    and their values are the initial ones. A model that makes its states itself when it is called without them, as
    Norse's and PyTorch's recurrent modules do, needs no `states`. State that the model hides in buffers and attributes
    is found by stepping it; its present content is its initial value, so reset the model first. The model itself stays
    as it is: everything happens in a forked child process.

    Names come from `input_names`, `output_names`, `state_names` if given; else from attributes or methods of those
    names on the model; else from its signature and what it returns (`y` for a single output). Hidden states have
    their module paths. `name` is the graph's name, by default the model's class. `examples` are realistic inputs of
    successive ticks: firing rates, which later choose kernels, are measured on them; without them on `inputs` again
    and again. `firing_rates` declares for inputs, by name, what fraction of the elements is not zero, in place of what
    the examples show.

    The result's `parity` and `notes` say what the comparison showed and what to know.

    Raises NoStateError if nothing carries over, UnsupportedOpError for an operator a step can't hold, ParityError if
    the graph and the model differ by more than rounding, ExportError for anything else that can't be exported.
    """
    call = make_call(model, inputs, states)
    check_model(call.model)
    ticks = example_ticks(call.inputs, examples)
    given = Names(input_names, output_names, state_names)
    warm_up()
    with tempfile.TemporaryDirectory(prefix="astroedge-export-") as folder:
        scratch = Path(folder)
        traced = run_in_child(lambda: _trace(call, ticks, given, name or call.title, scratch / TRACED), scratch)
        if traced.kept:
            run_in_child(lambda: refuse_first_input_values(call, traced.kept), scratch)
        declared = firing_rates or {}
        parity, notes = run_in_child(lambda: _measure(call, ticks, declared, traced, scratch), scratch)
        graph = StepGraph.load(scratch / FINISHED)
    graph.parity, graph.notes = parity, (*traced.notes, *notes, *compiler_notes(graph.model.graph))
    return graph


@dataclass(frozen=True)
class _Traced:
    """What the first child finds out about a model, beside the graph it writes; pruned states are in here too."""

    hidden_states: tuple[HiddenState, ...]
    states: tuple[str, ...]
    notes: tuple[str, ...]
    kept: Mapping[Location | str, Any]
    seen: DryRun


def _trace(call: StepCall, ticks: Sequence[Inputs], given: Names, title: str, path: Path) -> _Traced:
    """Find the state, trace the step and write a graph whose spec lacks only what is measured."""
    with blame_model(call.label, call.model):
        given_states, call = call.states, with_own_states(call)
        known = frameworks.notes(call.model)
        if call.states and not given_states:
            known += assumed_states(call)
        frameworks.make_static(call.model)
        module, initial, kept = _step_module(call, ticks)
        seen = dry_run(module, call.inputs, initial)
        if not initial:
            raise NoStateError(_no_state(call, []))
        example = run_step(module, call.inputs, initial)
        with torch.no_grad():
            outputs, following = call(call.inputs, [tensor.clone() for tensor in call.state_leaves])
        known += states_for_outputs(call, outputs, following)
    inputs, named, names = choose_names(given, call, outputs, module.hidden_states)
    axes = find_batch_axes(
        lambda data, states: list(run_step(module, data, states)[len(outputs) :]), call.inputs, initial
    )
    states = [
        StateSpec(name, tuple(tensor.shape), dtype_name(name, tensor), axis, _fill(tensor.numpy()))
        for name, tensor, axis in zip(names, initial, axes, strict=True)
    ]
    model = trace(
        module,
        [*call.inputs, *initial],
        [*inputs, *(state.input_name for state in states)],
        [*named, *(state.output_name for state in states)],
        seen,
    )
    wrappers = wrapper_path(call.model) if not module.hidden_states else []
    classes = {cut(path, wrappers): type(owner).__name__ for path, owner in call.model.named_modules()}
    clean_graph(model, title, [WRAPPER, *wrappers], classes)
    try:
        rewrite_booleans(model)
        rewrite_spikes(model)
    except GraphError as error:  # the first look at the shapes of all values
        raise UnsupportedOpError(_wrong_translation(model, error, classes)) from error
    pruned = prune_states(model.graph, states)
    if len(pruned) == len(states):
        raise NoStateError(_no_state(call, pruned))
    for state, tensor in zip(states, initial, strict=True):
        if state.initial is None and state.name not in pruned:
            store_initial_value(model.graph, state, tensor.numpy())
    spec = StepSpec(
        inputs=tuple(_tensor_spec(name, tensor) for name, tensor in zip(inputs, call.inputs, strict=True)),
        outputs=tuple(_tensor_spec(name, tensor) for name, tensor in zip(named, example, strict=False)),
        states=tuple(state for state in states if state.name not in pruned),
        source=frameworks.source_of(call.model),
    )
    StepGraph(model, spec).save(path)
    pairs = zip(names[len(names) - len(module.hidden_states) :], module.hidden_states, strict=True)
    scratch = {name for name, hidden in pairs if frameworks.is_scratch(call.model, hidden)}
    unread = [f"State {name!r} was left out: nothing in the step reads it." for name in pruned if name not in scratch]
    return _Traced(module.hidden_states, tuple(names), (*known, *unread), kept, seen)


def _measure(
    call: StepCall, ticks: Sequence[Inputs], declared: Mapping[str, float], traced: _Traced, scratch: Path
) -> tuple[Parity, tuple[str, ...]]:
    """Measure activity on the examples, write the finished graph and compare it with the model, which is cold here."""
    graph = StepGraph.load(scratch / TRACED)
    with blame_model(call.label, call.model):
        call = with_own_states(call)
    names = [item.name for item in graph.spec.inputs]
    examples = [{name: tensor.numpy() for name, tensor in zip(names, tick, strict=True)} for tick in ticks]
    found = find_spikes(graph.model.graph, graph.spec.states)
    rectified = find_activations(graph.model.graph, [item.name for item in found])
    measured = tuple(measure_input(item, graph.model.graph, examples) for item in graph.spec.inputs)
    spec = replace(
        graph.spec,
        inputs=declare(measured, declared),
        spikes=measure_spikes(graph, found, examples),
        activations=measure_activations(graph, rectified, examples),
    )
    graph = StepGraph(graph.model, spec)
    parity = compare(graph, found, _reference(call, traced, spec, examples), reason=traced.seen.reason)
    graph.save(scratch / FINISHED)
    reset_copies = find_reset_copies(graph.model.graph, found, spec.states)
    silent = [spikes.name for spikes in spec.spikes if not spikes.firing_rate and spikes.name not in reset_copies]
    return parity, tuple(
        f"Spike tensor {name!r} never fired on the example data, so its firing rate says nothing; give real `examples`."
        for name in silent
    )


def declare(inputs: Sequence[TensorSpec], rates: Mapping[str, float]) -> tuple[TensorSpec, ...]:
    """The inputs with the firing rates that the caller declares for some of them.

    Raises ExportError for a name that is no input, an input of indices, and a rate outside (0, 1].
    """
    known = {item.name: item for item in inputs}
    for name, rate in rates.items():
        if name not in known:
            raise ExportError(f"firing_rates names {name!r}, which is no input; the inputs: {', '.join(known)}.")
        if known[name].index_range is not None:
            raise ExportError(
                f"Input {name!r} selects rows of a table and does not fire; leave it out of firing_rates."
            )
        if not 0 < rate <= 1:
            raise ExportError(f"The firing rate of {name!r} is {rate}; it must be above 0 and at most 1.")
    return tuple(replace(item, firing_rate=rates.get(item.name, item.firing_rate)) for item in inputs)


def _reference(
    call: StepCall, traced: _Traced, spec: StepSpec, examples: Sequence[Tick]
) -> Iterator[tuple[Tick, Tick]]:
    """Run the model as its user does, from its initial state: inputs, then outputs and next states, tick by tick."""
    states = call.state_leaves
    separate_shared_items(call.model)
    settled: Snapshot | None = None
    for number, tick in enumerate(parity_inputs(spec, examples)):
        if number == SETTLING_TICKS:
            settled = Snapshot.of(call)
        inputs = [torch.from_numpy(array.copy()) for array in tick.values()]
        with torch.no_grad(), blame_model(call.label, call.model):
            outputs, states = call(inputs, [tensor.clone() for tensor in states])
        following = [*states, *(hidden.read(call.model) for hidden in traced.hidden_states)]
        results = {item.name: tensor for item, (_, tensor) in zip(spec.outputs, outputs, strict=True)}
        results |= {f"{NEXT_PREFIX}{name}": tensor for name, tensor in zip(traced.states, following, strict=True)}
        yield tick, {name: tensor.detach().numpy().copy() for name, tensor in results.items()}
    if settled is not None:
        known = {location for hidden in traced.hidden_states for location in hidden.locations}
        refuse_late_changes(call.model, settled, Snapshot.of(call), known, PARITY_TICKS)


def _step_module(
    call: StepCall, ticks: Sequence[Inputs]
) -> tuple[StepModule, list[Tensor], Mapping[Location | str, Any]]:
    """The model with all its state made explicit, the initial value of every state, and what it set once and kept."""
    found = find_hidden_state(call, ticks)
    initial = [*call.state_leaves, *(state.initial for state in found.states)]
    return StepModule(call, [state.hidden for state in found.states]), initial, found.kept


def _no_state(call: StepCall, pruned: Sequence[str]) -> str:
    found = f"only {', '.join(repr(name) for name in pruned)}, which nothing reads" if pruned else "none"
    return (
        f"Nothing carries over from one call of {call.label} to the next (state found: {found}); a stateless model "
        "needs no AstroEdge, and a stateful one keeps its state out of sight: hold it in buffers or pass it with "
        "states=. A loop over time inside forward must be taken out: export what stands inside the loop."
    )


def _wrong_translation(model: onnx.ModelProto, error: GraphError, classes: Mapping[str, str]) -> str:
    """What PyTorch wrote in a form that ONNX does not allow, and the module that needed it."""
    node = next((node for node in model.graph.node if f"node name: {node.name})" in str(error)), None)
    who = "The model" if node is None else maker(node, classes)
    what = "an operator" if node is None else node.op_type
    return (
        f"{who} uses a function that PyTorch writes to ONNX in a form which ONNX does not allow ({what}); write it "
        "with other torch functions."
    )


def _tensor_spec(name: str, tensor: Tensor) -> TensorSpec:
    return TensorSpec(name, tuple(tensor.shape), dtype_name(name, tensor))


def _fill(value: np.ndarray) -> float | None:
    """The number that every element of `value` is, bit for bit; None if there is none or a float can't hold it."""
    first = value.reshape(-1)[:1]
    number = float(first[0])
    same = value.tobytes() == np.broadcast_to(first, value.size).tobytes()
    return number if same and np.asarray(number).astype(value.dtype).tobytes() == first.tobytes() else None

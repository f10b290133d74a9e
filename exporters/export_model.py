"""`export`: from a model and example data to a checked step graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from torch import Tensor

from astroedge.errors import GraphError, UnsupportedOpError
from astroedge.exporters import frameworks
from astroedge.exporters.finish_graph import (
    Original,
    fill_value,
    finish_graph,
    keep_read_states,
    left_out,
)
from astroedge.exporters.graph.clean_graph import clean_graph, cut, maker
from astroedge.exporters.graph.rewrite_booleans import rewrite_booleans
from astroedge.exporters.graph.rewrite_products import rewrite_products
from astroedge.exporters.graph.rewrite_spikes import rewrite_spikes
from astroedge.exporters.parity.compare import parity_inputs
from astroedge.exporters.parity.firing_rates import Tick
from astroedge.exporters.shared.child_process import run_in_child, tell_stage
from astroedge.exporters.state.first_input_values import refuse_first_input_values
from astroedge.exporters.state.locations import HiddenState, Location
from astroedge.exporters.state.refuse_changes import refuse_stateless
from astroedge.exporters.state.watched_run import watched_run
from astroedge.exporters.step_call.blame import ModelFailure, as_export_errors, blame_model
from astroedge.exporters.step_call.examples import Example, Inputs, dtype_name, example_ticks
from astroedge.exporters.step_call.signature import StepCall, make_call
from astroedge.exporters.tracing.dry_run import DryRun, dry_run
from astroedge.exporters.tracing.trace import trace, warm_up
from astroedge.exporters.tracing.trace_errors import WRAPPER
from astroedge.exporters.wrapping.check_model import check_model
from astroedge.exporters.wrapping.default_states import with_own_states
from astroedge.exporters.wrapping.value_names import Names, choose_names, wrapper_path
from astroedge.exporters.wrapping.wrap_model import WrappedModel, wrap_model
from astroedge.parity import Allowance, Parity
from astroedge.scratch import scratch_folder
from astroedge.step.assets import check_assets
from astroedge.step.graph import StepGraph
from astroedge.step.spec import NEXT_PREFIX, StateSpec, StepSpec, TensorSpec

TOLD_EVERY = 1.0  # seconds between two words on how far a comparison is
TRACED, FINISHED = "traced.onnx", "finished.onnx"


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
    allow_flips: int | None = None,
    tolerance: float | None = None,
    check_ticks: int | None = None,
    assets: Mapping[str, bytes] | None = None,
    progress: Callable[[str], None] = lambda stage: None,
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

    `check_ticks` ticks are compared, 200 by default, and rounding may part results and decisions by `tolerance`, 1e-5
    by default, as a share of max(1, the largest value). `allow_flips` ticks may differ by more if some decision of such
    a tick lies within rounding of its edge. What is accepted here is written into the graph.

    `assets` are files that the graph carries for its users, contents by name: `{"labels.txt": b"yes\nno\n"}` names
    the classes, a line for each score in a row of the first output.

    `progress` is called with a few words before each stage, and in a long one from time to time. The result's `parity`
    and `notes` say what the comparison showed and what to know.

    Raises NoStateError if nothing carries over, UnsupportedOpError for an operator a step can't hold, ParityError if
    the graph and the model differ by more than rounding, InputError for a tolerance or a number of ticks or flips that
    is none and for assets that cannot be carried, ExportError for anything else that can't be exported.
    """
    check_assets(assets or {})
    allowance = Allowance.of(allow_flips, tolerance, check_ticks)
    call = make_call(model, inputs, states)
    check_model(call.model)
    ticks = example_ticks(call, examples)
    given = Names(input_names, output_names, state_names)
    progress("tracing one tick")
    warm_up()
    with as_export_errors(), scratch_folder("export") as scratch:
        place, held = scratch / TRACED, assets or {}
        traced = run_in_child(lambda: _trace(call, ticks, given, name or call.title, place, held), scratch)
        if traced.kept:
            run_in_child(lambda: refuse_first_input_values(call, traced.kept), scratch)
        progress("measuring it and comparing it with the model")
        rest = _Finish(call, ticks, firing_rates or {}, allowance, traced, scratch)
        try:
            parity, notes = run_in_child(rest.finish, scratch, progress)
        except ModelFailure as error:
            if len(ticks) > 1:
                raise
            parity, notes = run_in_child(replace(rest, vary=False).finish, scratch, progress)
            notes = (*notes, _not_varied(error))
        graph = StepGraph.load(scratch / FINISHED)
        for source in graph.sources:
            source.take()
    graph.hold_assets(held)
    graph.parity, graph.notes = parity, (*traced.notes, *notes)
    return graph


@dataclass(frozen=True)
class _Traced:
    """What the first child finds out about a model, beside the graph it writes; pruned states are in here too."""

    hidden_states: tuple[HiddenState, ...]
    states: tuple[str, ...]
    notes: tuple[str, ...]
    kept: Mapping[Location | str, Any]
    seen: DryRun


def _trace(
    call: StepCall, ticks: Sequence[Inputs], given: Names, title: str, path: Path, assets: Mapping[str, bytes]
) -> _Traced:
    """Find the state, trace the step and write a graph whose spec lacks only what is measured, and its assets."""
    with blame_model(call.label, call.model):
        wrapped = wrap_model(call, ticks)
        seen = dry_run(wrapped.module, call.inputs, wrapped.initial)
    call, hidden_states = wrapped.call, wrapped.module.hidden_states
    if not wrapped.initial:
        refuse_stateless(call.label, [])
    inputs, outputs, names = choose_names(given, call, wrapped.outputs, hidden_states)
    states = [
        _state_spec(name, tensor, axis)
        for name, tensor, axis in zip(names, wrapped.initial, wrapped.batch_axes(), strict=True)
    ]
    model, _sources = trace(
        wrapped.module,
        [*call.inputs, *wrapped.initial],
        [*inputs, *(state.input_name for state in states)],
        [*outputs, *(state.output_name for state in states)],
        seen,
    )
    _clean(model, title, wrapped)
    first = {name: tensor.numpy() for name, tensor in zip(names, wrapped.initial, strict=True)}
    kept, unread = keep_read_states(model.graph, states, first)
    if not kept:
        refuse_stateless(call.label, unread)
    spec = StepSpec(
        inputs=tuple(_tensor_spec(name, tensor) for name, tensor in zip(inputs, call.inputs, strict=True)),
        outputs=tuple(_tensor_spec(name, tensor) for name, (_, tensor) in zip(outputs, wrapped.outputs, strict=True)),
        states=kept,
        source=frameworks.source_of(call.model),
    )
    check_assets(assets, spec)
    StepGraph(model, spec).save(path)
    hidden = zip(names[len(names) - len(hidden_states) :], hidden_states, strict=True)
    scratch = {name for name, state in hidden if frameworks.is_scratch(call.model, state)}
    notes = (*wrapped.notes, *seen.unread, *left_out([name for name in unread if name not in scratch]))
    return _Traced(hidden_states, tuple(names), notes, wrapped.kept, seen)


def _clean(model: onnx.ModelProto, title: str, wrapped: WrappedModel) -> None:
    """Clean and rewrite what the tracer wrote, in place, with names as the user's own model has them."""
    root = wrapped.call.model
    wrappers = wrapper_path(root) if not wrapped.module.hidden_states else []
    classes = {cut(path, wrappers): type(owner).__name__ for path, owner in root.named_modules()}
    clean_graph(model, title, [WRAPPER, *wrappers], classes)
    try:
        rewrite_booleans(model)
        rewrite_products(model)
        rewrite_spikes(model)
    except GraphError as error:  # the first look at the shapes of all values
        raise UnsupportedOpError(_wrong_translation(model, error, classes)) from error


@dataclass(frozen=True)
class _Finish:
    """What the last child does; `vary` is False where the model cannot take variations of its only example."""

    call: StepCall
    ticks: Sequence[Inputs]
    rates: Mapping[str, float]
    allowance: Allowance
    traced: _Traced
    scratch: Path
    vary: bool = True

    def finish(self) -> tuple[Parity | None, tuple[str, ...]]:
        """Write the finished graph, measured on the examples and compared with the model, which is cold here."""
        graph = StepGraph.load(self.scratch / TRACED)
        with blame_model(self.call.label, self.call.model):
            call = with_own_states(self.call)
        names = [item.name for item in graph.spec.inputs]
        examples = [{name: tensor.numpy() for name, tensor in zip(names, tick, strict=True)} for tick in self.ticks]

        def run(spec: StepSpec) -> Iterator[tuple[Tick, Tick]]:
            names = [*(item.name for item in spec.outputs), *(f"{NEXT_PREFIX}{name}" for name in self.traced.states)]
            inputs = parity_inputs(spec, examples, self.allowance.ticks, vary=self.vary)
            told = time.monotonic()
            for count, (tick, results) in enumerate(watched_run(call, self.traced.hidden_states, inputs)):
                if time.monotonic() > told + TOLD_EVERY:
                    told = time.monotonic()
                    tell_stage(self.scratch, f"comparing it with the model, tick {count} of {self.allowance.ticks}")
                yield tick, dict(zip(names, results, strict=True))

        original = Original(run, "PyTorch", self.traced.seen.reason)
        finished = finish_graph(graph, examples, self.rates, original, self.allowance)
        finished.save(self.scratch / FINISHED)
        return finished.parity, finished.notes


def _not_varied(error: ModelFailure) -> str:
    """A note on a comparison that saw one pattern only."""
    return (
        f"The model cannot take variations of its only example ({error.raised}), so it was compared on that alone, "
        "again and again; give real `examples`."
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


def _state_spec(name: str, initial: Tensor, batch_axis: int | None) -> StateSpec:
    return StateSpec(name, tuple(initial.shape), dtype_name(name, initial), batch_axis, fill_value(initial.numpy()))

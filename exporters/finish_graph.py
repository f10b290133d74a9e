"""The back half of every export, whatever the graph was made of: a PyTorch model, or somebody's ONNX.

A step graph that lacks only what is measured gets its rates from the examples and is compared with its original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from astroedge.errors import ExportError
from astroedge.exporters.graph.clean_graph import prune_states, store_initial_value
from astroedge.exporters.graph.compiler_notes import compiler_notes
from astroedge.exporters.graph.dense_notes import dense_notes
from astroedge.exporters.graph.find_activations import find_activations, find_unknown_operands
from astroedge.exporters.graph.find_spikes import Spikes, find_reset_copies, find_spikes
from astroedge.exporters.graph.pruned_notes import pruned_notes
from astroedge.exporters.parity.compare import compare
from astroedge.exporters.parity.firing_rates import Array, Tick, measure_activations, measure_input, measure_spikes
from astroedge.exporters.shared.labels import few
from astroedge.parity import Allowance, Parity
from astroedge.step.find_sparsity import find_sparsity
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec


@dataclass(frozen=True)
class Original:
    """What a step graph was made of, as the comparison needs it.

    `run` steps it from its initial state: for each tick the inputs, then outputs and next states, named as in the spec
    that it is given. `name` is what messages call it, `reason` what most likely explains a difference.
    """

    run: Callable[[StepSpec], Iterator[tuple[Tick, Tick]]]
    name: str
    reason: str | None = None


def fill_value(value: Array) -> float | None:
    """The number that every element of `value` is, bit for bit; None if there is none or a float can't hold it."""
    first = value.reshape(-1)[:1]
    number = float(first[0])
    same = value.tobytes() == np.broadcast_to(first, value.size).tobytes()
    return number if same and np.asarray(number).astype(value.dtype).tobytes() == first.tobytes() else None


def keep_read_states(
    graph: onnx.GraphProto, states: Sequence[StateSpec], first: Mapping[str, Array]
) -> tuple[tuple[StateSpec, ...], list[str]]:
    """Leave out the states that nothing reads, in place, and store the first values that are not one number.

    `first` holds the value of every state before the first tick. Returns the states that stay, and the names of those
    that do not.
    """
    unread = prune_states(graph, states)
    kept = tuple(state for state in states if state.name not in unread)
    for state in kept:
        if state.initial is None:
            store_initial_value(graph, state, first[state.name])
    return kept, unread


def left_out(unread: Sequence[str]) -> tuple[str, ...]:
    """A note for each state that nothing reads."""
    return tuple(f"State {name!r} was left out: nothing in the step reads it." for name in unread)


def finish_graph(
    graph: StepGraph, ticks: Sequence[Tick], declared: Mapping[str, float], original: Original, allowance: Allowance
) -> StepGraph:
    """`graph` with what the example `ticks` show in its spec, compared with `original`, and what to know in its notes.

    `declared` are firing rates of inputs that stand in place of measured ones, `allowance` how the two are compared.

    Raises ExportError for a declared rate that does not fit, ParityError if the graph and its original differ by more
    than rounding.
    """
    spikes = find_spikes(graph.model.graph, graph.spec.states)
    spec = replace(_measured(graph, spikes, ticks, declared), allowance=allowance)
    finished = StepGraph(graph.model, spec)
    finished.hold_examples(ticks)
    finished.parity = compare(
        finished, spikes, original.run(spec), original=original.name, reason=original.reason, allowance=allowance
    )
    finished.notes = (
        *_accepted(finished.parity, original.name),
        *_silent(finished, spikes),
        *dense_notes(finished),
        *pruned_notes(finished.model.graph),
        *compiler_notes(finished.model.graph),
    )
    return finished


def _measured(
    graph: StepGraph, spikes: Sequence[Spikes], ticks: Sequence[Tick], declared: Mapping[str, float]
) -> StepSpec:
    """The spec with spans and rates of inputs, spike tensors and sparse activations.

    An operand of a product that nothing tells to be sparse is measured too: what its zeros come from does not matter.
    """
    rectified = find_activations(graph.model.graph, [item.name for item in spikes])
    inputs = tuple(measure_input(item, graph.model.graph, ticks) for item in graph.spec.inputs)
    spec = replace(
        graph.spec,
        inputs=_declare(inputs, declared),
        spikes=measure_spikes(graph, spikes, ticks),
        activations=measure_activations(graph, rectified, ticks),
    )
    sparse = find_sparsity(graph.model, spec).keys() | {item.tensor for item in rectified}
    operands = find_unknown_operands(graph.model.graph, spec, sparse)
    return replace(spec, activations=(*spec.activations, *measure_activations(graph, operands, ticks)))


def _declare(inputs: Sequence[TensorSpec], rates: Mapping[str, float]) -> tuple[TensorSpec, ...]:
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


def _accepted(parity: Parity, original: str) -> Iterator[str]:
    """A note on ticks that differ and were accepted."""
    if parity.unexplained:
        ticks = ", ".join(str(tick + 1) for tick in parity.unexplained)
        yield (
            f"The graph differs from {original} at tick {ticks} by more than rounding explains; a decision there is "
            "within rounding of its edge, and you accepted it with allow_flips."
        )


def _silent(graph: StepGraph, spikes: Sequence[Spikes]) -> Iterator[str]:
    """A note on the spike tensors that the examples leave silent, but for those that only repeat another."""
    reset_copies = find_reset_copies(graph.model.graph, spikes, graph.spec.states)
    silent = [item.name for item in graph.spec.spikes if not item.firing_rate and item.name not in reset_copies]
    if len(silent) == 1:
        yield (
            f"Spike tensor {silent[0]!r} never fired on the example data, so its firing rate says nothing; give real "
            "`examples`."
        )
    elif silent:
        yield (
            f"{len(silent)} of {len(graph.spec.spikes)} spike tensors never fired on the example data ({few(silent)}), "
            "so their firing rates say nothing; give real `examples`."
        )

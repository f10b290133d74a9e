"""Torch against ONNX Runtime, tick by tick, right after export.

Forced: the graph gets PyTorch's state at every tick, and each result must agree within 1e-5 · max(1, its largest
value). A spike may differ only where the two compared values lie within that margin of each other; such a spike is
taken over from PyTorch before what depends on it is compared, and counted. Free: the graph keeps its own state, and the
first tick at which it parts from PyTorch is reported, not judged: one rounding difference can change a spiking
network's whole future.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import onnxruntime

from astroedge.errors import ParityError
from astroedge.exporters.activity import Array, Tick, open_session, run
from astroedge.exporters.find_spikes import Spikes
from astroedge.parity import Divergence, Flip, Parity
from astroedge.step_graph import StepGraph
from astroedge.step_spec import StepSpec

PARITY_TICKS = 200
TOLERANCE = 1e-5
MAX_TRIALS = 200  # combinations of borderline spikes tried to explain one tick

Element = tuple[str, tuple[int, ...]]
"""A spike tensor's value name and an index into it."""


def compare(graph: StepGraph, spikes: Sequence[Spikes], reference: Iterator[tuple[Tick, Tick]]) -> Parity:
    """Compare `graph` with `reference`, which yields for each tick the inputs and PyTorch's outputs and next states.

    Results are named as the graph's outputs, `next.<state>` included. Raises ParityError for a difference that rounding
    cannot explain.
    """
    forced = _Forced(graph, spikes)
    free: Tick | None = graph.initial_state()
    state = graph.initial_state()
    worst, decisions, ticks = 0.0, 0, 0
    flips: list[Flip] = []
    divergence = None
    for tick, (inputs, wanted) in enumerate(reference):
        error, found = forced.tick(tick, inputs, state, wanted)
        worst, decisions, ticks = max(worst, error), decisions + forced.decisions, tick + 1
        flips += found
        if free is not None:
            values = forced.run(inputs, free)
            divergence = forced.divergence(tick, values, wanted)
            free = None if divergence else {name: values[f"next.{name}"] for name in free}
        state = {name: wanted[f"next.{name}"] for name in state}
    return Parity(ticks, worst, decisions, tuple(flips), divergence)


class _Forced:
    """The step in ONNX Runtime with its spikes and what they compare in view."""

    def __init__(self, graph: StepGraph, spikes: Sequence[Spikes]) -> None:
        self.graph = graph
        self.spikes = spikes
        self.names = [value.name for value in graph.model.graph.output]
        self.constants = {
            tensor.name: onnx.numpy_helper.to_array(tensor)
            for tensor in graph.model.graph.initializer
            if any(tensor.name in (spike.left, spike.right) for spike in spikes)
        }
        given = set(self.constants) | {value.name for value in graph.model.graph.input}
        self.watched = [
            name for spike in spikes for name in (spike.tensor, spike.left, spike.right) if name not in given
        ]
        self.session = open_session(graph.model, self.watched)
        self.adopting: onnxruntime.InferenceSession | None = None
        self.decisions = 0

    def run(self, inputs: Tick, state: Tick) -> Tick:
        """One tick: outputs, spikes and compared values."""
        values = run(self.session, inputs, state)
        return {**self.constants, **inputs, **{f"state.{name}": value for name, value in state.items()}, **values}

    def tick(self, tick: int, inputs: Tick, state: Tick, wanted: Tick) -> tuple[float, list[Flip]]:
        """Compare one tick; the largest relative difference and the spikes that had to be taken over."""
        values = self.run(inputs, state)
        self.decisions = sum(values[spike.tensor].size for spike in self.spikes)
        error, name, _ = self._worst(values, wanted)
        if error <= TOLERANCE:
            return error, []
        explained = self._explain(inputs, state, values, wanted)
        if explained is None:
            raise ParityError(self._message(tick, name, values, wanted))
        error, values, flipped = explained
        margins = {spike.tensor: self._margins(spike, values) for spike in self.spikes}
        titles = {spike.tensor: spike.name for spike in self.spikes}
        return error, [Flip(tick, titles[key], index, float(margins[key][index])) for key, index in sorted(flipped)]

    def divergence(self, tick: int, values: Tick, wanted: Tick) -> Divergence | None:
        """Where the free run differs at this tick, if it does."""
        error, name, element = self._worst(values, wanted)
        if error <= TOLERANCE:
            return None
        nearest = min(
            ((float(np.min(self._margins(spike, values))), spike.name) for spike in self.spikes), default=None
        )
        margin, spikes = nearest or (float("inf"), None)
        return Divergence(tick, name, element, _difference(values[name], wanted[name])[1], spikes, margin)

    def _worst(self, values: Tick, wanted: Tick) -> tuple[float, str, tuple[int, ...]]:
        """The largest relative difference among all results, the result and the element."""
        found = []
        for name in self.names:
            relative, _, element = _difference(values[name], wanted[name])
            found.append((relative, name, element))
        return max(found, key=lambda item: item[0])

    def _margins(self, spike: Spikes, values: Tick) -> Array:
        """Distance of each neuron from its threshold."""
        left, right = values[spike.left].astype(np.float64), values[spike.right].astype(np.float64)
        margins: Array = np.broadcast_to(np.abs(left - right), values[spike.tensor].shape)
        return margins

    def _borderline(self, values: Tick) -> list[Element]:
        """The neurons whose spike rounding may decide, nearest first."""
        found = []
        for spike in self.spikes:
            margins = self._margins(spike, values)
            scale = max(1.0, float(np.max(np.abs(values[spike.left]))), float(np.max(np.abs(values[spike.right]))))
            for index in zip(*np.nonzero(margins <= TOLERANCE * scale), strict=True):
                place = tuple(int(i) for i in index)
                found.append((float(margins[place]), (spike.tensor, place)))
        return [element for _, element in sorted(found)]

    def _explain(
        self, inputs: Tick, state: Tick, values: Tick, wanted: Tick
    ) -> tuple[float, Tick, frozenset[Element]] | None:
        """Borderline spikes that, decided the other way, give PyTorch's results; None if there are none."""
        if self.adopting is None:
            self.adopting = onnxruntime_session_adopting(self.graph, self.spikes, self.watched)
        waiting: list[tuple[frozenset[Element], Tick]] = [(frozenset(), values)]
        tried: set[frozenset[Element]] = {frozenset()}
        while waiting and len(tried) < MAX_TRIALS:
            flipped, values = waiting.pop(0)
            for element in self._borderline(values):
                trial = flipped | {element}
                if element in flipped or trial in tried:
                    continue
                tried.add(trial)
                result = self._run_flipped(inputs, state, values, trial)
                error = self._worst(result, wanted)[0]
                if error <= TOLERANCE:
                    return error, result, trial
                waiting.append((trial, result))
        return None

    def _run_flipped(self, inputs: Tick, state: Tick, values: Tick, flipped: frozenset[Element]) -> Tick:
        """One tick with some spikes decided the other way; what lies below them follows."""
        assert self.adopting is not None
        computed = {spike.tensor: values[spike.tensor] for spike in self.spikes}
        for _ in range(len(self.spikes) + 1):
            adopted = {name: array.copy() for name, array in computed.items()}
            for name, index in flipped:
                adopted[name][index] ^= True
            values = run(self.adopting, {**inputs, **adopted}, state)
            values = {**self.constants, **inputs, **{f"state.{key}": item for key, item in state.items()}, **values}
            following = {spike.tensor: values[_computed(spike.tensor)] for spike in self.spikes}
            if all(np.array_equal(following[name], computed[name]) for name in computed):
                break
            computed = following
        return {**values, **computed}

    def _message(self, tick: int, name: str, values: Tick, wanted: Tick) -> str:
        _, difference, element = _difference(values[name], wanted[name])
        where = f" at {list(element)}" if element else ""
        return (
            f"At tick {tick + 1} the exported step's {name!r} differs from PyTorch's by {difference:.3g}{where}, more "
            "than rounding explains; the model probably keeps state that is not in its modules (a global, a closure, "
            "NumPy), or starts a state from another value than it shows: keep all state in buffers or pass it "
            "explicitly."
        )


def onnxruntime_session_adopting(
    graph: StepGraph, spikes: Sequence[Spikes], watched: Sequence[str]
) -> onnxruntime.InferenceSession:
    """The step with each spike tensor as an input, to decide some otherwise, and as computed as an output."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    tensors = {spike.tensor for spike in spikes}
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name in tensors:
                node.output[index] = _computed(name)
    for value in [value for value in model.graph.output if value.name in tensors]:
        value.name = _computed(value.name)
    shapes = {spike.tensor: spike.shape for spike in graph.spec.spikes}
    for name in sorted(tensors):
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, shapes[name]))
    outputs = [_computed(name) if name in tensors else name for name in watched]
    return open_session(model, outputs)


def _computed(name: str) -> str:
    return f"{name}@computed"


def _difference(value: Array, wanted: Array) -> tuple[float, float, tuple[int, ...]]:
    """The largest difference relative to max(1, largest value wanted), the largest difference, and its element."""
    if value.shape != wanted.shape or value.dtype != wanted.dtype:
        return float("inf"), float("inf"), ()
    one, other = value.astype(np.float64), wanted.astype(np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(one - other))
    gap = np.where(np.isnan(gap), np.inf, gap)
    element = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    largest = float(gap[element])
    if largest and not value.dtype.name.startswith("float"):
        return float("inf"), largest, element
    finite = np.abs(other[np.isfinite(other)])
    scale = max(1.0, float(finite.max(initial=0.0)))
    return largest / scale, largest, element


def parity_inputs(spec: StepSpec, examples: Sequence[Tick], ticks: int = PARITY_TICKS) -> Iterator[Tick]:
    """Inputs for a comparison: the examples over and over.

    A single example is varied, so that neurons see more than one pattern: its elements are shuffled, an index is drawn
    from its range. The same call gives the same data.
    """
    random = np.random.default_rng(0)
    for tick in range(ticks):
        example = examples[tick % len(examples)]
        if tick < len(examples) or len(examples) > 1:
            yield example
            continue
        varied = {}
        for item in spec.inputs:
            array = example[item.name]
            if item.index_range is not None:
                varied[item.name] = random.integers(*item.index_range, array.shape).astype(array.dtype)
            else:
                varied[item.name] = random.permutation(array.reshape(-1)).reshape(array.shape)
        yield varied

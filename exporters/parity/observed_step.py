"""A step in ONNX Runtime with its decisions in view: compared with wanted results, rounding told from error."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from astroedge.errors import ParityError
from astroedge.exporters.graph.find_spikes import Decision, find_decisions
from astroedge.exporters.parity.firing_rates import Array, Tick, open_session, run
from astroedge.parity import TOLERANCE
from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import GraphIndex
from astroedge.step.spec import STATE_PREFIX

MAX_TRIALS = 200  # combinations of borderline decisions tried to explain one tick

STATE_OUT_OF_SIGHT = (
    "the model probably keeps state outside its modules (a global, a closure, NumPy), or starts a state from another "
    "value than it shows: keep all state in buffers or pass it explicitly."
)
DATA_OUT_OF_RANGE = (
    "the graph probably amplifies rounding, or relies on what ONNX leaves open: give realistic --example data."
)

Element = tuple[str, tuple[int, ...]]
"""A decision's value name and an index into it."""


@dataclass(frozen=True)
class Worst:
    """The largest difference among results: relative to max(1, largest value wanted), absolute, and where."""

    relative: float
    difference: float
    name: str
    element: tuple[int, ...]


@dataclass(frozen=True)
class ForcedTick:
    """One forced tick: largest relative difference, decisions made, and those taken over with their margins."""

    worst: float
    decisions: int
    flips: tuple[tuple[str, tuple[int, ...], float], ...] = ()


class ObservedStep:
    """A step graph whose comparisons, and what they compare, come out with its results."""

    def __init__(self, graph: StepGraph, original: str = "PyTorch", reason: str | None = None) -> None:
        """Open `graph` in ONNX Runtime; messages call its reference `original` and explain differences by `reason`."""
        self._original = original
        self._reason = reason or (STATE_OUT_OF_SIGHT if original == "PyTorch" else DATA_OUT_OF_RANGE)
        self._graph = graph
        self._decisions = find_decisions(graph.model.graph)
        self._names = [value.name for value in graph.model.graph.output]
        compared = {name for decision in self._decisions for name in (decision.left, decision.right)}
        self._constants = {
            name: numpy_helper.to_array(tensor)
            for name, tensor in GraphIndex(graph.model.graph).initialisers.items()
            if name in compared
        }
        given = {value.name for value in graph.model.graph.input} | set(self._constants)
        self._operands = sorted(compared - given)
        self._session = open_session(graph.model, [*(item.tensor for item in self._decisions), *self._operands])
        self._adopting: onnxruntime.InferenceSession | None = None

    def run(self, inputs: Tick, state: Tick) -> Tick:
        """One tick: outputs, next states, decisions and what they compare, by ONNX value name."""
        return self._all(inputs, state, run(self._session, inputs, state))

    def forced(self, tick: int, inputs: Tick, state: Tick, wanted: Tick) -> ForcedTick:
        """Compare one tick from a given state; decisions within rounding are taken over where they explain `wanted`.

        Raises ParityError when they don't; `tick` is for its message.
        """
        values = self.run(inputs, state)
        count = sum(values[item.tensor].size for item in self._decisions)
        worst = self.worst(values, wanted)
        if worst.relative <= TOLERANCE:
            return ForcedTick(worst.relative, count)
        explained = self._explain(inputs, state, values, wanted)
        if explained is None:
            raise ParityError(_message(tick, worst, self._original, self._reason))
        relative, values, flipped = explained
        margins = {item.tensor: self._margins(item, values) for item in self._decisions}
        flips = tuple((name, index, float(margins[name][index])) for name, index in sorted(flipped))
        return ForcedTick(relative, count, flips)

    def worst(self, values: Tick, wanted: Tick) -> Worst:
        """The largest difference between the step's results and those wanted."""
        return max((_difference(name, values[name], wanted[name]) for name in self._names), key=lambda it: it.relative)

    def nearest_decision(self, values: Tick) -> tuple[float, str | None]:
        """The smallest margin of all decisions and the decision it belongs to; infinity and None without decisions."""
        margins = [(float(np.min(self._margins(item, values))), item.tensor) for item in self._decisions]
        return min(margins) if margins else (float("inf"), None)

    def _all(self, inputs: Tick, state: Tick, values: Tick) -> Tick:
        """Every value that can be an operand of a comparison or a result."""
        return {
            **self._constants,
            **inputs,
            **{f"{STATE_PREFIX}{name}": item for name, item in state.items()},
            **values,
        }

    def _margins(self, decision: Decision, values: Tick) -> Array:
        """Distance of each element from being decided the other way."""
        left, right = values[decision.left].astype(np.float64), values[decision.right].astype(np.float64)
        with np.errstate(invalid="ignore"):
            margins: Array = np.broadcast_to(np.abs(left - right), values[decision.tensor].shape)
        return margins

    def _borderline(self, values: Tick) -> list[Element]:
        """The elements that rounding may decide, nearest first."""
        found = []
        for item in self._decisions:
            margins = self._margins(item, values)
            sides = (values[item.left], values[item.right])
            scale = max(1.0, *(float(np.max(np.abs(side[np.isfinite(side)]), initial=0.0)) for side in sides))
            for index in np.argwhere(margins <= TOLERANCE * scale):
                place = tuple(int(i) for i in index)
                found.append((float(margins[place]), (item.tensor, place)))
        return [element for _, element in sorted(found)]

    def _explain(
        self, inputs: Tick, state: Tick, values: Tick, wanted: Tick
    ) -> tuple[float, Tick, frozenset[Element]] | None:
        """Borderline decisions that, made the other way, give the results wanted; None if there are none."""
        waiting: list[tuple[frozenset[Element], Tick]] = [(frozenset(), values)]
        tried: set[frozenset[Element]] = {frozenset()}
        while waiting:
            flipped, values = waiting.pop(0)
            for element in self._borderline(values):
                trial = flipped ^ {element}
                if trial in tried or len(tried) > MAX_TRIALS:
                    continue
                tried.add(trial)
                result = self._run_flipped(inputs, state, values, trial)
                relative = self.worst(result, wanted).relative
                if relative <= TOLERANCE:
                    return relative, result, trial
                waiting.append((trial, result))
        return None

    def _run_flipped(self, inputs: Tick, state: Tick, values: Tick, flipped: frozenset[Element]) -> Tick:
        """One tick with some decisions made the other way; those below them follow."""
        if self._adopting is None:
            self._adopting = self._open_adopting(values)
        computed = {item.tensor: values.get(_computed(item.tensor), values[item.tensor]) for item in self._decisions}
        for _ in range(len(self._decisions) + 1):
            adopted = {name: array.copy() for name, array in computed.items()}
            for name, index in flipped:
                adopted[name][index] = not adopted[name][index]
            values = self._all(inputs, state, run(self._adopting, {**inputs, **adopted}, state))
            following = {name: values[_computed(name)] for name in computed}
            if all(np.array_equal(following[name], computed[name]) for name in computed):
                break
            computed = following
        return {**values, **adopted}

    def _open_adopting(self, values: Tick) -> onnxruntime.InferenceSession:
        """The step with its decisions as inputs, and as it would make them itself as outputs."""
        model = deepcopy(self._graph.model)
        tensors = [item.tensor for item in self._decisions]
        for node in model.graph.node:
            node.output[:] = [_computed(name) if name in tensors else name for name in node.output]
        for name in tensors:
            model.graph.input.append(helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, values[name].shape))
        for value in [value for value in model.graph.output if value.name in tensors]:
            model.graph.output.remove(value)
        return open_session(model, [*(_computed(name) for name in tensors), *self._operands])


def _computed(name: str) -> str:
    return f"{name}@computed"


def _message(tick: int, worst: Worst, original: str, reason: str) -> str:
    where = f" at {list(worst.element)}" if worst.element else ""
    return (
        f"At tick {tick + 1} the exported step's {worst.name!r} differs from {original}'s by "
        f"{worst.difference:.3g}{where}, more than rounding explains; {reason}"
    )


def _difference(name: str, value: Array, wanted: Array) -> Worst:
    """The largest difference between two arrays; infinite for another shape or dtype and for unequal integers."""
    if value.shape != wanted.shape or value.dtype != wanted.dtype:
        return Worst(float("inf"), float("inf"), name, ())
    one, other = value.astype(np.float64), wanted.astype(np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(one - other))
    gap = np.where(np.isnan(gap), np.inf, gap)
    element = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    largest = float(gap[element])
    if largest and not value.dtype.name.startswith("float"):
        return Worst(float("inf"), largest, name, element)
    scale = float(np.max(np.abs(other[np.isfinite(other)]), initial=1.0))
    return Worst(largest / scale, largest, name, element)

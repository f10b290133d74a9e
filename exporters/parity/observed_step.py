"""A step in ONNX Runtime with its decisions in view: compared with wanted results, rounding told from error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from astroedge.errors import ParityError
from astroedge.exporters.graph.find_decisions import decisions_behind, find_decisions
from astroedge.exporters.parity.deciding_model import deciding_model, feeds_of
from astroedge.exporters.parity.edges import nearest
from astroedge.exporters.parity.explain import Borderline, Flips, Problem, Search, borderline
from astroedge.exporters.parity.firing_rates import Array, Tick, open_session, run
from astroedge.parity import TOLERANCE
from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import GraphIndex
from astroedge.step.spec import STATE_PREFIX
from astroedge.step.tensor_data import array_of

STATE_OUT_OF_SIGHT = (
    "the model probably keeps state outside its modules (a global, a closure, NumPy), or starts a state from another "
    "value than it shows: keep all state in buffers or pass it explicitly."
)
DATA_OUT_OF_RANGE = (
    "the graph probably amplifies rounding, or relies on what ONNX leaves open: give realistic --example data."
)


@dataclass(frozen=True)
class Worst:
    """The largest difference among results: relative to max(1, largest value wanted), absolute, and where."""

    relative: float
    difference: float
    name: str
    element: tuple[int, ...]


@dataclass(frozen=True)
class ForcedTick:
    """One forced tick: largest relative difference, decisions made, and those taken over with their margins.

    `unexplained` is True for one that was accepted although they don't explain it; its differences do not count.
    """

    worst: float
    decisions: int
    flips: tuple[tuple[str, tuple[int, ...], float], ...] = ()
    unexplained: bool = False


class ObservedStep:
    """A step graph whose decisions, and what they decide on, come out with its results."""

    def __init__(
        self, graph: StepGraph, original: str = "PyTorch", reason: str | None = None, tolerance: float = TOLERANCE
    ) -> None:
        """Open `graph` in ONNX Runtime; messages call its reference `original` and explain differences by `reason`.

        `tolerance` is how far rounding may part results, relative to max(1, the largest value).
        """
        self.tolerance = tolerance
        self._original = original
        self._reason = reason
        self._graph = graph
        self._decisions = find_decisions(graph.model)
        self._names = [value.name for value in graph.model.graph.output]
        self._behind = decisions_behind(graph.model.graph, self._decisions)
        read = {name for decision in self._decisions for name in decision.operands}
        self._constants = {
            name: array_of(tensor)
            for name, tensor in GraphIndex(graph.model.graph).initialisers.items()
            if name in read
        }
        given = {value.name for value in graph.model.graph.input} | set(self._constants)
        self._operands = sorted(read - given)
        self._session = open_session(graph.model, [*(item.tensor for item in self._decisions), *self._operands])
        self._deciding: onnxruntime.InferenceSession | None = None

    def run(self, inputs: Tick, state: Tick) -> Tick:
        """One tick: outputs, next states, decisions and what they decide on, by ONNX value name."""
        return self._all(inputs, state, run(self._session, inputs, state))

    def forced(self, tick: int, inputs: Tick, state: Tick, wanted: Tick, accept: bool = False) -> ForcedTick:
        """Compare one tick from a given state; decisions within rounding are taken over where they explain `wanted`.

        With `accept`, a tick that they don't explain passes as unexplained if some decision of it is within rounding.
        Raises ParityError otherwise; `tick` is for its message.
        """
        values = self.run(inputs, state)
        count = sum(values[item.tensor].size for item in self._decisions)
        worst = self.worst(values, wanted)
        if worst.relative <= self.tolerance:
            return ForcedTick(worst.relative, count)
        explained = self._explain(inputs, state, values, wanted)
        if explained is None:
            close = list(borderline(self._decisions, values, self.tolerance))
            if accept and close:
                return ForcedTick(0.0, count, unexplained=True)
            raise ParityError(_message(tick, worst, self._original, self._why(close)))
        flips, values = explained
        margins = {item.tensor: nearest(item, values) for item in self._decisions}
        flipped = [(name, np.unravel_index(place, margins[name].shape)) for name, place in sorted(flips)]
        found = tuple((name, tuple(int(i) for i in at), float(margins[name][at])) for name, at in flipped)
        return ForcedTick(self.worst(values, wanted).relative, count, found)

    def _why(self, close: Sequence[Borderline]) -> str:
        """What most likely explains a difference that the decisions `close` to their edge don't."""
        if self._reason is not None or not close:
            return self._reason or (STATE_OUT_OF_SIGHT if self._original == "PyTorch" else DATA_OUT_OF_RANGE)
        rankings = {item.tensor for item in self._decisions if item.operator == "TopK"}
        return _undecided(len(close), any(item.element[0] in rankings for item in close), self._original)

    def worst(self, values: Tick, wanted: Tick) -> Worst:
        """The largest difference between the step's results and those wanted."""
        return max((_difference(name, values[name], wanted[name]) for name in self._names), key=lambda it: it.relative)

    def nearest_decision(self, values: Tick) -> tuple[float, str | None]:
        """The smallest margin of all decisions and the decision it belongs to; infinity and None without decisions."""
        margins = [(float(np.min(nearest(item, values))), item.tensor) for item in self._decisions]
        return min(margins) if margins else (float("inf"), None)

    def _all(self, inputs: Tick, state: Tick, values: Tick) -> Tick:
        """Every value that can be an operand of a decision or a result."""
        return {
            **self._constants,
            **inputs,
            **{f"{STATE_PREFIX}{name}": item for name, item in state.items()},
            **values,
        }

    def _explain(self, inputs: Tick, state: Tick, values: Tick, wanted: Tick) -> tuple[Flips, Tick] | None:
        """Borderline decisions that, made the other way, give the results wanted; None if there are none."""
        if any(values[name].shape != wanted[name].shape for name in self._names):
            return None
        results = {name: wanted[name] for name in self._names}
        shapes = {item.tensor: values[item.tensor] for item in self._decisions}
        if self._deciding is None:
            self._deciding = open_session(deciding_model(self._graph.model, shapes), [*shapes, *self._operands])
        session = self._deciding

        def run_flipped(flips: Flips) -> Tick:
            return self._all(inputs, state, run(session, {**inputs, **feeds_of(flips, shapes)}, state))

        def wrong(name: str, value: Array) -> Array:
            return _beyond(value, wanted[name], self.tolerance).reshape(-1)

        problem = Problem(self._decisions, results, self._behind, run_flipped, wrong, self.tolerance)
        return Search(problem, values).explain()


def _message(tick: int, worst: Worst, original: str, reason: str) -> str:
    where = f" at {list(worst.element)}" if worst.element else ""
    return (
        f"At tick {tick + 1} the exported step's {worst.name!r} differs from {original}'s by "
        f"{worst.difference:.3g}{where}, more than rounding explains; {reason}"
    )


def _undecided(count: int, ranked: bool, original: str) -> str:
    """Why a difference stays open where decisions lie within rounding of their edge."""
    if ranked:
        return (
            f"top-k ranks elements that are equal, and {original} may order those in another way than ONNX: make them "
            "differ, for example by adding a small number that grows with the index."
        )
    return (
        f"{count} decisions (comparisons, roundings, maxima) of that tick lie within rounding of their edge, and none "
        "of those tried explains it: if one of them does, accept it with allow_flips; else the model keeps state "
        "outside its modules or starts one from another value than it shows."
    )


def _difference(name: str, value: Array, wanted: Array) -> Worst:
    """The largest difference between two arrays; infinite for another shape or dtype and for unequal integers."""
    if value.shape != wanted.shape or value.dtype != wanted.dtype:
        return Worst(float("inf"), float("inf"), name, ())
    gap, scale = _gap(value, wanted)
    element = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    largest = float(gap[element])
    if largest and not value.dtype.name.startswith("float"):
        return Worst(float("inf"), largest, name, element)
    return Worst(largest / scale, largest, name, element)


def _gap(value: Array, wanted: Array) -> tuple[Array, float]:
    """How far each element is from the one wanted, infinite where just one is NaN or infinite; and max(1, largest)."""
    one, other = value.astype(np.float64), wanted.astype(np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(one - other))
    return np.where(np.isnan(gap), np.inf, gap), float(np.max(np.abs(other[np.isfinite(other)]), initial=1.0))


def _beyond(value: Array, wanted: Array, tolerance: float) -> Array:
    """How far each element is from the one wanted, relative to max(1, largest), and 0 within tolerance."""
    gap, scale = _gap(value, wanted)
    if not value.dtype.name.startswith("float"):
        return gap
    return np.where(gap / scale <= tolerance, 0.0, gap / scale)

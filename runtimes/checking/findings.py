"""What the ticks of a comparison have shown so far: spikes, values, who was right where step and reference disagree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from astroedge.parity import TOLERANCE
from astroedge.runtimes.checking.parity_report import Difference, ReferenceFault, SpikeAgreement
from astroedge.runtimes.checking.reference import Observation, ObservedReference
from astroedge.runtimes.checking.third_opinion import Opinion, Tolerance
from astroedge.session import Array
from astroedge.step.spec import NEXT_PREFIX

FLOAT16, FLOAT32, FLOAT64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
FLOAT16_TOLERANCE = 2e-3  # two units in the last place, nothing can be closer
SPECIAL_SLACK = 64
ROUNDING = 1e-5  # more than what three operations in float32 round away of a number, or lose below the smallest
Ask = Callable[[], Opinion | None]


def relative_tolerance(dtype: np.dtype[np.generic], tolerance: float) -> float:
    """The share of max(1, largest operand) by which values of a float dtype may differ."""
    return max(tolerance, FLOAT16_TOLERANCE) if dtype == FLOAT16 else tolerance


@dataclass(frozen=True)
class ComparedTick:
    """One tick of both: what the session gave under the spikes `dictated` to the reference, which saw `seen`.

    `number` counts from 0. `special` says what is unusual about the inputs, "" for ordinary ones. `ask` evaluates the
    tick in float64, once, when it is called first; None when nobody is to be asked.
    """

    number: int
    dictated: Mapping[str, NDArray[np.bool_]]
    values: Mapping[str, Array]
    states: Mapping[str, Array]
    seen: Observation
    special: str = ""
    ask: Ask | None = None


@dataclass
class Counts:
    """Running totals of one spike tensor."""

    compared: int = 0
    differing: int = 0
    reference: int = 0
    session: int = 0

    def agreement(self, name: str) -> SpikeAgreement:
        """As a report has it."""
        rates = (self.reference / self.compared, self.session / self.compared)
        return SpikeAgreement(name, self.compared, self.differing, *rates)


@dataclass
class Findings:
    """The totals, the worst case and the first of each kind of difference."""

    reference: ObservedReference
    tolerance: float = TOLERANCE
    ticks: int = 0
    flipped: int = 0
    violations: int = 0
    worst: tuple[float, float, str, int] = (0.0, 0.0, "", 0)  # share of the tolerance, error, tensor, tick
    first: Difference | None = None
    first_spike: Difference | None = None
    first_value: Difference | None = None
    fault: ReferenceFault | None = None
    rounded_otherwise: int = 0  # ticks that roundings next to an edge explain
    faulty: set[int] = field(default_factory=set)  # ticks on which the reference is off and the step is right
    counts: dict[str, Counts] = field(default_factory=dict)

    def add(self, tick: ComparedTick) -> dict[str, Array]:
        """Compare a tick and return the next states to go on from: the reference's, or the step's where it is right."""
        if not tick.special:
            self.ticks += 1
        self._compare_spikes(tick)
        seen, names = tick.seen, self.reference.observed
        for name, margin in seen.margins.items():
            if f"margin.{name}" in tick.values:
                ours = tick.values[f"margin.{name}"]
                self._compare(tick, names.margins[name], f"margin.{name}", ours, margin, seen.scales[name])
        for name, output in seen.outputs.items():
            self._compare(tick, name, name, tick.values[name], output, seen.scales.get(name))
        states = {}
        for name, state in seen.states.items():
            following = f"{NEXT_PREFIX}{name}"
            scale = seen.scales.get(following)
            states[name] = self._compare(tick, following, following, tick.states[name], state, scale)
        return states

    def _compare_spikes(self, tick: ComparedTick) -> None:
        """Compare every spike tensor, in the graph's order."""
        for name, fired in tick.dictated.items():
            theirs = tick.seen.fired[name]
            differing = np.flatnonzero(fired != theirs)
            if not tick.special:
                counts = self.counts.setdefault(name, Counts())
                counts.compared += fired.size
                counts.session += int(np.count_nonzero(fired))
                counts.reference += int(np.count_nonzero(theirs))
                counts.differing += differing.size
            for element in differing.tolist():
                self._note_spike(tick, name, element)

    def _note_spike(self, tick: ComparedTick, name: str, element: int) -> None:
        """One spike that differs: a flip, the reference's fault, or a violation."""
        difference = self._spike_difference(tick, name, element)
        self.first_spike = self.first_spike or difference
        if difference.amount is not None and abs(difference.amount) <= difference.tolerance:
            self.flipped += not tick.special
            return
        opinion = tick.ask() if tick.ask is not None else None
        if opinion is None:
            self._violate(difference)
            return
        here = np.array([element])
        names, fired = self.reference.observed, float(tick.dictated[name].flat[element])
        decided = opinion.values(names.fired[name], here, np.dtype(np.bool_))[:, 0]
        if not (decided == fired).any() and self._explain(tick, opinion):
            decided = opinion.values(names.fired[name], here, np.dtype(np.bool_))[:, 0]
        margins = opinion.values(names.margins[name], here, FLOAT32)[:, 0] if name in names.margins else None
        if (decided == fired).all():
            off = abs((difference.amount or 0.0) - (0.0 if margins is None else float(margins[0])))
            self._blame(ReferenceFault(tick.number, name, element, off))
        elif (decided == fired).any() or (margins is not None and abs(margins[0]) <= difference.tolerance):
            self.flipped += not tick.special
        else:
            word = "" if margins is None else f", {margins[0]:+.3g} from its threshold"
            self._violate(difference.with_evidence(f"float64 decides as ONNX Runtime does{word}"))

    def _spike_difference(self, tick: ComparedTick, name: str, element: int) -> Difference:
        """A spike that differs, with the reference's margin where a comparison of floats makes it."""
        seen = tick.seen
        if name not in seen.margins:
            return Difference("spike", tick.number, name, element, None, 0.0, tick.special)
        scale = float(np.fmax(1.0, seen.scales[name].flat[element]))
        scale = scale if np.isfinite(scale) else 1.0
        margin = float(seen.margins[name].flat[element])
        return Difference("spike", tick.number, name, element, margin, self._allowed(tick) * scale, tick.special)

    def _compare(
        self, tick: ComparedTick, value: str, name: str, ours: Array, theirs: Array, scale: Array | None
    ) -> Array:
        """Compare one tensor, called `value` in the observed graph and `name` in reports; `scale` as `_Pair` takes it.

        Returns the reference's values, or the step's where they disagree and the step is right.
        """
        share = share_bound(ours, theirs, scale, self._allowed(tick))
        if share <= 1.0 and (tick.special or share <= self.worst[0]):
            return np.asarray(theirs)
        return self._measure(tick, value, _Pair(name, ours, theirs, scale, self._allowed(tick)))

    def _measure(self, tick: ComparedTick, value: str, pair: _Pair) -> Array:
        """`_compare`, element by element in float64."""
        beyond = np.flatnonzero(~(pair.error <= pair.tolerance))
        adopted = pair.theirs
        if beyond.size and tick.ask is not None and (opinion := tick.ask()) is not None:
            adopted = self._judge(tick, value, pair, beyond, opinion)
        share = np.where(pair.error > 0, np.inf, 0.0)
        np.divide(pair.error, pair.tolerance, out=share, where=pair.tolerance > 0)
        element = int(share.argmax())
        largest, amount, allowed = (float(item.flat[element]) for item in (share, pair.error, pair.tolerance))
        if largest > self.worst[0] and (largest > 1.0 or not tick.special):  # an error of huge numbers says little
            self.worst = (largest, amount, pair.name, tick.number)
        if largest > 1.0:
            evidence = "; ".join(filter(None, (tick.special, pair.evidence(element))))
            difference = Difference("value", tick.number, pair.name, element, amount, allowed, evidence)
            self.first_value = self.first_value or difference
            self._violate(difference)
        return adopted

    def _judge(self, tick: ComparedTick, value: str, pair: _Pair, beyond: NDArray[np.intp], opinion: Opinion) -> Array:
        """Measure what lies beyond its tolerance by float64 instead; returns the values to go on from."""
        ours, theirs = pair.ours.flat[beyond], pair.theirs.flat[beyond]
        relative = relative_tolerance(pair.theirs.dtype, self._allowed(tick))
        allowed = Tolerance(relative, pair.tolerance.flat[beyond])
        judged = opinion.judge(value, beyond, ours, theirs, allowed)
        if not judged.right.all() and self._explain(tick, opinion):
            judged = opinion.judge(value, beyond, ours, theirs, allowed)
            self.rounded_otherwise += bool(judged.right.all())
        off = beyond[judged.right & ~judged.reference_right]
        if off.size:
            worst = int(off[np.argmax(pair.error.flat[off])])
            self._blame(ReferenceFault(tick.number, pair.name, worst, float(pair.error.flat[worst])))
        pair.expected.update(zip(beyond.tolist(), judged.expected.tolist(), strict=True))
        pair.error.flat[beyond], pair.tolerance.flat[beyond] = judged.error, judged.tolerance
        adopted = pair.theirs.copy()
        adopted.flat[beyond[judged.right]] = ours[judged.right]
        return adopted

    def _explain(self, tick: ComparedTick, opinion: Opinion) -> bool:
        """Whether roundings next to an edge, decided the other way, say anything of what the step gave in a tick."""
        names = self.reference.observed
        results = {name: tick.values[name] for name in tick.seen.outputs}
        results |= {f"{NEXT_PREFIX}{name}": tick.states[name] for name in tick.seen.states}
        results |= {names.fired[name]: fired for name, fired in tick.dictated.items()}
        shown = {name: f"margin.{name}" for name in tick.seen.margins if f"margin.{name}" in tick.values}
        results |= {names.margins[name]: tick.values[margin] for name, margin in shown.items()}
        return opinion.explain(results, self._allowed(tick))

    def _allowed(self, tick: ComparedTick) -> float:
        """The tolerance of a tick. Special inputs are there for gross errors: a NaN, a wrong place, a wrong infinity.

        In ordinary sums few terms are as large as the largest; where thousands are, the partial sums outgrow it.
        """
        return self.tolerance * SPECIAL_SLACK if tick.special else self.tolerance

    def _violate(self, difference: Difference) -> None:
        self.violations += 1
        self.first = self.first or difference

    def _blame(self, fault: ReferenceFault) -> None:
        """Note that the reference is off where the step is right."""
        self.faulty.add(fault.tick)
        if self.fault is None or fault.amount > self.fault.amount:
            self.fault = fault


def share_bound(ours: Array, theirs: Array, scale: Array | None, tolerance: float) -> float:
    """A bound of how far any element is from the reference's, as a share of how far it may be; infinite for no idea.

    Most tensors of most ticks are no worse than one before them, which this finds in a fraction of the time that it
    takes to measure every element in float64.
    """
    if scale is None:
        return 0.0 if np.array_equal(ours, theirs) else np.inf
    if {ours.dtype, theirs.dtype, scale.dtype} != {FLOAT32} or ours.size == 0:
        return np.inf
    with np.errstate(all="ignore"):
        error = np.abs(ours - theirs)
        if error.max() == 0.0:
            return 0.0  # a difference of floats is 0 where they are equal alone
        largest = np.maximum(scale, np.float32(1.0))
        bound = float((error / largest).max()) / relative_tolerance(FLOAT32, tolerance) * (1.0 + ROUNDING)
        return bound + ROUNDING if np.isfinite(largest.max()) and np.isfinite(bound) else np.inf


class _Pair:
    """One tensor of both, how far each element is from the reference's, and how far it may be.

    Without a scale, integers and Booleans, they must be equal. `expected` has what float64 gives, by element.
    """

    def __init__(self, name: str, ours: Array, theirs: Array, scale: Array | None, tolerance: float) -> None:
        self.name, self.ours, self.theirs = name, np.asarray(ours), np.asarray(theirs)
        self.expected: dict[int, float] = {}
        if scale is None:
            self.error = np.array(self.ours != self.theirs, np.float64)
            self.tolerance = np.zeros(self.error.shape)
            return
        self.error = np.array(_absolute_error(self.ours, self.theirs))
        size = np.abs(self.theirs.astype(np.float64))
        size = np.where(np.isfinite(size), size, 1.0)
        largest = np.maximum(np.where(np.isfinite(scale), scale, size), 1.0)  # a scale may overflow
        self.tolerance = np.array(relative_tolerance(self.theirs.dtype, tolerance) * largest.astype(np.float64))

    def evidence(self, element: int) -> str:
        """What all three say of an element, if float64 was asked about it."""
        if element not in self.expected:
            return ""
        ours, theirs = self.ours.flat[element], self.theirs.flat[element]
        return f"float64 gives {self.expected[element]:.6g}, ONNX Runtime {theirs:.6g}, the step {ours:.6g}"


def _absolute_error(ours: Array, theirs: Array) -> NDArray[np.float64]:
    """|ours − theirs|; 0 where both are the same infinity or both NaN, infinite where only one is NaN."""
    with np.errstate(invalid="ignore"):
        error = np.abs(np.subtract(ours, theirs, dtype=np.float64))
    if not np.isfinite(error).all():
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        error = np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))
    return error

"""Parity: a compiled step beside its step graph in ONNX Runtime, tick by tick, forced or running free.

**The forced rule.** Each tick starts both from the reference's state. A spike of the compiled step may differ from the
reference's only where the reference's membrane is within tolerance of its threshold; it is then counted, and adopted:
the reference's neurons below it see the compiled step's spikes. Outputs, next states and the margins of all spikes
must agree within tolerance, integers and Booleans exactly. The tolerance of an element is `1e-5 · max(1, largest
operand of the sum that made it)`, see `astroedge.runtimes.checking.error_bounds`. How many spikes may differ is in
`ForcedReport.ok`.

**Running free**, each keeps its own state. Rounding then parts a spiking network sooner or later, so where, when and
by how much is reported and nothing is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.manifest import Manifest
from astroedge.errors import InputError, VerificationError
from astroedge.parity import TOLERANCE
from astroedge.runtimes.checking.parity_report import Difference, ForcedReport, FreeReport, OutputDrift, SpikeAgreement
from astroedge.runtimes.checking.reference import Observation, ObservedReference
from astroedge.session import Array, SteppedSession
from astroedge.step.spec import StepSpec

FLOAT16, FLOAT32, FLOAT64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
# float16: two units in the last place, nothing can be closer. float64 may have been float32 before.
RELATIVE = {FLOAT16: 2e-3, FLOAT32: TOLERANCE, FLOAT64: TOLERANCE}


class BundleSession(SteppedSession, Protocol):
    """A session of a compiled step; with probes, `step` also gives `spike.<name>` and `margin.<name>`."""

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""


def compare_forced(
    reference: ObservedReference, session: BundleSession, inputs: Mapping[str, Array], steps: int
) -> ForcedReport:
    """Compare by the forced rule over the first `steps` ticks of `inputs`, arrays `(T, …)` by name, T at least `steps`.

    Without probes only outputs and next states are compared, and the report says so. The session is left reset. Raises
    VerificationError when the session has other states than the reference, and InputError for inputs the step does not
    take or too few of them.
    """
    probed = _check_session(reference.spec, session)
    findings = _Findings()
    session.reset()
    states = reference.initial_state()
    for tick, now in _ticks(inputs, steps):
        _take_over(session, states)
        values = session.step(**now)
        dictated = {name: values[f"spike.{name}"].astype(np.bool_) for name in probed}
        seen = reference.tick(now, states, dictated if probed else None)
        findings.compare_spikes(tick, dictated, seen)
        findings.compare_values(tick, values, session.states, seen)
        states = seen.states
    session.reset()
    return findings.forced_report()


def compare_free(
    reference: ObservedReference, session: BundleSession, inputs: Mapping[str, Array], steps: int
) -> FreeReport:
    """Run both from their initial state over the first `steps` ticks of `inputs`, arrays `(T, …)` by name.

    The session is left reset. Raises as `compare_forced` does.
    """
    probed = _check_session(reference.spec, session)
    findings = _Findings()
    drift = {item.name: _Drift() for item in reference.spec.outputs if np.dtype(item.dtype) in RELATIVE}
    session.reset()
    states = reference.initial_state()
    for tick, now in _ticks(inputs, steps):
        values = session.step(**now)
        seen = reference.tick(now, states)
        findings.compare_spikes(tick, {name: values[f"spike.{name}"].astype(np.bool_) for name in probed}, seen)
        findings.compare_values(tick, values, session.states, seen)
        for name, item in drift.items():
            item.add(values[name], seen.outputs[name])
        states = seen.states
    session.reset()
    return FreeReport(
        ticks=findings.ticks,
        first_spike=findings.first_spike,
        first_value=findings.first_value,
        spikes=findings.agreements(),
        outputs=tuple(item.report(name, findings.ticks) for name, item in drift.items()),
    )


class _Counts:
    """Running totals of one spike tensor."""

    def __init__(self) -> None:
        self.compared = self.differing = self.reference = self.session = 0


class _Drift:
    """Running mean squares of an output's difference and of the reference's output."""

    def __init__(self) -> None:
        self.difference = self.reference = 0.0

    def add(self, ours: Array, theirs: Array) -> None:
        self.difference += float(np.mean(np.square(ours.astype(np.float64) - theirs)))
        self.reference += float(np.mean(np.square(theirs.astype(np.float64))))

    def report(self, name: str, ticks: int) -> OutputDrift:
        return OutputDrift(name, float(np.sqrt(self.difference / ticks)), float(np.sqrt(self.reference / ticks)))


class _Findings:
    """What the ticks so far have shown."""

    def __init__(self) -> None:
        self.ticks = self.flipped = self.violations = 0
        self.worst = (0.0, 0.0, "", 0)  # share of the tolerance, error, tensor, tick
        self.first: Difference | None = None
        self.first_spike: Difference | None = None
        self.first_value: Difference | None = None
        self._counts: dict[str, _Counts] = {}

    def compare_spikes(self, tick: int, ours: Mapping[str, NDArray[np.bool_]], seen: Observation) -> None:
        """Compare every spike tensor, in the graph's order, and count the tick."""
        self.ticks = tick + 1
        for name, fired in ours.items():
            counts = self._counts.setdefault(name, _Counts())
            theirs = seen.fired[name]
            counts.compared += fired.size
            counts.session += int(np.count_nonzero(fired))
            counts.reference += int(np.count_nonzero(theirs))
            differing = np.flatnonzero(fired != theirs)
            counts.differing += differing.size
            for element in differing.tolist():
                self._note_spike(_spike_difference(tick, name, element, seen))

    def _note_spike(self, difference: Difference) -> None:
        self.first_spike = self.first_spike or difference
        if difference.amount is not None and abs(difference.amount) <= difference.tolerance:
            self.flipped += 1
        else:
            self._violate(difference)

    def compare_values(
        self, tick: int, values: Mapping[str, Array], states: Mapping[str, Array], seen: Observation
    ) -> None:
        """Compare margins where the session shows them, outputs and next states."""
        for name, margin in seen.margins.items():
            if f"margin.{name}" in values:
                self._compare(tick, f"margin.{name}", values[f"margin.{name}"], margin, seen.scales[name])
        for name, output in seen.outputs.items():
            self._compare(tick, name, values[name], output, seen.scales.get(name))
        for name, state in seen.states.items():
            self._compare(tick, f"next.{name}", states[name], state, seen.scales.get(f"next.{name}"))

    def _compare(self, tick: int, name: str, ours: Array, theirs: Array, scale: Array | None) -> None:
        """Compare one tensor; without a scale, integers and Booleans, exactly."""
        if scale is None:
            error = (ours != theirs).astype(np.float64)
            tolerance: Array = np.zeros(error.shape)
        else:
            error = _absolute_error(ours, theirs)
            tolerance = RELATIVE[theirs.dtype] * np.maximum(scale, 1.0)
        share = error / tolerance if scale is not None else np.where(error > 0, np.inf, 0.0)
        element = int(share.argmax())
        largest = float(share.flat[element])
        if largest > self.worst[0]:
            self.worst = (largest, float(error.flat[element]), name, tick)
        if largest > 1.0:
            difference = Difference(
                "value", tick, name, element, float(error.flat[element]), float(tolerance.flat[element])
            )
            self.first_value = self.first_value or difference
            self._violate(difference)

    def _violate(self, difference: Difference) -> None:
        self.violations += 1
        self.first = self.first or difference

    def agreements(self) -> tuple[SpikeAgreement, ...]:
        """Every spike tensor's totals."""
        return tuple(
            SpikeAgreement(
                name, item.compared, item.differing, item.reference / item.compared, item.session / item.compared
            )
            for name, item in self._counts.items()
        )

    def forced_report(self) -> ForcedReport:
        """The totals as a report."""
        share, error, tensor, tick = self.worst
        return ForcedReport(
            ticks=self.ticks,
            spikes_compared=sum(item.compared for item in self._counts.values()),
            spikes_flipped=self.flipped,
            violations=self.violations,
            worst_error=error,
            worst_share=share,
            worst_tensor=tensor,
            worst_tick=tick,
            first_violation=self.first,
            spikes=self.agreements(),
        )


def _spike_difference(tick: int, name: str, element: int, seen: Observation) -> Difference:
    """A spike that differs, with the reference's margin where a comparison of floats makes it."""
    if name not in seen.margins:
        return Difference("spike", tick, name, element, None, 0.0)
    scale = max(1.0, float(seen.scales[name].flat[element]))
    return Difference("spike", tick, name, element, float(seen.margins[name].flat[element]), RELATIVE[FLOAT32] * scale)


def _absolute_error(ours: Array, theirs: Array) -> NDArray[np.float64]:
    """|ours − theirs|; 0 where both are the same infinity or both NaN, infinite where only one is NaN."""
    with np.errstate(invalid="ignore"):
        error = np.abs(np.subtract(ours, theirs, dtype=np.float64))
    if not np.isfinite(error).all():
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        error = np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))
    return error


def _take_over(session: BundleSession, states: Mapping[str, Array]) -> None:
    """Put the reference's states into the session's buffer."""
    buffer = session.state.copy()
    for field in session.manifest.layout.state:
        buffer[field.offset : field.offset + field.nbytes] = states[field.name].reshape(-1).view(np.uint8)
    session.state = buffer


def _check_session(spec: StepSpec, session: BundleSession) -> tuple[str, ...]:
    """Names of the spike tensors the session shows: all of the graph's, or none when it is no probe build.

    Raises VerificationError when the session's states are not the graph's.
    """
    ours = {(field.name, field.shape, field.dtype) for field in session.manifest.layout.state}
    theirs = {(state.name, state.shape, state.dtype) for state in spec.states}
    if ours != theirs:
        raise VerificationError(
            f"State {min(ours ^ theirs)[0]!r} is not the same in the bundle and in the graph, so neither can take the "
            "other's state; the bundle was probably compiled from another graph."
        )
    return tuple(spike.name for spike in spec.spikes) if session.manifest.probes else ()


def _ticks(inputs: Mapping[str, Array], steps: int) -> Iterator[tuple[int, dict[str, Array]]]:
    """The inputs of each tick.

    Raises InputError when there are fewer than `steps` or none are asked for.
    """
    if steps < 1:
        raise InputError(f"A comparison over {steps} ticks proves nothing; ask for at least 1.")
    for name, array in inputs.items():
        if array.ndim == 0 or array.shape[0] < steps:
            raise InputError(f"Input {name!r} has {array.shape[0] if array.ndim else 0} ticks; {steps} are needed.")
    for tick in range(steps):
        yield tick, {name: array[tick] for name, array in inputs.items()}

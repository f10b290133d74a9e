"""Parity: a compiled step beside its step graph in ONNX Runtime, tick by tick, forced or running free.

**The forced rule.** Each tick starts both from the reference's state. A spike of the compiled step may differ from the
reference's only where the reference's membrane is within tolerance of its threshold; it is then counted, and adopted:
the reference's neurons below it see the compiled step's spikes. Outputs, next states and the margins of all spikes
must agree within tolerance, integers and Booleans exactly. The tolerance of an element is `1e-5 · max(1, largest
operand of the sum that made it)`, see `astroedge.runtimes.checking.error_bounds`. Where the two disagree beyond it,
float64 decides which of them is off (`astroedge.runtimes.checking.third_opinion`), and the next tick starts from what
is right. How many spikes may differ is in `ForcedReport.ok`.

**Running free**, each keeps its own state. Rounding then parts a spiking network sooner or later, so where, when and
by how much is reported and nothing is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np

from astroedge.bundle.manifest import Manifest
from astroedge.errors import InputError, UndefinedTickError, VerificationError
from astroedge.parity import USUAL, Allowance
from astroedge.runtimes.checking.findings import FLOAT16, FLOAT32, FLOAT64, ComparedTick, Findings
from astroedge.runtimes.checking.parity_report import ForcedReport, FreeReport, OutputDrift
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.runtimes.checking.special_inputs import SpecialInputs
from astroedge.runtimes.checking.third_opinion import ThirdOpinion
from astroedge.session import Array, SteppedSession
from astroedge.step.spec import StepSpec

JUDGED_TICKS = 16
"""Ticks that are evaluated in float64 before a comparison ends: that evaluation may take seconds."""


class BundleSession(SteppedSession, Protocol):
    """A session of a compiled step; with probes, `step` also gives `spike.<name>` and `margin.<name>`."""

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""


def compare_forced(
    reference: ObservedReference,
    session: BundleSession,
    inputs: Mapping[str, Array],
    steps: int,
    *,
    allowance: Allowance = USUAL,
    special: Sequence[SpecialInputs] = (),
) -> ForcedReport:
    """Compare by the forced rule over the first `steps` ticks of `inputs`, arrays `(T, …)` by name, T at least `steps`.

    `special` inputs are compared after those, each from the state that they end in, and left out where the reference
    has no finite result for them. `allowance` says what is accepted. A tick for which the graph is not defined is
    left out; a comparison that needs float64 on more than 16 ticks ends there, and the report says how many ticks it
    saw. Without probes only outputs and next states are compared, and the report says so. The session is left reset.

    Raises VerificationError when the session has other states than the reference, InputError for inputs the step does
    not take or too few of them, UndefinedTickError when the graph is not defined for any of them.
    """
    forced = _Forced(reference, session, allowance)
    session.reset()
    for tick, now in _ticks(inputs, steps):
        forced.compare(tick, now)
        if forced.judged >= JUDGED_TICKS:
            break
    for number, item in enumerate(special):
        forced.compare_special(steps + number, item)
    session.reset()
    return forced.report()


class _Forced:
    """A forced comparison under way: the states both start the next tick from, and what was found."""

    def __init__(self, reference: ObservedReference, session: BundleSession, allowance: Allowance) -> None:
        self._probed = _check_session(reference.spec, session)
        self._reference, self._session, self._allowance = reference, session, allowance
        self._findings = Findings(reference, allowance.tolerance)
        self._third = ThirdOpinion(reference)
        self._states = reference.initial_state()
        self._undefined: UndefinedTickError | None = None
        self._skipped = self._special = 0
        self.judged = 0

    def compare(self, tick: int, now: Mapping[str, Array]) -> None:
        """One ordinary tick."""
        try:
            self._states = self._compare(tick, now)
        except UndefinedTickError as error:
            self._undefined = self._undefined or error
            self._skipped += 1

    def compare_special(self, tick: int, item: SpecialInputs) -> None:
        """One tick of special inputs, unless the reference gives no numbers for them; the states stay as they were."""
        try:
            free = self._reference.tick(item.inputs, self._states)
        except UndefinedTickError:
            return
        results = [*free.outputs.values(), *free.states.values(), *free.margins.values()]
        if not any(np.isnan(value).any() for value in results if value.dtype.kind == "f"):
            self._compare(tick, item.inputs, item.text)
            self._special += 1

    def _compare(self, tick: int, now: Mapping[str, Array], special: str = "") -> dict[str, Array]:
        """The states that the next tick starts from."""
        _take_over(self._session, self._states)
        states = self._states
        values = self._session.step(**now)
        dictated = {name: values[f"spike.{name}"].astype(np.bool_) for name in self._probed}
        spikes = dictated if self._probed else None
        seen = self._reference.tick(now, states, spikes)

        @cache
        def ask():  # type: ignore[no-untyped-def]
            self.judged += 1
            return self._third.ask(now, states, spikes)

        return self._findings.add(ComparedTick(tick, dictated, values, self._session.states, seen, special, ask))

    def report(self) -> ForcedReport:
        """What was found; raises UndefinedTickError when no tick could be compared."""
        found = self._findings
        if self._undefined is not None and not found.ticks:
            raise self._undefined
        share, error, tensor, tick = found.worst
        return ForcedReport(
            ticks=found.ticks,
            spikes_compared=sum(item.compared for item in found.counts.values()),
            spikes_flipped=found.flipped,
            violations=found.violations,
            worst_error=error,
            worst_share=share,
            worst_tensor=tensor,
            worst_tick=tick,
            first_violation=found.first,
            spikes=tuple(item.agreement(name) for name, item in found.counts.items()),
            special_ticks=self._special,
            undefined_ticks=self._skipped,
            judged_ticks=self.judged,
            reference_faults=len(found.faulty),
            worst_fault=found.fault,
            rounded_otherwise=found.rounded_otherwise,
            tolerance=self._allowance.tolerance,
            allow_flips=self._allowance.flips,
            unasked=self._third.failure,
            probed=self._session.manifest.probes or not self._reference.spec.spikes,
        )


def compare_free(
    reference: ObservedReference, session: BundleSession, inputs: Mapping[str, Array], steps: int
) -> FreeReport:
    """Run both from their initial state over the first `steps` ticks of `inputs`, arrays `(T, …)` by name.

    The session is left reset. It ends at a tick for which the graph is not defined. Raises as `compare_forced` does.
    """
    probed = _check_session(reference.spec, session)
    findings = Findings(reference)
    floats = (FLOAT16, FLOAT32, FLOAT64)
    drift = {item.name: _Drift() for item in reference.spec.outputs if np.dtype(item.dtype) in floats}
    session.reset()
    states = reference.initial_state()
    for tick, now in _ticks(inputs, steps):
        values = session.step(**now)
        try:
            seen = reference.tick(now, states)
        except UndefinedTickError:
            if tick == 0:
                raise
            break
        spikes = {name: values[f"spike.{name}"].astype(np.bool_) for name in probed}
        findings.add(ComparedTick(tick, spikes, values, session.states, seen))
        for name, item in drift.items():
            item.add(values[name], seen.outputs[name])
        states = seen.states
    session.reset()
    return FreeReport(
        ticks=findings.ticks,
        first_spike=findings.first_spike,
        first_value=findings.first_value,
        spikes=tuple(item.agreement(name) for name, item in findings.counts.items()),
        outputs=tuple(item.report(name, findings.ticks) for name, item in drift.items()),
    )


class _Drift:
    """Running mean squares of an output's difference and of the reference's output."""

    def __init__(self) -> None:
        self.difference = self.reference = 0.0

    def add(self, ours: Array, theirs: Array) -> None:
        self.difference += float(np.mean(np.square(ours.astype(np.float64) - theirs)))
        self.reference += float(np.mean(np.square(theirs.astype(np.float64))))

    def report(self, name: str, ticks: int) -> OutputDrift:
        return OutputDrift(name, float(np.sqrt(self.difference / ticks)), float(np.sqrt(self.reference / ticks)))


def _take_over(session: BundleSession, states: Mapping[str, Array]) -> None:
    """Put the reference's states into the session's buffer."""
    buffer = session.state.copy()
    for field in session.manifest.layout.state:
        buffer[field.offset : field.offset + field.nbytes] = states[field.name].reshape(-1).view(np.uint8)
    session.overwrite_state(buffer)


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

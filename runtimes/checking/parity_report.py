"""What a comparison of a compiled step with its reference found, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from astroedge.parity import TOLERANCE

FLIP_LIMIT = 5.0  # spikes per million that may differ within tolerance of their threshold


@dataclass(frozen=True)
class Difference:
    """One element in which two runs part.

    `tick` counts from 0; `element` is the flat index, for a spike tensor the neuron. `kind` is "spike" or "value".
    `amount` is the reference's distance from threshold (membrane minus threshold) for a spike, None where no
    comparison of floats makes it, and the absolute difference for a value; `tolerance` is what it may be. `evidence`
    says what else is known of it: which unusual inputs it was found on, what float64 gives.
    """

    kind: str
    tick: int
    tensor: str
    element: int
    amount: float | None
    tolerance: float
    evidence: str = ""

    def with_evidence(self, words: str) -> Difference:
        """The same with more evidence."""
        return replace(self, evidence="; ".join(filter(None, (self.evidence, words))))

    def text(self) -> str:
        """One sentence."""
        return f"{self._text()} ({self.evidence})" if self.evidence else self._text()

    def _text(self) -> str:
        where = f"at tick {self.tick} in {self.tensor!r}"
        if self.kind == "spike" and self.amount is None:
            return (
                f"{where} neuron {self.element} differs, and no comparison of floats makes it that rounding could turn"
            )
        if self.kind == "spike":
            distance = f"{self.amount:+.3g} from its threshold (tolerance {self.tolerance:.1g})"
            return f"{where} neuron {self.element} differs, {distance}"
        return f"{where} element {self.element} differs by {self.amount:.3g} (tolerance {self.tolerance:.1g})"


@dataclass(frozen=True)
class ReferenceFault:
    """An element in which ONNX Runtime is off by `amount` and the step agrees with float64."""

    tick: int
    tensor: str
    element: int
    amount: float


@dataclass(frozen=True)
class SpikeAgreement:
    """One spike tensor over all ticks: spikes compared, those that differed, and how often either side fired."""

    name: str
    compared: int
    differing: int
    reference_rate: float
    session_rate: float

    @property
    def agreement(self) -> float:
        """Fraction of spikes that were the same."""
        return 1.0 - self.differing / self.compared


@dataclass(frozen=True)
class ForcedReport:
    """The forced rule over `ticks` ticks.

    `spikes_flipped` differed within tolerance of their threshold; `violations` counts spikes that differed beyond it
    and ticks in which a tensor's values did. `worst_error` is the absolute error that was the largest share
    (`worst_share`) of its tolerance, in `worst_tensor` at `worst_tick`. `spikes_compared` is 0 for a graph without
    spikes, and for a session that does not show those of its graph (not `probed`).

    `special_ticks` were compared besides, on extreme inputs; for `undefined_ticks` of the others the graph has no
    result. On `judged_ticks` step and reference disagreed and float64 was asked, or could not be (`unasked` says why);
    on `reference_faults` of these ONNX Runtime is off and the step right, furthest at `worst_fault`; on
    `rounded_otherwise` the step rounded a value next to an edge to the other whole number. `tolerance` and
    `allow_flips` are what was accepted (`astroedge.parity.Allowance`).
    """

    ticks: int
    spikes_compared: int
    spikes_flipped: int
    violations: int
    worst_error: float
    worst_share: float
    worst_tensor: str
    worst_tick: int
    first_violation: Difference | None
    spikes: tuple[SpikeAgreement, ...]
    special_ticks: int = 0
    undefined_ticks: int = 0
    judged_ticks: int = 0
    reference_faults: int = 0
    worst_fault: ReferenceFault | None = None
    rounded_otherwise: int = 0
    tolerance: float = TOLERANCE
    allow_flips: int | None = None
    unasked: str = ""
    probed: bool = True

    @property
    def flips_per_million(self) -> float:
        """Spikes that differed within tolerance, per million compared."""
        return 1e6 * self.spikes_flipped / self.spikes_compared if self.spikes_compared else 0.0

    @property
    def ok(self) -> bool:
        """No violation, and no more flips than are allowed.

        Those are `FLIP_LIMIT` per million where the caller names no number; one is always allowed, it is no rate.
        """
        return self.violations == 0 and self.flips_accepted

    @property
    def flips_accepted(self) -> bool:
        """Whether as many spikes may differ within rounding as do."""
        if self.allow_flips is not None:
            return self.spikes_flipped <= self.allow_flips
        return self.spikes_flipped <= 1 or self.flips_per_million <= FLIP_LIMIT

    def text(self) -> str:
        """One paragraph: what was compared, the worst case, who was off, and the first violation if there is one."""
        share = f"{self.worst_share:.0%} of its tolerance"
        worst = f"largest error {self.worst_error:.3g}, {share}, in {self.worst_tensor!r} at tick {self.worst_tick}"
        worst = worst if self.worst_error else "every value equal"
        special = f" and {self.special_ticks} of extreme inputs" if self.special_ticks else ""
        text = f"forced over {self.ticks} ticks{special}: {self._spikes_text()}; {worst}"
        if self.tolerance != TOLERANCE:
            text += f"; accepted tolerance {self.tolerance:g} in place of {TOLERANCE:g}"
        if self.undefined_ticks:
            text += f"; the graph has no result for the inputs of {self.undefined_ticks} ticks more"
        if self.rounded_otherwise:
            text += f"; on {self.rounded_otherwise} ticks a value next to an edge was rounded to the other whole number"
        text += self._faults_text()
        if self.first_violation is not None:
            text += f"; {self.violations} violations, the first {self.first_violation.text()}"
            if self.unasked:
                text += f", and float64 could not be asked ({self.unasked})"
            if not self.probed:
                text += ", which a spike within rounding of its threshold can cause: compare a probe build to know"
        return text + "."

    def _spikes_text(self) -> str:
        if not self.spikes_compared:
            return "no spikes" if self.probed else "no spikes (not a probe build)"
        limit = f"limit {FLIP_LIMIT:g}" if self.allow_flips is None else f"{self.allow_flips} allowed"
        return (
            f"{self.spikes_compared} spikes, {self.spikes_flipped} flipped within rounding of their threshold "
            f"({self.flips_per_million:.2g} per million, {limit})"
        )

    def _faults_text(self) -> str:
        fault = self.worst_fault
        if fault is None:
            return ""
        where = f"by up to {fault.amount:.3g} in {fault.tensor!r} at tick {fault.tick}"
        return f"; ONNX Runtime is off on {self.reference_faults} of them, {where}; the step agrees with float64"

    def record(self) -> dict[str, float]:
        """What a manifest keeps of it."""
        record = {
            "ticks": self.ticks,
            "special_ticks": self.special_ticks,
            "spikes_compared": self.spikes_compared,
            "spikes_flipped": self.spikes_flipped,
            "worst_error": self.worst_error,
            "reference_faults": self.reference_faults,
            "rounded_otherwise": self.rounded_otherwise,
            "tolerance": self.tolerance,
        }
        return record if self.allow_flips is None else {**record, "allow_flips": self.allow_flips}

    def to_json(self) -> dict[str, Any]:
        """The JSON form, with `ok` and `flips_per_million`; what is not finite becomes null."""
        record: dict[str, Any] = _finite({"ok": self.ok, "flips_per_million": self.flips_per_million, **asdict(self)})
        return record


@dataclass(frozen=True)
class OutputDrift:
    """How far an output ended up from the reference's: root mean square of the difference and of the reference."""

    name: str
    difference: float
    reference: float


@dataclass(frozen=True)
class FreeReport:
    """Two free runs over `ticks` ticks: where they first parted, and how firing rates and outputs drifted."""

    ticks: int
    first_spike: Difference | None
    first_value: Difference | None
    spikes: tuple[SpikeAgreement, ...]
    outputs: tuple[OutputDrift, ...]

    def text(self) -> str:
        """One paragraph."""
        spike = self.first_spike.text() if self.first_spike else "never differ" if self.spikes else "were not compared"
        value = self.first_value.text() if self.first_value else "never part"
        text = f"free over {self.ticks} ticks: spikes {spike}; values {value}"
        if self.spikes:
            drift = max(self.spikes, key=lambda item: abs(item.session_rate - item.reference_rate))
            text += (
                f"; largest drift of a firing rate {drift.session_rate - drift.reference_rate:+.2g} in {drift.name!r}"
            )
        return text + "."

    def to_json(self) -> dict[str, Any]:
        """The JSON form; what is not finite becomes null."""
        record: dict[str, Any] = _finite(asdict(self))
        return record


def _finite(value: Any) -> Any:
    """The value with tuples as lists and numbers that JSON cannot hold as None."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

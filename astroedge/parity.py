"""What comparing a step with its reference showed: differences, decisions made otherwise, where free runs part.

Two comparisons are made, of the exported graph with the model (`exporters/parity`) and of the compiled step with the
graph (`runtimes/checking`), in the same words. A comparison is *forced* when both begin every tick in the reference's
state, *free* when each keeps its own. A *margin* is how far a neuron is from its threshold; a *flip* a spike that both
decide differently within rounding of it, which is no fault; a *divergence* where free runs part, which is none either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astroedge.errors import InputError

PARITY_TICKS = 200  # that a graph is compared with its model, and a compiled step with its graph before it is given out

BRIEF_TICKS = 50  # the same of a step with more multiplications than that, unless its user says how many
LARGE_STEP = 50_000_000
FEW_TICKS = 20  # the same of a step with more than that: ONNX Runtime alone takes a second for ten of them
HUGE_STEP = 500_000_000
MOST_TICKS = 10**9

TOLERANCE = 1e-5  # how far rounding may part float32 results, as a share of max(1, largest value they come from)


@dataclass(frozen=True)
class Allowance:
    """How strictly two are compared, a graph with its model or a compiled step with its graph, and what is accepted.

    `ticks` are compared. `tolerance` is how far rounding may part results and decisions, as a share of max(1, largest
    value). `flips`, where the user names a number, is how many decisions may be made otherwise: of a compiled step,
    spikes within rounding of their threshold, None for five per million; of an exported graph, ticks that differ by
    more than the decisions found explain, if one of such a tick lies within tolerance of its edge, None for none.

    Raises InputError for numbers that accept nothing or everything.
    """

    ticks: int = PARITY_TICKS
    tolerance: float = TOLERANCE
    flips: int | None = None

    def __post_init__(self) -> None:
        """Refuse what accepts nothing or everything."""
        if self.ticks < 1:
            raise InputError(f"check_ticks is {self.ticks}, and a comparison needs at least one tick.")
        if self.ticks > MOST_TICKS:
            raise InputError(f"check_ticks is {self.ticks}, which takes days; compare {MOST_TICKS:,} ticks at most.")
        if not 0 < self.tolerance < 1:
            raise InputError(
                f"tolerance is {self.tolerance:g}; give a share of the largest value, above 0 and below 1 (usually "
                f"{TOLERANCE:g})."
            )
        if self.flips is not None and self.flips < 0:
            raise InputError(f"allow_flips is {self.flips}; give how many there may be, 0 or more.")

    @staticmethod
    def of(allow_flips: int | None, tolerance: float | None, check_ticks: int | None) -> Allowance:
        """What a user accepts, the usual where that is None."""
        return Allowance(
            PARITY_TICKS if check_ticks is None else check_ticks,
            TOLERANCE if tolerance is None else float(tolerance),
            allow_flips,
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON form; `from_json` reads it back unchanged."""
        return {"ticks": self.ticks, "tolerance": float(self.tolerance).hex(), "flips": self.flips}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Allowance:
        """Read what `to_json` wrote."""
        flips = record["flips"]
        return Allowance(
            int(record["ticks"]), float.fromhex(record["tolerance"]), None if flips is None else int(flips)
        )

    def summary(self) -> str:
        """One line for people, of an export."""
        return (
            f"compared over {self.ticks} ticks within {self.tolerance:g}, {self.flips or 0} of them allowed flips that "
            "nothing explains"
        )


USUAL = Allowance()


@dataclass(frozen=True)
class Flip:
    """A spike, or another decision, that the step and its reference made differently, within rounding of its edge.

    `tick` counts from 0, `spikes` names the spike tensor or the value of the decision, `neuron` is the index into it,
    `margin` the distance from the threshold or whatever edge it is.
    """

    tick: int
    spikes: str
    neuron: tuple[int, ...]
    margin: float


@dataclass(frozen=True)
class Divergence:
    """Where a free run parted from its reference.

    `tick` counts from 0; `name` is the output or `next.<state>` that differs most, at `element`, by `difference`.
    `spikes` names the spike tensor with the neuron nearest to its threshold at that tick and `margin` is its
    distance; None and infinity for a step without spikes.
    """

    tick: int
    name: str
    element: tuple[int, ...]
    difference: float
    spikes: str | None
    margin: float


@dataclass(frozen=True)
class Parity:
    """A comparison over `ticks` ticks.

    Forced, with the reference's state at every tick: `worst` is the largest difference of any result relative to
    max(1, its largest value), `spikes` the number of decisions compared (spikes, and whatever else jumps), `flips`
    those that differed. `unexplained` are the ticks, from 0, that differ by more and that the user accepts. Free, with
    the step's own state: `divergence` is None when the run agreed to the last tick.
    """

    ticks: int
    worst: float
    spikes: int
    flips: tuple[Flip, ...]
    divergence: Divergence | None
    unexplained: tuple[int, ...] = ()

    def summary(self) -> str:
        """One line for people."""
        free = "the free run agrees to the end"
        if self.divergence is not None:
            free = f"the free run parts at tick {self.divergence.tick + 1} in {self.divergence.name!r}"
        accepted = f", {len(self.unexplained)} ticks accepted unexplained" if self.unexplained else ""
        return (
            f"{self.ticks} ticks: largest relative difference {self.worst:.1e}, {len(self.flips)} of {self.spikes} "
            f"decisions made the other way within rounding{accepted}; {free}"
        )

"""What comparing a step with its reference showed: differences, spikes decided otherwise, where free runs part.

Two comparisons are made, of the exported graph with the model (`exporters/parity`) and of the compiled step with the
graph (`runtimes/checking`), in the same words. A comparison is *forced* when both begin every tick in the reference's
state, *free* when each keeps its own. A *margin* is how far a neuron is from its threshold; a *flip* a spike that both
decide differently within rounding of it, which is no fault; a *divergence* where free runs part, which is none either.
"""

from __future__ import annotations

from dataclasses import dataclass

from astroedge.errors import InputError

PARITY_TICKS = 200  # that a graph is compared with its model, and a compiled step with its graph before it is given out

TOLERANCE = 1e-5  # how far rounding may part float32 results, as a share of max(1, largest value they come from)


@dataclass(frozen=True)
class Acceptance:
    """What whoever compiles or exports accepts as rounding.

    `tolerance` takes the place of `TOLERANCE`; `allow_flips` is how many spikes of a comparison may be decided
    otherwise within it, None for the usual limit.
    """

    tolerance: float = TOLERANCE
    allow_flips: int | None = None

    def __post_init__(self) -> None:
        """Refuse what accepts nothing or everything."""
        if not 0 < self.tolerance < 1:
            raise InputError(
                f"A tolerance of {self.tolerance:g} is none: it is a share of the largest operand, between 0 and 1 "
                f"(usually {TOLERANCE:g})."
            )
        if self.allow_flips is not None and self.allow_flips < 0:
            raise InputError(f"{self.allow_flips} flips cannot be allowed; give 0 or more.")


@dataclass(frozen=True)
class Flip:
    """A spike that the step and its reference decided differently, within rounding of the threshold.

    `tick` counts from 0, `spikes` names the spike tensor, `neuron` is the index into it, `margin` the distance from
    the threshold.
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
    max(1, its largest value), `spikes` the number of spike decisions compared, `flips` those that differed. Free,
    with the step's own state: `divergence` is None when the run agreed to the last tick.
    """

    ticks: int
    worst: float
    spikes: int
    flips: tuple[Flip, ...]
    divergence: Divergence | None

    def summary(self) -> str:
        """One line for people."""
        free = "the free run agrees to the end"
        if self.divergence is not None:
            free = f"the free run parts at tick {self.divergence.tick + 1} in {self.divergence.name!r}"
        return (
            f"{self.ticks} ticks: largest relative difference {self.worst:.1e}, {len(self.flips)} of {self.spikes} "
            f"spikes decided the other way within rounding; {free}"
        )

"""What is to be measured, and how long."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from astroedge.errors import InputError

DURATION = 2.0  # seconds of timed steps where neither a duration nor a number of steps is asked for
LONGEST = 86_400.0
PACED_TICKS = 10  # at least


@dataclass(frozen=True)
class Measuring:
    """`steps` or `duration` seconds of timed steps in each of `repeat` repeats, each after up to `warmup` untimed ones.

    `rate` in Hz asks for paced ticks too, `energy` for the energy of a step, and so does naming an external `meter`
    (`astroedge.runtimes.profiling.meter`); `keep_samples` keeps every time.

    Raises InputError for what cannot be measured.
    """

    steps: int | None = None
    duration: float | None = None
    repeat: int = 1
    warmup: int = 100
    rate: float | None = None
    energy: bool = False
    meter: str | None = None
    keep_samples: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if self.steps is not None and self.duration is not None:
            raise InputError("A number of steps and a duration exclude each other; give one of them.")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"{self.steps} steps cannot be timed; ask for at least 1.")
        if self.repeat < 1:
            raise InputError(f"{self.repeat} repeats measure nothing; ask for at least 1.")
        for name, value, most in (("duration", self.duration, LONGEST), ("rate", self.rate, 1e6)):
            if value is not None and not (isfinite(value) and 0 < value <= most):
                raise InputError(f"A {name} of {value:g} cannot be measured; it is above 0 and at most {most:g}.")

    @property
    def seconds(self) -> float | None:
        """How long the steps of a repeat are timed; None where their number was asked for."""
        return (self.duration or DURATION) if self.steps is None else None

    @property
    def paced_ticks(self) -> int:
        """How many ticks are paced: as many as steps are asked for, else what the duration holds, 10 at least."""
        if self.steps is not None:
            return self.steps
        return max(PACED_TICKS, round((self.duration or DURATION) * (self.rate or 0.0)))

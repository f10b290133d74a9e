"""What the suite sets out to show, cell by cell, and whether a run showed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ENOUGH_OF_LIMIT = 0.7


@dataclass(frozen=True)
class Goal:
    """On one thread at 10 % firing, `call` of AstroEdge is `ratio` times faster than the best peer of its precision.

    Or it takes no longer than the limit of `benchmarks.timing.limits` over `ENOUGH_OF_LIMIT`: then nothing is left to
    win.
    """

    model: str
    precision: str
    call: str
    ratio: float


GOALS = (
    Goal("spiking-rwkv-25m", "fp32", "step", 5.0),
    Goal("spiking-rwkv-25m", "int8", "step", 5.0),
    Goal("alif-shd", "fp32", "step", 4.0),
    Goal("alif-shd", "int8", "step", 3.0),
    Goal("lif-tiny", "fp32", "run", 8.0),
    Goal("lif-tiny", "fp32", "step", 4.0),
    Goal("nmnist-conv", "fp32", "step", 2.0),
    Goal("nmnist-conv", "int8", "step", 1.5),
    Goal("gru-keywords", "fp32", "step", 1.3),
    Goal("gru-keywords", "int8", "step", 1.3),
)


@dataclass(frozen=True)
class Verdict:
    """What a run says of a goal: the ratio to `peer`, the share of the limit, None where the run lacks them."""

    goal: Goal
    peer: str | None
    ratio: float | None
    limit_share: float | None

    @property
    def met(self) -> bool | None:
        """True or False; None when the run could not tell."""
        if self.ratio is None:
            return True if (self.limit_share or 0.0) >= ENOUGH_OF_LIMIT else None
        return self.ratio >= self.goal.ratio or (self.limit_share or 0.0) >= ENOUGH_OF_LIMIT


def judge(goals: Sequence[Goal], comparisons: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """A verdict on each goal from the comparisons of a run on one thread."""
    by_model = {record["model"]: record for record in comparisons if record["threads"] == 1}
    return [_verdict(goal, by_model.get(goal.model)) for goal in goals]


def limit_share(record: Mapping[str, Any], precision: str, call: str) -> float | None:
    """How much of the least possible time the time measured is: 1 at the limit, 0.5 at twice its time."""
    own, times = record["own"].get(precision), record["contenders"].get(f"astroedge {precision} {call}")
    if own is None or times is None:
        return None
    return float(own["limit_microseconds"] / times["median"])


def _verdict(goal: Goal, record: Mapping[str, Any] | None) -> Verdict:
    if record is None:
        return Verdict(goal, None, None, None)
    found = record["ratios"].get(f"astroedge {goal.precision} {goal.call}")
    peer, ratio = (found["peer"], found["ratio"]) if found else (None, None)
    return Verdict(goal, peer, ratio, limit_share(record, goal.precision, goal.call))

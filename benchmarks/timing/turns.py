"""Contenders take turns: short blocks of ticks, one contender after the other, round after round.

Whatever else the machine does strikes all of them, and the ratio of two contenders can be taken within each round. A
contender that fails is left out, with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from benchmarks.networks.suite import Array
from benchmarks.timing.contenders import Microseconds, Ticker

WARM_UP_SECONDS = 0.6
LONGEST_REASON = 300  # characters
FEWEST, MOST = 10, 10_000  # ticks in a block that count


T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How long to measure: so many rounds, in each a block of about so many milliseconds for every contender."""

    rounds: int = 11
    block_milliseconds: float = 50.0


FULL = Plan()
QUICK = Plan(rounds=3, block_milliseconds=10.0)


@dataclass(frozen=True)
class Turns:
    """The counted ticks of every contender, an array for each round, and why others are missing."""

    times: dict[str, list[Microseconds]]
    missing: dict[str, str]


def take_turns(tickers: Mapping[str, Ticker], inputs: Mapping[str, Array], plan: Plan) -> Turns:
    """Warm every contender up, then let them take turns on `inputs (T, …)`, gone over again and again."""
    missing: dict[str, str] = {}
    blocks = {
        name: attempt(name, missing, partial(_Block, ticker, inputs, plan.block_milliseconds))
        for name, ticker in tickers.items()
    }
    times: dict[str, list[Microseconds]] = {name: [] for name in tickers}
    for _ in range(plan.rounds):
        for name, block in blocks.items():
            measured = None if block is None or name in missing else attempt(name, missing, block.time)
            if measured is not None:
                times[name].append(measured)
    return Turns({name: rounds for name, rounds in times.items() if name not in missing}, missing)


def attempt(name: str, missing: dict[str, str], action: Callable[[], T]) -> T | None:
    """What `action` gives; if it fails in whatever way, None, and `missing` says why `name` is missing.

    One runtime that fails must not end the comparison of the others.
    """
    try:
        return action()
    except Exception as error:
        text = " ".join(str(error).split()).removeprefix(f"{name}: ") or type(error).__name__
        missing[name] = text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 3]}..."
        return None


class _Block:
    """One contender's turns: it is warmed up here, and blocks have the ticks that fill the time."""

    def __init__(self, ticker: Ticker, inputs: Mapping[str, Array], milliseconds: float) -> None:
        self.ticker, self.inputs, self.position = ticker, inputs, 0
        ticks = len(next(iter(inputs.values())))
        first = ticker.time_block(self._next(10))
        ticker.time_block(self._next(int(min(ticks, WARM_UP_SECONDS * 1e6 / np.median(first)))))
        per_tick = float(np.median(ticker.time_block(self._next(20))))
        self.ticks = int(np.clip(milliseconds * 1e3 / per_tick, FEWEST, MOST))

    def time(self) -> Microseconds:
        """The times of a block, without its first ticks: they bring the contender's weights back into the cache."""
        settle = 3 + self.ticks // 10
        return self.ticker.time_block(self._next(settle + self.ticks))[settle:]

    def _next(self, ticks: int) -> dict[str, Array]:
        """The next inputs, from the start again at the end."""
        total = len(next(iter(self.inputs.values())))
        rows = (self.position + np.arange(max(ticks, 1))) % total
        self.position = int(rows[-1] + 1)
        return {name: values[rows] for name, values in self.inputs.items()}

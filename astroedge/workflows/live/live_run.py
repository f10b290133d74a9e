"""A step on live data: each tick at its due time, and how late the ticks were."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from astroedge.session import Session
from astroedge.workflows.live.decode import Decoder
from astroedge.workflows.live.sources import WAIT, Source

NANOSECONDS = 1_000_000_000


@dataclass
class Lateness:
    """How ticks kept to their due times; nanoseconds.

    A tick is late where it ends after the next one is due: at that rate the machine does not follow. `repeated` ticks
    had data that was used before, because no other had come.
    """

    ticks: int = 0
    late: int = 0
    latest: int = 0
    longest: int = 0
    seconds: float = 0.0
    repeated: int = 0

    def count(self, behind: int) -> None:
        """A tick that ended so many nanoseconds after the next was due, less than 0 for before."""
        if behind > 0:
            self.late, self.latest = self.late + 1, max(self.latest, behind)

    def text(self, rate: float | None) -> str:
        """All of it as a sentence."""
        count = "1 tick" if self.ticks == 1 else f"{self.ticks:,} ticks"
        text = f"{count} in {self.seconds:.1f} s; the longest took {self.longest / 1e6:.3g} ms"
        if rate is None:
            return f"{text}."
        if self.repeated:
            text += f"; {self.repeated:,} had no new data"
        if not self.late:
            return f"{text}; none was late at {rate:g} Hz."
        were = "1 was" if self.late == 1 else f"{self.late:,} were"
        return f"{text}; {were} late at {rate:g} Hz, by up to {self.latest / 1e6:.3g} ms."


def run_live(
    session: Session,
    source: Source,
    decoder: Decoder,
    rate: float | None,
    found: Lateness,
    alive: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Lines of CSV for ticks as they come, each at its due time where there is a `rate`; `found` is kept up to date.

    `alive` is called after each, and while the next is waited for. A tick takes the newest data of its due time, and
    one that begins late does not shift those after it. A source that is a clock is not waited for: of its ticks those
    are late that take longer than a period.

    Raises InputError for what the step does not take.
    """
    period = None if rate is None else NANOSECONDS / rate
    yield decoder.header()
    start = time.perf_counter_ns()
    for index in count():
        if index and period is not None and not source.is_clock:
            _wait_until(start + round(index * period), alive)
        tick = source.take(alive)
        begin = time.perf_counter_ns()
        start = start if index else begin  # the first tick may have been waited for
        if tick is None:
            break
        lines = [*decoder.lines(index, session.step(**tick))]
        end = time.perf_counter_ns()
        found.ticks, found.longest = index + 1, max(found.longest, end - begin)
        found.seconds, found.repeated = (end - start) / NANOSECONDS, source.repeated()
        if period is not None:
            due = begin + period if source.is_clock else start + (index + 1) * period
            found.count(end - round(due))
        alive()
        yield from lines
    yield from decoder.rest()


def _wait_until(due: int, alive: Callable[[], None]) -> None:
    """Sleep until `perf_counter_ns` is `due`, with a sign of life now and then."""
    while (left := due - time.perf_counter_ns()) > 0:
        time.sleep(min(left / NANOSECONDS, WAIT))
        alive()

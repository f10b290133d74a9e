"""A step on live data: each tick at its due time, and how late the ticks were."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from astroedge.session import Session
from astroedge.workflows.live.decode import Decoder
from astroedge.workflows.live.sources import Tick

NANOSECONDS = 1_000_000_000


@dataclass
class Lateness:
    """How ticks kept to their due times; nanoseconds.

    A tick is late where it ends after the next one is due: at that rate the machine does not follow.
    """

    ticks: int = 0
    late: int = 0
    latest: int = 0
    longest: int = 0
    seconds: float = 0.0

    def text(self, rate: float | None) -> str:
        """All of it as a sentence."""
        text = f"{self.ticks:,} ticks in {self.seconds:.1f} s; the longest took {self.longest / 1e6:.3g} ms"
        if rate is None:
            return f"{text}."
        if not self.late:
            return f"{text}; none was late at {rate:g} Hz."
        return f"{text}; {self.late:,} were late at {rate:g} Hz, by up to {self.latest / 1e6:.3g} ms."


def run_live(
    session: Session,
    ticks: Iterable[Tick],
    decoder: Decoder,
    rate: float | None,
    found: Lateness,
    alive: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Lines of CSV for ticks as they come, each at its due time where there is a `rate`; `found` is kept up to date.

    `alive` is called after each. A tick that begins late does not shift those after it.

    Raises InputError for what the step does not take.
    """
    clock = time.perf_counter_ns
    start = clock()
    yield decoder.header()
    for index, tick in enumerate(ticks):
        if index == 0:
            start = clock()  # the first tick may have been waited for
        due = start if rate is None else start + round(index * NANOSECONDS / rate)
        while rate is not None and (left := due - clock()) > 0:
            time.sleep(left / NANOSECONDS)
        begin = clock()
        lines = [*decoder.lines(index, session.step(**tick))]
        end = clock()
        found.ticks, found.longest = index + 1, max(found.longest, end - begin)
        found.seconds = (end - start) / NANOSECONDS
        if rate is not None and (behind := end - start - round((index + 1) * NANOSECONDS / rate)) > 0:
            found.late, found.latest = found.late + 1, max(found.latest, behind)
        alive()
        yield from lines

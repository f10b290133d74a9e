"""A stream of a pool: a session like others, beside which the pool can make ticks of all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.container import Bundle
from astroedge.errors import AstroEdgeError
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.runtimes.session.session_team import BUSY


@dataclass(eq=False)
class PoolRecord:
    """What a pool and its streams know of each other: the ticks of each stream, and why the pool refuses calls now."""

    counted: NDArray[np.int64]
    unavailable: str = ""


class PooledStream(CompiledSession):
    """One stream of a pool, number `number`: it may be stepped, reset, saved and restored alone."""

    _kept_when_closed = CompiledSession._kept_when_closed | {"_pool", "number", "_why_unavailable"}
    _why_unavailable = ""

    def __init__(
        self,
        pool: PoolRecord,
        number: int,
        bundle: Bundle,
        *,
        trust_weights: bool = False,
        beside: CompiledSession | None = None,
    ) -> None:
        self._pool, self.number = pool, number
        super().__init__(bundle, trust_weights=trust_weights, threads=1, beside=beside)

    @property
    def _unavailable(self) -> str:  # what the pool does is part of it
        return self._why_unavailable or (BUSY if self._pool.unavailable == BUSY else "")

    @_unavailable.setter
    def _unavailable(self, why: str) -> None:
        self._why_unavailable = why
        # The pool may have begun since this stream asked; one of both goes on, for each says so before it looks again.
        if why == BUSY and self._pool.unavailable == BUSY:
            self._why_unavailable = ""
            raise AstroEdgeError(BUSY)

    @property
    def _ticks(self) -> int:  # counted where the pool counts those of all streams at once
        return int(self._pool.counted[self.number])

    @_ticks.setter
    def _ticks(self, ticks: int) -> None:
        self._pool.counted[self.number] = ticks

    def _computed_by(self) -> object:
        return self if self._why_unavailable else self._pool

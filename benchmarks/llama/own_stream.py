"""A bundle of an AstroSNN stepped token by token through `Session.step`, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import astroedge
from benchmarks.llama.token_work import TokenWork


def start(work: TokenWork) -> OwnStream:
    """Load the bundle, and the state that it is to go on from."""
    return OwnStream(work)


class OwnStream:
    """One stream of a bundle; a call steps one token and gives its logits."""

    def __init__(self, work: TokenWork) -> None:
        self._session = astroedge.load(work.path, threads=work.threads)
        self.batch = work.batch
        if work.state is not None:
            self._session.restore(Path(work.state).read_bytes())

    def __call__(self, row: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Step `token (1,)` → logits `(1, vocabulary)`."""
        return self._session.step(token=row[0])["logits"]

    def fill(self, marks: Mapping[int, str]) -> None:
        """Step random tokens, and after as many as each mark says write the stream's state to the mark's file."""
        (token,) = self._session.spec.inputs
        assert token.index_range is not None
        tokens = np.random.default_rng(0).integers(*token.index_range, (max(marks), 1))
        done = 0
        for mark, path in sorted(marks.items()):
            while done < mark:
                piece = tokens[done : min(done + self.batch, mark)]
                self._session.run(token=piece)
                done += len(piece)
            Path(path).write_bytes(self._session.snapshot())

    def facts(self) -> dict[str, Any]:
        """Threads, and how often each spike tensor fired since the bundle was loaded."""
        rates = {name: round(count.firing_rate, 4) for name, count in self._session.activity().items()}
        return {"threads": self._session.threads, "firing_rates": rates}

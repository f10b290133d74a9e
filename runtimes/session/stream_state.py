"""What a session carries from tick to tick: the state, how many ticks it has gone through, counts of activity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Manifest
from astroedge.runtimes.session.session_team import FORKED, TORN, TeamOwner
from astroedge.runtimes.session.snapshot import check_size, check_state, decode_snapshot, encode_snapshot
from astroedge.runtimes.session.stream_memory import StreamMemory
from astroedge.session import Array, SpikeCount


class StreamState(TeamOwner):
    """The state of one stream: read, set, saved and put back."""

    bundle: Bundle
    _memory: StreamMemory
    _ticks = 0  # since activity is counted
    _earlier_ticks = 0  # of the stream, before that; less than 0 after a reset

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    @property
    def state(self) -> NDArray[np.uint8]:
        """The state buffer as bytes, public and private states, read only; a `.copy()` can be assigned again.

        Of a stream on a GPU it is a copy of the present state, otherwise a view that goes on with it.
        To keep a stream, or to take it to another session, use `snapshot`, which says whose state it is.
        """
        self._check_available()
        return self._memory.state()

    @state.setter
    def state(self, content: NDArray[np.uint8]) -> None:
        """Go back to a copy that `state.copy()` of a session of this very bundle gave; `ticks` stays.

        Raises InputError for anything that cannot be such a copy; whose state it is nothing in it says.
        """
        self._check_replaceable()
        state = check_state(self.manifest.layout, self._memory.initial, content)
        self._mend()
        self._memory.write(state)

    @property
    def states(self) -> Mapping[str, Array]:
        """The public states by name, shaped, as read-only views of the present state (on a GPU, copies)."""
        self._check_available()
        return self._memory.states()

    @property
    def ticks(self) -> int:
        """How many ticks the stream has gone through since its reset, those before a restored snapshot included."""
        self._check_available()
        return self._earlier_ticks + self._ticks

    def snapshot(self) -> bytes:
        """The stream as bytes to keep or to send: state, `ticks` and which step they are of (docs/bundle-format.md)."""
        return encode_snapshot(self.manifest, self.state, self.ticks)

    def restore(self, content: bytes) -> None:
        """Go on with the stream in a snapshot, to the bits that it would have had; activity counts go on.

        The snapshot may be from a bundle of the same graph, precision and math for any other target. Raises InputError
        when it is another step's, damaged, or no snapshot; the stream is then as it was.
        """
        self._check_replaceable()
        state, ticks = decode_snapshot(self.manifest, content)
        self._mend()
        self._memory.write(state)
        self._earlier_ticks = ticks - self._ticks

    def overwrite_state(self, content: NDArray[np.uint8]) -> None:
        """Put bytes into the state as they are, uint8 of its size: where another computation of this step stands.

        Raises InputError for another size or dtype.
        """
        self._check_replaceable()
        state = check_size(self.manifest.layout, content)
        self._mend()
        self._memory.write(state)

    def reset(self) -> None:
        """Go back to the initial state; activity counts go on."""
        self._check_replaceable()
        self._mend()
        self._memory.reset()
        self._earlier_ticks = -self._ticks

    def activity(self) -> dict[str, SpikeCount]:
        """How often each spike tensor fired since the session was loaded or `reset_activity` was called."""
        self._check_available()
        return {
            item.name: SpikeCount(count, self._ticks * item.size, self._ticks)
            for item, count in zip(self.manifest.activity, self._memory.counts(), strict=True)
        }

    def reset_activity(self) -> None:
        """Count activity from here on."""
        self._check_available()
        self._restart_counting()

    def _check_replaceable(self) -> None:
        """Raise AstroEdgeError if no state can be set now; the state of a torn tick can."""
        if self._unavailable != TORN:
            self._check_available()

    def _mend(self) -> None:
        """Make a session with a torn state one that takes another."""
        if self._unavailable == TORN:
            self._unavailable = FORKED
            self._check_available()
            self._restart_counting()

    def _restart_counting(self) -> None:
        self._memory.restart_counts()
        self._earlier_ticks += self._ticks
        self._ticks = 0

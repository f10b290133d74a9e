"""A session's threads over its life: started when it is loaded, dismissed when it ends, remade after a fork."""

from __future__ import annotations

import ctypes
import os
import weakref

from astroedge.abi.layout import AstroCall
from astroedge.errors import AstroEdgeError
from astroedge.runtimes.session.team import Team

CLOSED = "The session is closed; load the bundle again."
BUSY = "The session is in the middle of a tick in another thread or signal handler; give every stream its own session."
_FORKED = "The session's threads stayed in the process that this one was forked from."


class TeamOwner:
    """What may be asked of a session at the moment, and the team that computes its ticks, if `threads` is not 1."""

    threads: int

    def __init__(self, library: ctypes.CDLL, threads: int, calls: tuple[AstroCall, ...]) -> None:
        """`calls` are the structures that name the team."""
        self.threads = threads
        # Why a call is refused at the moment; "" when it is not.
        self._unavailable = ""
        self._library = library
        self._calls = calls
        self._start_team()

    def _start_team(self) -> None:
        if self.threads == 1:
            return
        self._team = Team(self._library, self.threads)
        for call in self._calls:
            call.team = self._team.address
        self._last_act = weakref.finalize(self, _finish, self._team, weakref.ref(self))
        _OWNERS.add(self)

    def _end_team(self) -> None:
        """Close the owner; its workers are gone when this returns."""
        if self._unavailable == BUSY:
            raise AstroEdgeError(BUSY)
        if self._unavailable != CLOSED and self.threads > 1:
            self._last_act.detach()
            self._team.dismiss()
            self._team.join()
        self._unavailable = CLOSED

    def _check_available(self) -> None:
        """Raise AstroEdgeError if nothing can be computed now; a forked process gets a team of its own."""
        if self._unavailable == _FORKED:
            self._last_act.detach()
            self._start_team()
            self._unavailable = ""
        if self._unavailable:
            raise AstroEdgeError(self._unavailable)


_OWNERS: weakref.WeakSet[TeamOwner] = weakref.WeakSet()


def _lose_teams() -> None:
    """In a forked process, which has no thread but its own. An owner in the middle of a tick stays there."""
    for owner in _OWNERS:
        if not owner._unavailable:
            owner._unavailable = _FORKED


os.register_at_fork(after_in_child=_lose_teams)


def _finish(team: Team, reference: weakref.ref[TeamOwner]) -> None:
    """Dismiss the team of an owner that is gone, or that is still there while the interpreter exits.

    In that case a daemon thread may be in the middle of a tick; its team is left alone and ends with the process.
    """
    owner = reference()
    if owner is not None:
        if owner._unavailable == BUSY:
            return
        owner._unavailable = CLOSED
    team.dismiss()

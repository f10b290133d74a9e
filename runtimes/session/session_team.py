"""Threads of a session or pool over its life: started when it is loaded, dismissed at its end, remade after a fork."""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from types import FrameType

from astroedge.abi.layout import AstroCall, AstroStreams
from astroedge.errors import AstroEdgeError
from astroedge.runtimes.session.team import Team

CLOSED = "The session is closed; load the bundle again."
BUSY = "The session is in the middle of a tick in another thread or signal handler; give every stream its own session."
FORKED = "The session's threads stayed in the process that this one was forked from."
FORKED_GPU = (
    "The session's stream is on a GPU, which stayed with the process that this one was forked from; start processes "
    'afresh (multiprocessing\'s "spawn") and load the bundle there.'
)
TORN = (
    "This process was forked while another thread computed a tick of the session, whose state here is that of no tick; "
    "reset it or restore a snapshot, or load the bundle again."
)


class TeamOwner:
    """What may be asked of a session at the moment, and the team that computes its ticks, if `threads` is not 1."""

    threads: int
    _on_gpu = False
    _workers_entry = "astro_work"
    _after_torn_tick = TORN  # what it is in a process that was forked while another thread computed

    def __init__(
        self, library: ctypes.CDLL, threads: int, calls: tuple[AstroCall | AstroStreams, ...], *, on_gpu: bool = False
    ) -> None:
        """`calls` are the structures that name the team; a stream on a GPU does not survive a fork."""
        self.threads = threads
        self._on_gpu = on_gpu
        # Why a call is refused at the moment; "" when it is not.
        self._unavailable = ""
        self._library = library
        self._calls = calls
        self._start_team()
        _OWNERS.add(self)

    def _start_team(self) -> None:
        if self.threads == 1:
            return
        self._team = Team(self._library, self.threads, self._workers_entry)
        for call in self._calls:
            call.team = self._team.address
        self._last_act = weakref.finalize(self, _finish, self._team, weakref.ref(self))

    def _end_team(self) -> None:
        """Close the owner; its workers are gone when this returns."""
        if self._unavailable == BUSY:
            raise AstroEdgeError(BUSY)
        if self._unavailable != CLOSED and self.threads > 1:
            self._last_act.detach()
            self._team.dismiss()
            self._team.join()
        self._unavailable = CLOSED

    def _computed_by(self) -> object:
        """What stands for whose `step` or `run` computes a tick of this: for itself."""
        return self

    def _go_on_alone(self) -> None:
        """In the middle of a tick that has lost its team: the thread that computes it does so without one."""
        if self.threads > 1:
            self._last_act.detach()
            self.threads = 1
            for call in self._calls:
                call.team = None

    def _check_available(self) -> None:
        """Raise AstroEdgeError if nothing can be computed now; a forked process gets a team of its own."""
        if self._unavailable == FORKED:
            if self.threads > 1:
                self._last_act.detach()
            self._start_team()
            self._unavailable = ""
        if self._unavailable:
            raise AstroEdgeError(self._unavailable)


_OWNERS: weakref.WeakSet[TeamOwner] = weakref.WeakSet()


def _lose_threads() -> None:
    """In a forked process, which has no thread but its own: a tick that another one was computing ends never."""
    running = _owners_at_work()
    # All are looked at first: what is busy may be so because another one is.
    for owner, unavailable, by in [(owner, owner._unavailable, owner._computed_by()) for owner in list(_OWNERS)]:
        if owner._on_gpu:
            owner._unavailable = CLOSED if unavailable == CLOSED else FORKED_GPU
        elif unavailable == BUSY:
            if any(by is other for other in running):
                owner._go_on_alone()
            else:
                owner._unavailable = owner._after_torn_tick
        elif unavailable == "" and owner.threads > 1:
            owner._unavailable = FORKED


def _owners_at_work() -> list[object]:
    """Those whose `step` or `run` this thread is in: a signal's handler there may fork, and the tick goes on."""
    found: list[object] = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in ("step", "run"):
            owner = frame.f_locals.get("self")
            found += [owner._computed_by()] if isinstance(owner, TeamOwner) else []
        frame = frame.f_back
    return found


os.register_at_fork(after_in_child=_lose_threads)


def _finish(team: Team, reference: weakref.ref[TeamOwner]) -> None:
    """Dismiss the team of an owner that is gone, or that is still there while the interpreter exits.

    In that case a daemon thread may be in the middle of a tick; its team is left alone and ends with the process.
    """
    owner = reference()
    if owner is not None:
        if owner._unavailable in (BUSY, TORN):
            return
        owner._unavailable = CLOSED
    team.dismiss()

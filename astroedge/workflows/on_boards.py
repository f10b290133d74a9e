"""One thing done with a network on boards, all at once: connected, compiled for, copied, done, cleaned up."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from astroedge.errors import AstroEdgeError, DeviceError
from astroedge.workflows.board_builds import Build, make_builds
from astroedge.workflows.board_work import BoardWork
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.connection import Connection
from astroedge.workflows.devices.many_boards import ManyBoards
from astroedge.workflows.devices.remote_board import RemoteBoard

T = TypeVar("T")
Say = Callable[[Address, str], None]


@dataclass(frozen=True)
class OnBoard(Generic[T]):
    """What came of a board: which it is, what it was given, and the result."""

    address: Address
    board: RemoteBoard
    build: Build
    result: T


@dataclass(frozen=True)
class Outcomes(Generic[T]):
    """What came of the boards that did it, in the order they were named, and the errors of the others."""

    done: tuple[OnBoard[T], ...]
    failures: Mapping[Address, AstroEdgeError]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of boards that no board file names."""
        return tuple(
            f"{item.address.text} ({item.board.name}) is no board that AstroEdge has a file for; "
            f"{item.board.target.name} is the nearest target."
            for item in self.done
            if not item.board.is_known
        )

    def raise_failures(self) -> None:
        """Raise a single board's error, or one that sums up several, each of which was shown; nothing without any."""
        if not self.failures:
            return
        if len(self.done) + len(self.failures) == 1:
            raise next(iter(self.failures.values()))
        kinds = {type(error) for error in self.failures.values()}
        kind = kinds.pop() if len(kinds) == 1 else DeviceError
        names = ", ".join(address.text for address in self.failures)
        raise kind(f"{len(self.failures)} of {len(self.done) + len(self.failures)} boards failed: {names}.")


def on_boards(
    net: str | os.PathLike[str],
    addresses: Sequence[Address],
    do: Callable[[BoardWork], T],
    *,
    programs: bool = False,
    install: bool = False,
    keep: bool = False,
    python_for: str = "",
    say: Say = lambda address, line: None,
) -> Outcomes[T]:
    """Do something with a step graph or a bundle on boards; one that fails does not lose the others.

    A graph is compiled for each kind of board. The executable works where Python does not, and with `programs` besides;
    `python_for` names what Python alone can do, and a board without it fails. With `install` NumPy is sent along where
    it lacks; `keep` leaves what was sent in the board's cache, all else is removed in the end.

    Raises BundleError and GraphError for a network that cannot be used, and what is no AstroEdgeError.
    """

    def work(address: Address, connection: Connection, board: RemoteBoard, build: Build) -> T:
        prepared = BoardWork(connection, board, build, lambda line: say(address, line))
        prepared.prepare(install=install)
        result = do(prepared)
        if keep:
            prepared.keep()
        say(address, "done")
        return result

    return with_boards(net, addresses, work, programs=programs, install=install, python_for=python_for, say=say)


def with_boards(
    net: str | os.PathLike[str],
    addresses: Sequence[Address],
    work: Callable[[Address, Connection, RemoteBoard, Build], T],
    *,
    programs: bool,
    install: bool = False,
    python_for: str = "",
    say: Say,
) -> Outcomes[T]:
    """The same with connections alone, to which nothing has been copied.

    Raises BundleError and GraphError for a network that cannot be used, and what is no AstroEdgeError.
    """
    with ManyBoards(addresses, say) as boards:
        known = dict(boards.boards)
        builds = make_builds(net, boards, say, programs=programs, install=install, python_for=python_for)
        found = boards.each(lambda address, connection, board: work(address, connection, board, builds[address]))
    done = [
        OnBoard(address, known[address], builds[address], found[address]) for address in addresses if address in found
    ]
    return Outcomes(tuple(done), dict(boards.failures))

"""Profiles of one network on several boards: compiled for each, copied, verified and measured there, and removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from astroedge.errors import AstroEdgeError, DeviceError
from astroedge.runtimes.checking.verify import VerifyReport
from astroedge.step_profile import Profile
from astroedge.workflows.board_builds import Build, make_builds
from astroedge.workflows.board_work import BoardWork
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.connection import Connection
from astroedge.workflows.devices.many_boards import ManyBoards
from astroedge.workflows.devices.remote_board import RemoteBoard

Say = Callable[[Address, str], None]


@dataclass(frozen=True)
class BoardProfile:
    """One measurement: on which board, of what kind, by which program, and what its golden trace came to there."""

    address: Address
    board: RemoteBoard
    profile: Profile
    verified: VerifyReport


@dataclass(frozen=True)
class BoardProfiles:
    """All measurements in the order the boards were named, and the errors of the boards that have none or not all."""

    rows: tuple[BoardProfile, ...]
    failures: Mapping[Address, AstroEdgeError]
    notes: tuple[str, ...]


def profile_on_boards(
    net: str | os.PathLike[str],
    addresses: Sequence[Address],
    *,
    options: Mapping[str, Any],
    inputs: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    install: bool = False,
    keep: bool = False,
    say: Say = lambda address, line: None,
) -> BoardProfiles:
    """Measure a step graph or a bundle on boards, all at once; one that fails does not lose the others.

    A graph is compiled for each kind of board. By Python and NumPy where they are, and by the executable where there is
    one. `options` are those of `astroedge.profile`, `inputs` a file of arrays. With `install` NumPy is sent along where
    it lacks; `keep` leaves what was sent in the board's cache, all else is removed in the end.

    Raises BundleError, GraphError and InputError for files that cannot be used. What goes wrong on a board is among the
    `failures`.
    """
    with ManyBoards(addresses, say) as boards:
        builds = make_builds(net, boards, say)

        def measure(address: Address, connection: Connection, board: RemoteBoard) -> list[BoardProfile]:
            work = BoardWork(connection, board, builds[address], lambda line: say(address, line))
            work.prepare(inputs, install=install)
            rows = [
                BoardProfile(address, board, _on(address, board, profile), verified)
                for profile, verified in work.profiles(options, threads)
            ]
            if keep:
                work.keep()
            say(address, "done")
            return rows

        found = boards.each(measure)
    rows = tuple(row for address in addresses for row in found.get(address, ()))
    return BoardProfiles(rows, dict(boards.failures), _notes(boards, builds))


def _on(address: Address, board: RemoteBoard, profile: Profile) -> Profile:
    """The profile with the board's address in it, and its own name where its Linux shows none."""
    machine = {**profile.machine, "device": address.text}
    if machine.get("board", "unknown") == "unknown":
        machine["board"] = board.name
    return replace(profile, machine=machine)


def _notes(boards: ManyBoards, builds: Mapping[Address, Build]) -> tuple[str, ...]:
    """What a user should know of boards that no board file names."""
    return tuple(
        f"{address.text} ({board.name}) is no board that AstroEdge has a file for; {builds[address].bundle.manifest.target.name} "
        "is the nearest."
        for address, board in boards.boards.items()
        if not board.is_known and address in builds
    )


def raise_failures(failures: Mapping[Address, AstroEdgeError], asked: int) -> None:
    """Raise the error of a single board, or one that sums up several, each of which was shown; nothing without any."""
    if not failures:
        return
    first = next(iter(failures.values()))
    if asked == 1:
        raise first
    same = {type(error) for error in failures.values()}
    kind = same.pop() if len(same) == 1 else DeviceError
    raise kind(f"{len(failures)} of {asked} boards failed: {', '.join(address.text for address in failures)}.")

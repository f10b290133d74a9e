"""A network put onto boards for good: its bundle or its executable, verified there before it takes its place."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from astroedge.errors import InputError, VerificationError
from astroedge.workflows.board_builds import Build
from astroedge.workflows.board_work import BY_EXECUTABLE, BY_PYTHON, BoardWork
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.connection import Connection
from astroedge.workflows.devices.remote_board import RemoteBoard
from astroedge.workflows.on_boards import Outcomes, Say, with_boards


@dataclass(frozen=True)
class Deployed:
    """Where it is on the board, what replayed its golden trace there, the bytes it takes, and the line that runs it."""

    path: str
    by: str
    size: int
    line: str


def deploy(
    net: str | os.PathLike[str],
    addresses: Sequence[Address],
    *,
    to: str | None = None,
    executable: bool = False,
    say: Say = lambda address, line: None,
) -> Outcomes[Deployed]:
    """Put a step graph or a bundle onto boards: a graph is compiled for each kind of board.

    It is the bundle where the board's Python runs it, the executable where it does not and with `executable`. `to` is a
    path there, relative to the user's home, by default the network's name in it; a bundle or a file that is there is
    replaced in one move, and in a folder it gets the network's name.

    Raises BundleError, GraphError, and InputError for a path that cannot be one. What goes wrong on a board, a golden
    trace that differs included, is among the failures, and nothing is changed there.
    """
    if to is not None and (not to.isprintable() or to != to.strip()):
        raise InputError(f"{to!r} is no path to put something at; use one without control characters and outer spaces.")
    stem = Path(net).name.removesuffix(".onnx").removesuffix(".astro")

    def put(address: Address, connection: Connection, board: RemoteBoard, build: Build) -> Deployed:
        by = BY_EXECUTABLE if executable or (board.python.lack and build.program is not None) else BY_PYTHON
        name = stem if by == BY_EXECUTABLE else f"{stem}.astro"
        path = os.path.join(board.home or "/", (to or name).removeprefix("~/"))
        work = BoardWork(connection, board, build, lambda line: say(address, line), by)
        work.prepare(beside=path)
        for proof in work.proofs(None):
            if not proof.ok:
                raise VerificationError(f"{address.text}: {proof.text}; nothing was put there.")
        there = work.stay(by, path, name)
        say(address, "done")
        return Deployed(there, by, _size(build, by), _line(address, board, by, there))

    return with_boards(net, addresses, put, programs=executable, say=say)


def _size(build: Build, by: str) -> int:
    if by == BY_EXECUTABLE:
        return len(build.program or b"")
    return sum(len(content) for content in build.bundle.contents().values())


def _line(address: Address, board: RemoteBoard, by: str, path: str) -> str:
    """What to type here to run it there, on frames or CSV lines."""
    host = " ".join(word for word in address.words() if word != "--")
    if by == BY_EXECUTABLE:
        return f"ssh {host} {shlex.quote(path)} run --input - < frames.bin > outputs.bin"
    needs = "" if board.python.astroedge else " (once AstroEdge is installed there: pip install astroedge)"
    return f"ssh {host} python3 -m astroedge run {shlex.quote(path)} --input - < inputs.csv{needs}"

"""What boards are given to work with: somebody's bundle, or a graph compiled for each kind of board there is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astroedge.bundle.container import Bundle
from astroedge.errors import AstroEdgeError, BundleError, CompileError, IncompatibleError, TargetError
from astroedge.targets.boards.board_file import Target
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.many_boards import ManyBoards
from astroedge.workflows.devices.remote_board import RemoteBoard


@dataclass(frozen=True)
class Build:
    """What one kind of board works with; `program` is the executable, None where it could not be made, `lack` why."""

    bundle: Bundle
    program: bytes | None
    lack: str


Say = Callable[[Address, str], None]


def make_builds(net: str | os.PathLike[str], boards: ManyBoards, say: Say) -> dict[Address, Build]:
    """A build for every board that is left: the bundle in the folder `net`, or the step graph `net` compiled for it.

    A board that the bundle does not run on, or whose target the graph cannot be compiled for, is given up.

    Raises BundleError for what is neither a bundle nor a graph.
    """
    path = Path(net)
    if not path.exists():
        raise BundleError(f"{path} is not there; give a step graph (.onnx) or a bundle (.astro).")
    found: dict[str, Build | AstroEdgeError] = {}
    builds = {}
    for address, board in list(boards.boards.items()):
        kind = f"{address.text}" if path.is_dir() else board.target.name
        if kind not in found:
            say(address, f"preparing for {board.target.name}")
            found[kind] = _build(path, board, address)
        build = found[kind]
        if isinstance(build, AstroEdgeError):
            boards.fail(address, build)
        else:
            builds[address] = build
    return builds


def _build(path: Path, board: RemoteBoard, address: Address) -> Build | AstroEdgeError:
    """What a board gets, or the error that another board need not have."""
    try:
        return given_bundle(path, board, address) if path.is_dir() else _compiled(path, board.target)
    except (CompileError, TargetError, IncompatibleError) as error:
        return error


def given_bundle(path: str | os.PathLike[str], board: RemoteBoard, address: Address) -> Build:
    """A bundle for a board.

    Raises BundleError for a folder that is none, IncompatibleError where the board's processor is another.
    """
    bundle = Bundle.load(path)
    target = bundle.manifest.target
    if target.arch != board.target.arch:
        raise IncompatibleError(
            f"{address.text} is {board.target.arch} ({board.name}) and {path} is compiled for {target.name} "
            f"({target.arch}); give the step graph (.onnx), which is compiled for each board, or compile it with "
            f"--target {board.target.name}."
        )
    return Build(bundle, None, "the executable is made from a step graph (.onnx), and this is a bundle")


def _compiled(path: Path, target: Target) -> Build:
    """The graph compiled for a target."""
    from astroedge.workflows.compile_graph import compile

    return Build(compile(path, target), None, "this release makes no executables")

"""What boards are given to work with: somebody's bundle, or a graph compiled for each kind of board there is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astroedge.bundle.container import Bundle
from astroedge.errors import (
    AstroEdgeError,
    BundleError,
    CompileError,
    DeviceError,
    IncompatibleError,
    LinkError,
    TargetError,
)
from astroedge.scratch import scratch_folder
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.many_boards import ManyBoards
from astroedge.workflows.devices.remote_board import RemoteBoard
from astroedge.workflows.save_executable import save_executable

Say = Callable[[Address, str], None]


@dataclass(frozen=True)
class Build:
    """What a board works with; `program` is the executable, None where it was not made, `lack` why it cannot be."""

    bundle: Bundle
    program: bytes | None = None
    lack: str = ""


def make_builds(
    net: str | os.PathLike[str], boards: ManyBoards, say: Say, *, programs: bool, install: bool, python_for: str = ""
) -> dict[Address, Build]:
    """A build for every board that is left: the bundle in the folder `net`, or the step graph `net` compiled for it.

    With `programs` each gets an executable, else only a board whose Python runs no bundle, even if `install` sends
    NumPy along. A board that the bundle does not run on, or whose target the graph cannot be compiled for, is given up,
    and one without such a Python where `python_for` names what needs it.

    Raises BundleError for what is neither a bundle nor a graph.
    """
    path = Path(net)
    if not path.exists():
        raise BundleError(f"{path} is not there; give a step graph (.onnx) or a bundle (.astro).")
    made: dict[tuple[str, bool], Build | AstroEdgeError] = {}
    builds = {}
    for address, board in list(boards.boards.items()):
        if python_for and not board.python.works(install):
            boards.fail(address, no_python(address, board, f"{python_for} needs Python and NumPy."))
            continue
        kind = (board.target.name, programs or not board.python.works(install))
        if kind not in made:
            work = "preparing" if is_bundle(path) else "compiling"
            say(address, f"{work} for {board.target.name}")
            before = made.get((kind[0], not kind[1]))
            made[kind] = (
                before if isinstance(before, AstroEdgeError) else _make(path, board, address, before, kind[1], say)
            )
        build = made[kind]
        if isinstance(build, AstroEdgeError):
            boards.fail(address, build)
        else:
            builds[address] = build
    return builds


def is_bundle(path: Path) -> bool:
    """Whether a path is taken for a bundle, a folder or one file, and not for a step graph."""
    return path.is_dir() or path.suffix == ".astro"


def given_bundle(path: str | os.PathLike[str], board: RemoteBoard, address: Address) -> Bundle:
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
    return bundle


def no_python(address: Address, board: RemoteBoard, why: str) -> DeviceError:
    """The error of a board that lacks a Python with NumPy; `why` is a sentence about what needs it."""
    return DeviceError(
        f"{address.text} has {board.python.lack}, and {why} Install NumPy there (Debian: apt install python3-numpy), "
        "or send it along with --install."
    )


def with_program(bundle: Bundle, progress: Callable[[str], None]) -> Build:
    """A build with the executable of a bundle, or with the reason why there is none; `progress` is told of stages."""
    try:
        with scratch_folder("executable") as folder:
            save_executable(bundle, folder / "program", progress=progress)
            return Build(bundle, (folder / "program").read_bytes())
    except LinkError as error:
        return Build(bundle, lack=str(error))


def _make(
    path: Path, board: RemoteBoard, address: Address, before: Build | None, program: bool, say: Say
) -> Build | AstroEdgeError:
    """What a board gets, or the error that another board need not have; `before` is the same but for the program."""
    try:
        bundle = before.bundle if before is not None else _bundle(path, board, address)
    except (CompileError, TargetError, IncompatibleError) as error:
        return error
    return with_program(bundle, lambda line: say(address, line)) if program else Build(bundle)


def _bundle(path: Path, board: RemoteBoard, address: Address) -> Bundle:
    if is_bundle(path):
        return given_bundle(path, board, address)
    from astroedge.workflows.compile_graph import compile

    return compile(path, board.target)

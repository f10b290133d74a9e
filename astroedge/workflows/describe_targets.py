"""What the command line shows of targets: which there are, which this machine is and which it can run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from astroedge.errors import TargetError

if TYPE_CHECKING:
    from astroedge.targets.boards.gpus import Gpu
    from astroedge.targets.boards.target import Target


@dataclass(frozen=True)
class TargetSummary:
    """One shipped target: whether code for it runs on this machine, and whether this machine is that very board."""

    target: Target
    runs_here: bool
    is_this_board: bool


def summarise_targets() -> list[TargetSummary]:
    """Every shipped target, in alphabetical order."""
    from astroedge.targets.boards.target import list_targets
    from astroedge.workflows.compile_graph import runs_here

    try:
        here = detect_machine()[0]
    except TargetError:  # a machine that runs no bundle can still compile for others
        return [TargetSummary(target, False, False) for target in list_targets()]
    return [TargetSummary(target, runs_here(target), target == here) for target in list_targets()]


def target_names() -> list[str]:
    """The names of the shipped targets, in alphabetical order."""
    from astroedge.targets.boards.target import list_targets

    return [target.name for target in list_targets()]


def detect_machine() -> tuple[Target, Target]:
    """The shipped target that fits this machine best, and the "native" one made for its very processor.

    Raises TargetError on a machine that no bundle runs on.
    """
    from astroedge.targets.boards.detect import detect_board, detect_native

    return detect_board(), detect_native()


def board_to_begin_with() -> Target | None:
    """The shipped target that a board file for this machine is best begun with; None where none is needed.

    Raises TargetError on a machine that no bundle runs on.
    """
    from astroedge.targets.boards.detect import nearest_board

    return nearest_board()


def detect_gpus() -> list[Gpu]:
    """The GPUs that NVIDIA's driver shows; none where there is no driver."""
    from astroedge.targets.boards.gpus import find_gpus

    try:
        return find_gpus()
    except TargetError:
        return []


def describe_target(name: str) -> dict[str, Any]:
    """Every field of a target by name or board file, as plain values.

    Raises TargetError for an unknown name, with the nearest one, and for an invalid board file.
    """
    from astroedge.targets.boards.target import resolve_target

    return asdict(resolve_target(name))

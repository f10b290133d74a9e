"""Which board or processor this machine is; its family knows the processors, standard library only."""

from __future__ import annotations

import os
from dataclasses import replace

from astroedge.errors import TargetError
from astroedge.targets.boards.board_file import Target, shipped_boards
from astroedge.targets.families import ARCHITECTURES, architecture_of
from astroedge.targets.families.family import InstructionSet
from astroedge.targets.families.machine import Machine, this_machine


def detect_board(machine: Machine | None = None) -> Target:
    """The shipped board that a machine is, else the shipped generic target its processor can run.

    Raises TargetError for an architecture without any target, and for programs narrower than any bundle is.
    """
    machine = machine or this_machine()
    arch = _architecture(machine)
    boards = [board for board in shipped_boards().values() if board.arch == arch]
    return next((board for board in boards if _is(machine, board)), None) or _generic_target(machine)


def nearest_board(machine: Machine | None = None) -> Target | None:
    """The shipped target to begin a board file with for a machine that says its name and is no shipped board.

    It is a board with the same processor, else the generic target. None for a shipped board, and without a device tree.

    Raises TargetError as `detect_board` does.
    """
    machine = machine or this_machine()
    arch = _architecture(machine)
    boards = [board for board in shipped_boards().values() if board.arch == arch and not board.gpu]
    if not machine.model or any(_is(machine, board) for board in boards):
        return None
    native, generic = detect_native(machine), _generic_target(machine)
    alike = [board for board in boards if board.device_tree and board.cpu == native.cpu != generic.cpu]
    return min(alike, key=lambda board: abs(board.l2_bytes - native.l2_bytes), default=generic)


def detect_native(machine: Machine | None = None) -> Target:
    """A target called "native" for the very processor of a machine: its instruction set, caches and memory.

    The instruction set is what every processor of the machine has, whatever its name promises.

    Raises TargetError as `detect_board` does.
    """
    machine = machine or this_machine()
    basis = _generic_target(machine)
    generic = InstructionSet(basis.cpu, basis.features, basis.attributes)
    code = ARCHITECTURES[basis.arch].refine(generic, machine)
    model = (machine.cpuinfo("model name") or [machine.model])[0]
    return replace(
        basis,
        name="native",
        description=f"The machine that compiled: {model or code.cpu}",
        cpu=code.cpu,
        features=code.features,
        attributes=code.attributes,
        l1_bytes=machine.cache_bytes(1) or basis.l1_bytes,
        l2_bytes=machine.cache_bytes(2) or basis.l2_bytes,
        l3_bytes=machine.cache_bytes(3),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        device_tree=(),
        model_names=(),
        notes="",
    )


def _is(machine: Machine, board: Target) -> bool:
    """Whether a machine says that it is a board, and shows all that code for the board may use where it shows that."""
    names = machine.cpuinfo("model name")
    if any(text in name for text in board.model_names for name in names):
        return machine.flags.issuperset(board.features)
    return any(text in machine.model for text in board.device_tree)


def _architecture(machine: Machine) -> str:
    """The architecture of a machine's programs; refuses those that no bundle is made for."""
    arch = architecture_of(machine.arch, machine.bits)
    if arch is None and architecture_of(machine.arch, 64):
        raise TargetError(
            f"This Python is a {machine.bits}-bit program on a {machine.arch} kernel, and bundles for that are 64-bit "
            "libraries: install a 64-bit system or Python."
        )
    if arch is None:
        raise TargetError(f"This machine is {machine.arch}; bundles are compiled for {', '.join(ARCHITECTURES)}.")
    return arch


def _generic_target(machine: Machine) -> Target:
    """The shipped target for a processor that is no known board."""
    boards = shipped_boards()
    needs = {name: board.features for name, board in boards.items()}
    return boards[ARCHITECTURES[_architecture(machine)].choose_generic(machine.flags, needs)]

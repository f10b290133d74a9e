"""Which board or processor this machine is; its family knows the processors, standard library only."""

from __future__ import annotations

import os
from dataclasses import replace

from astroedge.errors import TargetError
from astroedge.targets.boards.board_file import Target, shipped_boards
from astroedge.targets.families import ARCHITECTURES
from astroedge.targets.families.family import InstructionSet
from astroedge.targets.families.machine import Machine, this_machine


def detect_board(machine: Machine | None = None) -> Target:
    """The shipped board that a machine is, else the shipped generic target its processor can run.

    Raises TargetError for an architecture without any target, and for a 32-bit Python on a 64-bit kernel.
    """
    machine = machine or this_machine()
    _check_bits(machine)
    boards = shipped_boards()
    for board in boards.values():
        if any(text in machine.model for text in board.device_tree):
            return board
    return _generic_target(machine)


def detect_native(machine: Machine | None = None) -> Target:
    """A target called "native" for the very processor of a machine: its instruction set, caches and memory.

    The instruction set is what every processor of the machine has, whatever its name promises.

    Raises TargetError as `detect_board` does.
    """
    machine = machine or this_machine()
    _check_bits(machine)
    basis = _generic_target(machine)
    generic = InstructionSet(basis.cpu, basis.features, basis.attributes)
    code = ARCHITECTURES[machine.arch].refine(generic, machine)
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
        notes="",
    )


def _check_bits(machine: Machine) -> None:
    """Refuse architectures and interpreters that no bundle runs on."""
    if machine.arch not in ARCHITECTURES:
        raise TargetError(f"This machine is {machine.arch}; bundles are compiled for {' and '.join(ARCHITECTURES)}.")
    if machine.bits != 64:
        raise TargetError(
            f"This Python is a {machine.bits}-bit program on a 64-bit kernel, as on a 32-bit Raspberry Pi OS; "
            "bundles are 64-bit libraries: install the 64-bit system image."
        )


def _generic_target(machine: Machine) -> Target:
    """The shipped target for a processor that is no known board."""
    boards = shipped_boards()
    needs = {name: board.features for name, board in boards.items()}
    return boards[ARCHITECTURES[machine.arch].choose_generic(machine.flags, needs)]

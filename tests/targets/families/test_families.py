"""Every processor family answers what is asked of one, and every shipped board has one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from astroedge.errors import TargetError
from astroedge.targets.boards.board_file import shipped_boards
from astroedge.targets.families import ARCHITECTURES, FAMILIES, family_of
from astroedge.targets.families.family import Architecture, Family, InstructionSet
from astroedge.targets.families.machine import Machine

BOARDS = shipped_boards()
NEEDS = {name: board.features for name, board in BOARDS.items()}


def members(protocol: type) -> set[str]:
    """The names that a Protocol asks for."""
    return {*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_"))}


@pytest.mark.parametrize(
    ("protocol", "thing"),
    [
        *(pytest.param(Family, family, id=name) for name, family in FAMILIES.items()),
        *(pytest.param(Architecture, architecture, id=name) for name, architecture in ARCHITECTURES.items()),
    ],
)
def test_answers_everything_that_is_asked(protocol: type, thing: Any) -> None:
    """Each member of the Protocol is there, and as many arguments as it names may be given."""
    assert {name for name in members(protocol) if not hasattr(thing, name)} == set()
    for name in members(protocol) - set(protocol.__annotations__):
        assert list(getattr(type(thing), name).__annotations__) == list(getattr(protocol, name).__annotations__)


@pytest.mark.parametrize("name", BOARDS)
def test_family_of_every_shipped_board_exists(name: str) -> None:
    """Its GPU's where it names one, and has vector registers of the board's width to compute in."""
    board = BOARDS[name]
    assert board.family in FAMILIES.values()
    assert board.family is family_of(board.arch, bool(board.gpu))
    assert (board.family is family_of(board.arch)) is not bool(board.gpu)
    assert board.family.vector_registers(board.vector_bits) >= 8


def test_nothing_is_left_that_no_board_uses() -> None:
    """Every architecture has a board, and every family computes on some board."""
    assert {board.arch for board in BOARDS.values()} == set(ARCHITECTURES)
    assert [
        name for name, family in FAMILIES.items() if all(board.family is not family for board in BOARDS.values())
    ] == []


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_generic_target_asks_least(arch: str) -> None:
    """It is shipped, and whatever runs on any other board of its architecture has all that it needs."""
    generic = BOARDS[ARCHITECTURES[arch].generic]
    assert generic.arch == arch
    assert all(set(generic.features) <= set(board.features) for board in BOARDS.values() if board.arch == arch)


@pytest.mark.parametrize("name", BOARDS)
def test_processor_with_the_flags_of_a_board_runs_what_is_chosen_for_it(name: str) -> None:
    """The generic target for the flags of a board is of its architecture and needs no others."""
    board = BOARDS[name]
    chosen = BOARDS[ARCHITECTURES[board.arch].choose_generic(frozenset(board.features), NEEDS)]
    assert chosen.arch == board.arch
    assert set(chosen.features) <= set(board.features)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_machine_that_shows_nothing_gets_the_generic_code(arch: str, tmp_path: Path) -> None:
    """What a kernel does not show is not used."""
    generic = BOARDS[ARCHITECTURES[arch].generic]
    code = InstructionSet(generic.cpu, generic.features, generic.attributes)
    assert ARCHITECTURES[arch].refine(code, Machine(arch, 64, tmp_path)) == code


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_multiply_add_has_whole_vectors(family: Family) -> None:
    """Its widths are those of int16 vectors of 128 bits and more, each with one intrinsic."""
    assert set(family.multiply_add) <= {8, 16, 32}
    assert len(set(family.multiply_add.values())) == len(family.multiply_add)


def test_board_of_no_architecture_is_refused() -> None:
    """A board cannot name a processor that no family stands for."""
    with pytest.raises(TargetError, match=f"must be {' or '.join(ARCHITECTURES)}"):
        replace(BOARDS["aarch64"], arch="sparc64", triple="sparc64-linux-gnu")

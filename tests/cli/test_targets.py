from __future__ import annotations

from pathlib import Path

import pytest

from astroedge.targets.boards.target import list_targets, resolve_target
from tests.support.command import Command


def test_every_shipped_target_is_listed(astroedge_command: Command) -> None:
    """The list has every board file, exactly one of them being this machine."""
    result = astroedge_command("targets", "list")
    assert result.code == 0
    assert all(target.name in result.out for target in list_targets())
    assert result.out.count("it is this one") == 1
    assert "native (this very machine), cuda (this machine's GPU), cuda:sm_87" in result.out


@pytest.mark.parametrize("name", ["raspberry-pi-5", "x86-64-v3", "native"])
def test_shown_target_is_a_board_file(astroedge_command: Command, tmp_path: Path, name: str) -> None:
    """What `targets show` prints can be saved, changed and compiled for."""
    path = tmp_path / "own.toml"
    path.write_text(astroedge_command("targets", "show", name).out, encoding="utf-8")
    assert resolve_target(path) == resolve_target(name)


def test_unknown_target_names_the_nearest(astroedge_command: Command) -> None:
    """A misspelt name is one line, code 30."""
    result = astroedge_command("targets", "show", "jetson-orin-nanno")
    assert result.failed_with(30), result
    assert "did you mean 'jetson-orin-nano'?" in result.err


def test_this_machine_is_detected(astroedge_command: Command) -> None:
    """The best shipped target and the instruction set of native are said."""
    result = astroedge_command("targets", "detect")
    assert result.code == 0
    assert resolve_target("native").cpu in result.out

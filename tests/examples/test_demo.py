from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from astroedge.cli import commands
from tests.support.places import ROOT


@pytest.fixture(scope="module")
def demo() -> dict[str, object]:
    """The names of the demo script, which is not run."""
    return runpy.run_path(str(ROOT / "examples" / "char_lm" / "demo.py"))


def test_every_command_of_the_demo_is_one_a_user_can_type(demo: dict, tmp_path: Path) -> None:
    """Each step's arguments are understood by the command line as it is now, and its checkpoint is there."""
    steps = demo["steps"](tmp_path, demo["CHECKPOINT"])
    assert [step.command[0] for step in steps] == [
        *("export", "compile", "compile", "compile", "verify", "eval", "run", "profile"),
    ]
    for step in steps:
        name, *arguments = step.command
        commands.commands[name].make_context(name, arguments)
    assert demo["CHECKPOINT"].is_file()


def test_what_one_step_writes_the_next_reads(demo: dict, tmp_path: Path) -> None:
    """The graph, the bundles and the two reports have one name each, all in the demo's folder."""
    steps = demo["steps"](tmp_path, demo["CHECKPOINT"])
    named = {Path(item).name for step in steps for item in step.command if item.startswith(str(tmp_path))}
    written = {"char_lm.onnx", "char_lm.astro", "char_lm-int8.astro", "char_lm-pi4.astro", demo["HELD_OUT"]}
    written |= {"verification.json", "profile.json", "profile.csv"}
    assert named == written

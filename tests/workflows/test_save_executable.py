"""Static programs of real networks on this machine, and how they come about."""

from __future__ import annotations

from pathlib import Path

import pytest

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.errors import LinkError
from astroedge.workflows.save_executable import compile_executable
from tests.support import elf
from tests.support.builds import build, build_for_teams
from tests.support.bundles import make_tiny_bundle
from tests.support.executables import call, frames_of, link_static
from tests.support.graphs import random_inputs, recurrent_net

TICKS = 500


def assert_same_bits(bundle: Bundle, program: Path, *threads: str) -> None:
    """Demand that a program gives the frames of outputs that a session with one thread gives."""
    inputs, layout = random_inputs(recurrent_net(), TICKS, seed=3), bundle.manifest.layout
    with astroedge.load(bundle, threads=1) as session:
        expected = frames_of(layout.outputs, session.run(**inputs))
    for number in threads:
        result = call(program, "run", "--threads", number, given=frames_of(layout.inputs, inputs))
        assert (result.returncode, result.stderr) == (0, b"")
        assert result.stdout == expected


def test_quantised_weights_give_the_bits_of_a_session(tmp_path: Path) -> None:
    """A network with int8 weights runs as a program to the bits it has in Python."""
    bundle = build(recurrent_net(), precision="int8")
    assert_same_bits(bundle, link_static(bundle, tmp_path / "net"), "1")


def test_a_step_is_divided_among_threads(tmp_path: Path) -> None:
    """One thread of a program and two give the bits of one in Python."""
    bundle = build_for_teams(recurrent_net())
    assert_same_bits(bundle, link_static(bundle, tmp_path / "net"), "1", "2")


def test_a_bundle_is_one_program(tmp_path: Path) -> None:
    """In memory or in a folder, a bundle gives the same bytes: its code and weights as they are, no library needed."""
    bundle = make_tiny_bundle()
    bundle.save(tmp_path / "tiny.astro")
    program = link_static(bundle, tmp_path / "first")
    content = program.read_bytes()
    assert link_static(Bundle.load(tmp_path / "tiny.astro"), tmp_path / "second").read_bytes() == content
    assert all(code in content for code in elf.code(bundle.library()))
    assert content.index(bundle.weights().tobytes()) % 64 == 0
    assert elf.section(content, 6) == b""
    assert program.stat().st_mode & 0o777 == 0o755
    assert call(program, "verify").returncode == 0


def test_what_cannot_be_a_program_is_refused_before_it_is_compiled(tmp_path: Path) -> None:
    """Fast math, a GPU's step and a place where no file can be are told at once."""
    with pytest.raises(LinkError, match="exact math"):
        compile_executable(tmp_path / "net", "no graph", math="fast")
    with pytest.raises(LinkError, match="GPU"):
        compile_executable(tmp_path / "net", "no graph", "cuda:sm_87")
    with pytest.raises(IsADirectoryError, match="folder"):
        compile_executable(tmp_path, "no graph")
    with pytest.raises(FileNotFoundError, match="to write the program into"):
        compile_executable(tmp_path / "none" / "net", "no graph")
    with pytest.raises(LinkError, match="exact math"):
        astroedge.save_executable(build(recurrent_net(), math="fast"), tmp_path / "net")
    assert list(tmp_path.iterdir()) == []

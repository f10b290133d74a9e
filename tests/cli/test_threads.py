"""`--threads`, which run, verify and profile take."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import make_tiny_bundle
from tests.support.command import Command
from tests.support.teams import proven_team_bundle, stirred


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A step that threads can divide, with its golden trace."""
    folder = tmp_path_factory.mktemp("stirred") / "stirred.astro"
    proven_team_bundle().save(folder)
    return folder


@pytest.mark.parametrize("threads", ["1", "3"])
def test_run_gives_the_same_numbers(astroedge_command: Command, bundle: Path, tmp_path: Path, threads: str) -> None:
    """The outputs of a file of inputs do not depend on the threads."""
    inputs = np.arange(20)[:, None]
    np.save(tmp_path / "x.npy", inputs)
    source, target = tmp_path / "x.npy", tmp_path / "y.npy"
    result = astroedge_command("run", bundle, "--input", str(source), "--output", target, "--threads", threads)
    assert (result.code, result.err) == (0, "")
    assert np.array_equal(np.load(target).view(np.uint64), stirred(inputs)[0])


def test_verify_proves_the_bits_of_a_team(astroedge_command: Command, bundle: Path) -> None:
    """The golden trace, which one thread made, is replayed by three."""
    result = astroedge_command("verify", bundle, "--threads", "3")
    assert result.code == 0
    assert result.out.count("equal") == 4


def test_profile_says_how_many_threads_it_measured(astroedge_command: Command, bundle: Path, tmp_path: Path) -> None:
    """On the screen and in the file."""
    result = astroedge_command("profile", bundle, "--steps", "20", "--threads", "2", "--json", str(tmp_path / "p.json"))
    assert result.code == 0
    assert "2 threads" in result.out
    assert json.loads((tmp_path / "p.json").read_text())["threads"] == 2


@pytest.mark.parametrize("command", ["run", "verify", "profile"])
def test_impossible_threads_are_refused(astroedge_command: Command, bundle: Path, tmp_path: Path, command: str) -> None:
    """More than there can be is an input error, and so is a second thread for a small step; zero is wrong usage."""
    make_tiny_bundle().save(tmp_path / "tiny.astro")
    assert astroedge_command(command, bundle, "--threads", "65").failed_with(60)
    assert astroedge_command(command, tmp_path / "tiny.astro", "--threads", "2").failed_with(60)
    assert astroedge_command(command, bundle, "--threads", "0").code == 2

"""The C host's Makefile finds what it needs wherever the package lies."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker
from tests.support.c_host import ABI, SOURCES


def installed(folder: Path) -> Path:
    """The C host's folder, copied to where an installed package has it."""
    shutil.copytree(ABI, folder / "astroedge" / "abi")
    return Path(shutil.copytree(SOURCES, folder / "astroedge" / "runtimes" / "c"))


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("place", ["checkout", "installed"])
def test_make_builds_the_host(tmp_path: Path, place: str) -> None:
    """`make` builds astro-run without a warning, in the checkout and where pip put the package."""
    folder = SOURCES if place == "checkout" else installed(tmp_path)
    compiler = " ".join(find_linker(resolve_target("native")).command)
    command = ["make", "-C", str(folder), f"BUILD={tmp_path}", f"CC={compiler}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert subprocess.run([tmp_path / "astro-run"], capture_output=True, check=False).returncode == 2

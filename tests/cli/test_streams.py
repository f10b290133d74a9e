"""A process whose standard streams or working directory are not what a shell gives it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from astroedge.cli import main
from tests.support.bundles import make_tiny_bundle
from tests.support.command import Command
from tests.support.places import ROOT


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle."""
    folder = tmp_path_factory.mktemp("streams") / "tiny.astro"
    make_tiny_bundle().save(folder)
    return folder


def _shell(script: str, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """A shell script in which $0 stands for `python -m astroedge` and $1 … for the arguments."""
    command = ["bash", "-c", script.replace("astroedge", f"{sys.executable} -m astroedge"), "-", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(command, check=False, capture_output=True, env=environment, timeout=120)


def test_closed_streams_are_empty_ones(bundle: Path, tmp_path: Path) -> None:
    """Nothing is read, nothing is printed, and no message lands in a file that got a stream's number."""
    made = tmp_path / "made.json"
    result = _shell('astroedge verify "$1" --json "$2" <&- >&- 2>&-', bundle, made)
    assert result.returncode == 0
    assert made.read_bytes()[:1] == b"{"
    assert made.read_bytes()[-2:] == b"}\n"
    result = _shell('astroedge run "$1" --input - <&-', bundle)
    assert (result.returncode, result.stdout.count(b"\n")) == (0, 1), result.stderr


def test_bytes_that_are_no_text_on_standard_input_are_one_line(bundle: Path) -> None:
    """They are told from numbers."""
    result = _shell('printf "\\xff\\xfe,1\\n" | astroedge run "$1" --input -', bundle)
    assert result.returncode == 60
    assert result.stderr.startswith(b"Error: standard input, line 1: ")
    assert result.stderr.count(b"\n") == 1


def test_a_removed_working_directory_is_one_line(bundle: Path, tmp_path: Path) -> None:
    """Packages would end the process where there is none."""
    (tmp_path / "gone").mkdir()
    result = _shell('cd "$2" && rmdir "$2" && astroedge verify "$1"', bundle, tmp_path / "gone")
    assert result.returncode == 1
    assert result.stderr == b"Error: working directory: it was removed; change to a folder that is there.\n"


def test_names_of_any_bytes_do_in_a_locale_without_them(bundle: Path, tmp_path: Path) -> None:
    """LC_ALL=C with and without Python's own remedies: files are found, and their names are shown as they can be."""
    folder = tmp_path / "größe \udcff"
    folder.mkdir()
    (folder / "tiny.astro").symlink_to(bundle)
    for variables in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}):
        result = _shell('astroedge verify "$1/tiny.astro" && astroedge verify "$1/none"', folder, **variables)
        assert result.returncode == 50, result.stderr
        assert result.stderr.startswith(b"Error: ")
        assert result.stderr.count(b"\n") == 1


def test_a_name_with_a_line_break_is_one_line(astroedge_command: Command, tmp_path: Path) -> None:
    """Of errors of the system and of wrong usage alike."""
    result = astroedge_command("profile", tmp_path, "--input", "zwei\nzeilen.npy")
    assert result.err.count("\n") == 1
    (tmp_path / "a\nb.npy").mkdir()
    for line in (("verify", "\n", "--no\nsuch"), ("run", "a", "--input", tmp_path / "a\nb.npy"), ("no\nsuch",)):
        result = astroedge_command(*line)
        assert result.code != 0
        assert result.err.splitlines()[-1].startswith("Error: "), result.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_standard_error_that_takes_nothing_keeps_the_code(tmp_path: Path) -> None:
    """The exit code tells what cannot be printed."""
    result = _shell('astroedge verify "$1" 2>/dev/full', tmp_path)
    assert result.returncode == 50


def test_main_can_be_called_with_streams_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python has them where they were closed."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["targets", "list"]) == 0

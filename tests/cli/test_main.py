from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astroedge import __version__, errors
from astroedge.cli import main
from astroedge.cli.shared.display import duration, percent, size
from tests.conftest import Compiled
from tests.support.command import Command
from tests.support.interpreters import packages_loaded_by, run_with_only
from tests.support.places import ROOT

COMMANDS = (
    *("export", "compile", "run", "verify", "eval", "profile", "deploy", "report", "inspect", "view", "targets"),
    *("zoo", "doctor"),
)
BASE = ("numpy", "click", "rich", "psutil", "tomli", "pygments", "markdown_it", "mdurl")


def test_help_lists_the_commands_in_the_order_of_the_pipeline(astroedge_command: Command) -> None:
    """Help names every command with a whole sentence."""
    result = astroedge_command("--help")
    assert result.code == 0
    lines = [line for line in result.out.partition("Commands:")[2].splitlines() if line]
    assert tuple(line.split()[0] for line in lines) == COMMANDS
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


@pytest.mark.parametrize("group", [(), ("targets",)])
def test_a_group_without_a_command_shows_its_help(astroedge_command: Command, group: tuple[str, ...]) -> None:
    """`astroedge` alone is how people look around: the help, line by line, and no error."""
    bare = astroedge_command(*group)
    assert (bare.out + bare.err).splitlines() == astroedge_command(*group, "--help").out.splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(astroedge_command: Command, command: str) -> None:
    """`COMMAND --help` works without anything being imported or there."""
    result = astroedge_command(command, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: astroedge {command}")


def test_version_and_wrong_usage(astroedge_command: Command) -> None:
    """The version is the package's; an unknown command is a usage error, code 2."""
    assert __version__ in astroedge_command("--version").out
    result = astroedge_command("comple")
    assert result.code == 2
    assert "No such command 'comple'" in result.err


def test_help_imports_nothing_heavy() -> None:
    """Help needs click and nothing else: not even NumPy is loaded."""
    loaded = packages_loaded_by("import astroedge.cli; astroedge.cli.main(['--help'])")
    assert loaded & {"numpy", "rich", "psutil", "torch", "onnx", "onnxruntime", "tvm"} == set()


def test_module_runs_as_the_script_does() -> None:
    """`python -m astroedge` is the same command line."""
    command = [sys.executable, "-m", "astroedge", "targets", "show", "raspbery-pi-4"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == errors.TargetError.exit_code
    assert result.stderr.startswith("Error: There is no target 'raspbery-pi-4'")


@pytest.mark.parametrize(
    "line",
    [("run", "--input", "x.npy"), ("verify",), ("profile", "--steps", "5"), ("inspect",)],
    ids=" ".join,
)
def test_device_commands_need_the_base_packages_only(
    compiled: Callable[[str], Compiled], tmp_path: Path, line: tuple[str, ...]
) -> None:
    """What a device does with a bundle works where neither torch nor onnx nor TVM is installed."""
    np.save(tmp_path / "x.npy", np.zeros((3, 1, 20), np.float32))
    arguments = [line[0], str(compiled("recurrent_net").bundle), *line[1:]]
    arguments = [str(tmp_path / item) if item == "x.npy" else item for item in arguments]
    result = run_with_only(BASE, f"from astroedge.cli import main; sys.exit(main({arguments!r}))")
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_host_command_on_a_device_names_the_extra(compiled: Callable[[str], Compiled]) -> None:
    """Compiling where onnx is not installed is one line that says what to install, code 3."""
    arguments = ["compile", str(compiled("recurrent_net").graph), "-o", "never.astro"]
    result = run_with_only(BASE, f"from astroedge.cli import main; sys.exit(main({arguments!r}))")
    assert result.returncode == errors.MissingDependencyError.exit_code
    assert 'pip install "astroedge[host]"' in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_terminal_without_unicode_gets_question_marks() -> None:
    """Tables are printed whatever characters the terminal knows."""
    command = [sys.executable, "-m", "astroedge", "targets", "list"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert "4 ? Cortex-A72" in result.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_behind_standard_output_is_one_line(unbuffered: str) -> None:
    """What cannot be printed is an error, not a silence or a traceback, whether Python holds output back or not."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "astroedge", "targets", "detect"]
        result = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment
        )
    assert (result.returncode, result.stderr) == (1, "Error: No space left on device.\n")


def test_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What nobody raised on purpose is not turned into a line that explains nothing."""
    monkeypatch.setattr("astroedge.workflows.inspect_step.open_step", lambda path: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["inspect", str(tmp_path)])


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_940, "99.9 kB"), (1_690_000, "1.7 MB")]
)
def test_sizes_read_well(count: int, text: str) -> None:
    """Powers of 1000, one digit after the point below 100."""
    assert size(count) == text


def test_a_device_that_refuses_is_named(compiled: Callable[[str], Compiled], astroedge_command: Command) -> None:
    """An output that is written through and fails says where."""
    bundle = compiled("recurrent_net").bundle
    result = astroedge_command("profile", str(bundle), "--steps", "3", "--csv", "/dev/full")
    assert result.code == 1
    assert "/dev/full" in result.err.splitlines()[-1]


@pytest.mark.parametrize(("value", "text"), [(0.0, "0 %"), (0.0123, "1.2 %"), (0.153, "15 %"), (1.0, "100 %")])
def test_percentages_read_well(value: float, text: str) -> None:
    """Two digits."""
    assert percent(value) == text


@pytest.mark.parametrize(("value", "text"), [(350, "350 ns"), (12_345, "12.3 µs"), (1.2e9, "1.2 s")])
def test_durations_read_well(value: float, text: str) -> None:
    """Three digits and the fitting unit."""
    assert duration(value) == text

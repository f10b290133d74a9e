"""Three boards on this machine, and one command that measures the example language model on all: `make demo-boards`.

An SSH server on the loopback plays a board without Python, one with Python and NumPy, and a Raspberry Pi 4 whose
programs QEMU runs, so that its times are the emulator's.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from astroedge.cli import main
from astroedge.targets.link.static_runtime import CACHE
from tests.support.arm_board import arm_shell
from tests.support.places import ROOT
from tests.support.ssh_boards import bare_tools, python_tools, ssh_boards

CHECKPOINT = ROOT / "examples" / "char_lm" / "astrosnn.safetensors"


def demo() -> int:
    """Export the model, start the boards, and profile; the exit code of the first command that fails."""
    os.environ.setdefault(CACHE, str(ROOT / "build" / "static-runtime"))
    with TemporaryDirectory(prefix="astroedge-boards-") as name, ssh_boards(Path(name) / "boards") as boards:
        folder = boards.folder
        os.environ["PATH"] = f"{boards.program}:{os.environ['PATH']}"
        boards.add("no-python", "sh -c", PATH=bare_tools(folder / "bare-tools"))
        boards.add("with-python", "sh -c", PATH=python_tools(folder / "python-tools"))
        boards.add("raspberry-pi", arm_shell(folder / "raspberry-pi"), PATH="/bin")
        graph = str(Path(name) / "char_lm.onnx")
        devices = [word for board in boards.boards for word in ("--device", board)]
        return _run("export", str(CHECKPOINT), "--name", "char_lm", "-o", graph) or _run("profile", graph, *devices)


def _run(*words: str) -> int:
    click.echo(f"\n$ astroedge {shlex.join(words)}\n")
    return main(words)


if __name__ == "__main__":
    sys.exit(demo())

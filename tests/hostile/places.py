"""Commands where HOME, the caches and the temporary folder are missing, unset, no folder or not to be written.

    python -m tests.hostile.places

prints a line of JSON for each command in all surroundings: how it ended, as `attempts` tells it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.hostile.attempts import WARM, attempt, warm
from tests.support.stranger import become_stranger

MODEL = """
import torch
from tests.support.hidden_state_models import BufferLIF

def net():
    return BufferLIF(8, 8).eval(), (torch.ones(1, 8),)
"""
COMMANDS = (
    ("export", "model.py:net", "-o", "made.onnx", "--check-ticks", "5"),
    ("compile", "made.onnx", "-o", "made.astro", "--check-ticks", "5"),
    ("verify", "made.astro"),
    ("run", "made.astro", "--input", "x.npy"),
    ("profile", "made.astro", "--steps", "5"),
)
NAMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR", "TEMP", "TMP", "USER", "LOGNAME")
NOTHING = "/proc/nothing"


def main() -> None:
    """Run every command in all surroundings."""
    warm([name for name in WARM if name != "tvm"])  # which asks for HOME when it is imported: once without
    with TemporaryDirectory(prefix="astroedge-places-") as name:
        folder = Path(name).resolve()
        _furnish(folder)
        for surroundings, prepare in _surroundings(folder).items():
            for command in COMMANDS:
                found = attempt(command, folder, prepare=prepare)
                print(json.dumps([surroundings, command[0], found.kind, found.text[:200]]), flush=True)
            warm(["tvm"])


def _surroundings(folder: Path) -> dict[str, Callable[[], None]]:
    """What a child does before it is the command, by name."""
    file, closed = str(folder / "file"), str(folder / "closed")

    def no_temporary_files() -> None:
        _set(HOME=NOTHING)
        tempfile.tempdir = NOTHING  # else /tmp would do

    return {
        "unset": _set,
        "no folder": lambda: _set(HOME=file, XDG_CACHE_HOME=NOTHING, TMPDIR=f"{file}/below"),
        "closed": lambda: _set(HOME=closed, XDG_CACHE_HOME=f"{closed}/new", TMPDIR=closed),
        "no temporary files": no_temporary_files,
    }


def _set(**values: str) -> None:
    """Give these variables of NAMES and no others, to a user whom nobody knows."""
    for name in NAMES:
        os.environ.pop(name, None)
    os.environ.update(values)
    tempfile.tempdir = None
    become_stranger()


def _furnish(folder: Path) -> None:
    """A model and an input; a file and a folder that nobody writes to."""
    (folder / "model.py").write_text(MODEL)
    np.save(folder / "x.npy", np.ones((3, 1, 8), np.float32))
    (folder / "file").touch()
    (folder / "closed").mkdir(mode=0o555)
    folder.chmod(0o777)
    _export_here()


def _export_here() -> None:
    """Have PyTorch import what it does for an export, for all children at once."""
    import torch

    import astroedge
    from tests.support.hidden_state_models import BufferLIF

    torch.set_num_threads(1)  # the children of a process with threads could wait for them for ever
    astroedge.export(BufferLIF(8, 8).eval(), torch.ones(1, 8), check_ticks=1)


if __name__ == "__main__":
    main()

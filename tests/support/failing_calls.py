"""Calls on files that fail or kill, for programs that preload tests/support/failing_calls.c."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker, run_compiler

SOURCE = Path(__file__).with_name("failing_calls.c")
LIBRARY = "failing_calls.so"
KILL = 0
"""In place of an errno: the process is killed."""


def preload(module: str) -> None:
    """Start the program `python -m module` again with the library before the C library, unless it is there."""
    if LIBRARY in os.environ.get("LD_PRELOAD", ""):
        return
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        options = ["-shared", "-fPIC", "-O1", str(SOURCE), "-o", LIBRARY, "-ldl"]
        run_compiler(find_linker(resolve_target("native")), options, Path(name))
        environment = os.environ | {"LD_PRELOAD": str(Path(name) / LIBRARY)}
        command = [sys.executable, "-m", module, *sys.argv[1:]]
        raise SystemExit(os.spawnve(os.P_WAIT, sys.executable, command, environment))


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.fail_at.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)
    library.failed_call.restype = ctypes.c_char_p
    library.calls_made.restype = ctypes.c_long
    return library


def fail_at(folder: Path, call: int, error: int) -> None:
    """From here on, in this process and its forks, the call of this number on files of the folder fails; 0 for none."""
    _library().fail_at(bytes(folder), call, error, 0)


def calls_made() -> int:
    """How many calls there were since, in a child too."""
    return int(_library().calls_made())


def failed_call() -> str:
    """The name of the call that failed, empty where none did."""
    return bytes(_library().failed_call()).decode()

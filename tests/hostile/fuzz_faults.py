"""Files that fail: each call on a file, of each command that writes, ends with EIO, ENOSPC or EACCES, or with a kill.

A command that fails says one line and leaves what was there before, and nothing else. One that is killed leaves the old
or the new, whole.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from astroedge.bundle.container import Bundle
from astroedge.errors import AstroEdgeError
from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import find_linker, run_compiler
from tests.hostile.attempts import Attempt, attempt, warm
from tests.hostile.fuzz_command_lines import furnish
from tests.hostile.tally import Tally, run_alone
from tests.support.places import ROOT

COUNT = 1500
LIBRARY = "failing_calls.so"
ERRORS = {0: "a kill", **{number: errno.errorcode[number] for number in (errno.EIO, errno.ENOSPC, errno.EACCES)}}
CLEANING = ("unlink", "rmdir")  # what fails to be removed stays
MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.v = nn.Linear(8, 8), 0.0

    def forward(self, x):
        self.v = 0.5 * self.v + self.fc(x)
        return (self.v > 0.1).float()

def make():
    return Net().eval(), (torch.ones(1, 8),)
"""
QUICK = (
    ("run", "tiny.astro", "--input", "ticks.npz", "--output", "made.npz"),
    ("verify", "tiny.astro", "--json", "made.json"),
    ("inspect", "tiny.astro", "--json", "made.json"),
    ("inspect", "net.onnx", "--json", "made.json"),
    ("profile", "tiny.astro", "--steps", "2", "--csv", "made.csv", "--json", "made.json"),
    ("eval", "tiny.astro", "--data", "sequences.npz", "--labels", "labels.npy", "--json", "made.json"),
)
SLOW = (
    ("export", "net.py:make", "-o", "made.onnx", "--sequence", "--check-ticks", "5"),
    ("compile", "net.onnx", "--precision", "int8", "-o", "made.astro", "--check-ticks", "5"),
)


def fuzz(count: int, seed: int, commands: Sequence[Sequence[str]] = (*QUICK, *SLOW)) -> list[Tally]:
    """Try so many faults, drawn among all calls of all commands; more than there are tries each once."""
    warm()
    tally = Tally("failing files")
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        folder = Path(name).resolve()
        os.environ["TMPDIR"] = str(folder / "tmp")
        _furnish(folder)
        cases = [
            (line, call, error) for line in commands for call in range(1, _calls(line, folder) + 1) for error in ERRORS
        ]
        random.Random(seed).shuffle(cases)
        for line, call, error in cases[:count]:
            found = _one(line, call, error, folder)
            case = f"{' '.join(line)}: call {call} ({_library().failed_call().decode()}) meets {ERRORS[error]}"
            tally.add(case, found)
            _clear(folder)
    return [tally]


def _furnish(folder: Path) -> None:
    furnish(folder)
    (folder / "fifo").unlink()
    (folder / "net.py").write_text(MODEL)
    (folder / "tmp").mkdir()
    import numpy as np

    np.save(folder / "labels.npy", np.arange(1))
    old = attempt(("compile", "net.onnx", "--precision", "int4", "-o", "made.astro"), folder)
    assert old.kind == "done", old
    (folder / "old").mkdir()
    for path in folder.glob("made*"):
        path.rename(folder / "old" / path.name)
    _clear(folder)


def _clear(folder: Path) -> None:
    """As before: no output but the old pair, nothing temporary."""
    for path in (*folder.glob("made*"), *folder.glob(".made*"), *folder.glob("tmp/*"), *folder.glob(".*.part")):
        _remove(path)
    for path in (folder / "old").rglob("*"):
        copy = folder / path.relative_to(folder / "old")
        copy.mkdir() if path.is_dir() else copy.write_bytes(path.read_bytes())


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            _remove(inner)
        path.rmdir()
    else:
        path.unlink()


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.fail_at.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)
    library.failed_call.restype = ctypes.c_char_p
    library.calls_made.restype = ctypes.c_long
    return library


def _calls(line: Sequence[str], folder: Path) -> int:
    """How many calls on files of the folder a command makes."""
    found = attempt(line, folder, prepare=lambda: _library().fail_at(bytes(folder), 0, 0, 0))
    assert found.kind == "done", (line, found)
    _clear(folder)
    made: int = _library().calls_made()
    assert made, line
    return made


def _one(line: Sequence[str], call: int, error: int, folder: Path) -> Attempt:
    found = attempt(line, folder, prepare=lambda: _library().fail_at(bytes(folder), call, error, 0))
    if error == 0 and found.kind == "crash" and "signal 9" in found.text:
        found = Attempt("killed", "")
    cleaning = _library().failed_call().decode() in CLEANING
    if found.kind == "leftover" and cleaning:
        found = Attempt("refused", found.text)
    damage = next(_damage(folder), None)
    return found if damage is None else Attempt("leftover", f"{damage} after {found}")


def _damage(folder: Path) -> Iterator[str]:
    """What is neither the old nor the new: a bundle in parts, a graph cut short."""
    try:
        Bundle.load(folder / "made.astro").check()
        StepGraph.load(folder / "made.dequantised.onnx")
        for path in folder.glob("made.onnx"):
            StepGraph.load(path)
    except AstroEdgeError as error:
        yield str(error)


def _preloaded() -> None:
    """Start this program again with the library in front of the C library's calls, unless it is there."""
    if LIBRARY in os.environ.get("LD_PRELOAD", ""):
        return
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        source = str(ROOT / "tests" / "support" / "failing_calls.c")
        options = ["-shared", "-fPIC", "-O1", source, "-o", LIBRARY, "-ldl"]
        run_compiler(find_linker(resolve_target("native")), options, Path(name))
        command = [sys.executable, "-m", "tests.hostile.fuzz_faults", *sys.argv[1:]]
        environment = os.environ | {"LD_PRELOAD": str(Path(name) / LIBRARY)}
        raise SystemExit(os.spawnve(os.P_WAIT, sys.executable, command, environment))


if __name__ == "__main__":
    _preloaded()
    run_alone(fuzz, COUNT)

"""Files that fail: each call on a file, of each command that writes, ends with EIO, ENOSPC or EACCES, or with a kill.

A command that fails says one line and leaves what was there before, and nothing else. One that is killed leaves the old
or the new, whole.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from astroedge.bundle.container import Bundle
from astroedge.errors import AstroEdgeError
from astroedge.step.graph import StepGraph
from tests.hostile.attempts import Attempt, attempt, warm
from tests.hostile.fuzz_command_lines import furnish
from tests.hostile.tally import Tally, run_alone
from tests.support.failing_calls import KILL, calls_made, fail_at, failed_call, preload

COUNT = 200
SMALL = 100  # attempts, below which the commands that take seconds are left out
ERRORS = {KILL: "a kill", **{number: errno.errorcode[number] for number in (errno.EIO, errno.ENOSPC, errno.EACCES)}}
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


def fuzz(count: int, seed: int) -> list[Tally]:
    """Try so many faults, drawn among all calls of all commands; more than there are tries each once."""
    commands = QUICK if count < SMALL else (*QUICK, *SLOW)
    warm()
    tally = Tally("failing files")
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        folder = Path(name).resolve()
        os.environ["TMPDIR"] = str(folder / "tmp")
        _furnish(folder)
        if count >= SMALL:
            _make_old_pair(folder)
        cases = [
            (line, call, error) for line in commands for call in range(1, _calls(line, folder) + 1) for error in ERRORS
        ]
        random.Random(seed).shuffle(cases)
        for line, call, error in cases[:count]:
            found = _one(line, call, error, folder)
            case = f"{' '.join(line)}: call {call} ({failed_call()}) meets {ERRORS[error]}"
            tally.add(case, found)
            _clear(folder)
    return [tally]


def _furnish(folder: Path) -> None:
    furnish(folder)
    (folder / "fifo").unlink()
    (folder / "net.py").write_text(MODEL)
    (folder / "tmp").mkdir()
    np.save(folder / "labels.npy", np.arange(1))


def _make_old_pair(folder: Path) -> None:
    """What the compiled bundle and its reference take the place of."""
    old = attempt(("compile", "net.onnx", "--precision", "int4", "-o", "made.astro"), folder)
    assert old.kind == "done", old
    (folder / "old").mkdir()
    for path in folder.glob("made*"):
        path.rename(folder / "old" / path.name)
    _clear(folder)


def _clear(folder: Path) -> None:
    """As before: no output but the old pair, nothing temporary."""
    for path in (*folder.glob("made*"), *folder.glob(".made*"), *folder.glob("tmp/*")):
        _remove(path)
    for path in sorted((folder / "old").rglob("*")):
        copy = folder / path.relative_to(folder / "old")
        copy.mkdir() if path.is_dir() else copy.write_bytes(path.read_bytes())


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            _remove(inner)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _calls(line: Sequence[str], folder: Path) -> int:
    """How many calls on files of the folder a command makes."""
    found = attempt(line, folder, prepare=lambda: fail_at(folder, 0, KILL))
    assert found.kind == "done", (line, found)
    _clear(folder)
    assert calls_made(), line
    return calls_made()


def _one(line: Sequence[str], call: int, error: int, folder: Path) -> Attempt:
    found = attempt(line, folder, prepare=lambda: fail_at(folder, call, error))
    if error == KILL and found.kind == "crash" and "signal 9" in found.text:
        found = Attempt("killed", "")
    if found.kind == "leftover" and failed_call() in (*CLEANING, *(("rename",) if _writes_two(line) else ())):
        found = Attempt("refused", found.text)
    damage = next(_damage(folder), None)
    return found if damage is None else Attempt("leftover", f"{damage} after {found}")


def _writes_two(line: Sequence[str]) -> bool:
    """Whether a command moves two files to their places, so that one is new when the move of the other fails."""
    return bool({"--sequence", "--csv", "--precision"} & set(line))


def _damage(folder: Path) -> Iterator[str]:
    """What is neither the old nor the new: a bundle in parts, a graph cut short."""
    try:
        for path in folder.glob("made.astro"):
            Bundle.load(path).check()
        for path in (*folder.glob("made.onnx"), *folder.glob("made.dequantised.onnx")):
            StepGraph.load(path)
    except AstroEdgeError as error:
        yield str(error)


if __name__ == "__main__":
    preload("tests.hostile.fuzz_faults")
    run_alone(fuzz, COUNT)

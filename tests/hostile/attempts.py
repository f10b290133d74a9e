"""One command line in a child process, and how it ended: the fuzzers' only judge.

A command may succeed, or refuse in one line with an exit code of ours. All else is a fault: a traceback, a signal, no
end, several lines or none, and files that a refusal leaves behind.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from astroedge import errors

FAULTS = ("traceback", "crash", "hang", "lines", "leftover", "silence", "accepted")
CODES = {1, 2, *(kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code"))}
SECONDS = 60  # of a processor
WAITED = 10 * SECONDS  # where others have the processor
MEMORY = 16 << 30
# What commands import when they run; imported once here, a child has it at once.
WARM = ("numpy", "onnx", "onnxruntime", "torch", "h5py", "safetensors.torch", "rich.table", "tvm")
LONGEST = 1000


@dataclass(frozen=True)
class Attempt:
    """How a command line ended: `kind` is "done", "refused" or one of FAULTS; `text` is what it said of it."""

    kind: str
    text: str

    @property
    def is_fault(self) -> bool:
        """Whether no command may end so."""
        return self.kind in FAULTS


def warm(modules: Sequence[str] = WARM) -> None:
    """Import what children would import each for itself."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    for name in ("astroedge.cli", *modules):
        importlib.import_module(name)
    gc.freeze()  # so that a child's collector need not touch, and copy, all that


def attempt(
    arguments: Sequence[str],
    folder: Path,
    stdin: bytes = b"",
    prepare: Callable[[], object] = lambda: None,
) -> Attempt:
    """Run `astroedge` with these arguments in a folder, in a forked child; what it leaves there on failure counts.

    `prepare` is called in the child before.
    """
    before = _listing(folder)
    said = {number: os.memfd_create("said") for number in (1, 2)}
    given = os.memfd_create("given")
    os.write(given, stdin)
    os.lseek(given, 0, os.SEEK_SET)
    child = os.fork()
    if child == 0:
        _be_command(list(arguments), folder, given, said, prepare)
    try:
        status = _wait(child)
        out, err = (_content(said[number]) for number in (1, 2))
    finally:
        for descriptor in (given, *said.values()):
            os.close(descriptor)
    return _judge(status, out, err, sorted(_listing(folder) ^ before))


def _be_command(
    arguments: list[str], folder: Path, given: int, said: dict[int, int], prepare: Callable[[], object]
) -> None:
    """The child: never returns. Code 254 stands for a traceback."""
    code = 254
    try:
        os.chdir(folder)
        for number, descriptor in ((0, given), *said.items()):
            os.dup2(descriptor, number)
        sys.stdin = io.TextIOWrapper(io.FileIO(0), errors="surrogateescape")
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w"), write_through=True) for number in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        from astroedge.cli import main

        prepare()
        code = main(arguments)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _wait(child: int) -> int | None:
    """The child's status; None when it took too long."""
    handle = os.pidfd_open(child)
    try:
        ended = bool(select.select([handle], [], [], WAITED)[0])
        if not ended:
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status if ended and status != -signal.SIGXCPU else None
    finally:
        os.close(handle)


def _judge(status: int | None, out: str, err: str, changed: list[str]) -> Attempt:
    lines = [line for line in err.splitlines() if not line.startswith("…")]
    if status is None:
        return Attempt("hang", err[-LONGEST:])
    if status < 0:
        return Attempt("crash", f"signal {-status}: {err[-LONGEST:]}")
    if status not in CODES | {0} or "Traceback (most recent call last)" in err:
        return Attempt("traceback", err[-2 * LONGEST :])
    if status == 0:
        return Attempt("done", out[:LONGEST])
    if changed:
        return Attempt("leftover", f"{changed}: {err[-LONGEST:]}")
    if status == 2 and lines[:1] and lines[0].startswith("Usage: "):
        lines = lines[-1:]
    if len(lines) != 1 or not lines[0].startswith("Error: ") or not lines[0].isprintable():
        return Attempt("lines" if lines else "silence", f"code {status}: {err[-LONGEST:]}")
    return Attempt("refused", f"{status} {lines[0]}")


def _listing(folder: Path) -> set[tuple[str, str]]:
    """Every file of a folder with the digest of its content; of a FIFO and a link the name alone."""
    return {
        (str(path.relative_to(folder)), sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def _content(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode("utf-8", "replace")

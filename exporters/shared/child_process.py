"""Run something in a forked child, so that a crash is an error message and the caller's objects stay as they are.

Tracing calls the user's `forward` with made-up tensors; some code (`x.data`, for one) makes PyTorch crash there. A
fork is used rather than a fresh process because models need not be picklable: the child simply has them. What the
child does to the model, to random number generators or to anything else in memory is gone with it.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import pickle
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import torch

from astroedge.errors import ExportError
from astroedge.exporters.shared.library_code import is_library_file, is_own_file

Result = TypeVar("Result")
RESULT, LOG, STAGE = "result", "log", "stage"
LOOK = 0.5  # seconds between two looks at what a child is at


def run_in_child(
    work: Callable[[], Result], scratch: Path, progress: Callable[[str], None] = lambda stage: None
) -> Result:
    """Call `work` in a forked child process and return what it returns; `scratch` is a folder for the way back.

    `progress` is told what `tell_stage` says there, where the child takes long enough for that to be seen.

    The result comes back pickled, and so does an exception, which is raised here. What the child prints is kept back.
    PyTorch runs on one thread in the child: the thread pools of the parent don't survive a fork.

    Raises ExportError when the child dies, and on systems that cannot fork.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ExportError("Exporting forks a child process, which this system cannot do; export on Linux or macOS.")
    for name in (RESULT, STAGE):
        (scratch / name).unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(work, scratch))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12+: a fork with threads; see above
        process.start()
    try:
        shown = ""
        while process.is_alive():
            process.join(LOOK)
            stage = _read(scratch / STAGE)
            if stage != shown:
                progress(stage)
            shown = stage
    finally:
        if process.is_alive():
            process.kill()
            process.join()
    if process.exitcode != 0 or not (scratch / RESULT).exists():
        raise ExportError(_death(process.exitcode, scratch / LOG))
    succeeded, value = pickle.loads((scratch / RESULT).read_bytes())
    if not succeeded:
        raise value
    return value  # type: ignore[no-any-return]


def tell_stage(scratch: Path, stage: str) -> None:
    """Say in the child what it is at."""
    _write(scratch / STAGE, stage.encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole as soon as it has its name."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_bytes(content)
    partial.rename(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _child(work: Callable[[], Result], scratch: Path) -> None:
    """The body of the child: redirect its output, run `work`, leave the pickled outcome in `scratch`."""
    gc.freeze()  # a collection would look at, and so copy, all that the parent has imported, again and again
    log = os.open(scratch / LOG, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None where the process began with it closed
            stream.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    _log_crashes()
    torch.set_num_threads(1)
    outcome: tuple[bool, object]
    try:
        outcome = (True, work())
    except Exception as error:
        outcome = (False, _portable(error))
    except SystemExit as error:
        outcome = (False, ExportError(_exit(error)))
    _write(scratch / RESULT, pickle.dumps(outcome))


def _log_crashes() -> None:
    """Have a crash leave its place in the log, and nothing else, whatever handlers other libraries have installed."""
    faulthandler.disable()
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable(file=2)


def _portable(error: Exception) -> Exception:
    """`error` if it survives pickling, else a RuntimeError with its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an exception class of the user's can fail in any way of its own when it is pickled
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _exit(error: SystemExit) -> str:
    """What to say about a model that called `sys.exit()`, and where."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_library_file(frame.filename)]
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    code = " ".join(str(error.code).split())
    return f"The model exited{place} (sys.exit, code {code}) while export ran it; raise an error or return instead."


def _death(exit_code: int | None, log: Path) -> str:
    """What to say about a child that did not come back."""
    how = f"exit code {exit_code}"
    if exit_code is not None and exit_code < 0:
        how = signal.Signals(-exit_code).name
    said, _, crash = (log.read_text(errors="replace") if log.exists() else "").partition("Fatal Python error")
    frames = list(takewhile(lambda frame: not is_own_file(frame[0]), re.findall(r'File "(.*)", line (\d+)', crash)))
    place = next((f" at {os.path.basename(file)}:{line}" for file, line in frames if not is_library_file(file)), "")
    words = "; ".join(line.strip() for line in said.splitlines() if line.strip())[-300:]
    last_words = f" It said last: {words}" if words else ""
    if exit_code is not None and exit_code >= 0:
        return (
            f"The process that traced the model ended early ({how}); this usually comes from os._exit() in what the "
            f"model runs: raise an error instead.{last_words}"
        )
    return (
        f"PyTorch crashed ({how}) while it traced the model{place}; this usually comes from `.data` or NumPy in "
        "forward, or from too little memory: use detach() and torch functions instead."
        f"{last_words}"
    )

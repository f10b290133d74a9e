"""Programs with a step in them: linked as `astroedge.save_executable` does, or by gcc under its sanitisers."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import BufferField, TargetIdentity
from astroedge.errors import LinkError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.executable import header_options, host_sources, program_files
from astroedge.targets.link.linker import Linker, find_static_linker, run_compiler
from astroedge.targets.link.static_runtime import CACHE, static_runtime
from astroedge.workflows.save_executable import counted_matrices, save_executable
from tests.support.c_host import SOURCES
from tests.support.places import ROOT

STATIC_RUNTIME = ROOT / "build" / "static-runtime"
GCC = Linker(("gcc",), "gcc")
CHECKS = (
    *("-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-no-pie", "-fno-pie"),
    *("-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion", "-pedantic"),
)


def link_static(bundle: Bundle, program: Path) -> Path:
    """Link a bundle into a static program."""
    with kept_runtime(bundle.manifest.target):
        save_executable(bundle, program)
    return program


@contextmanager
def kept_runtime(target: TargetIdentity | None = None) -> Iterator[None]:
    """Have static programs linked with a C library that the first process who asks builds, and keeps below `build/`."""
    STATIC_RUNTIME.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, (STATIC_RUNTIME / "lock").open("w") as lock:
        patch.setenv(CACHE, str(STATIC_RUNTIME))
        fcntl.flock(lock, fcntl.LOCK_EX)
        static_runtime(find_static_linker(target or resolve_target("native").identity))
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield


def link_checked(bundle: Bundle, program: Path) -> Path:
    """Link a bundle for this machine into a program that ends at the first wrong access; skips without gcc."""
    try:
        objects = _checked_objects()
        with TemporaryDirectory() as name:
            folder = Path(name)
            for file, content in {**objects, **program_files(bundle, counted_matrices(bundle.manifest))}.items():
                (folder / file).write_bytes(content)
            words = [
                *CHECKS,
                *header_options(SOURCES),
                *objects,
                "program_data.c",
                "step.s",
                "-Wl,-T,step.ld",
                "-pthread",
                "-lm",
            ]
            run_compiler(GCC, [*words, "-o", str(program)], folder)
    except (OSError, LinkError) as error:
        pytest.skip(f"needs gcc with sanitizers ({error})")
    return program


@cache
def _checked_objects() -> Mapping[str, bytes]:
    """What is the same in every such program."""
    with TemporaryDirectory() as name:
        run_compiler(GCC, [*CHECKS, *header_options(SOURCES), *host_sources(SOURCES), "-c"], Path(name))
        return {path.name: path.read_bytes() for path in sorted(Path(name).glob("*.o"))}


def call(program: Path, *arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program with its output captured; AddressSanitizer looks for leaks too."""
    words = [str(program), *map(str, arguments)]
    return subprocess.run(words, input=given, capture_output=True, check=False, timeout=60)


def failure(result: subprocess.CompletedProcess[bytes]) -> str:
    """The one line that a failing program prints."""
    text = result.stderr.decode()
    assert text.count("\n") == 1, text
    return text


def interrupt(program: Path, number: signal.Signals, *arguments: str) -> tuple[int, bytes]:
    """Start a program whose input stays open and send it a signal once it heeds them; its code and what it printed."""
    with subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        _wait_for_handler(process.pid, number)
        os.kill(process.pid, number)
        assert process.stderr is not None
        printed = process.stderr.read()
        return process.wait(timeout=60), printed


def _wait_for_handler(pid: int, number: signal.Signals) -> None:
    """Wait until a process handles a signal itself."""
    while True:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        caught = next(line for line in lines if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (number - 1) & 1:
            return


def frames_of(fields: Sequence[BufferField], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays (T, …) as the frames of T ticks."""
    rows = [np.ascontiguousarray(arrays[field.name]).reshape(len(arrays[field.name]), -1) for field in fields]
    return np.concatenate([row.view(np.uint8) for row in rows], axis=1).tobytes()


def arrays_of(fields: Sequence[BufferField], frames: bytes) -> dict[str, NDArray[Any]]:
    """Frames of T ticks as arrays (T, …): what `frames_of` undoes."""
    rows = np.frombuffer(frames, np.uint8).reshape(-1, sum(field.nbytes for field in fields))
    ends = np.cumsum([field.nbytes for field in fields])
    parts = np.split(rows, ends[:-1], axis=1)
    return {
        field.name: np.ascontiguousarray(part).view(field.dtype).reshape(len(rows), *field.shape)
        for field, part in zip(fields, parts, strict=True)
    }

"""C and CUDA C → a shared library, by zig.

Nothing is linked to: the C library is found in the process that loads the result, and zig need not build stubs of it.
The module imports nothing of AstroEdge: the fake driver starts it for every PTX.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNTIME = HERE / "runtime"
THREADS = (RUNTIME / "threads.c", RUNTIME / "fibers.c")
# What arithmetic means: one rounding for each operation, and no assumption about signs, overflow or types of memory.
_MEANING = ("-ffp-contract=off", "-fno-fast-math", "-fno-math-errno", "-fno-strict-aliasing", "-fwrapv")
_OPTIONS = (
    *("-fPIC", "-fvisibility=hidden", "-fno-sanitize=undefined", "-fno-stack-protector", "-fno-stack-check", "-w"),
    *_MEANING,
    f"-I{RUNTIME}",
)
_LINK = ("-shared", "-nostdlib")
SECONDS = 300


class CompilerError(RuntimeError):
    """The compiler does not take a text; the message is what it says."""


def zig() -> str:
    """The program of the package ziglang. Raises CompilerError where it is not installed."""
    try:
        path = metadata.distribution("ziglang").locate_file("ziglang/zig")
    except metadata.PackageNotFoundError as error:
        raise CompilerError('the emulator is built by zig: pip install "astroedge[host]"') from error
    return str(path)


def compile_library(
    sources: Sequence[Path], result: Path, cache: Path, options: Sequence[str] = (), objects: Sequence[Path] = ()
) -> None:
    """Compile sources of one language, with `options`, and link them with objects; `cache` is zig's own.

    Raises CompilerError with the compiler's words.
    """
    scratch = result.with_suffix(f".{os.getpid()}.tmp")
    run_compiler([*_OPTIONS, *options, *_LINK, *map(str, sources), *map(str, objects), "-o", str(scratch)], cache)
    scratch.replace(result)  # others may be about to load the one that is there


def compile_object(source: Path, result: Path, cache: Path, options: Sequence[str] = ()) -> None:
    """Compile one source to an object. Raises CompilerError with the compiler's words."""
    run_compiler([*_OPTIONS, *options, "-c", str(source), "-o", str(result)], cache)


def run_compiler(arguments: Sequence[str], cache: Path) -> None:
    """Run zig's C compiler. Raises CompilerError with its words when it fails."""
    variables = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
    variables.pop("LD_LIBRARY_PATH", None)  # the fake driver is not for the compiler
    done = subprocess.run(
        [zig(), "cc", *arguments],
        env=variables,
        cwd=cache,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise CompilerError(done.stderr.strip() or f"zig ends with {done.returncode}")

"""The fake driver: `build_driver` makes a `libcuda.so.1`; a process uses it by what `driver_environment` gives."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cuda_emulator.compile_c import HERE, compile_library
from tests.support.places import ROOT

DRIVER = "libcuda.so.1"


def build_driver(folder: Path) -> Path:
    """Build the driver in a folder, unless it is there; returns the library.

    A child process finds it by the variables of `driver_environment`. A process that loads it by its path does not give
    it to others: whoever opens "libcuda.so.1" there looks for one as before.
    """
    library = folder / DRIVER
    if not library.exists():
        cache = folder / "zig"
        cache.mkdir(parents=True, exist_ok=True)
        sources = sorted((HERE / "driver").glob("*.c"))
        compile_library(sources, library, cache, ["-std=c11", "-O1"])
    return library


def driver_environment(folder: Path, fail: Sequence[str] = (), **settings: object) -> dict[str, str]:
    """The environment of a process that is to use the driver in a folder; code made of PTX is kept there too.

    `settings` are those of driver/settings.c: cc="8.7", sms=2, devices=1, memory=4096 (MiB), driver=12060, occupancy=2,
    cooperative=1, integrated=0, name="GPU", seed=5 (the order of threads), races=1, fused=1, calls=path. `fail` has
    entries such as "cuMemAlloc_v2:3:2": the third call gives error 2.
    """
    words = [f"{name}={value}" for name, value in settings.items()] + [f"fail={each}" for each in fail]
    paths = [str(folder), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    jit = f"PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)} -m tests.cuda_emulator.jit"
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(paths),
        "FAKE_CUDA": " ".join(words),
        "FAKE_CUDA_JIT": jit,
        "FAKE_CUDA_IMAGES": str(folder),
    }

"""astro-run, the C host, built from its sources."""

from __future__ import annotations

import shutil
from pathlib import Path

from astroedge.errors import LinkError
from astroedge.targets.link.linker import Linker, run_compiler
from tests.support.places import ROOT

SOURCES = ROOT / "runtimes" / "c"
ABI = ROOT / "astroedge" / "abi"


def build_c_host(linker: Linker, folder: Path, *options: str) -> Path:
    """Build the C host into a folder; `options` come before its sources."""
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    run_compiler(linker, ["-std=c11", *options, f"-I{ABI}", *sources, "-o", "astro-run", "-ldl", "-pthread"], folder)
    return folder / "astro-run"


def build_checked_host(folder: Path) -> Path:
    """The C host with address and undefined-behaviour checks, which end it at the first wrong access.

    Raises LinkError without a gcc that has them.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        raise LinkError("There is no gcc here, whose sanitizers the C host is to run under.")
    checks = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return build_c_host(Linker((compiler,), "gcc"), folder, *checks)

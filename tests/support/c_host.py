"""astro-run, the C host, built from its sources."""

from __future__ import annotations

from pathlib import Path

from astroedge.targets.link.linker import Linker, run_compiler
from tests.support.places import ROOT

SOURCES = ROOT / "runtimes" / "c"
ABI = ROOT / "astroedge" / "abi"


def build_c_host(linker: Linker, folder: Path, *options: str) -> Path:
    """Build the C host into a folder; `options` come before its sources."""
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    run_compiler(linker, ["-std=c11", *options, f"-I{ABI}", *sources, "-o", "astro-run", "-ldl", "-pthread"], folder)
    return folder / "astro-run"

"""astro-run, the C host, built from its sources."""

from __future__ import annotations

from pathlib import Path

from astroedge.errors import LinkError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import Linker, find_linker, run_compiler
from tests.support.places import ROOT

SOURCES = ROOT / "runtimes" / "c"
ABI = ROOT / "astroedge" / "abi"


def build_checked_host(folder: Path) -> Path:
    """Build the C host under the sanitisers of addresses and undefined behaviour where gcc has them, else as it is."""
    try:
        gcc = Linker(("gcc",), "gcc")
        return build_c_host(gcc, folder, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    except (OSError, LinkError):
        return build_c_host(find_linker(resolve_target("native")), folder, "-O1")


def build_c_host(linker: Linker, folder: Path, *options: str) -> Path:
    """Build the C host into a folder; `options` come before its sources."""
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    run_compiler(linker, ["-std=c11", *options, f"-I{ABI}", *sources, "-o", "astro-run", "-ldl", "-pthread"], folder)
    return folder / "astro-run"

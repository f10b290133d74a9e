"""The C library that a program is linked with: musl, which zig builds from its own sources."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from astroedge.errors import LinkError
from astroedge.replace_file import replacing
from astroedge.scratch import scratch_folder
from astroedge.targets.link.linker import Linker, run_compiler

CACHE = "ASTROEDGE_CACHE"  # the variable that names a folder to keep it in

_SECONDS = 3600  # for a thousand files, on a machine that has more to do


@cache
def static_runtime(linker: Linker) -> Mapping[str, bytes]:
    """The start file and the libraries, by name, for the target of a linker that is zig for "…-linux-musl".

    zig needs about half a minute of a core for them. They are built once a process, and kept for the next one only
    where the variable ASTROEDGE_CACHE names a folder: whoever can write there can change every program linked later.

    Raises LinkError when zig fails.
    """
    folder = os.environ.get(CACHE)
    if not folder:
        return _build(linker)
    name = re.sub(r"[^\w.-]+", "_", " ".join([linker.version, *linker.command[3:]]))
    path = Path(folder) / f"{name}.zip"
    kept = _read(path)
    if kept is None:
        kept = _build(linker)
        _write(path, kept)
    return kept


def _build(linker: Linker) -> dict[str, bytes]:
    """Have zig link an empty program, and take what it made for that: optimised, without debugging information."""
    with scratch_folder("link") as folder:
        (folder / "empty.c").write_text("int main(void) { return 0; }\n")
        command = ["-static", "-O2", "-s", "empty.c", "-o", "empty", "--verbose"]
        printed = run_compiler(linker, command, folder, _SECONDS)
        last = next((line for line in reversed(printed.splitlines()) if line.startswith("ld.lld ")), "")
        made = [folder / word for word in last.split() if word.endswith((".a", "crt1.o"))]
        files = {path.name: path.read_bytes() for path in made}
    if len(made) != len(files) or not {"crt1.o", "libc.a"} <= files.keys():
        raise LinkError(f"{linker.version} links in another way than this AstroEdge knows; install ziglang 0.17.")
    return files


def _read(path: Path) -> dict[str, bytes] | None:
    """What was kept; None where nothing was or it is damaged."""
    try:
        with zipfile.ZipFile(path) as kept:
            return {name: kept.read(name) for name in kept.namelist()}
    except (OSError, zipfile.BadZipFile):
        return None


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, zipfile.ZipFile(partial, "w") as kept:
        for name, content in files.items():
            kept.writestr(name, content)

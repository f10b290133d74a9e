"""Object → shared library: the compiled tick, the C shim and the manifest's data, linked into what a bundle carries.

The library exports `astro_describe`, `astro_step` and `astro_run`, with a tick for a team of threads also `astro_work`
and `astro_dismiss`. It needs no symbol from outside, fast math excepted: the linker refuses anything else. Its bytes
depend on the object, the manifest, the target and the linker alone.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from astroedge import abi
from astroedge.bundle.manifest import Manifest
from astroedge.errors import LinkError
from astroedge.targets.boards.target import Target, zig_target
from astroedge.targets.link.shim_data import render_shim_data

_SHIM = Path(__file__).resolve().with_name("shim")
_HEADERS = (_SHIM, Path(abi.__file__).resolve().parent)
_EXPORTS = ("astro_describe", "astro_run", "astro_step")
_TEAM_EXPORTS = ("astro_dismiss", "astro_work")

_COMPILE = (
    *("-std=c11", "-O2", "-fPIC", "-ffreestanding", "-fno-builtin", "-ffp-contract=off", "-fno-stack-protector"),
    *("-fvisibility=hidden", "-fno-asynchronous-unwind-tables"),
)
# 64 KiB pages: arm64 kernels use 4, 16 (Raspberry Pi 5) or 64 KiB, and a library aligned to less does not load there.
_LINK = (
    *("-shared", "-nostdlib", "-Wl,-s", "-Wl,--build-id=none", "-Wl,--hash-style=both", "-Wl,-z,defs", "-Wl,-z,relro"),
    *("-Wl,-z,noexecstack", "-Wl,-z,max-page-size=65536", "-Wl,--version-script=exports.map"),
)
# Fast math calls the C library for functions that have no exact form: all that such a library takes from outside.
_FAST_MATH = ("-Wl,--as-needed", "-lm", "-lc")


@dataclass(frozen=True)
class Linker:
    """A C compiler that links for one target: its command line and what it calls itself, such as "zig 0.17.1"."""

    command: tuple[str, ...]
    version: str
    link_options: tuple[str, ...] = ()


def find_linker(target: Target) -> Linker:
    """The linker to use for a target: zig from PyPI, else a cross gcc, else this machine's own C compiler.

    Raises LinkError when none of them is here; the message says what to install.
    """
    if find_spec("ziglang") is not None:
        command = (sys.executable, "-m", "ziglang")
        return Linker((*command, "cc", "-target", zig_target(target)), f"zig {_version((*command, 'version'))}")
    cross = f"{target.triple}-gcc"
    candidates = [cross, "cc", "gcc"] if platform.machine() == target.arch else [cross]
    for name in candidates:
        path = shutil.which(name)
        if path is not None:
            # zig always refuses relocations in code, which would make every process pay for its own copy of it.
            return Linker((path,), _version((path, "--version")), ("-Wl,-z,text",))
    raise LinkError(
        f'No linker for {target.triple}: pip install "astroedge[host]" brings one (ziglang), or install {cross}.'
    )


def link_library(object_bytes: bytes, manifest: Manifest, target: Target, team_object: bytes | None = None) -> bytes:
    """Link a compiled tick into the shared library of a bundle and return the library's bytes.

    `object_bytes` is an ELF object for the target that defines `int32_t astroedge_tick(void *inputs, void *outputs,
    void *state, void *weights, void *workspace)`. The manifest's data becomes `astro_info`; its golden trace may still
    be empty: link again once it is known. `team_object`, if the step has one, defines the same tick for a team of
    threads (`shim/team.c`).

    Raises LinkError with the tool's first error when compiling or linking fails, for example because the object needs a
    function that no one provides.
    """
    linker = find_linker(target)
    data = render_shim_data(manifest)
    with TemporaryDirectory(prefix="astroedge-link-") as name:
        folder = Path(name)
        objects = {"tick.o": object_bytes}
        if team_object is not None:
            objects["team_tick.o"] = team_object
        exports = _EXPORTS if team_object is None else _EXPORTS + _TEAM_EXPORTS
        for file, content in objects.items():
            (folder / file).write_bytes(content)
        (folder / "shim_data.c").write_text(data, encoding="ascii")
        (folder / "exports.map").write_text(f"{{ global: {'; '.join(exports)}; local: *; }};\n", encoding="ascii")
        # zig keeps what it made of a file by the file's own path, so what is the same in every bundle is compiled once.
        # Nothing of a path gets into the library: names of files are debugging information, which is not kept.
        shim = [str(_SHIM / name) for name in ("shim.c", "memory.c")]
        if team_object is not None:
            shim += ["-DASTROEDGE_TEAM", str(_SHIM / "team.c")]
        headers = [f"-I{path}" for path in _HEADERS]
        libraries = _FAST_MATH if manifest.math == "fast" else ()
        options = [*_COMPILE, *_LINK, *linker.link_options, *headers]
        run_compiler(linker, [*options, *shim, "shim_data.c", *objects, *libraries, "-o", "step.so"], folder)
        return (folder / "step.so").read_bytes()


def run_compiler(linker: Linker, arguments: Sequence[str], folder: Path) -> None:
    """Run a linker's command in a folder; LinkError with its first error line when it fails."""
    command = [*linker.command, *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode != 0:
        raise LinkError(f"{linker.version} cannot link the step: {_first_error(result.stderr)}")


def _first_error(text: str) -> str:
    """The first line that tells an error, else the first line, else that there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "undefined" in line.lower()]
    return (errors or lines or ["it printed nothing; run it by hand"])[0]


@cache
def _version(command: tuple[str, ...]) -> str:
    """The first line a tool prints about itself."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LinkError(f"{' '.join(command)} does not run ({error}); install it again.") from error
    return result.stdout.splitlines()[0].strip()

"""Object → shared library: the compiled tick, the C shim and the manifest's data, linked into what a bundle carries.

The library exports `astro_describe`, `astro_step`, `astro_run` and `astro_clock`, for many streams `astro_run_streams`,
`astro_work_streams` and `astro_dismiss`, with a tick for a team of threads also `astro_work`. It needs no symbol from
outside, fast math excepted: the linker refuses anything else. Of a step that a GPU computes it holds the images of the
kernel in the place of the tick, exports what opens a device and needs the C library. Its bytes depend on the object or
the images, the manifest, the target and the linker alone.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from astroedge import abi
from astroedge.bundle.manifest import Manifest, TargetIdentity
from astroedge.errors import LinkError
from astroedge.scratch import scratch_folder
from astroedge.targets.boards.target import Target, zig_target
from astroedge.targets.cuda.device_code import SHIM_SOURCES, DeviceCode
from astroedge.targets.families import ARCHITECTURES
from astroedge.targets.link.device_data import image_file, render_device_code, render_images
from astroedge.targets.link.shim_data import render_shim_data

_SHIM = Path(__file__).resolve().with_name("shim")
_HEADERS = tuple(f"-I{path}" for path in (_SHIM, Path(abi.__file__).resolve().parent))
LINK_SECONDS = 300  # hundreds of times what the largest step takes
_EXPORTS = ("astro_describe", "astro_run", "astro_step")
_HOST_EXPORTS = ("astro_clock", "astro_dismiss", "astro_run_streams", "astro_work_streams")
_TEAM_EXPORTS = ("astro_work",)
_DEVICE_EXPORTS = (
    *("astro_close_device", "astro_device_message", "astro_open_device", "astro_read_device"),
    "astro_write_device",
)
_SHIM_SOURCES = ("shim.c", "checks.c", "clock.c", "memory.c", "streams.c", "team.c")

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
# dlopen is in a library of its own before glibc 2.34.
_DEVICE_LIBRARIES = ("-Wl,--as-needed", "-ldl", "-lc")


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
    options = ARCHITECTURES[target.arch].shim_options
    zig = _zig()
    if zig is not None:
        command = (zig, "cc", "-target", zig_target(target), *options.get("zig", ()))
        return Linker(command, f"zig {_version((zig, 'version'))}")
    cross = f"{target.triple}-gcc"
    candidates = [cross, "cc", "gcc"] if platform.machine() == target.arch else [cross]
    for name in candidates:
        path = shutil.which(name)
        if path is not None:
            # zig always refuses relocations in code, which would make every process pay for its own copy of it.
            command = (path, *options.get("gcc", ()))
            return Linker(command, _version((path, "--version")), ("-Wl,-z,text",))
    raise LinkError(
        f'No linker for {target.triple}: pip install "astroedge[host]" brings one (ziglang), or install {cross}.'
    )


def find_static_linker(target: TargetIdentity) -> Linker:
    """The linker of programs that need no C library on the board: zig, which brings musl along.

    Raises LinkError where it is not installed.
    """
    zig = _zig()
    if zig is None:
        raise LinkError('No linker for executables: pip install "astroedge[host]" brings it (ziglang).')
    extra = ARCHITECTURES[target.arch].shim_options.get("zig", ())
    command = (zig, "cc", "-target", target.triple.replace("-gnu", "-musl"), *extra)
    return Linker(command, f"zig {_version((zig, 'version'))}")


def link_library(
    object_bytes: bytes,
    manifest: Manifest,
    target: Target,
    team_object: bytes | None = None,
    kernels: Sequence[bytes] = (),
) -> bytes:
    """Link a compiled tick into the shared library of a bundle and return the library's bytes.

    `object_bytes` is an ELF object for the target that defines `int32_t astroedge_tick(void *inputs, void *outputs,
    void *state, void *weights, void *workspace, uint64_t *stamps)`, which notes the time before each kernel of the
    manifest where `stamps` are not NULL (`shim/clock.c`). The manifest's data becomes `astro_info`; its golden trace
    may still be empty: link again once it is known. `team_object`, if the step has one, defines the same tick for a
    team of threads (`shim/team.c`), and `kernels` are objects with what both call.

    Raises LinkError with the tool's first error when compiling or linking fails, for example because the object needs a
    function that no one provides.
    """
    linker = find_linker(target)
    team = team_object is not None
    exports = (*_EXPORTS, *_HOST_EXPORTS, *(_TEAM_EXPORTS if team else ()))
    sources = (*_SHIM_SOURCES, *ARCHITECTURES[target.arch].shim_sources)
    shim = _shim_objects(linker, sources, team)
    objects = {**shim, "tick.o": object_bytes} | ({} if team_object is None else {"team_tick.o": team_object})
    objects |= {f"kernels_{index}.o": content for index, content in enumerate(kernels)}
    files = _sources(manifest, exports) | objects
    inputs = [*shim, "shim_data.c", *(file for file in objects if file not in shim)]
    return _link(linker, files, [*inputs, *(_FAST_MATH if manifest.math == "fast" else ())])


def link_device_library(code: DeviceCode, manifest: Manifest, target: Target) -> bytes:
    """Link a step that a GPU computes into the shared library of a bundle and return the library's bytes.

    The library is one for `target.arch`, the host's processor, as `link_library` makes it from a compiled tick; the
    kernel's images are data in it.

    Raises LinkError with the tool's first error when compiling or linking fails.
    """
    linker = find_linker(target)
    shim = _shim_objects(linker, (*SHIM_SOURCES, "checks.c"), team=False)
    images = {image_file(index): image.data for index, image in enumerate(code.images)}
    sources = {
        "device_code.c": render_device_code(code).encode("ascii"),
        "images.s": render_images(code.images).encode("ascii"),
    }
    files = {**_sources(manifest, _EXPORTS + _DEVICE_EXPORTS), **shim, **images, **sources}
    return _link(linker, files, [*shim, "shim_data.c", *sources, *_DEVICE_LIBRARIES])


def _sources(manifest: Manifest, exports: Sequence[str]) -> dict[str, bytes]:
    """What is written anew for every library, by the names of the files."""
    return {
        "shim_data.c": render_shim_data(manifest).encode("ascii"),
        "exports.map": f"{{ global: {'; '.join(sorted(exports))}; local: *; }};\n".encode("ascii"),
    }


def _link(linker: Linker, files: Mapping[str, bytes], inputs: Sequence[str]) -> bytes:
    """Link inputs, all of which are among the files or libraries, and return the library."""
    with scratch_folder("link") as folder:
        for file, content in files.items():
            (folder / file).write_bytes(content)
        options = [*_COMPILE, *_LINK, *linker.link_options, *_HEADERS]
        run_compiler(linker, [*options, *inputs, "-o", "step.so"], folder)
        return (folder / "step.so").read_bytes()


@cache
def _shim_objects(linker: Linker, sources: Sequence[str], team: bool) -> dict[str, bytes]:
    """What is the same in every library of a target, compiled once a process from the sources beside this file.

    Nothing of a path gets into it: names of files are debugging information, which is not kept.
    """
    options = [*_COMPILE, *_HEADERS, *(["-DASTROEDGE_TEAM"] if team else [])]
    objects = {}
    with scratch_folder("link") as folder:
        for source in sources:
            result = source.replace(".c", ".o")
            run_compiler(linker, [*options, "-c", str(_SHIM / source), "-o", result], folder)
            objects[result] = (folder / result).read_bytes()
    return objects


def _zig() -> str | None:
    """The program of the package ziglang, by what is installed; a file of that name elsewhere is not asked."""
    try:
        path = metadata.distribution("ziglang").locate_file("ziglang/zig")
    except metadata.PackageNotFoundError:
        return None
    return str(path) if os.access(str(path), os.X_OK) else None


def run_compiler(linker: Linker, arguments: Sequence[str], folder: Path, seconds: int = LINK_SECONDS) -> str:
    """Run a linker's command in a folder, which also holds whatever it keeps of its work; what it printed of it.

    zig has a cache in HOME that it believes: an object changed there would be linked into every bundle from then on.

    Raises LinkError with its first error line when it fails, or when it does not end.
    """
    cache_folder = str(folder / "cache")
    variables = os.environ | {"ZIG_GLOBAL_CACHE_DIR": cache_folder, "ZIG_LOCAL_CACHE_DIR": cache_folder}
    try:
        result = subprocess.run(
            [*linker.command, *arguments],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise LinkError(f"{linker.version} does not end within {seconds} s; run it by hand.") from error
    if result.returncode != 0:
        raise LinkError(f"{linker.version} cannot link the step: {_first_error(result.stderr)}")
    return result.stderr


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

"""Library and weights of a bundle → one static program, with the host in C and musl, that needs nothing on the board.

The library's segments become sections at the same distances, and the addresses in them are written when the program is
linked. So the code is that of the bundle, byte for byte, and gives its bits. The program's bytes depend on the bundle,
the sources of the host and zig alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from astroedge import abi
from astroedge.bundle.container import Bundle
from astroedge.errors import LinkError
from astroedge.scratch import scratch_folder
from astroedge.targets.link.library_image import LibraryImage, Segment, read_image
from astroedge.targets.link.linker import Linker, find_static_linker, run_compiler
from astroedge.targets.link.program_data import CountedMatrix, render_program_data
from astroedge.targets.link.static_runtime import static_runtime

# What of the host in C is for a step that is linked in; the rest reads a bundle's folder and is for `astro-run`.
HOST_SOURCES = ("description", "failure", "golden", "gpu", "processor", "session", "sha256", "threads")
# The members of astro_entries (runtimes/c/entries.h), of which a library may lack all behind the third.
_ENTRIES = (
    *("astro_describe", "astro_step", "astro_run", "astro_work", "astro_dismiss"),
    *("astro_open_device", "astro_read_device", "astro_write_device", "astro_device_message", "astro_close_device"),
)
_NEEDED = _ENTRIES[:3]
_WORDS = {4: ".long", 8: ".quad"}
_PAGE = 65536  # the largest page that an arm64 kernel has
_ALIGNED = 4096  # what ARM's code takes addresses apart at; weights begin at a page where pages are as small
_STACK = 8 << 20  # bytes, as a thread of a bundle's host usually has
_COMPILE = (
    *("-std=c11", "-O2", "-ffp-contract=off", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-pie"),
    *("-ffunction-sections", "-r"),
)
_LINK = (
    *("-std=c11", "-O2", "-ffreestanding", "-fno-pie", "-static", "-nostdlib", "-no-pie", "-Wl,-s"),
    *("-Wl,--build-id=none", "-Wl,--gc-sections", "-Wl,-z,noexecstack", f"-Wl,-z,max-page-size={_PAGE}"),
    *(f"-Wl,-z,stack-size={_STACK}", "-Wl,-T,step.ld"),
)


def refuse_unlinkable(on_gpu: bool, math: str) -> None:
    """Raise LinkError for a step of which no program is linked: one that a GPU computes, or with fast math."""
    if on_gpu:
        raise LinkError("No executable is linked of a step that a GPU computes; take the bundle to the board.")
    if math == "fast":
        raise LinkError(
            "A step with fast math may take functions of the board's C library, which an executable has not; compile "
            "it with exact math."
        )


def link_executable(bundle: Bundle, host: Path, matrices: Sequence[CountedMatrix]) -> bytes:
    """Link a bundle into a program and return the program's bytes.

    `host` is the folder with the host's sources in C, and below it, in `executable`, what is the program's own;
    `matrices` are the manifest's, with what counts their operations.

    Raises LinkError for a step that a GPU computes or that has fast math, and where zig is missing or fails,
    BundleError for a damaged bundle.
    """
    refuse_unlinkable(bundle.manifest.device is not None, bundle.manifest.math)
    linker = find_static_linker(bundle.manifest.target)
    runtime = static_runtime(linker)
    files = {**program_files(bundle, matrices), **runtime, "host.o": _host_object(linker, host)}
    libraries = sorted(name for name in runtime if name.endswith(".a"))
    objects = ["crt1.o", "host.o", "program_data.c", "step.s", "-Wl,--start-group", *libraries, "-Wl,--end-group"]
    with scratch_folder("link") as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        run_compiler(linker, [*_LINK, *header_options(host), *objects, "-o", "program"], folder)
        return (folder / "program").read_bytes()


@cache
def _host_object(linker: Linker, host: Path) -> bytes:
    """What is the same in every program for a processor, compiled once a process."""
    with scratch_folder("link") as folder:
        run_compiler(linker, [*_COMPILE, *header_options(host), *host_sources(host), "-o", "host.o"], folder)
        return (folder / "host.o").read_bytes()


def program_files(bundle: Bundle, matrices: Sequence[CountedMatrix]) -> dict[str, bytes | memoryview]:
    """What is in a program of the bundle's own, by the names of files: sources, and the bytes that they include."""
    library = bundle.library()
    image = read_image(library)
    return {
        "step.so": library,
        "weights.bin": bundle.weights().data,
        "step.s": _render_step(image).encode("ascii"),
        "step.ld": _render_places(image.segments).encode("ascii"),
        "program_data.c": render_program_data(bundle.manifest, matrices).encode("ascii"),
    }


def header_options(host: Path) -> list[str]:
    """The words of a compiler's command that say where headers are."""
    return [f"-I{folder}" for folder in (Path(abi.__file__).resolve().parent, host, host / "executable")]


def host_sources(host: Path) -> list[str]:
    """The sources in C that are the same in every program."""
    return [*(str(host / f"{name}.c") for name in HOST_SOURCES), *map(str, sorted((host / "executable").glob("*.c")))]


def _render_step(image: LibraryImage) -> str:
    """The assembler's source: segments, the table of functions that program.h calls program_step, weights."""
    missing = [name for name in _NEEDED if name not in image.functions]
    if missing:
        raise LinkError(f"The bundle's library lacks the function {missing[0]}; compile the graph again.")
    lines = []
    for index, segment in enumerate(image.segments):
        flags = "ax" if segment.executable else "a"
        lines += [f'.section {_section(index)},"{flags}",%progbits', *(["image:"] if index == 0 else [])]
        lines += _render_segment(segment, image)
    table = [f"image + {image.functions[name]}" if name in image.functions else "0" for name in _ENTRIES]
    return "\n".join(
        [
            *lines,
            '.section .astroedge.weights,"a",%progbits',
            "weights:",
            '.incbin "weights.bin"',
            '.section .rodata.astroedge_program_step,"a",%progbits',
            ".balign 8",
            ".globl astroedge_program_step",
            "astroedge_program_step:",
            *(f"{_WORDS[image.word]} {address}" for address in [*table, "weights"]),
            '.section .note.GNU-stack,"",%progbits',
            "",
        ]
    )


def _render_segment(segment: Segment, image: LibraryImage) -> Iterator[str]:
    """The bytes of a segment, with addresses in the places that hold one."""
    end = segment.address + len(segment.content)
    at = segment.address
    for place, target in image.pointers.items():
        if segment.address <= place < end:
            yield from _render_bytes(segment, at, place)
            yield f"{_WORDS[image.word]} image + {target}"
            at = place + image.word
    yield from _render_bytes(segment, at, end)
    if segment.size > len(segment.content):
        yield f".zero {segment.size - len(segment.content)}"


def _render_bytes(segment: Segment, start: int, end: int) -> Iterator[str]:
    if end > start:
        yield f'.incbin "step.so", {segment.offset + start - segment.address}, {end - start}'


def _render_places(segments: Sequence[Segment]) -> str:
    """The linker's script: behind all else the segments, as far from each other as in the library, then the weights."""
    lines = []
    for index, segment in enumerate(segments):
        place = f"ADDR({_section(0)}) + {segment.address}" if index else f"ALIGN({_ALIGNED})"
        lines.append(f"  {_section(index)} {place} : {{ KEEP(*({_section(index)})) }}")
    lines.append(f"  .astroedge.weights ALIGN({_ALIGNED}) : {{ KEEP(*(.astroedge.weights)) }}")
    return "\n".join(["SECTIONS {", *lines, "} INSERT AFTER .bss;", ""])


def _section(index: int) -> str:
    return f".astroedge.step.{index}"

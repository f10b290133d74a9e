"""What tests need to know of an ELF library: its machine and its dynamic symbols."""

from __future__ import annotations

import struct
from collections.abc import Iterator

# What every library of a step exports, and what one that this processor computes does beside.
OF_A_STEP = {"astro_describe", "astro_run", "astro_step"}
OF_A_PROCESSOR = {"astro_clock", "astro_dismiss", "astro_run_streams", "astro_work_streams"}
MACHINES = {62: "x86_64", 183: "aarch64", 40: "armv7l", 243: "riscv64"}


def machine(library: bytes) -> str:
    """The processor an ELF file is for."""
    return MACHINES[struct.unpack_from("<H", library, 18)[0]]


def section(library: bytes, kind: int) -> bytes:
    """The first section of a type (2 symbols, 3 strings, 6 dynamic, 11 dynamic symbols), empty where there is none."""
    return next((content for found, _, content in _sections(library) if found == kind), b"")


def code(library: bytes) -> list[bytes]:
    """The content of every executable section, as it is mapped."""
    return [content for _, flags, content in _sections(library) if flags & 4]


def dynamic_symbols(library: bytes) -> tuple[set[str], set[str]]:
    """The names a library exports and the names it needs from outside."""
    table, names = section(library, 11), section(library, 3)
    defined: set[str] = set()
    undefined: set[str] = set()
    for symbol in struct.iter_unpack("<IBBHQQ" if _is_wide(library) else "<IIIBBH", table):
        name, index = symbol[0], symbol[3 if _is_wide(library) else 5]
        text = names[name : names.index(b"\0", name)].decode()
        if text:
            (defined if index else undefined).add(text)
    return defined, undefined


def page_alignment(library: bytes) -> int:
    """The largest alignment any loadable segment asks for."""
    form, header = ("<IIQQQQQQ", "<QQIHHH") if _is_wide(library) else ("<IIIIIIII", "<IIIHHH")
    headers, _, _, _, size, count = struct.unpack_from(header, library, 32 if _is_wide(library) else 28)
    segments = [struct.unpack_from(form, library, headers + index * size) for index in range(count)]
    return max(segment[7] for segment in segments if segment[0] == 1)


def _is_wide(library: bytes) -> bool:
    """Whether a file is for 64-bit programs."""
    return library[4] == 2


def _sections(library: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and content of every section."""
    form, header, at = ("<IIQQQQ", "<QIHHHHH", 40) if _is_wide(library) else ("<IIIIII", "<IIHHHHH", 32)
    headers, _, _, _, _, size, count = struct.unpack_from(header, library, at)
    for index in range(count):
        _, kind, flags, _, offset, nbytes = struct.unpack_from(form, library, headers + index * size)
        yield kind, flags, library[offset : offset + nbytes]

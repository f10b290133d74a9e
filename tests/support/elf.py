"""What tests need to know of an ELF library: its machine and its dynamic symbols."""

from __future__ import annotations

import struct

MACHINES = {62: "x86_64", 183: "aarch64"}


def machine(library: bytes) -> str:
    """The processor an ELF file is for."""
    return MACHINES[struct.unpack_from("<H", library, 18)[0]]


def section(library: bytes, kind: int) -> bytes:
    """The first section of a type (2 symbols, 3 strings, 6 dynamic, 11 dynamic symbols), empty where there is none."""
    headers = struct.unpack_from("<Q", library, 40)[0]
    size, count = struct.unpack_from("<HH", library, 58)
    for index in range(count):
        _, found, _, _, offset, nbytes = struct.unpack_from("<IIQQQQ", library, headers + index * size)
        if found == kind:
            return library[offset : offset + nbytes]
    return b""


def code(library: bytes) -> list[bytes]:
    """The content of every executable section, as it is mapped."""
    headers = struct.unpack_from("<Q", library, 40)[0]
    size, count = struct.unpack_from("<HH", library, 58)
    sections = [struct.unpack_from("<IIQQQQ", library, headers + index * size) for index in range(count)]
    return [library[offset : offset + nbytes] for _, _, flags, _, offset, nbytes in sections if flags & 4]


def dynamic_symbols(library: bytes) -> tuple[set[str], set[str]]:
    """The names a library exports and the names it needs from outside."""
    table, names = section(library, 11), section(library, 3)
    defined: set[str] = set()
    undefined: set[str] = set()
    for name, _, _, index, _, _ in struct.iter_unpack("<IBBHQQ", table):
        text = names[name : names.index(b"\0", name)].decode()
        if text:
            (defined if index else undefined).add(text)
    return defined, undefined


def page_alignment(library: bytes) -> int:
    """The largest alignment any loadable segment asks for."""
    headers = struct.unpack_from("<Q", library, 32)[0]
    size, count = struct.unpack_from("<HH", library, 54)
    segments = [struct.unpack_from("<IIQQQQQQ", library, headers + index * size) for index in range(count)]
    return max(segment[7] for segment in segments if segment[0] == 1)

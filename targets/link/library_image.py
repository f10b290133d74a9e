"""A linked library, taken apart again: its segments, the addresses in them, and where its functions are.

What the linker made for a bundle is what a program is linked from (`executable.py`), so that its code is that of the
library, byte for byte. A step's library needs nothing from outside and changes nothing of its own, so that all the
dynamic loader does for it is to add where it lies to some addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from astroedge.errors import LinkError

_LOAD, _DYNAMIC, _THREAD_LOCAL, _RELRO = 1, 2, 7, 0x6474E552
_EXECUTABLE, _WRITABLE = 1, 2
# Entries of the dynamic section: what is needed from outside or runs by itself, and what the loader reads.
_REFUSED = {1: "another library", 12: "_init", 25: "constructors", 36: "packed relocations", 23: "a procedure table"}
_HASH, _STRINGS, _SYMBOLS, _RELOCATIONS, _RELOCATIONS_SIZE = 4, 5, 6, 7, 8
_PAGE = 65536  # bytes; as many zeros fill up a segment at most
_RELATIVE = {62: 8, 183: 1027}  # R_X86_64_RELATIVE, R_AARCH64_RELATIVE by machine


@dataclass(frozen=True)
class Segment:
    """A part that is mapped: `size` bytes at `address`, of which the first are `content`, at `offset` of the file."""

    offset: int
    address: int
    size: int
    content: bytes
    executable: bool


@dataclass(frozen=True)
class LibraryImage:
    """A library as it is mapped from address 0 on.

    `pointers` are the places that hold an address, by their own one, with what they point at; `functions` the addresses
    of what is exported.
    """

    segments: tuple[Segment, ...]
    pointers: Mapping[int, int]
    functions: Mapping[str, int]


def read_image(library: bytes) -> LibraryImage:
    """Take apart a library that `linker.link_library` made.

    Raises LinkError for a library that needs more of a dynamic loader than to be moved: symbols from outside, code that
    runs when it is loaded, data that it writes to.
    """
    try:
        return _read(library)
    except (struct.error, KeyError, OverflowError, UnicodeDecodeError) as error:
        raise LinkError(f"The bundle's library is no whole ELF file ({error}); compile the graph again.") from error


def _read(library: bytes) -> LibraryImage:
    if library[:6] != b"\x7fELF\x02\x01":
        raise LinkError("The bundle's library is not for a 64-bit processor, as that of an executable must be.")
    machine = struct.unpack_from("<H", library, 18)[0]
    headers = list(_program_headers(library))
    segments = tuple(
        Segment(offset, address, total, library[offset : offset + size], bool(flags & _EXECUTABLE))
        for kind, flags, offset, address, size, total in headers
        if kind == _LOAD
    )
    _check_segments(headers, len(library))
    memory = _Memory(segments)
    dynamic = _dynamic_entries(memory, headers)
    pointers = _read_pointers(memory, dynamic, machine)
    return LibraryImage(segments, pointers, _read_functions(memory, dynamic))


class _Memory:
    """The library's bytes by their addresses."""

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments

    def read(self, address: int, size: int) -> bytes:
        for segment in self.segments:
            start = address - segment.address
            if start >= 0 and start + size <= len(segment.content):
                return segment.content[start : start + size]
        raise LinkError(f"The bundle's library has nothing at {address:#x}; compile the graph again.")

    def name(self, address: int) -> str:
        length = 0
        while self.read(address + length, 1) != b"\0":
            length += 1
        return self.read(address, length).decode("ascii")


def _program_headers(library: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Kind, flags, offset, address, size in the file and in memory."""
    start = struct.unpack_from("<Q", library, 32)[0]
    size, count = struct.unpack_from("<HH", library, 54)
    for index in range(count):
        kind, flags, offset, address, _, nbytes, total, _ = struct.unpack_from(
            "<IIQQQQQQ", library, start + index * size
        )
        yield kind, flags, offset, address, nbytes, total


def _check_segments(headers: list[tuple[int, int, int, int, int, int]], length: int) -> None:
    """Refuse data that the code may write to: none of a step's is, but for addresses, sealed once they are right."""
    loads = [header for header in headers if header[0] == _LOAD]
    if not loads or loads[0][3] != 0 or any(header[0] == _THREAD_LOCAL for header in headers):
        raise _unlike("segments of another kind")
    sealed = [(address, address + total) for kind, _, _, address, _, total in headers if kind == _RELRO]
    for _, flags, offset, address, nbytes, total in loads:
        if offset + nbytes > length or not nbytes <= total <= nbytes + _PAGE:
            raise _unlike("segments that its file does not hold")
        inside = any(start <= address and address + total <= end for start, end in sealed)
        if flags & _WRITABLE and not inside:
            raise _unlike("data that may change")


def _dynamic_entries(memory: _Memory, headers: list[tuple[int, int, int, int, int, int]]) -> Mapping[int, int]:
    place = next(((address, size) for kind, _, _, address, size, _ in headers if kind == _DYNAMIC), None)
    if place is None:
        raise _unlike("no dynamic section")
    entries = dict(struct.iter_unpack("<QQ", memory.read(*place)))
    for tag, what in _REFUSED.items():
        if entries.get(tag):
            raise _unlike(what)
    return entries


def _read_pointers(memory: _Memory, dynamic: Mapping[int, int], machine: int) -> dict[int, int]:
    pointers: dict[int, int] = {}
    table = memory.read(dynamic[_RELOCATIONS], dynamic[_RELOCATIONS_SIZE]) if _RELOCATIONS in dynamic else b""
    for place, info, target in struct.iter_unpack("<QQq", table):
        if info != _RELATIVE.get(machine):
            raise _unlike(f"a relocation of type {info & 0xFFFFFFFF}")
        memory.read(place, 8)
        pointers[place] = target
    places = sorted(pointers)
    if any(after - before < 8 for before, after in pairwise(places)):
        raise _unlike("addresses that overlap")
    return {place: pointers[place] for place in places}


def _read_functions(memory: _Memory, dynamic: Mapping[int, int]) -> dict[str, int]:
    """The addresses of defined symbols by their names."""
    count = struct.unpack("<II", memory.read(dynamic[_HASH], 8))[1] if _HASH in dynamic else 0
    functions = {}
    for index in range(1, count):
        symbol = memory.read(dynamic[_SYMBOLS] + 24 * index, 24)
        name, _, _, section, value, _ = struct.unpack("<IBBHQQ", symbol)
        text = memory.name(dynamic[_STRINGS] + name)
        if section == 0:
            raise _unlike(f"the function {text} of another library")
        functions[text] = value
    return functions


def _unlike(what: str) -> LinkError:
    return LinkError(
        f"No program can be linked of the bundle's library: it has {what}, as no step that zig linked for a processor "
        "has; compile the graph again, on a host that has ziglang."
    )

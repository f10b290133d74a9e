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
_HASH, _STRINGS, _SYMBOLS = 4, 5, 6
_PAGE = 65536  # bytes; as many zeros fill up a segment at most
# R_ARM_RELATIVE, R_X86_64_RELATIVE, R_AARCH64_RELATIVE and R_RISCV_RELATIVE by machine.
_RELATIVE = {40: 23, 62: 8, 183: 1027, 243: 3}

# Kind, flags, offset, address, size in the file and in memory.
_Header = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class _Layout:
    """How a class of ELF files lays out what is read here.

    `order` puts a program header's members as `_Header` has them, `value` and `section` are places in a symbol, and
    `relocations` are the dynamic section's tags of their table and its size.
    """

    word: int
    start: tuple[str, int]
    counts: int
    header: str
    order: tuple[int, ...]
    dynamic: str
    relocations: tuple[int, int]
    relocation: str
    symbol: str
    value: int
    section: int


_LAYOUTS = {
    1: _Layout(4, ("<I", 28), 42, "<8I", (0, 6, 1, 2, 4, 5), "<II", (17, 18), "<II", "<IIIBBH", 1, 5),
    2: _Layout(8, ("<Q", 32), 54, "<IIQQQQQQ", (0, 1, 2, 3, 5, 6), "<QQ", (7, 8), "<QQq", "<IBBHQQ", 4, 3),
}


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
    """A library as it is mapped from address 0 on; an address in it has `word` bytes.

    `pointers` are the places that hold an address, by their own one, with what they point at; `functions` the addresses
    of what is exported.
    """

    word: int
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
    except (struct.error, KeyError, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise LinkError(f"The bundle's library is no whole ELF file ({error}); compile the graph again.") from error


def _read(library: bytes) -> LibraryImage:
    layout = _LAYOUTS.get(library[4]) if library[:4] == b"\x7fELF" and library[5:6] == b"\1" else None
    if layout is None:
        raise LinkError("The bundle's library is no little-endian ELF file; compile the graph again.")
    machine = struct.unpack_from("<H", library, 18)[0]
    headers = list(_program_headers(library, layout))
    segments = tuple(
        Segment(offset, address, total, library[offset : offset + size], bool(flags & _EXECUTABLE))
        for kind, flags, offset, address, size, total in headers
        if kind == _LOAD
    )
    _check_segments(headers, len(library))
    memory = _Memory(segments)
    dynamic = _dynamic_entries(memory, headers, layout)
    pointers = _read_pointers(memory, dynamic, layout, _RELATIVE.get(machine))
    return LibraryImage(layout.word, segments, pointers, _read_functions(memory, dynamic, layout))


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


def _program_headers(library: bytes, layout: _Layout) -> Iterator[_Header]:
    form, place = layout.start
    start = struct.unpack_from(form, library, place)[0]
    size, count = struct.unpack_from("<HH", library, layout.counts)
    for index in range(count):
        members = struct.unpack_from(layout.header, library, start + index * size)
        kind, flags, offset, address, nbytes, total = (members[place] for place in layout.order)
        yield kind, flags, offset, address, nbytes, total


def _check_segments(headers: list[_Header], length: int) -> None:
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


def _dynamic_entries(memory: _Memory, headers: list[_Header], layout: _Layout) -> Mapping[int, int]:
    place = next(((address, size) for kind, _, _, address, size, _ in headers if kind == _DYNAMIC), None)
    if place is None:
        raise _unlike("no dynamic section")
    entries = dict(struct.iter_unpack(layout.dynamic, memory.read(*place)))
    for tag, what in _REFUSED.items():
        if entries.get(tag):
            raise _unlike(what)
    return entries


def _read_pointers(
    memory: _Memory, dynamic: Mapping[int, int], layout: _Layout, relative: int | None
) -> dict[int, int]:
    """The places that hold an address; where the table does not say which, it stands in the place itself."""
    pointers: dict[int, int] = {}
    start, size = layout.relocations
    table = memory.read(dynamic[start], dynamic[size]) if start in dynamic else b""
    for place, info, *target in struct.iter_unpack(layout.relocation, table):
        if info != relative:
            raise _unlike(f"a relocation of type {info & 0xFF if layout.word == 4 else info & 0xFFFFFFFF}")
        held = int.from_bytes(memory.read(place, layout.word), "little")
        pointers[place] = target[0] if target else held
    places = sorted(pointers)
    if any(after - before < layout.word for before, after in pairwise(places)):
        raise _unlike("addresses that overlap")
    return {place: pointers[place] for place in places}


def _read_functions(memory: _Memory, dynamic: Mapping[int, int], layout: _Layout) -> dict[str, int]:
    """The addresses of defined symbols by their names."""
    count = struct.unpack("<II", memory.read(dynamic[_HASH], 8))[1] if _HASH in dynamic else 0
    size = struct.calcsize(layout.symbol)
    functions = {}
    for index in range(1, count):
        symbol = struct.unpack(layout.symbol, memory.read(dynamic[_SYMBOLS] + size * index, size))
        if symbol[layout.section]:  # one from outside is named but not used: no place holds its address
            functions[memory.name(dynamic[_STRINGS] + symbol[0])] = symbol[layout.value]
    return functions


def _unlike(what: str) -> LinkError:
    return LinkError(
        f"No program can be linked of the bundle's library: it has {what}, as no step that zig linked for a processor "
        "has; compile the graph again, on a host that has ziglang."
    )

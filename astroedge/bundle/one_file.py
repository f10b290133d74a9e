"""A bundle as one file: a zip archive of what its folder holds, nothing compressed, so that it is read in place.

Every file in it starts where a kernel may read weights, at a multiple of 64 bytes, so that they can be mapped.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from astroedge.abi.limits import ALIGNMENT, LARGEST_MANIFEST
from astroedge.bundle.folder import TOO_MANY_FILES, read_descriptor, too_many_files
from astroedge.bundle.manifest_file import MANIFEST_NAME, is_ours
from astroedge.errors import BundleError
from astroedge.regular_file import open_regular
from astroedge.replace_file import replacing

MOST_MEMBERS = 1 << 12
LONGEST_DIRECTORY = 1 << 20  # bytes

_MAGIC = b"PK\x03\x04"
_END_MAGIC = b"PK\x05\x06"
_END_RECORD = struct.Struct("<4s4H2IH")
_LARGE_END_MAGIC = b"PK\x06\x06"
_LARGE_END_RECORD = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_SIZE = 20  # bytes
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_PADDING = struct.Struct("<2H")  # of an extra field: what it is, and how many bytes follow
_PADDING_ID = 0xD935  # as zipalign has it
_LARGE_FIELD = 20  # bytes of the extra field with 64-bit sizes
_WHEN = (1980, 1, 1, 0, 0, 0)  # the same bundle is the same bytes, whenever it is written
_MODE = 0o644


def is_archive(path: Path) -> bool:
    """Whether a path is a file that begins as a zip archive does; False where it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


@dataclass(frozen=True)
class Member:
    """Where a file of the bundle lies in the archive, bytes."""

    start: int
    size: int


@dataclass(frozen=True)
class BundleFile:
    """An archive whose directory was read and checked; its members are read from the file as it is then."""

    path: Path
    members: Mapping[str, Member]

    @staticmethod
    def read(path: Path) -> BundleFile:
        """Read an archive's directory.

        Raises BundleError for what is no zip archive, and for one with members that are compressed, encrypted, named
        twice or outside the file.
        """
        with os.fdopen(_open(path), "rb") as file:
            try:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise BundleError(f"{path} is no bundle: it is neither a folder nor a zip file that compile wrote.")
                _check_directory(path, file)
                with zipfile.ZipFile(file) as archive:
                    members = dict(_members(path, archive, file))
            # What zipfile raises of fields that it does not expect, or that lead outside of the file.
            except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError, struct.error) as error:
                raise _damaged(path, str(error)) from error
        if MANIFEST_NAME not in members:
            raise BundleError(f"{path} is no bundle: it has no {MANIFEST_NAME}; give the file that compile wrote.")
        return BundleFile(path, members)

    def open(self, name: str, size: int | None) -> tuple[int, int, int]:
        """A descriptor of the archive, and where in it the member starts and how many bytes it has.

        Raises BundleError when there is no such member, or it has another size than `size`.
        """
        member = self.members.get(name)
        if member is None:
            raise BundleError(f"{self.path} lacks {name}; it was packed in part: copy the bundle again.")
        if size not in (None, member.size):
            raise BundleError(
                f"{name} in {self.path} has {member.size} bytes and must have {size}: copy the bundle again."
            )
        descriptor = _open(self.path)
        if os.fstat(descriptor).st_size < member.start + member.size:
            os.close(descriptor)
            raise _damaged(self.path, "it was cut short a moment ago")
        return descriptor, member.start, member.size

    def manifest(self) -> bytes:
        """The content of the manifest; BundleError for what is too large to be one, before it is read."""
        descriptor, start, size = self.open(MANIFEST_NAME, None)
        if size > LARGEST_MANIFEST:
            os.close(descriptor)
            raise BundleError(f"{MANIFEST_NAME} in {self.path} is too large to be a manifest; copy the bundle again.")
        return read_descriptor(descriptor, f"{MANIFEST_NAME} in {self.path}", start, size)


def write_one_file(path: Path, manifest: bytes, files: Mapping[str, bytes | memoryview]) -> None:
    """Write a bundle as one file, in the place of the one that is there.

    Raises BundleError when it cannot be written, or something else than such a file is there.
    """
    check_file_replaceable(path)
    try:
        with replacing(path) as new:
            _pack(new, manifest, files)
    except OSError as error:
        raise BundleError(
            f"The bundle cannot be written to {path}: {error.strerror}. What was there before is unchanged."
        ) from error


def check_file_replaceable(path: Path) -> None:
    """Raise BundleError when a bundle of one file could not take the place of what is there."""
    if not path.parent.is_dir():
        raise BundleError(f"There is no folder {path.parent} to write the bundle into; make it, or check the path.")
    if path.is_dir():
        raise BundleError(f"{path} is a folder, and the bundle is to be one file; remove it, or choose another name.")
    if path.exists() and not _holds_ours(path):
        raise BundleError(f"{path} is a file and no bundle; choose another name.")


def _holds_ours(path: Path) -> bool:
    try:
        archive = BundleFile.read(path)
        return is_ours(archive.manifest()[:1024])
    except BundleError:
        return False


def _open(path: Path) -> int:
    try:
        with open_regular(path) as file:
            return os.dup(file.fileno())
    except OSError as error:
        if error.errno in TOO_MANY_FILES:
            raise too_many_files() from error
        raise BundleError(f"{path} cannot be opened ({error.strerror}); check the path.") from error


def _check_directory(path: Path, file: io.BufferedIOBase) -> None:
    """Refuse a directory that is too long to be a bundle's before it is read.

    Its length stands in the last record of the file, which has no comment in what compile writes, and may have one of
    at most 64 KiB elsewhere.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _END_RECORD.size - 0xFFFF))
    tail = file.read()
    found = tail.rfind(_END_MAGIC)
    if found < 0 or len(tail) - found < _END_RECORD.size:
        raise _damaged(path, "it has no directory")
    sizes = [_END_RECORD.unpack_from(tail, found)[5]]
    large = found - _LOCATOR_SIZE - _LARGE_END_RECORD.size  # where archives of over 4 GiB have a second such record
    if large >= 0 and tail.startswith(_LARGE_END_MAGIC, large):
        sizes.append(_LARGE_END_RECORD.unpack_from(tail, large)[8])
    if max(sizes) > LONGEST_DIRECTORY:
        raise _damaged(path, f"its directory has {max(sizes):,} bytes")
    file.seek(0)


def _members(path: Path, archive: zipfile.ZipFile, file: io.BufferedIOBase) -> Iterator[tuple[str, Member]]:
    """Every member by its name."""
    end, seen = file.seek(0, os.SEEK_END), set()
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS:
        raise _damaged(path, f"it has {len(entries):,} members")
    for entry in entries:
        name = entry.filename
        if name in seen:
            raise _damaged(path, f"{name!r} is in it twice")
        seen.add(name)
        if entry.is_dir():
            continue
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
            raise BundleError(
                f"{name!r} in {path} is compressed or encrypted; pack a bundle without compression (zip -0), or with "
                "astroedge compile --zip."
            )
        start = _start(path, file, entry)
        if start + entry.file_size > end:
            raise _damaged(path, f"{name!r} lies outside of it")
        yield name, Member(start, entry.file_size)


def _start(path: Path, file: io.BufferedIOBase, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin: behind its own header, whose name and extra field may have other lengths."""
    file.seek(entry.header_offset)
    magic, *_, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if magic != _MAGIC:
        raise _damaged(path, f"{entry.filename!r} has no header")
    return entry.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def _pack(path: Path, manifest: bytes, files: Mapping[str, bytes | memoryview]) -> None:
    """Write the archive, and have it on the disk."""
    with path.open("xb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, content in {MANIFEST_NAME: manifest, **files}.items():
                entry = zipfile.ZipInfo(name, _WHEN)
                entry.external_attr = _MODE << 16
                entry.file_size = memoryview(content).nbytes
                entry.extra = _padding(file.tell() + _header_size(entry))
                with archive.open(entry, "w", force_zip64=_is_large(entry)) as member:
                    member.write(content)
        file.flush()
        os.fsync(file.fileno())


def _is_large(entry: zipfile.ZipInfo) -> bool:
    """Whether a member's size needs the 64-bit form."""
    return entry.file_size >= zipfile.ZIP64_LIMIT


def _header_size(entry: zipfile.ZipInfo) -> int:
    """How long a member's header is without padding."""
    return _LOCAL_HEADER.size + len(entry.filename.encode()) + (_LARGE_FIELD if _is_large(entry) else 0)


def _padding(end: int) -> bytes:
    """An extra field that moves what follows a header which ends at `end` to the next aligned place."""
    count = -(end + _PADDING.size) % ALIGNMENT
    return _PADDING.pack(_PADDING_ID, count) + bytes(count)


def _damaged(path: Path, reason: str) -> BundleError:
    return BundleError(f"{path} is a damaged bundle ({reason}); copy it again.")

"""A bundle's weights in this process: a copy that nobody can change any more, or the file itself, mapped.

The copy is anonymous memory: it needs no descriptor and no file system, a forked child shares its pages, and the kernel
can keep it in huge pages. One copy serves all bundles whose weights have its digest, for as long as anyone holds it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Iterable
from hashlib import sha256
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of, aligned_zeros, huge_zeros, in_huge_pages
from astroedge.errors import BundleError, IncompatibleError

Weights = NDArray[np.uint8]

_PIECE = 1 << 20  # bytes that are read and hashed at a time, so that they are hashed where a cache still holds them
_WORTH_HUGE_PAGES = 4 << 20  # bytes; below, most of the memory would be the unused end of a page of 2 MiB

_copies: WeakValueDictionary[str, Weights] = WeakValueDictionary()
_mappings: WeakValueDictionary[tuple[int, int, int, int], Weights] = WeakValueDictionary()
_lock = Lock()


def _renew_lock() -> None:
    """In a forked child, where nobody is left to release the lock."""
    global _lock
    _lock = Lock()


os.register_at_fork(after_in_child=_renew_lock)


def held_weights(digest: str) -> Weights | None:
    """The sealed copy with a digest, if anyone in this process holds it."""
    with _lock:
        return _copies.get(digest)


def copy_weights(content: bytes | memoryview, digest: str) -> Weights | None:
    """Weights that are in memory already as a sealed copy, None where the copy has another digest.

    Raises IncompatibleError when memory does not hold it.
    """
    source = memoryview(content).cast("B")

    def fill(memory: memoryview) -> str:
        memory[:] = source
        return sha256(memory).hexdigest()

    return _share(len(source), digest, fill)


def make_weights(size: int, pieces: Callable[[], Iterable[memoryview]]) -> Weights:
    """Weights that `pieces` gives, twice, in order and `size` bytes in all, as a sealed copy.

    Where the process has the same already, they are those. Raises IncompatibleError when memory does not hold them.
    """
    hasher = sha256()
    for piece in pieces():
        hasher.update(piece)
    digest = hasher.hexdigest()

    def fill(memory: memoryview) -> str:
        start = 0
        for piece in pieces():
            memory[start : start + piece.nbytes] = piece
            start += piece.nbytes
        return digest

    made = held_weights(digest)
    made = _share(size, digest, fill) if made is None else made
    assert made is not None
    return made


def known_digest(content: bytes | memoryview) -> str | None:
    """The digest of content that is a sealed copy, None for any other."""
    if isinstance(content, bytes) or not content.nbytes:
        return None
    place = address_of(np.frombuffer(content, np.uint8)), content.nbytes
    with _lock:
        return next((digest for digest, copy in _copies.items() if (address_of(copy), copy.size) == place), None)


def read_weights(descriptor: int, name: str, offset: int, size: int, digest: str) -> Weights | None:
    """The `size` bytes of a file from `offset` on as a sealed copy, None where the copy has another digest.

    The digest is that of the bytes that are used, whatever happens to the file meanwhile. Where the process has such
    weights already, the file is hashed all the same and they are used.

    Raises BundleError when the file ends too early or cannot be read, IncompatibleError when memory does not hold it.
    """

    def fill(memory: memoryview) -> str:
        hasher = sha256()
        for start in range(0, size, _PIECE):
            part = memory[start : start + _PIECE]
            _read(descriptor, name, part, offset + start)
            hasher.update(part)
        return hasher.hexdigest()

    held = held_weights(digest)
    if held is None:
        return _share(size, digest, fill)
    piece, hasher = memoryview(bytearray(min(size, _PIECE))), sha256()
    for start in range(0, size, _PIECE):
        part = piece[: size - start]
        _read(descriptor, name, part, offset + start)
        hasher.update(part)
    return held if hasher.hexdigest() == digest else None


def map_weights(descriptor: int, offset: int, size: int) -> Weights:
    """The `size` bytes of a file from `offset` on, mapped.

    Whoever writes to the file changes them, and whoever cuts it ends the process.

    Raises IncompatibleError when the file cannot be mapped.
    """
    status = os.fstat(descriptor)
    key = (status.st_dev, status.st_ino, offset, size)  # no other file has its number while it is mapped
    with _lock:
        if (found := _mappings.get(key)) is not None:
            return found
        # Before Python 3.13 a mapping keeps a descriptor of the file.
        unneeded: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
        try:
            before = offset % mmap.ALLOCATIONGRANULARITY
            memory = mmap.mmap(descriptor, before + size, access=mmap.ACCESS_READ, offset=offset - before, **unneeded)
        except (OSError, OverflowError) as error:  # the latter for what no address of a 32-bit program reaches
            raise IncompatibleError(f"The weights, {size:,} bytes, cannot be mapped ({_reason(error)}).") from error
        return _mappings.setdefault(key, np.frombuffer(memory, np.uint8, offset=before))


def _reason(error: OSError | OverflowError) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else "more than a program addresses"


def _share(size: int, digest: str, fill: Callable[[memoryview], str]) -> Weights | None:
    """Memory that `fill` has written and returned the digest of, sealed; None where that is not `digest`."""
    memory = _allocate(size)
    if fill(memory) != digest:
        return None
    weights: Weights = np.frombuffer(memory.toreadonly(), np.uint8)
    if size:
        _seal(address_of(weights), size)
    with _lock:
        return _copies.setdefault(digest, weights)


def _allocate(size: int) -> memoryview:
    """Zeroed memory of this process alone that starts at a page, in huge pages where that is worth it."""
    if size == 0:
        return aligned_zeros(0).data
    try:
        if size >= _WORTH_HUGE_PAGES:
            return huge_zeros(size).data
        return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    except (OSError, OverflowError) as error:
        raise IncompatibleError(
            f"The weights, {size:,} bytes, do not fit into this machine's memory ({_reason(error)}); compile a smaller "
            "model, or map a file that nobody else can write to, with trust_weights=True."
        ) from error


def _seal(address: int, size: int) -> None:
    """Take the right to write away, from native code too; where the system refuses, it is gone for Python code.

    A huge page of which a part was sealed would become small ones.
    """
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    protect(address, in_huge_pages(size) if size >= _WORTH_HUGE_PAGES else size, mmap.PROT_READ)


def _read(descriptor: int, name: str, part: memoryview, start: int) -> None:
    """Read a part of a file whole."""
    try:
        while part and (count := os.preadv(descriptor, [part], start)):
            part, start = part[count:], start + count
    except OSError as error:
        raise BundleError(
            f"{name} cannot be read ({error.strerror}); the disk fails: copy the bundle again."
        ) from error
    if part:
        raise BundleError(f"{name} ends at byte {start:,}; it was cut short a moment ago: copy the bundle again.")

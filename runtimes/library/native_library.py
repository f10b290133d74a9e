"""A library from bytes that were checked: what is loaded is what was hashed, whatever happens to the file meanwhile."""

from __future__ import annotations

import ctypes
import fcntl
import os
from hashlib import sha256
from threading import Lock

from astroedge.bundle.folder import TOO_MANY_FILES, too_many_files
from astroedge.errors import BundleError
from astroedge.scratch import scratch_folder

# Libraries by the SHA-256 of their bytes. ctypes never unloads a library, so every distinct one is loaded once a
# process and shared by its sessions; it has no state of its own.
_LOADED: dict[str, ctypes.CDLL] = {}
_lock = Lock()


def _renew_lock() -> None:
    """In a forked child, where nobody is left to release the lock."""
    global _lock
    _lock = Lock()


os.register_at_fork(after_in_child=_renew_lock)


def load_library(content: bytes) -> ctypes.CDLL:
    """Load a shared library from its bytes.

    They go into a sealed memory file, or where the system has none into a private file, and are loaded from there. The
    library stays in memory until the process ends.

    Raises BundleError when the system's loader refuses it.
    """
    digest = sha256(content).hexdigest()
    with _lock:
        if digest not in _LOADED:
            try:
                _LOADED[digest] = _load(content, len(_LOADED))
            except OSError as error:
                if error.errno in TOO_MANY_FILES:
                    raise too_many_files() from error
                raise BundleError(
                    f"The bundle's library cannot be loaded: {error}. The bundle is damaged, or this system forbids "
                    "code from memory and from its temporary folder (noexec)."
                ) from error
        return _LOADED[digest]


def _load(content: bytes, count: int) -> ctypes.CDLL:
    try:
        descriptor = _sealed_file(content)
    except (OSError, AttributeError):
        return _load_from_private_file(content)
    try:
        # The loader takes two libraries for one when they have the same path, and descriptors' numbers come again: so
        # every path is spelled differently, the bits of a number as one slash or two.
        spelling = "".join("//." if bit == "1" else "/." for bit in f"{count:032b}")
        return ctypes.CDLL(f"/proc/self{spelling}/fd/{descriptor}")
    except OSError:
        return _load_from_private_file(content)
    finally:
        os.close(descriptor)


def _sealed_file(content: bytes) -> int:
    """A file in memory with this content that nobody can change any more."""
    descriptor = os.memfd_create("astroedge-step", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _load_from_private_file(content: bytes) -> ctypes.CDLL:
    """Load from a file in a folder that only this user can enter and that is removed at once."""
    with scratch_folder("load") as folder:
        path = folder / "step.so"
        path.write_bytes(content)
        return ctypes.CDLL(str(path))

"""A bundle's folder on disk: replaced so that at every moment the old bundle or the new one is there, whole.

Every file but the manifest has a name made from its content, so writing a new one never touches an old one. The
manifest is renamed over the old one last; then files that it does not name are removed. A process that is killed leaves
at most files nobody names, which the next save removes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

from astroedge.abi.limits import LARGEST_MANIFEST
from astroedge.bundle.manifest_file import MANIFEST_NAME, is_ours
from astroedge.errors import BundleError
from astroedge.regular_file import open_regular
from astroedge.replace_file import replace_file

ASSETS = "assets"
# What is in a folder after an error, by whether the new manifest is there.
_AFTERWARDS = {
    False: "What was there before is unchanged.",
    True: "The new bundle is there all the same, but a power cut may undo that: look after the disk and save again.",
    None: "Whether the old bundle is there or the new one cannot be read: look after the disk and save again.",
}
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)

_TEMPORARY = ".new-"
# What this module may remove: names that only it writes.
_OWN_NAME = re.compile(r"(step-[0-9a-f]{16}\.so|weights-[0-9a-f]{16}\.bin|assets/[0-9a-f]{16}-.+|\.new-[0-9a-f]{32})")


def open_file(folder: Path, name: str, size: int | None) -> int:
    """Open a file of a bundle for reading and return its descriptor; `size` is what the manifest says, None for itself.

    Raises BundleError when the file is missing, is a link or no regular file, or has another size.
    """
    path = folder / name
    try:
        if path.parent.is_symlink() and path.parent != folder:
            raise BundleError(f"{path.parent} is a symbolic link; a bundle holds its own files: copy the bundle again.")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise BundleError(
            f"{path} is missing; the bundle was copied in part or replaced a moment ago: try again, else copy it again."
        ) from error
    except OSError as error:
        if error.errno in TOO_MANY_FILES:
            raise too_many_files() from error
        raise BundleError(f"{path} cannot be opened ({error.strerror}); a bundle's files are plain files.") from error
    status = os.fstat(descriptor)
    if S_ISREG(status.st_mode) and size in (None, status.st_size):
        return descriptor
    os.close(descriptor)
    if not S_ISREG(status.st_mode):
        raise BundleError(f"{path} is not a regular file; copy the bundle again.")
    raise BundleError(
        f"{path} has {status.st_size} bytes and must have {size}; it was probably cut short: copy the bundle again."
    )


def too_many_files() -> BundleError:
    """What a load says when the process may open no more files; a session that is open needs none."""
    return BundleError(
        "The bundle cannot be opened: this process, or the system, has as many files open as it may have; close some, "
        "or raise the limit (ulimit -n)."
    )


def read_file(folder: Path, name: str, size: int | None, most: int = -1) -> bytes:
    """The content of a file of a bundle, or its first `most` bytes.

    Raises what `open_file` raises, and BundleError when the file cannot be read.
    """
    return read_descriptor(open_file(folder, name, size), str(folder / name), 0, most)


def read_descriptor(descriptor: int, name: str, start: int, most: int) -> bytes:
    """The bytes of a file from `start` on, `most` of them or all for −1; the descriptor is closed.

    Raises BundleError when the file cannot be read.
    """
    try:
        with open(descriptor, "rb") as file:
            file.seek(start)
            return file.read(most)
    except OSError as error:
        raise BundleError(
            f"{name} cannot be read ({error.strerror}); the disk fails: copy the bundle again."
        ) from error


def read_manifest(folder: Path) -> bytes:
    """The content of a bundle's manifest.

    Raises what `read_file` raises, and BundleError for a file that is too large to be one, before it is read.
    """
    content = read_file(folder, MANIFEST_NAME, None, LARGEST_MANIFEST + 1)
    if len(content) > LARGEST_MANIFEST:
        raise BundleError(f"{folder / MANIFEST_NAME} is too large to be a manifest; copy the bundle again.")
    return content


def check_replaceable(folder: Path) -> None:
    """Raise BundleError when a bundle could not take the place of what is there: before long work, or before saving."""
    if not folder.parent.is_dir():
        raise BundleError(f"There is no folder {folder.parent} to write the bundle into; make it, or check the path.")
    if folder.exists() and not folder.is_dir():
        raise BundleError(f"{folder} is a file; choose a new or empty folder, or write the bundle as one file (--zip).")
    if folder.exists() and not _holds_ours(folder / MANIFEST_NAME):
        foreign = [name for name in _names(folder) if not _OWN_NAME.fullmatch(name)]
        if foreign:
            raise BundleError(f"{folder} holds {foreign[0]!r} and is no bundle; choose a new or empty folder.")


def replace_folder(folder: Path, manifest: bytes, files: Mapping[str, bytes | memoryview]) -> None:
    """Make a folder hold a bundle: `files` by their names inside it, then the manifest.

    Raises BundleError when that is not possible, for example because the disk is full, and says which bundle is there
    afterwards: mostly that from before, unchanged and with nothing new beside it; the new one, whole, where the error
    came after its last move.
    """
    try:
        created = _make_folder(folder)
        with _lock(folder):
            _replace(folder, manifest, files, created)
    except OSError as error:
        raise BundleError(
            f"The bundle cannot be written to {folder}: {error.strerror}. {_AFTERWARDS[_is_in_place(folder, manifest)]}"
        ) from error


def _make_folder(folder: Path) -> bool:
    """Make the folder where there is none; True when it was made. Folders with foreign files are refused."""
    with suppress(FileExistsError):
        folder.mkdir(parents=False)
        return True
    check_replaceable(folder)
    return False


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep other processes from saving into the folder; the lock ends with the process at the latest."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(folder: Path, manifest: bytes, files: Mapping[str, bytes | memoryview], created: bool) -> None:
    before = set(_names(folder))
    try:
        if any(name.startswith(f"{ASSETS}/") for name in files):
            _make_assets(folder / ASSETS)
        for name, content in files.items():
            _write(folder, name, content)
        _write(folder, MANIFEST_NAME, manifest)
    except BaseException:
        new = set(_names(folder)) - before
        # An interrupt or an error can come after the last rename: then the new bundle is in place and its files stay.
        unused = (
            new if _is_in_place(folder, manifest) is False else {name for name in new if name.startswith(_TEMPORARY)}
        )
        _remove(folder, unused)
        if created:
            with suppress(OSError):
                folder.rmdir()
        raise
    with suppress(OSError):  # of a folder that cannot be listed; the bundle is in place
        _remove(folder, {name for name in _names(folder) if _OWN_NAME.fullmatch(name)} - files.keys())


def _is_in_place(folder: Path, manifest: bytes) -> bool | None:
    """Whether a folder has this manifest; None when that cannot be told."""
    try:
        with open_regular(folder / MANIFEST_NAME) as file:
            return file.read(len(manifest) + 1) == manifest
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None


def _holds_ours(path: Path) -> bool:
    """Whether a file is a manifest of ours."""
    try:
        with open_regular(path) as file:
            return is_ours(file.read(1024))
    except (FileNotFoundError, IsADirectoryError):
        return False
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}), so nothing is saved over it.") from error


def _make_assets(folder: Path) -> None:
    if folder.is_symlink():
        raise BundleError(f"{folder} is a symbolic link; remove it, or save the bundle elsewhere.")
    folder.mkdir(exist_ok=True)


def _names(folder: Path) -> list[str]:
    """The files in a bundle's folder and in its assets, as the manifest names them."""
    names = [path.name for path in folder.iterdir() if path.name != ASSETS]
    assets = folder / ASSETS
    if assets.is_dir() and not assets.is_symlink():
        names += [f"{ASSETS}/{path.name}" for path in assets.iterdir()]
    return names


def _write(folder: Path, name: str, content: bytes | memoryview) -> None:
    """Write a file under a temporary name, make it durable and give it its name in one move."""
    replace_file(folder / name, content, folder / f"{_TEMPORARY}{os.urandom(16).hex()}")
    for changed in {folder, (folder / name).parent}:
        _sync_folder(changed)


def _sync_folder(folder: Path) -> None:
    """Make renames durable in their order, so that a power cut is as harmless as a kill, where the file system can.

    Nothing is raised: what was renamed is in place, and an error would say that it is not.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(folder: Path, names: set[str]) -> None:
    """Remove files, and the assets folder once it is empty; what cannot be removed only takes room."""
    for name in names:
        with suppress(OSError):
            (folder / name).unlink()
    with suppress(OSError):
        (folder / ASSETS).rmdir()

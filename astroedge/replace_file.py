"""Writing one file whole: the old content or the new one, never a part.

A device, a FIFO or a link such as /dev/stdout is written through, never replaced; behind any other link the file that
it leads to is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from astroedge.scratch import beside, scratch_folder

_DESCRIPTORS = ("/dev/", "/proc/")


def replace_file(
    path: str | os.PathLike[str],
    content: bytes | memoryview | Iterable[bytes | memoryview],
    partial: Path | None = None,
) -> None:
    """Write `content`, given whole or in pieces, and move it to `path`; an error leaves what was there before.

    Until it is whole it is at `partial`, where nothing may be: by default beside `path`. With `partial` a link at
    `path` is replaced itself. (A device or a link such as /dev/stdout is written to at once, and keeps what came before
    an error.)

    Raises OSError, which names `path`, when the folder is missing, cannot be written or is full.
    """
    pieces = [content] if isinstance(content, (bytes, memoryview)) else content
    with _naming(path):
        if _is_written_through(Path(path)):
            with open(path, "wb") as file:
                file.writelines(pieces)
            return
        with replacing(path, partial) as new, new.open("xb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())


def replace_files(contents: Mapping[str | os.PathLike[str], bytes]) -> None:
    """Write several files, and move them to their places once all of them are whole; an error leaves the old ones.

    Only where a move itself fails, which follows a write in the same folder, some are new already.

    Raises OSError, which names the file that cannot be written.
    """
    with ExitStack() as moves:
        for path, content in contents.items():
            with _naming(path):
                moves.enter_context(replacing(path)).write_bytes(content)


@contextmanager
def replacing(path: str | os.PathLike[str], partial: Path | None = None) -> Iterator[Path]:
    """Where to write what takes the place of `path` when all goes well, and is removed when anything fails.

    That is `partial`, in the same file system as `path`, and a link at `path` is replaced itself; by default a hidden
    name beside the file that `path` leads to.

    Raises OSError when the move fails.
    """
    if _is_written_through(Path(path)):
        with scratch_folder("write") as folder:
            yield folder / "whole"
            import shutil  # rarely needed, and it imports much

            with _naming(path), (folder / "whole").open("rb") as whole, open(path, "wb") as file:
                shutil.copyfileobj(whole, file)
        return
    target = Path(os.path.realpath(path) if partial is None else path)
    new = partial or beside(target)
    try:
        yield new
        with _naming(target):
            os.replace(new, target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Have an error name the file that was to be written, not where it is until then."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _is_written_through(path: Path) -> bool:
    """Whether a path is, or leads to, a device, a FIFO, a socket or an open file of a process."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if not (S_ISREG(mode) or S_ISDIR(mode)):
        return True
    return any(link.is_symlink() and str(link).startswith(_DESCRIPTORS) for link in _links(path))


def _links(path: Path) -> Iterator[Path]:
    """The path and the links behind it, one by one, as absolute paths; `path` leads somewhere."""
    current = path.absolute()
    yield current
    while current.is_symlink():
        current = current.parent / os.readlink(current)
        yield current

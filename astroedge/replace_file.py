"""Writing one file whole: the old content or the new one, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(
    path: str | os.PathLike[str], content: bytes | memoryview | Iterable[bytes], partial: Path | None = None
) -> None:
    """Write `content`, given whole or in pieces, and move it to `path`; an error leaves what was there before.

    Until it is whole it is at `partial`, where nothing may be: by default beside `path`.

    Raises OSError, which names `path`, when the folder is missing, cannot be written or is full.
    """
    try:
        with replacing(path, partial) as new, new.open("xb") as file:
            file.writelines([content] if isinstance(content, (bytes, memoryview)) else content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


@contextmanager
def replacing(path: str | os.PathLike[str], partial: Path | None = None) -> Iterator[Path]:
    """Where to write what takes the place of `path` when all goes well, and is removed when anything fails.

    That is `partial`, in the same file system as `path`; by default a hidden name beside it.

    Raises OSError when the move fails.
    """
    target = Path(path)
    new = partial or target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        yield new
        os.replace(new, target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise

"""Opening a file that is one: a FIFO would be waited for, and a device such as /dev/zero never ends."""

from __future__ import annotations

import errno
import os
from io import BufferedReader
from stat import S_ISDIR, S_ISREG


def open_regular(path: str | os.PathLike[str], flags: int = 0) -> BufferedReader:
    """A regular file for reading, opened with further `flags` of os.open.

    Raises OSError, which names the path, for what cannot be opened and for a folder, a FIFO or a device.
    """
    descriptor = os.open(path, os.O_RDONLY | flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))

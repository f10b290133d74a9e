"""Files and folders that live for a moment: named after the process that made them, and swept when it died.

A process that is killed removes nothing. What it left has its number in the name, so that the next one which works in
the same place can tell it from what a living process is writing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "astroedge-"


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A folder that only this user can enter, gone at the end; what killed runs left for the same purpose goes too.

    Raises OSError where it cannot be made: TMPDIR, /tmp and the like are missing, full or not to be written.
    """
    import tempfile  # rarely needed on a device, and it imports much

    try:
        root = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno, "there is no folder for temporary files that can be written; set TMPDIR to one"
        ) from error
    sweep(root, re.compile(rf"{_PREFIX}{purpose}-(\d+)-.+"))
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{purpose}-{os.getpid()}-") as name:
        yield Path(name)


def beside(target: Path) -> Path:
    """A hidden name beside `target` that nobody can guess, for what will take its place; leftovers are swept."""
    sweep(target.parent, re.compile(rf"\.{re.escape(target.name)}\.(\d+)-[0-9a-f]{{16}}\.part"))
    return target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(8).hex()}.part")


def sweep(folder: Path, pattern: re.Pattern[str]) -> None:
    """Remove what matches `pattern` in a folder, is ours, and was made by a process that is no more: its first group.

    What cannot be removed stays; it only takes room.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match is None or _lives(int(match[1])) or entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            if entry.is_dir(follow_symlinks=False):
                import shutil

                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def _lives(process: int) -> bool:
    """Whether a process of this number is there; one of another user counts."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

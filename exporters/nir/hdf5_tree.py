"""What an HDF5 file holds, as nested dicts; and, run as a program, whether reading it comes to an end.

HDF5 reads some damaged files without end or crashes on them, inside C, where nothing can stop it. So a file is read by
a process of its own first, which may take so long and no longer. That program needs h5py alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

DEEPEST = 64  # groups inside each other: two for each nested graph
LARGEST = 2**31  # bytes of one parameter
PARTS = ("version", "node")
LEAST_SECONDS, BYTES_A_SECOND = 20, 10_000_000  # of a processor; files are read a hundred times as fast


def read_tree(parent: Any, name: str, depth: int = 0) -> Any:
    """What is called `name` in an HDF5 group: a group as nested dicts, a dataset as its value.

    HDF5 can take bytes of any file for a dataset, by a link or by storage outside; a model file holds its own.

    Raises ValueError for those, for what is too large or too deep, and what h5py raises for damage.
    """
    link = type(parent.get(name, getlink=True)).__name__
    if link != "HardLink":
        raise ValueError(f"{name} is a link to somewhere else")
    item = parent[name]
    if hasattr(item, "keys"):
        if depth == DEEPEST:
            raise ValueError(f"its groups are nested more than {DEEPEST} deep")
        return {inner: read_tree(item, inner, depth + 1) for inner in item}
    if item.external or item.is_virtual:
        raise ValueError(f"{name} is stored in another file")
    if item.nbytes > LARGEST:
        raise ValueError(f"{name} has {item.nbytes:,} bytes")
    value = item[()]
    return value.decode() if isinstance(value, bytes) else value


def check_that_reading_ends(path: str | os.PathLike[str]) -> None:
    """Read a file in a process of its own. What Python can say about it is left to who reads it next.

    Raises ValueError when HDF5 crashes on it, or takes longer than any whole file of that size.
    """
    seconds = LEAST_SECONDS + os.path.getsize(path) // BYTES_A_SECOND
    command = [sys.executable, "-P", __file__, os.fspath(Path(path).absolute()), str(seconds)]
    code = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ValueError(f"HDF5 did not come to an end with it in {seconds} seconds of a processor")
    if code < 0:
        raise ValueError(f"HDF5 crashed on it, {signal.Signals(-code).name}")


def main(path: str, seconds: str) -> None:
    """Read the parts of a NIR file, for no more than so many seconds of a processor."""
    import resource

    h5py = import_module("h5py")
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with h5py.File(path, "r") as file:
        for part in PARTS:
            if part in file:
                read_tree(file, part)


if __name__ == "__main__":
    main(*sys.argv[1:])

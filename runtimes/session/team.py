"""The threads that compute a session's ticks together, or a pool's: how many, how they are started and dismissed.

The library starts no thread. The workers are Python threads inside `astro_work` or `astro_work_streams`, which hold no
lock of the interpreter and sleep while there is nothing to do.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of, aligned_zeros
from astroedge.abi.layout import AstroTeam
from astroedge.abi.limits import MAX_THREADS
from astroedge.bundle.manifest import Manifest
from astroedge.errors import AstroEdgeError, InputError

_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def choose_threads(manifest: Manifest, threads: int | None) -> int:
    """How many threads compute a tick: as many as asked for, or with None as the manifest advises and cores allow.

    Raises InputError for a number that no team can have, and for more than one where the step cannot be divided.
    """
    if threads is None:
        return max(1, min(manifest.default_threads, usable_cores()))
    if type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        raise InputError(f"threads={threads!r} must be a whole number from 1 to {MAX_THREADS}.")
    if threads > 1 and manifest.device is not None:
        raise InputError(f"threads={threads}, but the ticks of {manifest.model!r} are a GPU's; leave threads= out.")
    if threads > 1 and manifest.threads == 1:
        raise InputError(
            f"threads={threads}, but the step of {manifest.model!r} is too small to gain by a second thread, so its "
            "library was compiled for one; leave threads= out."
        )
    return threads


def usable_cores() -> int:
    """The processors that this process may run on, and no more than its control group has time on."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CPU_QUOTA.read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no such limit
        return cores


class Team:
    """The caller of a tick and `threads` - 1 workers; `address` is what `team` of astro_call or astro_streams takes."""

    def __init__(self, library: ctypes.CDLL, threads: int, entry: str = "astro_work") -> None:
        """Start the workers, in the entry of the library that is theirs.

        Raises AstroEdgeError when the system gives no more threads.
        """
        memory = aligned_zeros(ctypes.sizeof(AstroTeam))
        self.address = address_of(memory)
        team = AstroTeam.from_address(self.address)
        team.size, team.threads = ctypes.sizeof(AstroTeam), threads
        # Called with the interpreter's lock held: no other thread of it begins a tick meanwhile.
        dismiss = ctypes.cast(library.astro_dismiss, ctypes.c_void_p).value
        self._dismiss = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(dismiss or 0)
        self._workers: list[threading.Thread] = []
        for index in range(1, threads):
            worker = threading.Thread(
                target=_work, args=(library[entry], memory, index), name=f"astroedge-worker-{index}", daemon=True
            )
            try:
                worker.start()
            except RuntimeError as error:
                self.dismiss()
                raise AstroEdgeError(
                    f"The system starts no more than {index} of {threads} threads ({error}); its limit on processes "
                    "is reached: ask for fewer with threads=."
                ) from error
            self._workers.append(worker)

    def dismiss(self) -> None:
        """Tell the workers to return, no tick being computed; the team's memory lives as long as any of them."""
        self._dismiss(self.address)

    def join(self) -> None:
        """Wait until dismissed workers are gone."""
        for worker in self._workers:
            worker.join()


def _work(entry: Callable[..., int], memory: NDArray[np.uint8], index: int) -> None:
    """What a worker does; it keeps the memory that it works in alive."""
    entry(ctypes.c_void_p(address_of(memory)), ctypes.c_uint32(index))

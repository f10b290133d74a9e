"""Ctrl-C in the middle of native code, without a thread: a flag in memory that the signal itself sets.

Python runs a signal handler only when native code has returned. What it does at once, inside the C-level handler, is
write the signal's number to the descriptor given to `signal.set_wakeup_fd`. Here that is a small file in memory which
is also mapped, so that the write sets the flag that `astro_run` reads before every tick. It returns, Python runs its
handlers, and the run goes on unless one of them raised.
"""

from __future__ import annotations

import mmap
import os
import signal
import threading
from contextlib import suppress

import numpy as np

from astroedge.abi.aligned import address_of


class StopFlag:
    """An int32 that becomes non-zero when a signal arrives; `address` is where, for `astro_call.stop`.

    `watched` is whether signals are written to it at present.
    """

    def __init__(self) -> None:
        self._received = b""
        self.watched = False
        self.renew()

    def renew(self) -> None:
        """Be another flag, that is not set."""
        self.descriptor = _memory_file(mmap.PAGESIZE)
        try:
            os.set_blocking(self.descriptor, False)
            self._flag = np.frombuffer(mmap.mmap(self.descriptor, mmap.PAGESIZE), dtype=np.int32)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.address = address_of(self._flag)

    def clear(self) -> None:
        """Make the flag 0 again; a signal that came before has its handler run when this returns."""
        self._received += os.pread(self.descriptor, os.lseek(self.descriptor, 0, os.SEEK_CUR), 0)
        self._flag[0] = 0
        os.lseek(self.descriptor, 0, os.SEEK_SET)  # the next signal writes to the flag again

    def take_received(self) -> bytes:
        """Clear the flag; returns the numbers of the signals since the last call, one byte each."""
        if self._flag[0]:
            self.clear()
        received, self._received = self._received, b""
        return received


_flag_of_process: StopFlag | None = None


def _part_flags() -> None:
    """In a forked child, which must not share its parent's flag: the mapping is one memory for both."""
    global _flag_of_process
    flag = _flag_of_process
    if flag is None:
        return
    os.close(flag.descriptor)
    _flag_of_process = None
    if flag.watched:  # by a run that was interrupted by the handler that forked, and goes on here
        flag.renew()
        signal.set_wakeup_fd(flag.descriptor, warn_on_full_buffer=False)
        _flag_of_process = flag


os.register_at_fork(after_in_child=_part_flags)


class stop_on_signal:
    """`with stop_on_signal() as flag`: any signal sets the flag while the block runs.

    The flag is None outside the main thread, which alone handles signals, and where the system has no file for it: a
    signal is then answered when the block ends.
    """

    __slots__ = ("_before", "_flag")

    def __enter__(self) -> StopFlag | None:
        """Have signals set the process's flag."""
        global _flag_of_process
        self._flag = None
        if threading.current_thread() is not threading.main_thread():
            return None
        if _flag_of_process is None:
            try:
                _flag_of_process = StopFlag()
            except OSError:  # no memory file, no temporary folder or no descriptor left
                return None
        self._flag = _flag_of_process
        self._flag.take_received()
        self._before = signal.set_wakeup_fd(self._flag.descriptor, warn_on_full_buffer=False)
        self._flag.watched = True
        return self._flag

    def __exit__(self, *exception: object) -> None:
        """Give the wake-up descriptor back, and what came meanwhile to whom it belongs."""
        if self._flag is None:
            return
        self._flag.watched = False
        signal.set_wakeup_fd(self._before)
        received = self._flag.take_received()
        if self._before != -1 and received:  # an event loop waits for these bytes
            with suppress(OSError):
                os.write(self._before, received)


def _memory_file(size: int) -> int:
    """The descriptor of a file without a name, in memory where the system can."""
    try:
        descriptor = os.memfd_create("astroedge-stop", os.MFD_CLOEXEC)
    except (OSError, AttributeError):
        import tempfile  # rarely needed, and it imports much

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor

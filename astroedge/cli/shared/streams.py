"""Standard input, output and error as a process may find them: closed, of another encoding, full."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TextIO

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def prepare_streams() -> None:
    """Make all three usable: a closed one reads as empty and forgets what is written, no character is an error.

    A closed descriptor would else be given to the next file that is opened, and a message land in that file.
    """
    for name, mode in _STREAMS:
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", errors="replace"))
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper):  # a terminal that knows no µ or × shows a question mark
            stream.reconfigure(errors="replace")


def drop_unwritten() -> None:
    """Give up what is still buffered for an output that takes no more: Python would try again when it ends.

    It would then print a second error and replace the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        _flush_or_drop(stream)


def _flush_or_drop(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

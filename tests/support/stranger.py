"""A user who is in no list of users, owns nothing and may read everything: what a service may run as."""

from __future__ import annotations

import ctypes
import os
import struct

USER = 54321
_READ = 2  # Linux's number of the capability to read what permissions forbid: Python may lie in root's own folder
_VERSION = 0x20080522  # of the capabilities' structures
_KEEP, _AMBIENT, _RAISE = 8, 47, 2  # prctl's numbers


def become_stranger() -> None:
    """Be such a user from here on, in this process and what it starts; who is not root stays who they are.

    Raises OSError where the system does not let root do so.
    """
    if os.getuid() != 0:
        return
    _call("prctl", _KEEP, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    read = 1 << _READ
    _call("capset", struct.pack("Ii", _VERSION, 0), struct.pack("6I", read, read, read, 0, 0, 0))
    _call("prctl", _AMBIENT, _RAISE, _READ, 0, 0)


def _call(name: str, *arguments: int | bytes) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    if getattr(library, name)(*values) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")

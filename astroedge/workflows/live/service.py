"""What systemd is told of a program that it runs as a service of type `notify`, and that its watchdog waits for.

The protocol is that of sd_notify(3): datagrams to the socket that the variable NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic


class Service:
    """Says that the service is ready, alive at every `alive`, as often as the watchdog needs, and stopping."""

    def __init__(self, connection: socket.socket | None, every: float) -> None:
        self._connection, self._every, self._next = connection, every, 0.0

    def ready(self) -> None:
        """The model is loaded and data may come."""
        self._say(b"READY=1")

    def alive(self) -> None:
        """A tick was made; systemd is told at most twice in the time after which it would give up."""
        if self._connection is not None and self._every and (now := monotonic()) >= self._next:
            self._next = now + self._every
            self._say(b"WATCHDOG=1")

    def stopping(self) -> None:
        """No further tick is made."""
        self._say(b"STOPPING=1")

    def _say(self, text: bytes) -> None:
        if self._connection is not None:
            with suppress(OSError):  # a service goes on where nobody listens
                self._connection.send(text)


@contextmanager
def service() -> Iterator[Service]:
    """The service that systemd has this process be; where it has not, nobody is told anything."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        yield Service(None, 0.0)
        return
    interval = os.environ.get("WATCHDOG_USEC", "")
    every = int(interval) / 2e6 if interval.isdecimal() else 0.0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        with suppress(OSError):
            # An address that begins with @ lies in the kernel's own name space.
            connection.connect(b"\0" + os.fsencode(address[1:]) if address[0] == "@" else address)
        told = Service(connection, every)
        try:
            yield told
        finally:
            told.stopping()

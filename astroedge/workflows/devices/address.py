"""How a user names a device: a GPU of this machine by its number, or a board that OpenSSH reaches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from astroedge.errors import DeviceError

SCHEME = "ssh://"
# Neither may begin with "-", which ssh would take for an option, nor hold what a shell or ssh gives a meaning.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\$?")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]")
_LARGEST_PORT = 65535


@dataclass(frozen=True)
class Address:
    """A board: a host name, address or alias of the user's OpenSSH configuration; "" and 0 leave the rest to that."""

    host: str
    user: str = ""
    port: int = 0

    @property
    def text(self) -> str:
        """The address for people, without the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}{'@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"

    def words(self) -> list[str]:
        """What `ssh` is given, after its own options."""
        port = ["-p", str(self.port)] if self.port else []
        user = ["-l", self.user] if self.user else []
        return [*port, *user, "--", self.host]


@dataclass(frozen=True)
class Devices:
    """What a command was told to work on: a GPU of this machine, or boards; neither means this machine's first GPU."""

    gpu: int | None = None
    boards: tuple[Address, ...] = ()


def read_devices(texts: Sequence[str]) -> Devices:
    """The devices that a user named, each board once.

    Raises DeviceError for a name that is none, and for several GPUs or a GPU beside boards.
    """
    numbers = [int(text) for text in texts if text.isascii() and text.isdigit()]
    boards = tuple(dict.fromkeys(read_address(text) for text in texts if not (text.isascii() and text.isdigit())))
    if numbers and (boards or len(numbers) > 1):
        raise DeviceError(
            "One command works on one GPU of this machine or on boards; name one number, or boards such as "
            f"{SCHEME}pi@raspberrypi.local."
        )
    if numbers and numbers[0] >= 2**31:
        raise DeviceError(f"--device {numbers[0]} is no GPU's number; the first is 0.")
    return Devices(numbers[0] if numbers else None, boards)


def read_address(text: str) -> Address:
    """The board of `ssh://[user@]host[:port]`, `user@host` or an alias of the OpenSSH configuration.

    Raises DeviceError for any other text.
    """
    has_scheme = text.startswith(SCHEME)
    before, at, place = text.removeprefix(SCHEME).removesuffix("/" if has_scheme else "").rpartition("@")
    host, port = place, ""
    if has_scheme and (split := re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", place)):
        host, port = split[1], split[2] or ""
    bracketed = _IPV6.fullmatch(host)
    good_host = bracketed is not None or _HOST.fullmatch(host) is not None
    good_user = not at or _USER.fullmatch(before) is not None
    if not (good_host and good_user and (port == "" or 1 <= int(port) <= _LARGEST_PORT)):
        raise DeviceError(
            f"{text!r} names no device; write a GPU's number, {SCHEME}user@host, {SCHEME}user@host:port, or a Host of "
            "your OpenSSH configuration (~/.ssh/config)."
        )
    return Address(bracketed[1] if bracketed else host, before, int(port) if port else 0)

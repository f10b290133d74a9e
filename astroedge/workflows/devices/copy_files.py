"""Files on a board: what it has by its digest is taken from there, the rest is sent, and each is compared there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from astroedge.bundle.container import Bundle
from astroedge.errors import DeviceError
from astroedge.workflows.devices.connection import Connection

PROGRAM, DATA = "700", "600"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file for the private folder: its name there, with folders before it, its content, and its mode for chmod."""

    name: str
    content: bytes
    mode: str = DATA

    @property
    def digest(self) -> str:
        """The SHA-256 of the content."""
        return sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Copied:
    """How many bytes went over the wire and how many the board had."""

    sent: int
    found: int


def copy_files(connection: Connection, files: Sequence[RemoteFile], say: Progress) -> Copied:
    """Have files in the private folder of a board, each with its digest there.

    Raises DeviceError where the disk there is full or read only, where a file arrives damaged, and where the connection
    fails.
    """
    answer = connection.work("find", data=list_files(files))
    if answer.code:
        raise connection.no_room(answer)
    there = set(answer.out.decode("utf-8", "replace").splitlines())
    missing = [file for file in files if file.name not in there]
    for file in missing:
        say(f"sending {Path(file.name).name}")
        _send(connection, file)
    sent = sum(len(file.content) for file in missing)
    return Copied(sent, sum(len(file.content) for file in files) - sent)


def keep_files(connection: Connection, files: Sequence[RemoteFile]) -> None:
    """Leave copies on the board by their digests (`~/.cache/astroedge/files`), which later runs need not send.

    Raises DeviceError where they cannot be written.
    """
    answer = connection.work("keep", data=list_files(files))
    if answer.code:
        raise connection.no_room(answer)


def list_files(files: Sequence[RemoteFile]) -> bytes:
    """Lines of digest and name, as job.sh reads them."""
    return "".join(f"{file.digest} {file.name}\n" for file in files).encode()


def bundle_files(bundle: Bundle, folder: str) -> list[RemoteFile]:
    """The files of a bundle, in a folder of this name.

    Raises BundleError when one does not match its digest.
    """
    return [RemoteFile(f"{folder}/{name}", bytes(content)) for name, content in bundle.contents().items()]


def _send(connection: Connection, file: RemoteFile) -> None:
    answer = connection.work("put", file.mode, file.name, data=file.content)
    if answer.code:
        raise connection.no_room(answer)
    found = answer.out.decode("utf-8", "replace").strip()
    if found == "none":  # no program there makes digests: the content comes back to be compared
        found = sha256(connection.work("get", file.name, limit=len(file.content)).out).hexdigest()
    if found != file.digest:
        raise DeviceError(
            f"{connection.address.text}: {file.name} arrived damaged; the disk there is full or failing. Try again."
        )

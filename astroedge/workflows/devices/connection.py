"""A connection to a board: OpenSSH's own program, one login for all that is done there.

`ssh` brings keys, agents, jump hosts and the user's configuration. The first process is the master, whose remote shell
reads `keeper.sh`; every piece of work is another `ssh` through its socket. The board's private folder lives as long as
the master's standard input is open, so it goes away with this process too, however that ends.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Lock, Thread
from time import monotonic
from typing import IO, Any

from astroedge.errors import DeviceError
from astroedge.scratch import scratch_folder
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.ssh_faults import SSH_FAILED, explain_failure

OPTIONS = {
    "BatchMode": "yes",  # never a question, which nobody would answer
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "LogLevel": "ERROR",
}
PATIENCE = 60.0  # seconds for a login and for each answer of the keeper
BEAT = 15.0  # seconds between two signs of life to the board
QUIET = 60  # seconds without one after which the board cleans up by itself
LARGEST_ANSWER = 64 << 20  # bytes that a board may say in one answer
LARGEST_ERROR = 16 << 10
LINES = 1024  # that wait to be read
LONGEST_SOCKET = 104 - 20  # a UNIX socket's path, less what ssh adds while it makes it
MARK = b":astroedge:"
_HERE = Path(__file__).parent
Feed = Callable[[IO[bytes]], Any]
Hear = Callable[[bytes], object]


@dataclass(frozen=True)
class Answer:
    """What a program on the board did: its exit code, what it wrote after the mark, and its standard error."""

    code: int
    out: bytes
    err: str


class Connection:
    """One board. `texts` are what the keeper's probe said, by name; `folder` the private folder, "" until `place`."""

    def __init__(self, address: Address) -> None:
        """A connection that is not open yet."""
        self.address = address
        self.folder = ""
        self.texts: dict[str, str] = {}
        self._cleanup = ExitStack()
        self._lines: Queue[bytes | None] = Queue(LINES)
        self._said: list[bytes] = []
        self._state = Lock()
        self._closed = Event()
        self._master: subprocess.Popen[bytes] | None = None
        self._through: list[str] = []
        self._readers: list[Thread] = []

    def open(self) -> None:
        """Log in and have the board described.

        Raises DeviceError where `ssh` is missing, refuses or fails.
        """
        program = shutil.which("ssh")
        if program is None:
            raise DeviceError(
                "The program ssh is not found, which brings the connection; install OpenSSH (Debian: openssh-client)."
            )
        with self._state:
            if self._closed.is_set():
                raise self._failure(b"")
            private = self._cleanup.enter_context(scratch_folder("ssh"))
            socket = private / "s"
            if len(os.fsencode(socket)) > LONGEST_SOCKET:
                raise DeviceError(f"The path {private} is too long for a socket; set TMPDIR to a shorter one.")
            options = [word for name, value in OPTIONS.items() for word in ("-o", f"{name}={value}")]
            self._through = [program, *options, "-o", f"ControlPath={socket}"]
            master = [*self._through, "-o", "ControlMaster=yes", "-o", "ControlPersist=no"]
            self._master = _start([*master, *self.address.words(), f"exec sh -s {QUIET}"])
        self._readers = [
            Thread(target=_read_lines, args=(self._master.stdout, self._lines), daemon=True),
            Thread(target=_read_some, args=(self._master.stderr, self._said), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self._tell((_HERE / "keeper.sh").read_bytes())
        self.texts = self._answers("ready")

    def place(self, size: int, beside: str = "") -> None:
        """Have a private folder made on the board with room for `size` bytes, where there is one.

        With `beside`, a path, on that disk: from there a move to the path is one step.

        Raises DeviceError where no folder has the room, can be written and may hold programs.
        """
        self._tell(f"place {size} {beside}\n".encode())
        said = self._answers("placed")
        self.folder = said.get("folder", "").strip()
        if not self.folder.startswith("/") or not self.folder.isprintable():
            self.folder = ""
            raise DeviceError(
                f"{self.address.text} has no folder to work in with {size:,} bytes free: "
                f"{said.get('refused', '').strip().rstrip(';') or 'no answer'}. Free some room, or set TMPDIR there to "
                "a folder of yours on a disk where programs may run."
            )
        Thread(target=self._beat, daemon=True).start()
        script = (_HERE / "job.sh").read_bytes()
        put = f"cat >{shlex.quote(f'{self.folder}/.job')} && echo {MARK.decode()}"
        answer = self._ssh(put, lambda pipe: pipe.write(script))
        if answer.code:
            raise self.no_room(answer)

    def work(
        self,
        *words: str,
        data: bytes | Feed = b"",
        limit: int = LARGEST_ANSWER,
        heard: Hear | None = None,
    ) -> Answer:
        """Do one piece of work of `job.sh` in the private folder; `data` is its standard input, or what writes it.

        `heard` is called with each line of the answer as it comes, and with b"" at its end.

        Raises DeviceError where the connection fails, and where the board says more than `limit` bytes.
        """
        command = " ".join(map(shlex.quote, ("sh", f"{self.folder}/.job", self.folder, *words)))
        return self._ssh(f"exec {command}", data if callable(data) else lambda pipe: pipe.write(data), limit, heard)

    def no_room(self, answer: Answer) -> DeviceError:
        """The error for a file that could not be written there."""
        lines = answer.err.strip().splitlines() or ["no reason was given"]
        return DeviceError(
            f"{self.address.text}: a file cannot be written in {self.folder or 'its folder'} ({lines[-1][:200]}); the "
            "disk is usually full or not yours: free some room, or name another folder (TMPDIR there)."
        )

    def close(self) -> None:
        """End the keeper, which kills and removes what was made there, and the connection; twice is once."""
        with self._state:
            if self._closed.is_set():
                return
            self._closed.set()
        master = self._master
        if master is not None:
            with suppress(OSError):
                _pipe(master.stdin).close()
            try:
                master.wait(PATIENCE / 6)
            except subprocess.TimeoutExpired:
                master.kill()
                master.wait()
            for reader in self._readers:
                reader.join(1)  # a board that never ends a flood of lines keeps no one
        self._cleanup.close()

    def _ssh(self, command: str, feed: Feed, limit: int = LARGEST_ANSWER, heard: Hear | None = None) -> Answer:
        """Run a command through the master, feed it, and read what it says after the mark."""
        if self._closed.is_set():
            raise self._failure(b"")
        # ControlMaster=no with a master's socket: without the master it fails, and never logs in by itself.
        through = [*self._through, "-o", "ControlMaster=no", "-o", "ProxyCommand=false"]
        with _start([*through, *self.address.words(), command]) as process:
            errors: list[bytes] = []
            helpers = [
                Thread(target=_read_some, args=(process.stderr, errors), daemon=True),
                Thread(target=_feed, args=(_pipe(process.stdin), feed), daemon=True),
            ]
            for helper in helpers:
                helper.start()
            try:
                out = _read_answer(_pipe(process.stdout), limit, heard)
                if out is None:
                    raise DeviceError(
                        f"{self.address.text} says more than {limit:,} bytes in one answer; this is not what AstroEdge "
                        "sent there, or less is to be asked for (fewer steps with --samples)."
                    )
                process.wait()
            finally:
                process.kill()
            for helper in helpers:
                helper.join()
        if process.returncode == SSH_FAILED:
            raise self._failure(b"".join(errors))
        return Answer(process.returncode, out, b"".join(errors).decode("utf-8", "replace"))

    def _tell(self, text: bytes) -> None:
        """Write to the keeper; a lost connection shows at the next answer."""
        with suppress(OSError, ValueError):
            pipe = _pipe(self._master.stdin if self._master else None)
            pipe.write(text)
            pipe.flush()

    def _answers(self, last: str) -> dict[str, str]:
        """What the keeper says, by name, up to the name `last`."""
        said: defaultdict[str, list[str]] = defaultdict(list)
        end, name, size = monotonic() + PATIENCE, "", 0
        while name != last:
            try:
                line = self._lines.get(timeout=max(0.0, end - monotonic()))
            except Empty:
                raise DeviceError(
                    f"{self.address.text} let us in and then said nothing for {PATIENCE:.0f} s; is it very busy, or is "
                    "the login shell there waiting for something?"
                ) from None
            size += len(line or b"")
            if line is None or size > LARGEST_ANSWER:
                self._readers[1].join(1)
                raise self._failure(b"".join(self._said))
            text = line.decode("utf-8", "replace").rstrip("\n")
            if text.startswith(f"{MARK.decode()} "):
                name = text.removeprefix(f"{MARK.decode()} ")
            else:
                said[name].append(text)
        return {name: "\n".join(lines) for name, lines in said.items()}

    def _failure(self, said: bytes) -> DeviceError:
        text = b"".join(self._said).decode("utf-8", "replace") + said.decode("utf-8", "replace")
        return explain_failure(text, self.address.text, self.address.host, self.address.words())

    def _beat(self) -> None:
        while not self._closed.wait(BEAT):
            self._tell(b"beat\n")


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "every process is started with pipes"
    return stream


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process with pipes; Ctrl-C of the terminal is for us alone, who end it in order."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)


def _read_lines(stream: IO[bytes], lines: Queue[bytes | None]) -> None:
    while line := stream.readline(1 << 16):
        lines.put(line)
    lines.put(None)


def _read_some(stream: IO[bytes], kept: list[bytes]) -> None:
    """Read to the end and keep the first of it."""
    size = 0
    while part := stream.read1(1 << 12):  # type: ignore[attr-defined]
        if size < LARGEST_ERROR:
            kept.append(part)
        size += len(part)


def _feed(stream: IO[bytes], feed: Feed) -> None:
    """Write what a program reads; one that ends before it has read all tells so by its exit code."""
    with suppress(OSError):
        feed(stream)
    with suppress(OSError):
        stream.close()


def _read_answer(stream: IO[bytes], limit: int, heard: Hear | None) -> bytes | None:
    """All that follows the first line that is the mark; None when it is more than `limit` bytes."""
    skipped = 0
    while (line := stream.readline(1 << 16)) and line.rstrip() != MARK:
        skipped += len(line)
        if skipped > LARGEST_ERROR * 64:
            return None
    if heard is None:
        out = stream.read(limit + 1)
        return None if len(out) > limit else out
    out = b""
    while (line := stream.readline(1 << 16)) and len(out) <= limit:
        heard(line)
        out += line
    heard(b"")
    return None if len(out) > limit else out

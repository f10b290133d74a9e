"""Boards on this machine: a real SSH server on the loopback whose keys lead to different surroundings.

Each board is a Host of an OpenSSH configuration of the tests' own, and a key that the server has run one command: what
the client asks for, in surroundings that have a Python or none, or in a 64-bit ARM root where QEMU runs every program.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

SERVER = "/usr/sbin/sshd"
# What keeper.sh and job.sh call, and a board without Python still has.
TOOLS = (
    *(
        "sh",
        "cat",
        "chmod",
        "cp",
        "cut",
        "dd",
        "df",
        "dirname",
        "getconf",
        "grep",
        "head",
        "ls",
        "mkdir",
        "mktemp",
        "mv",
        "od",
    ),
    *("rm", "sed", "sha256sum", "sleep", "sort", "tail", "tr", "uname"),
)


class NoServerError(Exception):
    """This machine cannot play boards; the message says what is missing."""


@dataclass
class SshBoards:
    """A server that runs, and the boards it plays; `program` is a folder whose `ssh` knows them."""

    folder: Path
    port: int
    program: Path
    process: subprocess.Popen[bytes] | None = None
    boards: dict[str, Path] = field(default_factory=dict)

    def add(self, name: str, command: str, *, before: str = "", **environment: str) -> Path:
        """A board `name` whose shell is started by `command`; returns its home. `before` is shell that runs first."""
        home = self.folder / name
        home.mkdir()
        (home / "tmp").mkdir()
        values = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PATH": os.defpath, **environment}
        words = " ".join(f"{key}='{value}'" for key, value in values.items())
        script = home / "login"
        script.write_text(f'#!/bin/sh\n{before}\nexec env -i {words} {command} "$SSH_ORIGINAL_COMMAND"\n')
        script.chmod(0o700)
        key = self._key(name)
        with (self.folder / "authorized").open("a") as file:
            file.write(f'command="{script}" {key.with_suffix(".key.pub").read_text()}')
        self._host(name, f"IdentityFile {key}\nUserKnownHostsFile {self.folder / 'known'}\n")
        self.boards[name] = home
        return home

    def add_host(self, name: str, *, known: str = "known", key: str | None = None, port: int | None = None) -> None:
        """A name for the server with another known_hosts file, with a key that is let in nowhere, or another port."""
        (self.folder / known).touch()
        identity = self._key(f"{name}-key") if key is None else self.folder / f"{key}.key"
        self._host(name, f"IdentityFile {identity}\nUserKnownHostsFile {self.folder / known}\n", port)

    def left(self, name: str) -> list[str]:
        """What a command left on a board: files in its folder for temporary ones, and processes that work there."""
        home = self.boards[name]
        return [str(path) for path in (home / "tmp").iterdir()] + processes_in(home)

    def _key(self, name: str) -> Path:
        path = self.folder / f"{name}.key"
        _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
        return path

    def _host(self, name: str, lines: str, port: int | None = None) -> None:
        with (self.folder / "config").open("a") as file:
            file.write(f"Host {name}\nHostName 127.0.0.1\nPort {port or self.port}\nUser {getuser()}\n{lines}\n")


def processes_in(folder: Path) -> list[str]:
    """Processes that were started for a folder, or whose arguments name it, by their number and command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if f"{folder}/tmp/".encode() in words or f"ASTROEDGE_FOLDER={folder}".encode() in environment:
            found.append(f"{process.name} {words!r}")
    return found


@contextmanager
def ssh_boards(folder: Path) -> Iterator[SshBoards]:
    """A server on a free port with keys and settings in a new folder, and a program `ssh` that uses only these.

    Raises NoServerError without OpenSSH's programs.
    """
    for program in (SERVER, "ssh", "ssh-keygen"):
        if shutil.which(program) is None:
            raise NoServerError(f"{program} is not installed (Debian: openssh-server, openssh-client)")
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where the server drops its rights
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = SshBoards(folder, port, folder / "bin")
    _settings(made)
    with subprocess.Popen([SERVER, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE) as process:
        made.process = process
        try:
            _wait_for(port, process)
            yield made
        finally:
            process.terminate()


def _settings(made: SshBoards) -> None:
    folder, server_key = made.folder, made._key("server")
    settings: Mapping[str, str] = {
        **{"Port": str(made.port), "ListenAddress": "127.0.0.1", "HostKey": str(server_key), "PidFile": "none"},
        **{"AuthorizedKeysFile": str(folder / "authorized"), "StrictModes": "no", "UsePAM": "no"},
        **{"PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no", "PermitRootLogin": "yes"},
        **{"MaxStartups": "100", "UseDNS": "no"},
    }
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    (folder / "authorized").touch()
    kind, public, *_ = server_key.with_suffix(".key.pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{made.port} {kind} {public}\n")
    (folder / "config").write_text("")
    made.program.mkdir()
    real, wrapper = shutil.which("ssh"), made.program / "ssh"
    wrapper.write_text(
        f"#!/bin/sh\nexec {real} -F '{folder}/config' -o IdentitiesOnly=yes -o IdentityAgent=none \"$@\"\n"
    )
    wrapper.chmod(0o755)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the server listens."""
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    process.kill()
    _, said = process.communicate()
    raise NoServerError(f"the SSH server does not start: {said.decode(errors='replace').strip()[-300:]}")


def bare_tools(folder: Path, without: str = "") -> str:
    """A folder for PATH with what a small Linux has, but for one program: no Python, no compiler."""
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is not None and tool != without:
            (folder / tool).symlink_to(found)
    return str(folder)


def python_tools(folder: Path) -> str:
    """The same with this very Python as python3."""
    path = bare_tools(folder)
    wrapper = folder / "python3"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    return path


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)

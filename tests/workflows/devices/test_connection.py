"""Connections through a real SSH server on the loopback, and what goes wrong with them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from astroedge.errors import DeviceError
from astroedge.workflows.devices import connection as module
from astroedge.workflows.devices.address import read_address
from astroedge.workflows.devices.connection import Connection
from astroedge.workflows.devices.copy_files import RemoteFile, copy_files, keep_files
from tests.support.small_disk import small_disk
from tests.support.ssh_boards import SshBoards, bare_tools

FILES = [RemoteFile("net/a", b"a" * 100_000), RemoteFile("net/b", bytes(range(256)), "700")]


def refused(name: str) -> str:
    """What is said of a board that cannot be reached."""
    connection = Connection(read_address(name))
    with pytest.raises(DeviceError) as caught:
        connection.open()
    connection.close()
    return str(caught.value)


@contextmanager
def connected(name: str, beside: str = "") -> Iterator[Connection]:
    """A connection to a board, with a private folder there."""
    with closing(Connection(read_address(name))) as connection:
        connection.open()
        connection.place(1000, beside)
        yield connection


def test_files_arrive_whole_and_nothing_is_left(boards: SshBoards) -> None:
    """What is copied has its content and mode there, programs run, and the end of the connection removes all."""
    with connected("bare") as connection:
        copied = copy_files(connection, FILES, lambda line: None)
        assert (copied.sent, copied.found) == (100_256, 0)
        folder = Path(connection.folder)
        assert [(folder / file.name).read_bytes() for file in FILES] == [file.content for file in FILES]
        assert (folder / "net/b").stat().st_mode & 0o777 == 0o700
        answer = connection.work("start", "sh", "-c", "cat; exit 3", data=b"\n:astroedge:\nx")
        assert (answer.code, answer.out) == (3, b"\n:astroedge:\nx")
    assert boards.left("bare") == []


def test_what_a_board_has_is_not_sent_again(boards: SshBoards) -> None:
    """Files that an earlier run kept are found by their digests; one that was changed since is sent."""
    for changed in (False, False, True):
        if changed:
            cached = boards.boards["bare"] / ".cache/astroedge/files" / FILES[0].digest
            cached.write_bytes(b"b" * 100_000)
        with connected("bare") as connection:
            copied = copy_files(connection, FILES, lambda line: None)
            keep_files(connection, FILES)
            content = (Path(connection.folder) / "net/a").read_bytes()
            assert content == FILES[0].content
    assert (copied.sent, copied.found) == (100_000, 256)
    assert boards.left("bare") == []


def test_a_board_that_makes_no_digests(boards: SshBoards) -> None:
    """Without sha256sum and the like what was sent comes back to be compared."""
    folder = boards.folder / "no-digest-tools"
    boards.add("no-digest", "sh -c", PATH=bare_tools(folder, without="sha256sum"))
    with connected("no-digest") as connection:
        assert connection.work("put", "600", "x", data=b"x").out == b"none\n"
        assert copy_files(connection, FILES, lambda line: None).sent == 100_256


def test_noise_of_a_login_is_not_an_answer(boards: SshBoards) -> None:
    """What a shell's start files print stands before the answers and is left out."""
    tools = bare_tools(boards.folder / "noisy-tools")
    boards.add("noisy", "sh -c", before="echo Welcome to the board; echo ':astroedge'", PATH=tools)
    with connected("noisy") as connection:
        assert connection.texts["system"].startswith("Linux")
        assert connection.work("start", "uname").out == b"Linux\n"


def test_a_disk_that_fills_up(boards: SshBoards, tmp_path: Path) -> None:
    """A file that does not fit is one error with the board's reason, and nothing of it stays."""
    with small_disk(tmp_path / "disk", "64k"), connected("bare", str(tmp_path / "disk/net")) as connection:
        with pytest.raises(DeviceError, match=r"bare: a file cannot be written in .*No space left on device"):
            copy_files(connection, FILES, lambda line: None)
        connection.close()
        assert list((tmp_path / "disk").iterdir()) == []


def test_a_place_that_cannot_be_written(boards: SshBoards) -> None:
    """A folder that nobody can make is named with the reason."""
    with (
        pytest.raises(DeviceError, match=r"no folder to work in .* /proc/none: cannot be made"),
        connected("bare", "/proc/none/net"),
    ):
        pass


def test_a_board_that_says_too_much(boards: SshBoards) -> None:
    """More than was asked for ends the answer."""
    with connected("bare") as connection, pytest.raises(DeviceError, match="says more than 1,000 bytes"):
        connection.work("start", "sh", "-c", "while :; do echo flood; done", limit=1000)


def test_a_connection_that_is_lost(boards: SshBoards) -> None:
    """When the server's process for it dies in the middle, the work is one error, and the board cleans up."""
    assert boards.process is not None
    with connected("bare") as connection:
        found = subprocess.run(["pgrep", "-P", str(boards.process.pid)], capture_output=True, text=True, check=True)
        words = ("start", "sh", "-c", f"kill -9 {found.stdout.split()[-1]}; sleep 100")
        with pytest.raises(DeviceError, match="connection to bare was lost"):
            connection.work(*words)
        with pytest.raises(DeviceError, match="lost"):
            connection.work("start", "true")
    while boards.left("bare"):
        pass


def test_hosts_that_are_not_there(boards: SshBoards) -> None:
    """No such name, no server on the port, and one that never answers: what happened, why, what to do."""
    assert refused("nowhere.invalid").startswith("There is no host nowhere.invalid: the name is in no DNS")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        boards.add_host("refusing", port=closed.getsockname()[1])
        assert refused("refusing").startswith("Refusing refuses connections: no SSH server listens there")


def test_a_server_that_never_answers(boards: SshBoards, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after the time that a connection may take."""
    monkeypatch.setitem(module.OPTIONS, "ConnectTimeout", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        boards.add_host("silent", port=silent.getsockname()[1])
        assert "does not answer: it is off, asleep or in another network" in refused("silent")


def test_logins_that_are_refused(boards: SshBoards) -> None:
    """A key that is not let in, a host key that is not known, and one that is another: what to do about each."""
    boards.add_host("stranger")
    assert "refuses the login" in refused("stranger")
    assert "ssh-copy-id" in refused("stranger")
    boards.add_host("unknown", known="nothing-known", key="bare")
    assert "is not known here yet: connect once by hand" in refused("unknown")
    kind, public = (boards.folder / "bare.key.pub").read_text().split()[:2]
    (boards.folder / "another-known").write_text(f"[127.0.0.1]:{boards.port} {kind} {public}\n")
    boards.add_host("changed", known="another-known", key="bare")
    assert "another one than your known_hosts has" in refused("changed")
    assert "ssh-keygen -R" in refused("changed")


def test_without_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without OpenSSH is told to install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "program ssh is not found" in refused("board")

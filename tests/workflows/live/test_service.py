from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from astroedge.workflows.live.service import service


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which systemd would listen, for a watchdog of 60 ms."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address[0] == "@" else address)
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "60000")
        yield listening


def test_manager_is_told_of_life_as_often_as_it_needs(manager: socket.socket) -> None:
    """Ready once, alive at most twice in the watchdog's time however many ticks there are, and stopping at the end."""
    with service() as told:
        told.ready()
        for _ in range(1000):
            told.alive()
        time.sleep(0.03)
        told.alive()
    assert [manager.recv(100) for _ in range(4)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_a_manager_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that nobody runs as a service, or whose manager is gone, goes on."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with service() as told:
        told.ready()
        told.alive()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setenv("WATCHDOG_USEC", "soon")
    with service() as told:
        told.ready()
        told.alive()

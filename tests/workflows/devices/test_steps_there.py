"""A board that steps when it is told, through a real SSH server on the loopback, beside a meter of this machine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from time import time

import pytest

from astroedge.errors import BundleError, DeviceError
from astroedge.profile_parts import Energy
from astroedge.runtimes.profiling.meter import open_meter
from astroedge.workflows.board_work import BY_PYTHON, BoardWork
from astroedge.workflows.devices.address import read_address
from astroedge.workflows.devices.connection import Connection
from astroedge.workflows.devices.copy_files import copy_files
from astroedge.workflows.devices.python_there import device_package
from astroedge.workflows.devices.steps_there import StepsThere
from astroedge.workflows.on_boards import on_boards
from tests.support.bundles import draw_ticks, make_tiny_bundle
from tests.support.ssh_boards import SshBoards, python_tools


def test_a_meter_here_and_steps_there(boards: SshBoards, tmp_path: Path) -> None:
    """The energy of a board's steps comes from readings that this machine takes; a board that cannot step says why."""
    make_tiny_bundle("x86-64-v2").save(tmp_path / "tiny.astro")
    now = time()
    rows = (f"{now + tick / 50},2.5\n" for tick in range(6000))  # two minutes that are already known
    (tmp_path / "power.csv").write_text("".join(rows))

    def measure(work: BoardWork) -> object:
        profile, proof = next(iter(work.profiles({"steps": 5}, draw_ticks(20), None)))
        assert (profile.by, proof.ok) == (BY_PYTHON, True)
        meter = open_meter(str(tmp_path / "power.csv"))
        return work.energy(meter, profile, draw_ticks(20), 0.5, idle=0.3, settling=0.0)

    found = on_boards(tmp_path / "tiny.astro", [read_address("python")], measure)
    found.raise_failures()
    energy = found.done[0].result
    assert isinstance(energy, Energy)
    assert (energy.busy_watts, energy.idle_watts, energy.sensor) == (2.5, 2.5, "external meter, power.csv")
    assert energy.steps is not None
    assert energy.steps > 1
    assert 0.5 <= energy.seconds < 60
    assert boards.left("python") == []


def test_a_board_that_cannot_get_ready_says_why(boards: SshBoards) -> None:
    """Where nothing can be loaded its error is raised at once, and names the board; where Python fails, that is."""
    tools = boards.folder / "broken-tools"
    boards.add("broken", "sh -c", PATH=python_tools(tools))
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    with closing(Connection(read_address("broken"))) as connection:
        connection.open()
        connection.place(1 << 22)
        with pytest.raises(DeviceError, match="broken: Python failed with code 1"):
            StepsThere(connection, {"bundle": "none.astro", "step": 1.0}, b"").__enter__()
    with closing(Connection(read_address("python"))) as connection:
        connection.open()
        connection.place(1 << 22)
        copy_files(connection, [device_package()], lambda line: None)
        with pytest.raises(BundleError, match=r"python: .*none\.astro"):
            StepsThere(connection, {"bundle": "none.astro", "step": 1.0}, b"").__enter__()
    assert boards.left("python") == []

"""The script that stands on a board, in the shells that boards have."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from astroedge.workflows import devices
from tests.support.small_disk import small_disk
from tests.support.ssh_boards import processes_in

KEEPER = Path(devices.__path__[0]) / "keeper.sh"
SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


def keeper(shell: str, home: Path, *words: str) -> subprocess.Popen[str]:
    """The script in a shell, with `home` as its only folder for temporary files."""
    (home / "tmp").mkdir(exist_ok=True)
    command = [*([shell, "sh"] if shell == "busybox" else [shell]), str(KEEPER), *words]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home / "tmp")}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def answer(process: subprocess.Popen[str], last: str) -> dict[str, str]:
    """What is said up to a name."""
    said: dict[str, str] = {}
    name = ""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(":astroedge: "):
            name = line.split()[1]
            said[name] = ""
        elif name:
            said[name] += line
        if name == last:
            return said
    raise AssertionError(f"the script ended after {said}")


def tell(process: subprocess.Popen[str], text: str) -> None:
    """Send a line."""
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def work_in(folder: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process as job.sh starts one."""
    return subprocess.Popen(words, env={**os.environ, "ASTROEDGE_FOLDER": folder})


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_is_left_when_the_input_ends(shell: str, tmp_path: Path) -> None:
    """The end of its input, which is that of the connection, kills what works in the folder and removes it."""
    with keeper(shell, tmp_path) as process:
        assert answer(process, "ready")["system"].startswith("Linux")
        tell(process, "place 1000")
        folder = answer(process, "placed")["folder"].strip()
        assert Path(folder).parent == tmp_path / "tmp"
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        with work_in(folder, ["sleep", "100"]) as worker:
            process.communicate()
            assert worker.wait(10) == -9
    assert not Path(folder).exists()
    assert processes_in(tmp_path) == []


def test_a_host_that_falls_silent_counts_as_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sign of life between two looks the script stays; without one it cleans up although its input is open."""
    look = tmp_path / "look"
    os.mkfifo(look)
    (tmp_path / "sleep").write_text(f"#!/bin/sh\nexec cat '{look}'\n")  # until somebody writes there
    (tmp_path / "sleep").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with keeper("sh", tmp_path) as process:
        answer(process, "ready")
        tell(process, "place 1000")
        folder = Path(answer(process, "placed")["folder"].strip())
        tell(process, "beat")
        while not (folder / ".beat").read_text():
            pass
        look.open("w").close()
        while (folder / ".beat").read_text():
            pass
        assert folder.exists()
        look.open("w").close()
        assert process.wait() == -9
        assert not folder.exists()


def test_a_folder_that_takes_no_programs_is_not_used(tmp_path: Path) -> None:
    """Where programs may not run (noexec) another folder is taken, and each that was refused has its reason."""
    with small_disk(tmp_path / "tmp", "1m"):
        subprocess.run(["mount", "-o", "remount,noexec", str(tmp_path / "tmp")], check=True)
        with keeper("sh", tmp_path) as process:
            answer(process, "ready")
            tell(process, "place 1000")
            said = answer(process, "placed")
            assert said["folder"].startswith(str(tmp_path / ".cache"))
            assert f"{tmp_path / 'tmp'}: programs may not run there (noexec)" in said["refused"]
            process.communicate()
        assert list((tmp_path / "tmp").iterdir()) == []


def test_a_disk_without_room_is_named(tmp_path: Path) -> None:
    """Where a path is asked for, no other disk is taken: what is free there is said."""
    with small_disk(tmp_path / "disk", "64k"), keeper("sh", tmp_path) as process:
        answer(process, "ready")
        tell(process, f"place 1000000 {tmp_path / 'disk'}/net.astro")
        said = answer(process, "placed")
        assert said["folder"].strip() == ""
        assert "disk: 64 kB free" in said["refused"]
        process.communicate()

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from astroedge.scratch import beside, scratch_folder, sweep

DIES = """
import os, signal
from pathlib import Path
from astroedge.scratch import beside, scratch_folder
target = Path({folder!r}) / "net.onnx"
with scratch_folder("link") as folder:
    (folder / "object.o").write_bytes(b"half")
    beside(target).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for everything temporary, here and in processes that are started."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_scratch_folder_is_private_and_goes(temporary: Path) -> None:
    """Nobody else may enter it, and nothing is left of it."""
    with scratch_folder("link") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").write_text("content")
    assert list(temporary.iterdir()) == []


def test_what_a_killed_run_left_is_swept_by_the_next(temporary: Path) -> None:
    """Folders and half-written files of a process that is gone are removed; those of a living one stay."""
    killed = subprocess.run([sys.executable, "-c", DIES.format(folder=str(temporary))], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(temporary.iterdir())) == 2
    target = temporary / "net.onnx"
    mine = beside(target)
    mine.write_bytes(b"being written")
    with scratch_folder("link") as folder:
        assert {*temporary.iterdir()} == {mine, folder}
        beside(target)
        assert mine.exists()


def test_no_place_for_temporary_files_is_named(tmp_path: Path) -> None:
    """Where no file can be written, neither in TMPDIR nor in /tmp, one line says what to set."""
    code = (
        "import os, resource\n"
        "from astroedge.scratch import scratch_folder\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try:\n    scratch_folder('link').__enter__()\nexcept OSError as error:\n    print(error.strerror)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no folder for temporary files that can be written; set TMPDIR" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_only_names_of_the_pattern_are_swept(tmp_path: Path) -> None:
    """A file that merely resembles a leftover is somebody's."""
    for name in ("net.onnx", ".net.onnx.part", ".other.onnx.1-00.part"):
        (tmp_path / name).write_text("kept")
    beside(tmp_path / "net.onnx")
    sweep(tmp_path / "no such folder", re.compile(r"(\d+)"))
    assert len(list(tmp_path.iterdir())) == 3


def test_names_beside_cannot_be_guessed(tmp_path: Path) -> None:
    """Two names for one target differ in 64 random bits."""
    first, second = beside(tmp_path / "a"), beside(tmp_path / "a")
    assert first != second
    assert re.fullmatch(rf"\.a\.{os.getpid()}-[0-9a-f]{{16}}\.part", first.name)

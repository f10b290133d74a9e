from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from astroedge.replace_file import replace_file


def test_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    """A file is made or replaced, and nothing else is left in the folder."""
    target = tmp_path / "report.json"
    for content in (b"first", b"second, longer"):
        replace_file(target, content)
        assert target.read_bytes() == content
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the content cannot be made durable, the old file is whole and the error names it."""
    target = tmp_path / "report.json"
    replace_file(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        replace_file(target, b"new")
    assert raised.value.filename == str(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(("name", "kind"), [("none/report.json", FileNotFoundError), (".", IsADirectoryError)])
def test_impossible_target_is_named(tmp_path: Path, name: str, kind: type[OSError]) -> None:
    """A missing folder, or a folder where the file should be, is an error about that path; nothing is left behind."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(kind) as raised:
        replace_file(folder / name, b"content")
    assert raised.value.filename == str(folder / name)
    assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [folder]

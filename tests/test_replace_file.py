from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from astroedge.replace_file import replace_file, replace_files, replacing


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


def test_content_may_come_in_pieces(tmp_path: Path) -> None:
    """Pieces are written one after the other, and a view of memory as the bytes it shows."""
    target = tmp_path / "weights.bin"
    replace_file(target, (bytes([number]) * number for number in (1, 2, 3)))
    assert target.read_bytes() == b"\1\2\2\3\3\3"
    replace_file(target, memoryview(b"whole"))
    assert target.read_bytes() == b"whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_pieces_that_end_early_change_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """When what makes the pieces fails or is interrupted, the old content stays and the error passes through."""
    target = tmp_path / "weights.bin"
    replace_file(target, b"old")

    def pieces() -> Iterator[bytes]:
        yield b"new"
        raise error

    with pytest.raises(error):
        replace_file(target, pieces())
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_partial_content_is_where_it_is_asked_for(tmp_path: Path) -> None:
    """A path given for the time before the move is used until then."""
    target, partial = tmp_path / "step.so", tmp_path / ".new-step"
    seen = []

    def pieces() -> Iterator[bytes]:
        seen.extend(tmp_path.iterdir())
        yield b"content"

    replace_file(target, pieces(), partial)
    assert seen == [partial]
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_something_else_writes_is_replaced_when_all_went_well(tmp_path: Path) -> None:
    """The move comes at the end of the block, and not at all when the block fails."""
    target = tmp_path / "net.onnx"
    with replacing(target) as partial:
        partial.write_bytes(b"first")
        assert not target.exists()
    assert target.read_bytes() == b"first"

    def fail() -> None:
        with replacing(target) as partial:
            partial.write_bytes(b"second")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def test_several_files_are_replaced_together(tmp_path: Path) -> None:
    """Where one cannot be written, the others are as they were, and nothing else is left."""
    one, two = tmp_path / "one", tmp_path / "two"
    replace_files({one: b"old", two: b"old"})
    with pytest.raises(FileNotFoundError) as raised:
        replace_files({one: b"new", tmp_path / "none" / "three": b"new"})
    assert raised.value.filename == str(tmp_path / "none" / "three")
    assert (one.read_bytes(), two.read_bytes()) == (b"old", b"old")
    replace_files({one: b"new", two: b"newer"})
    assert (one.read_bytes(), two.read_bytes()) == (b"new", b"newer")
    assert {*tmp_path.iterdir()} == {one, two}


def test_a_link_leads_to_the_file_that_is_replaced(tmp_path: Path) -> None:
    """The link stays a link, and what it leads to is replaced whole."""
    target, link = tmp_path / "data" / "report.json", tmp_path / "link"
    target.parent.mkdir()
    replace_file(target, b"old")
    link.symlink_to(target)
    replace_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [*target.parent.iterdir()] == [target]


def test_a_fifo_is_written_through(tmp_path: Path) -> None:
    """What reads a FIFO gets the content, and the FIFO stays one."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for write in (lambda: replace_file(fifo, b"content"), lambda: _write_in_block(fifo, b"content")):
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit(fifo.read_bytes)
            write()
            assert read.result() == b"content"
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert list(tmp_path.iterdir()) == [fifo]


def _write_in_block(path: Path, content: bytes) -> None:
    with replacing(path) as whole:
        whole.write_bytes(content)


def test_devices_and_open_files_are_never_replaced(tmp_path: Path) -> None:
    """/dev/null stays a device, and a link to an open file of this process writes into that file."""
    link = tmp_path / "stdout"
    with (tmp_path / "out").open("wb") as out:
        link.symlink_to(f"/proc/self/fd/{out.fileno()}")
        replace_file(link, b"through")
        assert os.fstat(out.fileno()).st_ino == (tmp_path / "out").stat().st_ino
    assert link.is_symlink()
    assert (tmp_path / "out").read_bytes() == b"through"
    replace_file("/dev/null", b"nothing")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_regular_file_in_memory_is_replaced_like_any(tmp_path: Path) -> None:
    """/dev/shm is a file system of files, and who has the old one open or mapped keeps it."""
    path = Path("/dev/shm") / f"astroedge-{os.getpid()}-{tmp_path.name}"
    try:
        path.write_bytes(b"old")
        with path.open("rb") as old:
            replace_file(path, b"new")
            assert (old.read(), path.read_bytes()) == (b"old", b"new")
    finally:
        path.unlink(missing_ok=True)

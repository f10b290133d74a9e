from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.workflows.inputs.numpy_files import read_numpy


def _header(text: str) -> bytes:
    """A .npy file with this header."""
    return b"\x93NUMPY\2\0" + len(text).to_bytes(4, "little") + text.encode()


def _archive(**fields: int) -> bytes:
    """A .npz file of one member; fields of its directory's entry are set: at which byte, to what."""
    file = io.BytesIO()
    np.savez(file, x=np.arange(3))
    content = bytearray(file.getvalue())
    entry = content.index(b"PK\1\2")
    for place, value in fields.items():
        content[entry + int(place[1:])] = value
    return bytes(content)


def _member(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"no array")
    return file.getvalue()


DAMAGED = {
    "text": b"some text",
    "nothing": b"",
    "header without end": _header("{'descr': '<f4', ("),
    "header nested deeply": _header("(" * 5000),
    "objects": _header("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"),
    "size without measure": _header("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }"),
    "digits without end": _header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 5000},), }}"),
    "encrypted member": _archive(_8=1),
    "member of a later version": _archive(_6=99),
    "member in an unknown compression": _archive(_10=77),
    "member that says it is deflated": _archive(_10=8),
    "member that is no array": _member("x"),
    "member with an array's name alone": _member("x.npy"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_holds_no_plain_arrays_is_one_line(tmp_path: Path, damage: str) -> None:
    """Whatever NumPy or what unpacks the file stumbles over, the file is named and the line is short."""
    path = tmp_path / "x.npz"
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(InputError) as caught:
        read_numpy(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(path)) + 300


def test_plain_arrays_are_read(tmp_path: Path) -> None:
    """One array as it is, several by name, packed or not."""
    np.save(tmp_path / "x.npy", np.arange(3))
    assert np.array_equal(read_numpy(tmp_path / "x.npy"), np.arange(3))
    np.savez_compressed(tmp_path / "x.npz", a=np.arange(3), b=np.ones(2))
    found = read_numpy(tmp_path / "x.npz")
    assert isinstance(found, dict)
    assert [*found] == ["a", "b"]


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody writes into it; a folder and a missing file keep their own errors."""
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(OSError, match="no regular file"):
        read_numpy(tmp_path / "x.npy")
    with pytest.raises(IsADirectoryError):
        read_numpy(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_numpy(tmp_path / "y.npy")

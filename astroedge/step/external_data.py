"""The data of tensors when an ONNX file is read: whole, inside the file's folder, read or mapped where it lies."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from astroedge.errors import GraphError
from astroedge.host_package import require
from astroedge.regular_file import open_regular
from astroedge.step.tensor_data import (
    ALIGNMENT,
    SMALL_TENSOR,
    MappedFile,
    data_bytes,
    length_of,
    refer,
    stored_size,
)

if TYPE_CHECKING:
    import onnx
    from onnx import numpy_helper
else:
    onnx = require("onnx", "reading a step graph")
    numpy_helper = require("onnx.numpy_helper", "reading a step graph")


def check_data(tensor: onnx.TensorProto) -> None:
    """Raise GraphError unless a tensor has the data of its shape and dtype; one that is not there has no dtype."""
    if tensor.HasField("segment"):
        raise GraphError(
            f"Tensor {tensor.name!r} is stored in segments, which ONNX does not read; export the graph again."
        )
    if tensor.data_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return
    try:
        if not tensor.HasField("raw_data"):
            numpy_helper.to_array(tensor)
        elif length_of(tensor) != len(tensor.raw_data):
            raise ValueError(f"it needs {length_of(tensor)} bytes and has {len(tensor.raw_data)}")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise GraphError(
            f"Tensor {tensor.name!r} does not hold what its shape and type say ({error}); export the graph again."
        ) from error


def _external_length(tensor: onnx.TensorProto, entries: dict[str, str]) -> int:
    """The bytes of a tensor's external data, which are those of its shape and dtype.

    Raises ValueError where the entry says otherwise.
    """
    nbytes = length_of(tensor)
    length = int(entries.get("length", str(nbytes)))
    if min(tensor.dims, default=0) < 0 or length != nbytes:
        raise ValueError(f"it has {nbytes} bytes by its shape and {length} by its entry")
    return length


def data_size(tensor: onnx.TensorProto) -> int:
    """Bytes of a tensor in its message or in external data."""
    return data_bytes(tensor) if tensor.data_location == onnx.TensorProto.EXTERNAL else stored_size(tensor)


def map_external(tensor: onnx.TensorProto, folder: Path, files: dict[str, MappedFile]) -> None:
    """Make a reference of a large tensor whose external data can be viewed where it lies; leave any other as it is.

    `files` has the data files mapped so far, by their locations.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, size = _checked_location(tensor, folder), data_bytes(tensor)
    try:
        offset = int(entries.get("offset", "0"))
        if size <= SMALL_TENSOR or offset % ALIGNMENT or _external_length(tensor, entries) != size:
            return
        if location not in files:
            files[location] = MappedFile(folder / location, folder)
    except (OSError, ValueError, KeyError):  # reading it says what is wrong
        return
    if 0 <= offset <= files[location].size - size:
        refer(tensor, files[location], offset)


def _checked_location(tensor: onnx.TensorProto, folder: Path) -> str:
    """Where a tensor's external data lies in `folder`; GraphError for a place outside of it."""
    location = str({entry.key: entry.value for entry in tensor.external_data}.get("location", ""))
    parts = Path(location).parts
    if not parts or Path(location).is_absolute() or ".." in parts or "\\" in location:
        raise GraphError(f"Tensor {tensor.name!r} keeps its data at {location!r}, outside the graph's folder; refused.")
    if any((folder / Path(*parts[: depth + 1])).is_symlink() for depth in range(len(parts))):
        raise GraphError(
            f"Tensor {tensor.name!r} keeps its data behind the link {location!r}; put the file itself there."
        )
    return location


def read_external(tensor: onnx.TensorProto, folder: Path, digests: dict[str, str] | None) -> None:
    """Move a tensor's external data into the tensor; `digests`, if given, collects the SHA-256 of each data file once.

    No more is read than the tensor holds, and nothing of what is no regular file: a FIFO would never end.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = _checked_location(tensor, folder)
    try:
        with open_regular(folder / location, getattr(os, "O_NOFOLLOW", 0)) as file:
            if digests is not None and location not in digests:
                digests[location] = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(int(entries.get("offset", "0")))
            length = _external_length(tensor, entries)
            data = file.read(length)
    except (OSError, ValueError, KeyError) as error:
        raise GraphError(
            f"Cannot read {location!r}, the data of tensor {tensor.name!r}: {error}; copy it again."
        ) from error
    if len(data) < length:
        raise GraphError(f"{location!r} ends before the data of tensor {tensor.name!r}; copy it again.")
    tensor.raw_data = data
    tensor.ClearField("data_location")  # equal to a tensor that never was outside
    del tensor.external_data[:]

"""The numbers of large stored tensors, which no message holds: they lie in mapped files, or with whoever made them.

Every copy of a message copies what is in it, and asking a tensor for its bytes copies them once more. The large
initialisers of a large model (`onnx_file.EXTERNAL_LIMIT`) are therefore references: external data in ONNX's words,
whose location is the name of a *source* in this process. `array_of` gives the numbers of any tensor, those of a
reference as a view of its source. A source lives as long as somebody holds it; a `StepGraph` holds those of its model.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import count
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary, finalize

import numpy as np
from numpy.typing import NDArray

from astroedge.errors import GraphError
from astroedge.host_package import require
from astroedge.regular_file import open_regular
from astroedge.scratch import sweep

if TYPE_CHECKING:
    import onnx
    from onnx import helper, numpy_helper
else:
    onnx = require("onnx", "reading a step graph")
    helper = require("onnx.helper", "reading a step graph")
    numpy_helper = require("onnx.numpy_helper", "reading a step graph")

ALIGNMENT = 64
SMALL_TENSOR = 1024  # bytes; smaller tensors stay inside the model, where shape inference needs them
# Bits of an element, of the dtypes of which several share a byte; an older onnx does not know all.
_PACKED: dict[int, int] = {
    getattr(onnx.TensorProto, name): bits
    for name, bits in {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}.items()
    if hasattr(onnx.TensorProto, name)
}
PIECE = 1 << 24  # bytes that are hashed or written at a time
_FOLDER, _FILE = "astroedge-data-", "weights.bin"
_WORD = "astroedge.source."
_numbers = count()
_sources: WeakValueDictionary[str, Source] = WeakValueDictionary()


class Source(ABC):
    """Where the numbers of references lie; its `word` stands in their location."""

    def __init__(self) -> None:
        """Register under a word that no other source of this process has."""
        self.word = f"{_WORD}{next(_numbers)}"
        _sources[self.word] = self

    @abstractmethod
    def array(self, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The tensor at an offset, a view that cannot be written to."""

    def is_file(self, path: Path) -> bool:
        """Whether it is the file at `path`, as that is now."""
        return False

    def take(self) -> None:  # noqa: B027  most have nothing to do
        """Make sure that it lives as long as this object does."""


class HeldArray(Source):
    """One array in memory, in whatever order its elements lie: a parameter of a model, transposed maybe."""

    def __init__(self, held: NDArray[Any]) -> None:
        """Hold a view of an array; it must not change as long as references to it are in use."""
        super().__init__()
        self._held = held.view()
        self._held.flags.writeable = False

    def array(self, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The array itself."""
        assert (self._held.dtype, self._held.shape) == (dtype, shape)
        return self._held


class MappedFile(Source):
    """A data file, mapped: the system reads what is asked for, and may forget it again.

    `root` is the folder that a runtime may look for it in. Whoever writes to the file changes the tensors; this package
    only ever puts another file in its place.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        """Map a regular file. Raises OSError where it cannot be opened, ValueError where it is empty."""
        super().__init__()
        with open_regular(path, getattr(os, "O_NOFOLLOW", 0)) as file:
            status = os.fstat(file.fileno())
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._identity = status.st_dev, status.st_ino
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self.path, self._root = path, root or path.parent

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._bytes.size

    def array(self, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The tensor at an offset."""
        size = prod(shape) * dtype.itemsize
        return self._bytes[offset : offset + size].view(dtype).reshape(shape)

    def digest(self) -> str:
        """SHA-256 of the whole file."""
        hasher = hashlib.sha256()
        for start in range(0, self.size, PIECE):
            hasher.update(self._bytes[start : start + PIECE].data)
        self.forget()
        return hasher.hexdigest()

    def forget(self) -> None:
        """Let this process's share of the file's pages go; they are read again when they are asked for."""
        if hasattr(self._memory, "madvise"):
            self._memory.madvise(mmap.MADV_DONTNEED)

    def place(self) -> tuple[Path, str]:
        """The folder that a runtime may look in, and the file's path from there.

        A file that was replaced or removed since it was mapped is written anew, into a folder of its own. Raises
        GraphError where that cannot be.
        """
        if not self.is_file(self.path):
            folder = None
            try:
                folder = _own_folder(self)
                with (folder / _FILE).open("xb") as file:
                    file.writelines(bytes_of(self._bytes))
                    status = os.fstat(file.fileno())
            except OSError as error:
                if folder is not None:
                    (folder / _FILE).unlink(missing_ok=True)  # a retry would fill the disk with another
                raise GraphError(
                    f"The weights of {self.path.name!r} were removed and cannot be written to a temporary file "
                    f"({error.strerror}); set TMPDIR to a folder with more room, or load the graph again."
                ) from error
            self.path, self._root, self._identity = folder / _FILE, folder, (status.st_dev, status.st_ino)
        return self._root, os.path.relpath(self.path, self._root)

    def is_file(self, path: Path) -> bool:
        """Whether it is the file at `path`, which may have been replaced since it was mapped."""
        try:
            status = os.stat(path, follow_symlinks=False)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def take(self) -> None:
        """Move the file, which somebody is about to remove, into a folder that lives as long as this."""
        folder = _own_folder(self)
        try:
            os.rename(self.path, folder / _FILE)
        except OSError:  # another file system: it is written anew when it is asked for
            return
        self.path, self._root = folder / _FILE, folder


def write_data(arrays: Iterable[NDArray[Any]]) -> tuple[MappedFile, list[int]]:
    """A mapped file, gone with its source, of arrays one behind the other, and where each starts.

    They are taken one by one, so that each may be made when its turn comes. Raises OSError where no temporary file can
    be written.
    """
    folder = _new_folder()
    try:
        offsets = []
        with (folder / _FILE).open("xb") as file:
            for array in arrays:
                offsets.append(file.tell())
                file.writelines(bytes_of(array))
                file.write(bytes(-file.tell() % ALIGNMENT))
        source = MappedFile(folder / _FILE)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _remove_with(source, folder)
    return source, offsets


def refer(tensor: onnx.TensorProto, source: Source, offset: int = 0) -> None:
    """Make a tensor, of which name, dtype and shape are kept, a reference to a place in a source."""
    length = data_bytes(tensor)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", source.word), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def is_reference(tensor: onnx.TensorProto) -> bool:
    """Whether the numbers of a tensor lie in a source."""
    return tensor.data_location == onnx.TensorProto.EXTERNAL and _entries(tensor)["location"].startswith(_WORD)


def source_of(tensor: onnx.TensorProto) -> tuple[Source, int]:
    """Where a reference leads: the source, and the offset in it. Raises GraphError for a source that is gone."""
    entries = _entries(tensor)
    source = _sources.get(entries["location"])
    if source is None:
        raise GraphError(
            f"The numbers of tensor {tensor.name!r} are gone with the step graph that they belong to; keep the graph "
            "as long as its model, or load it again."
        )
    return source, int(entries["offset"])


def sources_of(model: onnx.ModelProto) -> tuple[Source, ...]:
    """The sources of a model's initialisers, each once; who holds them keeps the model whole."""
    references = (tensor for tensor in model.graph.initializer if is_reference(tensor))
    return tuple(dict.fromkeys(source_of(tensor)[0] for tensor in references))


def forget(model: onnx.ModelProto) -> None:
    """Let the pages of the files behind a model's references go; what reads them again reads the files."""
    for source in sources_of(model):
        if isinstance(source, MappedFile):
            source.forget()


def array_of(tensor: onnx.TensorProto) -> NDArray[Any]:
    """The numbers of a stored tensor; those of a reference as a view that cannot be written to."""
    if not is_reference(tensor):
        array: NDArray[Any] = numpy_helper.to_array(tensor)
        return array
    source, offset = source_of(tensor)
    return source.array(offset, helper.tensor_dtype_to_np_dtype(tensor.data_type), tuple(tensor.dims))


def stored_size(tensor: onnx.TensorProto) -> int:
    """Bytes of a tensor that is stored as bytes, in its message or as a reference; 0 for a list of numbers."""
    return data_bytes(tensor) if tensor.HasField("raw_data") or is_reference(tensor) else 0


def pieces_of(tensor: onnx.TensorProto) -> Iterator[bytes | memoryview]:
    """The bytes of a tensor with `stored_size`, in pieces."""
    if is_reference(tensor):
        yield from bytes_of(array_of(tensor))
    else:
        yield tensor.raw_data


def bytes_of(array: NDArray[Any]) -> Iterator[memoryview]:
    """The bytes of an array in the order of its elements; one that lies in another is copied some rows at a time."""
    if array.flags.c_contiguous:
        flat = array.reshape(-1).view(np.uint8)
        yield from (flat[start : start + PIECE].data for start in range(0, flat.size, PIECE))
        return
    rows = max(1, PIECE * len(array) // max(array.nbytes, 1))
    for start in range(0, len(array), rows):
        yield np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8).data


def data_bytes(tensor: onnx.TensorProto) -> int:
    """The bytes of a tensor's numbers by its shape and dtype, 0 for a dtype that there is not.

    To ask a tensor for the bytes themselves copies them all.
    """
    try:
        return length_of(tensor)
    except KeyError:
        return 0


def length_of(tensor: onnx.TensorProto) -> int:
    """The bytes of a tensor's data by its shape and dtype; KeyError for a dtype that there is not."""
    elements: int = prod(tensor.dims)
    dtype = tensor.data_type
    if dtype in _PACKED:
        return -(-elements * _PACKED[dtype] // 8)
    return int(elements * helper.tensor_dtype_to_np_dtype(dtype).itemsize)


def can_refer(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor's elements are such that a view shows them: each has bytes of its own."""
    return tensor.data_type not in _PACKED and stored_size(tensor) > SMALL_TENSOR


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {"location": "", "offset": "0", **{entry.key: entry.value for entry in tensor.external_data}}


def _remove_with(source: Source, folder: Path) -> None:
    """Remove a folder once a source is gone, in the process that made it."""
    finalize(source, _remove, folder, os.getpid())


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _own_folder(source: Source) -> Path:
    """A new folder that is gone with a source."""
    folder = _new_folder()
    _remove_with(source, folder)
    return folder


def _new_folder() -> Path:
    """A folder that only this user can enter; what killed processes left is swept."""
    sweep(Path(tempfile.gettempdir()), re.compile(rf"{_FOLDER}(\d+)-.+"))
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))

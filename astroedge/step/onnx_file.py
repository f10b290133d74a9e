"""ONNX files on disk: equal bytes for equal models, whole files only, no data from outside the file's folder.

A model whose weights exceed `EXTERNAL_LIMIT` bytes does not fit one protobuf message. Its large initialisers then go
to one data file beside it, named after their SHA-256, so that the model file's own digest covers them and an
interrupted save never pairs a model with the weights of another.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from astroedge.errors import GraphError
from astroedge.host_package import require
from astroedge.regular_file import open_regular
from astroedge.replace_file import replace_file

if TYPE_CHECKING:
    import onnx
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message
    from onnx import helper, numpy_helper
else:
    onnx = require("onnx", "reading a step graph")
    helper = require("onnx.helper", "reading a step graph")
    numpy_helper = require("onnx.numpy_helper", "reading a step graph")
    FieldDescriptor = require("google.protobuf.descriptor", "reading a step graph").FieldDescriptor
    Message = require("google.protobuf.message", "reading a step graph").Message

EXTERNAL_LIMIT = 1_500_000_000
# Bits of an element, of the dtypes of which several share a byte; an older onnx does not know all.
_PACKED: dict[int, int] = {
    getattr(onnx.TensorProto, name): bits
    for name, bits in {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}.items()
    if hasattr(onnx.TensorProto, name)
}
_LARGEST_MESSAGE = 2**31 - 1  # bytes of a protobuf message
SMALL_TENSOR = 1024  # bytes; smaller tensors stay inside the model, where shape inference needs them
EXTERNAL_ALIGNMENT = 64
WEIGHTS_KEY = "astroedge.weights"  # metadata key: SHA-256 of the external data file


def serialise(model: onnx.ModelProto) -> bytes:
    """The bytes that `write_model` puts into the model file: equal models give equal bytes."""
    return bytes(_layout(model)[0].SerializeToString(deterministic=True))


def write_model(model: onnx.ModelProto, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`, a large one with a data file beside it; older files are replaced whole or not at all.

    Raises GraphError when a file cannot be written.
    """
    skeleton, external, data_name = _layout(model)
    try:
        if external:
            replace_file(Path(path).with_name(data_name), _external_bytes(external))
        replace_file(path, skeleton.SerializeToString(deterministic=True))
    except OSError as error:
        raise GraphError(f"Cannot write {error.filename!r}: {error.strerror}; nothing was changed.") from error


def read_model(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read an ONNX file and the external data it names.

    Raises GraphError when there is no such file, when it is not ONNX, and when external data is missing, damaged or
    not a plain file inside the folder of `path`.
    """
    source = Path(path)
    try:
        with open_regular(source) as file:
            content = file.read(_LARGEST_MESSAGE + 1)
        if len(content) > _LARGEST_MESSAGE:
            raise GraphError(f"{os.fspath(path)!r} is larger than an ONNX file can be; export or copy it again.")
        model = onnx.load_model_from_string(content)
    except GraphError:
        raise
    except OSError as error:
        raise GraphError(f"Cannot read step graph {os.fspath(path)!r}: {error.strerror}; check the path.") from error
    except Exception as error:  # protobuf raises classes of its own backends
        raise GraphError(
            f"{os.fspath(path)!r} is not an ONNX file or is cut short; export or copy it again."
        ) from error
    if not _holds_texts(model):
        raise GraphError(f"{os.fspath(path)!r} holds texts that are no UTF-8; export or copy it again.")
    recorded = {entry.key: entry.value for entry in model.metadata_props}.get(WEIGHTS_KEY)
    digests: dict[str, str] = {}
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _read_external(tensor, source.parent, digests if recorded is not None else None)
        else:
            _check_data(tensor)
    if recorded is not None and set(digests.values()) != {recorded}:
        raise GraphError(
            f"The weights file beside {os.fspath(path)!r} is damaged or another one; copy both files again."
        )
    for index in reversed([i for i, entry in enumerate(model.metadata_props) if entry.key == WEIGHTS_KEY]):
        del model.metadata_props[index]
    return model


def _layout(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[onnx.TensorProto], str]:
    """The model as its file holds it, the initialisers that go to the data file, and that file's name."""
    sizes = [len(tensor.raw_data) for tensor in model.graph.initializer]
    if sum(sizes) <= EXTERNAL_LIMIT:
        return model, [], ""
    external = [tensor for tensor, size in zip(model.graph.initializer, sizes, strict=True) if size > SMALL_TENSOR]
    digest = hashlib.sha256()
    for chunk in _external_bytes(external):
        digest.update(chunk)
    data_name = f"weights-{digest.hexdigest()[:16]}.bin"
    skeleton = without_initialisers(model)
    offset = 0
    for tensor, size in zip(model.graph.initializer, sizes, strict=True):
        entry = skeleton.graph.initializer.add()
        if size <= SMALL_TENSOR:
            entry.CopyFrom(tensor)
            continue
        entry.name, entry.data_type, entry.data_location = tensor.name, tensor.data_type, onnx.TensorProto.EXTERNAL
        entry.dims.extend(tensor.dims)
        for key, value in (("location", data_name), ("offset", str(offset)), ("length", str(size))):
            entry.external_data.add(key=key, value=value)
        offset += size + -size % EXTERNAL_ALIGNMENT
    skeleton.metadata_props.add(key=WEIGHTS_KEY, value=digest.hexdigest())
    return skeleton, external, data_name


def without_initialisers(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of everything but the initialisers, without copying those on the way."""
    copy = onnx.ModelProto()
    for owner, clone, skipped in ((model, copy, "graph"), (model.graph, copy.graph, "initializer")):
        for field, value in owner.ListFields():
            if field.name == skipped:
                continue
            if isinstance(value, (int, float, str, bytes)):
                setattr(clone, field.name, value)
            elif hasattr(value, "CopyFrom"):
                getattr(clone, field.name).CopyFrom(value)
            else:
                getattr(clone, field.name).extend(value)
    return copy


def data_bytes(tensor: onnx.TensorProto) -> int:
    """The bytes of a tensor's numbers by its shape and dtype, 0 for a dtype that there is not.

    To ask a tensor for the bytes themselves copies them all.
    """
    try:
        return _length(tensor)
    except KeyError:
        return 0


def _external_bytes(tensors: list[onnx.TensorProto]) -> Iterator[bytes]:
    """The data file piece by piece: each tensor, then zeros up to the alignment."""
    for tensor in tensors:
        yield tensor.raw_data
        yield bytes(-len(tensor.raw_data) % EXTERNAL_ALIGNMENT)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in a graph: initialisers and attributes, sub-graphs included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _holds_texts(message: Message) -> bool:
    """Whether every text of a message and of those in it is UTF-8; protobuf hands out the others as bytes."""
    for field, value in message.ListFields():
        if field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            continue
        for item in [value] if isinstance(value, (str, bytes, Message)) else value:
            if isinstance(item, bytes) or (isinstance(item, Message) and not _holds_texts(item)):
                return False
    return True


def _check_data(tensor: onnx.TensorProto) -> None:
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
        elif _length(tensor) != len(tensor.raw_data):
            raise ValueError(f"it needs {_length(tensor)} bytes and has {len(tensor.raw_data)}")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise GraphError(
            f"Tensor {tensor.name!r} does not hold what its shape and type say ({error}); export the graph again."
        ) from error


def _length(tensor: onnx.TensorProto) -> int:
    """The bytes of a tensor's data by its shape and dtype; KeyError for a dtype that there is not."""
    count: int = math.prod(tensor.dims)
    dtype = tensor.data_type
    if dtype in _PACKED:
        return -(-count * _PACKED[dtype] // 8)
    return int(count * helper.tensor_dtype_to_np_dtype(dtype).itemsize)


def _external_length(tensor: onnx.TensorProto, entries: dict[str, str]) -> int:
    """The bytes of a tensor's external data, which are those of its shape and dtype.

    Raises ValueError where the entry says otherwise.
    """
    nbytes = _length(tensor)
    length = int(entries.get("length", str(nbytes)))
    if min(tensor.dims, default=0) < 0 or length != nbytes:
        raise ValueError(f"it has {nbytes} bytes by its shape and {length} by its entry")
    return length


def _read_external(tensor: onnx.TensorProto, folder: Path, digests: dict[str, str] | None) -> None:
    """Move a tensor's external data into the tensor; `digests`, if given, collects the SHA-256 of each data file once.

    No more is read than the tensor holds, and nothing of what is no regular file: a FIFO would never end.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = Path(location).parts
    if not parts or Path(location).is_absolute() or ".." in parts or "\\" in location:
        raise GraphError(f"Tensor {tensor.name!r} keeps its data at {location!r}, outside the graph's folder; refused.")
    if any((folder / Path(*parts[: depth + 1])).is_symlink() for depth in range(len(parts))):
        raise GraphError(
            f"Tensor {tensor.name!r} keeps its data behind the link {location!r}; put the file itself there."
        )
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

"""ONNX files on disk: equal bytes for equal models, whole files only, no data from outside the file's folder.

A model whose weights exceed `EXTERNAL_LIMIT` bytes does not fit one protobuf message. Its large initialisers then go
to one data file beside it, named after their SHA-256, so that the model file's own digest covers them and an
interrupted save never pairs a model with the weights of another.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from astroedge.errors import GraphError
from astroedge.host_package import require
from astroedge.regular_file import open_regular
from astroedge.replace_file import replace_file
from astroedge.step.external_data import check_data, data_size, map_external, read_external
from astroedge.step.tensor_data import (
    ALIGNMENT,
    SMALL_TENSOR,
    MappedFile,
    Source,
    array_of,
    can_refer,
    forget,
    is_reference,
    pieces_of,
    refer,
    source_of,
    sources_of,
    stored_size,
    write_data,
)

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

EXTERNAL_LIMIT = 1 << 27  # bytes; what holds more in one message is copied whole by every copy of the message
_LARGEST_MESSAGE = 2**31 - 1  # bytes of a protobuf message
WEIGHTS_KEY = "astroedge.weights"  # metadata key: SHA-256 of the external data file
_digests: dict[tuple[tuple[tuple[str, str], ...], ...], str] = {}


def serialise(model: onnx.ModelProto) -> bytes:
    """The bytes that `write_model` puts into the model file: equal models give equal bytes."""
    content = bytes(_layout(model)[0].SerializeToString(deterministic=True))
    forget(model)
    return content


def write_model(model: onnx.ModelProto, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`, a large one with a data file beside it; older files are replaced whole or not at all.

    Raises GraphError when a file cannot be written.
    """
    skeleton, external, data_name = _layout(model)
    try:
        if external and not _lies_at(external, Path(path).with_name(data_name)):
            replace_file(Path(path).with_name(data_name), _external_bytes(external))
        replace_file(path, skeleton.SerializeToString(deterministic=True))
    except OSError as error:
        raise GraphError(f"Cannot write {error.filename!r}: {error.strerror}; nothing was changed.") from error
    forget(model)


def map_model(source: str | os.PathLike[str]) -> tuple[onnx.ModelProto, tuple[Source, ...]]:
    """Read an ONNX file and the external data it names into the model, but for the large initialisers of a large one.

    Those of a model over `EXTERNAL_LIMIT` become references (`tensor_data`), which lead to the sources that are
    returned: to the external data where it lies, or to a file of their own.

    Raises GraphError when there is no such file, when it is not ONNX, and when external data is missing, damaged or
    not a plain file inside the folder of the file.
    """
    path = Path(source)
    model = _read_message(path)
    for tensor in _tensors(model.graph):
        if is_reference(tensor):  # a word of this process, which no file can know
            raise GraphError(
                f"Tensor {tensor.name!r} in {os.fspath(path)!r} keeps its data nowhere; the graph was written in the "
                "middle of something, or to deceive: export it again."
            )
    recorded = {entry.key: entry.value for entry in model.metadata_props}.get(WEIGHTS_KEY)
    files, digests = dict[str, MappedFile](), dict[str, str]()
    mapped = sum(map(data_size, model.graph.initializer)) > EXTERNAL_LIMIT
    for tensor in model.graph.initializer if mapped else ():
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            map_external(tensor, path.parent, files)
    digests |= {location: file.digest() for location, file in files.items() if recorded is not None}
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            check_data(tensor)
        elif not is_reference(tensor):
            read_external(tensor, path.parent, digests if recorded is not None else None)
    if recorded is not None and set(digests.values()) != {recorded}:
        raise GraphError(
            f"The weights file beside {os.fspath(path)!r} is damaged or another one; copy both files again."
        )
    for index in reversed([i for i, entry in enumerate(model.metadata_props) if entry.key == WEIGHTS_KEY]):
        del model.metadata_props[index]
    return model, lighten(model) if mapped else ()


def _read_message(path: Path) -> onnx.ModelProto:
    """The message in an ONNX file."""
    try:
        with open_regular(path) as file:
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
    return model


def lighten(model: onnx.ModelProto) -> tuple[Source, ...]:
    """Make references of the large initialisers of a model over `EXTERNAL_LIMIT`, in place; returns its sources."""
    large = sum(map(stored_size, model.graph.initializer)) > EXTERNAL_LIMIT
    return move_out(model) if large else sources_of(model)


def move_out(
    model: onnx.ModelProto, changed: Mapping[str, Callable[[], np.ndarray]] | None = None
) -> tuple[Source, ...]:
    """Make references of the large initialisers of a model, in place, to one mapped file; returns all its sources.

    `changed` makes the numbers, of the same dtype and shape, that some initialisers are to have instead. Nothing is
    moved where nothing changes and all of them are references already.

    Raises GraphError where no temporary file can be written.
    """
    large = [tensor for tensor in model.graph.initializer if can_refer(tensor)]
    if not changed and all(is_reference(tensor) for tensor in large):
        return sources_of(model)
    makers = [(changed or {}).get(tensor.name, partial(array_of, tensor)) for tensor in large]
    try:
        source, offsets = write_data(make() for make in makers)
    except OSError as error:
        raise GraphError(
            f"The weights, {sum(map(stored_size, large)):,} bytes, cannot be written to a temporary file "
            f"({error.strerror}); set TMPDIR to a folder with more room."
        ) from error
    for tensor, offset in zip(large, offsets, strict=True):
        refer(tensor, source, offset)
    return sources_of(model)


def _layout(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[onnx.TensorProto], str]:
    """The model as its file holds it, the initialisers that go to the data file, and that file's name."""
    sizes = [stored_size(tensor) for tensor in model.graph.initializer]
    if sum(sizes) <= EXTERNAL_LIMIT:
        return whole(model), [], ""
    external = [tensor for tensor, size in zip(model.graph.initializer, sizes, strict=True) if size > SMALL_TENSOR]
    digest = _digest(external)
    data_name = f"weights-{digest[:16]}.bin"
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
        offset += size + -size % ALIGNMENT
    skeleton.metadata_props.add(key=WEIGHTS_KEY, value=digest)
    return skeleton, external, data_name


def whole(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all its numbers in it: itself if it has no references."""
    if not any(is_reference(tensor) for tensor in model.graph.initializer):
        return model
    whole = without_initialisers(model)
    for tensor in model.graph.initializer:
        stored = numpy_helper.from_array(array_of(tensor), tensor.name) if is_reference(tensor) else tensor
        whole.graph.initializer.append(stored)
    return whole


def _lies_at(external: list[onnx.TensorProto], path: Path) -> bool:
    """Whether the tensors are references to a file at `path`, each where the data file has it."""
    if not all(map(is_reference, external)):
        return False
    places = [source_of(tensor) for tensor in external]
    ends = accumulate(stored_size(tensor) + -stored_size(tensor) % ALIGNMENT for tensor in external)
    source = places[0][0]
    return source.is_file(path) and places == [(source, offset) for offset in (0, *list(ends)[:-1])]


def whole_message(model: onnx.ModelProto) -> bytes:
    """A model with all its weights as one message, the same for equal models.

    Raises GraphError for one that is too large for that.
    """
    if sum(map(stored_size, model.graph.initializer)) >= _LARGEST_MESSAGE:
        raise GraphError("The graph's weights are too large for one ONNX file; save it, which writes two.")
    return bytes(whole(model).SerializeToString(deterministic=True))


def _digest(external: list[onnx.TensorProto]) -> str:
    """SHA-256 of the data file; of references alone it is remembered, because what they lead to stays as it is."""
    places = tuple(tuple((entry.key, entry.value) for entry in tensor.external_data) for tensor in external)
    if all(map(is_reference, external)) and places in _digests:
        return _digests[places]
    digest = hashlib.sha256()
    for chunk in _external_bytes(external):
        digest.update(chunk)
    if all(map(is_reference, external)):
        _digests[places] = digest.hexdigest()
    return digest.hexdigest()


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


def _external_bytes(tensors: list[onnx.TensorProto]) -> Iterator[bytes | memoryview]:
    """The data file piece by piece: each tensor, then zeros up to the alignment."""
    for tensor in tensors:
        yield from pieces_of(tensor)
        yield bytes(-stored_size(tensor) % ALIGNMENT)


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

"""Example inputs inside an ONNX file: entries of its metadata, `astroedge.example.<input>`, of successive ticks.

An entry is a line, the number of ticks and the SHA-256 of the content, then the content in base64: the ticks one after
the other, little-endian, in the dtype and shape of the input.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.errors import GraphError
from astroedge.step.spec import StepSpec, TensorSpec

if TYPE_CHECKING:
    import onnx

PREFIX = "astroedge.example."
LEAST_TICKS = 256
"""Fewer say too little of what matrices read: a graph carries as many examples, or none."""
MOST_TICKS = 4096
MOST_BYTES = 1 << 20
"""A graph carries the first ticks of longer and larger examples."""


def write_examples(model: onnx.ModelProto, spec: StepSpec, ticks: Sequence[Mapping[str, NDArray[Any]]]) -> None:
    """Put the inputs of successive ticks into a model's metadata, in place of those that were there, where they do."""
    for index in reversed([i for i, entry in enumerate(model.metadata_props) if entry.key.startswith(PREFIX)]):
        del model.metadata_props[index]
    size = sum(item.nbytes for item in spec.inputs)
    count = min(len(ticks), MOST_TICKS, MOST_BYTES // max(size, 1))
    if count < LEAST_TICKS:
        return
    for item in spec.inputs:
        content = np.stack([tick[item.name] for tick in ticks[:count]]).astype(_dtype(item)).tobytes()
        head = f"{count} {sha256(content).hexdigest()}"
        model.metadata_props.add(key=PREFIX + item.name, value=f"{head}\n{base64.b64encode(content).decode('ascii')}")


def read_examples(model: onnx.ModelProto, spec: StepSpec) -> dict[str, NDArray[Any]]:
    """The examples in a model's metadata, `(T, …)` for each input by name; nothing where there are none.

    Raises GraphError for examples that are damaged or not those of the step.
    """
    held = (entry for entry in model.metadata_props if entry.key.startswith(PREFIX))
    entries = {entry.key.removeprefix(PREFIX): entry.value for entry in held}
    if not entries:
        return {}
    known = {item.name: item for item in spec.inputs}
    found = {name: _read(known[name], text) for name, text in entries.items() if name in known}
    lengths = {-1 if array is None else len(array) for array in found.values()}
    if entries.keys() != known.keys() or len(lengths) != 1 or -1 in lengths:
        raise GraphError("The examples that the graph carries are damaged; export the model again.")
    return {name: array for name, array in found.items() if array is not None}


def _read(item: TensorSpec, text: str) -> NDArray[Any] | None:
    """The ticks of one input; None where they were changed."""
    line, _, encoded = text.partition("\n")
    count, _, digest = line.partition(" ")
    try:
        content = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    if sha256(content).hexdigest() != digest or not content or count != str(len(content) // item.nbytes):
        return None
    if len(content) % item.nbytes:
        return None
    return np.frombuffer(content, _dtype(item)).astype(item.dtype, copy=False).reshape(-1, *item.shape)


def _dtype(item: TensorSpec) -> np.dtype[Any]:
    return np.dtype(item.dtype).newbyteorder("<")

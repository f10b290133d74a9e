"""A stream as bytes that say whose they are: what a session's `snapshot` gives and `restore` takes.

docs/bundle-format.md describes the form. A stream goes on, after a restore, to the bits that it would have had: so a
snapshot is taken only by a bundle of the same graph with the same stored weights, math and layout of the state, for
whatever target it was compiled.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.manifest import Layout, Manifest, StateField
from astroedge.errors import InputError
from astroedge.runtimes.session.given_values import plain
from astroedge.runtimes.session.input_slot import field_view
from astroedge.session import Array

MAGIC, VERSION = b"ASTROSNP", 1
# Magic, version, bytes before the state, ticks, bytes of state; SHA-256 of the graph, of the step, of the snapshot.
_HEADER = struct.Struct("<8sIIQQ32s32s32s")
_DIGEST = slice(_HEADER.size - 32, _HEADER.size)


def step_identity(manifest: Manifest) -> bytes:
    """SHA-256 of what two bundles must have in common for one to go on, bit for bit, with a stream of the other."""
    layout = manifest.layout
    record = {
        "graph": manifest.reference_sha256,
        "math": manifest.math,
        "state": [[item.name, item.dtype, list(item.shape), item.offset, item.private] for item in layout.state],
        "state_size": layout.state_size,
    }
    text = json.dumps(record, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("ascii")).digest()


def encode_snapshot(manifest: Manifest, state: NDArray[np.uint8], ticks: int) -> bytes:
    """The snapshot of a state buffer, `ticks` after the reset."""
    graph, step = bytes.fromhex(manifest.graph_sha256), step_identity(manifest)
    header = _HEADER.pack(MAGIC, VERSION, _HEADER.size, ticks % 2**64, state.nbytes, graph, step, bytes(32))
    blank = header + state.tobytes()
    return blank[: _DIGEST.start] + sha256(blank).digest() + blank[_DIGEST.stop :]


def decode_snapshot(manifest: Manifest, content: Any) -> tuple[NDArray[np.uint8], int]:
    """The state buffer and the count of ticks in a snapshot.

    Raises InputError for anything but an undamaged snapshot of a stream of this very step.
    """
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise InputError(
            f"restore takes the bytes that session.snapshot() gave, not a {type(content).__name__}; "
            "a bare copy of the state is set with session.state = …"
        )
    content = bytes(content)
    if content[:8] != MAGIC or len(content) < _HEADER.size:
        raise InputError(f"These {len(content)} bytes are no snapshot; take one with session.snapshot().")
    _, version, start, ticks, size, graph, step, digest = _HEADER.unpack_from(content)
    if version != VERSION:
        raise InputError(
            f"The snapshot has version {version}, this AstroEdge reads {VERSION}; it was taken by another release."
        )
    blank = content[: _DIGEST.start] + bytes(32) + content[_DIGEST.stop :]
    if sha256(blank).digest() != digest or start != _HEADER.size or len(content) != start + size:
        raise InputError("The snapshot does not match its digest: it is damaged or cut short; take it again.")
    if step != step_identity(manifest) or size != manifest.layout.state_size:
        raise _another_step(manifest, graph.hex())
    return np.frombuffer(content, np.uint8, offset=start), ticks


def check_state(layout: Layout, initial: Callable[[], NDArray[np.uint8]], state: object) -> NDArray[np.uint8]:
    """Bytes that could be a state of this layout, as a plain array; nothing in them says whose they are.

    `initial` gives the state before the first tick.

    Raises InputError for another dtype or shape, a bool that is neither 0 nor 1, anything but 0 between fields, and a
    NaN in a state that starts without one.
    """
    array = check_size(layout, state).copy()
    rest = array.copy()
    for field in layout.state:
        _check_field(initial, field, field_view(array, field))
        rest[field.offset : field.offset + field.nbytes] = 0
    if rest.any():
        raise InputError(f"Byte {int(rest.argmax())} of the state lies between two states and is not 0; {_FOREIGN}")
    return array


def check_size(layout: Layout, state: object) -> NDArray[np.uint8]:
    """Bytes as many as this layout's state has, as a plain array; InputError for another dtype or shape."""
    array = plain(state)
    shape = (layout.state_size,)
    if array is None or array.dtype != np.uint8 or array.shape != shape:
        got = type(state).__name__ if array is None else f"{array.dtype} {array.shape}"
        raise InputError(
            f"The state is set from a snapshot of it, uint8 {shape}, and got {got}; take one with session.state.copy() "
            "of the same bundle, or use session.snapshot() and restore()."
        )
    return array


_FOREIGN = "these bytes come from another step: use session.snapshot() and restore(), which tell streams apart."


def _check_field(initial: Callable[[], NDArray[np.uint8]], field: StateField, values: Array) -> None:
    if field.dtype == "bool" and values.view(np.uint8).max() > 1:
        raise InputError(f"State {field.name!r} holds a byte that is no bool; {_FOREIGN}")
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return
    if not np.isnan(field_view(initial(), field)).any():
        element = [int(index) for index in np.argwhere(np.isnan(values))[0]]
        raise InputError(f"State {field.name!r} holds a NaN at {element}; a stream that has one is kept by snapshot().")


def _another_step(manifest: Manifest, graph: str) -> InputError:
    if graph != manifest.graph_sha256:
        return InputError(
            f"The snapshot is a stream of another graph ({graph[:16]}…) than {manifest.model!r}'s "
            f"({manifest.graph_sha256[:16]}…); restore it into a bundle of that graph."
        )
    return InputError(
        f"The snapshot is a stream of the same graph with other weights, math or state than this bundle has (precision "
        f"{manifest.precision}, math {manifest.math}); the stream would not go on to the same bits: restore it into a "
        "bundle that was compiled with the same precision and math, for any target."
    )

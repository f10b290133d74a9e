"""Recordings of event cameras, as frames of events for a step: N-MNIST `.bin`, Prophesee `.dat`, iniVation `.aedat4`.

.bin      40 bits an event: x 8, y 8, polarity 1, time 23 in µs (Orchard and others, 2015, "Converting static image
datasets to spiking neuromorphic datasets using saccades")
.dat      a header of lines that begin with %, then 8 bytes an event: time 32 in µs, x 14, y 14, polarity 4
.aedat4   through the package `aedat`
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.errors import InputError
from astroedge.host_package import require
from astroedge.regular_file import open_regular
from astroedge.session import Array
from astroedge.step.spec import TensorSpec

EVENT_SUFFIXES = (".bin", ".dat", ".aedat4")
MOST_FRAMES = 10**7

_BIN_EVENT = 5  # bytes
_DAT_EVENT = 8


@dataclass(frozen=True)
class Events:
    """A recording: for each event its time in µs from the first (int64, ascending), its pixel, and whether it is ON."""

    time: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    on: NDArray[np.bool_]


def is_event_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file's suffix is that of a recording of events."""
    return Path(path).suffix.lower() in EVENT_SUFFIXES


def read_events(path: str | os.PathLike[str]) -> Events:
    """The events of a recording, in the order of time.

    Raises InputError for a file that is not what its suffix says or holds no event, MissingDependencyError for
    `.aedat4` without its package, OSError when it cannot be read.
    """
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix == ".aedat4":
        events = _read_aedat4(source)
    else:
        with open_regular(source) as file:
            content = file.read()
        events = _read_bin(content, source) if suffix == ".bin" else _read_dat(content, source)
    if not events.time.size:
        raise InputError(f"{source} holds no event.")
    order = np.argsort(events.time, kind="stable")
    time = events.time[order]
    return Events(time - time[0], events.x[order], events.y[order], events.on[order])


def _read_bin(content: bytes, source: Path) -> Events:
    if len(content) % _BIN_EVENT:
        raise InputError(f"{source} is no N-MNIST recording: {len(content)} bytes are not {_BIN_EVENT} an event.")
    rows = np.frombuffer(content, np.uint8).reshape(-1, _BIN_EVENT).astype(np.int64)
    time = (rows[:, 2] & 0x7F) << 16 | rows[:, 3] << 8 | rows[:, 4]
    return Events(time, rows[:, 0], rows[:, 1], (rows[:, 2] & 0x80) != 0)


def _read_dat(content: bytes, source: Path) -> Events:
    start = 0
    while content[start : start + 1] == b"%":
        end = content.find(b"\n", start)
        if end < 0:
            raise InputError(f"{source} is no .dat recording: its header has no end.")
        start = end + 1
    size = content[start + 1] if len(content) > start + 1 else 0
    body = content[start + 2 :]
    if size != _DAT_EVENT or len(body) % _DAT_EVENT:
        raise InputError(f"{source} is no .dat recording of {_DAT_EVENT} bytes an event; save it as events of type CD.")
    words = np.frombuffer(body, "<u4").reshape(-1, 2).astype(np.int64)
    data = words[:, 1]
    return Events(words[:, 0], data & 0x3FFF, data >> 14 & 0x3FFF, (data >> 28 & 0xF) != 0)


def _read_aedat4(source: Path) -> Events:
    aedat: Any = require("aedat", "reading .aedat4 recordings")
    with open_regular(source):
        pass
    try:
        packets = [packet["events"] for packet in aedat.Decoder(os.fspath(source)) if "events" in packet]
    except Exception as error:  # whatever the decoder stumbles over
        raise InputError(f"{source} is no .aedat4 recording ({' '.join(str(error).split())[:120]}).") from error
    if not packets:
        raise InputError(f"{source} holds no event.")
    events = np.concatenate(packets)
    time, x, y = (events[name].astype(np.int64) for name in ("t", "x", "y"))
    return Events(time, x, y, events["on"].astype(np.bool_))


def frames(events: Events, spec: TensorSpec, period: float, source: str) -> Iterator[Array]:
    """One array of the input's shape for each `period`, in seconds, from the first event to the last.

    The last two axes of the shape are rows and columns, the one before holds OFF and ON, or both together where it is
    1 or absent; others must be 1. A number says how many events the pixel had, a Boolean whether it had one.

    Raises InputError for a shape that is no frame, events outside it, and a period that makes too many frames.
    """
    channels, rows, columns = _frame_shape(spec)
    if int(events.y.max()) >= rows or int(events.x.max()) >= columns:
        raise InputError(
            f"{source} has events up to row {int(events.y.max())}, column {int(events.x.max())}; the input "
            f"{spec.name!r} has {rows} rows and {columns} columns."
        )
    index = (events.time / (period * 1e6)).astype(np.int64)
    count = int(index[-1]) + 1
    if count > MOST_FRAMES:
        raise InputError(f"{source} would be {count:,} frames of {period:g} s; choose a lower --rate.")
    polarity = events.on.astype(np.int64) if channels == 2 else np.zeros_like(index)
    place = (polarity * rows + events.y) * columns + events.x
    ends = np.searchsorted(index, np.arange(count), side="right")
    size, begin = channels * rows * columns, 0
    for end in ends:
        yield _frame(np.bincount(place[begin:end], minlength=size), spec, source)
        begin = int(end)


def _frame(counts: NDArray[Any], spec: TensorSpec, source: str) -> Array:
    """Counts of events in the input's shape and dtype."""
    if spec.dtype == "bool":
        return (counts > 0).reshape(spec.shape)
    frame = counts.astype(spec.dtype)
    if not np.array_equal(frame, counts):
        raise InputError(
            f"A pixel of {source} has {int(counts.max())} events in a frame, which {spec.dtype} does not hold; "
            "choose a higher --rate."
        )
    return frame.reshape(spec.shape)


def _frame_shape(spec: TensorSpec) -> tuple[int, int, int]:
    """Channels, rows and columns of an input that is a frame."""
    *before, rows, columns = (1, 1, *spec.shape)
    channels = before[-1]
    if len(spec.shape) < 2 or channels not in (1, 2) or any(size != 1 for size in before[:-1]):
        raise InputError(
            f"The input {spec.name!r} has shape {list(spec.shape)} and takes no frames of events; that is rows, "
            "columns, and before them 1 or 2 polarities."
        )
    return channels, rows, columns


def stack_frames(events: Events, specs: Sequence[TensorSpec], rate: float, source: str) -> dict[str, Array]:
    """All frames of a recording, `(T, …)`, for the only input of a step; InputError where it has several."""
    if len(specs) != 1:
        raise InputError(f"{source} is one recording and the step has {len(specs)} inputs; make arrays of it.")
    return {specs[0].name: np.stack([*frames(events, specs[0], 1 / rate, source)])}

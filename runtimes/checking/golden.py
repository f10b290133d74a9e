"""The golden trace: a run on drawn inputs whose hashes prove that a bundle computes the same bits on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.limits import SPIKE_BITS
from astroedge.bundle.drawn_values import drawn_values
from astroedge.bundle.manifest import Golden, GoldenTick, InputField, Layout
from astroedge.errors import InputError
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.session import Array

GOLDEN_TICKS = (1, 10, 100, 1000)

# splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014; public-domain code by
# Vigna): the state is a counter, so any stretch of the sequence can be drawn at once.
_STEP = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
UNIFORM_BITS = {"float16": 10, "float32": 23, "float64": 52}
# Elements drawn at a time, so that long traces of large inputs need little memory.
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Replay:
    """What a replay gave: the hashes here, those of the bundle, and the first tick at which they differ, or None."""

    expected: tuple[GoldenTick, ...]
    found: tuple[GoldenTick, ...]

    @property
    def first_difference(self) -> GoldenTick | None:
        """What was found at the first golden tick whose state or outputs differ."""
        pairs = zip(self.expected, self.found, strict=True)
        return next((found for expected, found in pairs if found != expected), None)

    @property
    def agrees(self) -> bool:
        """Whether every hash is equal; a trace without ticks proves nothing and does not agree."""
        return bool(self.expected) and self.first_difference is None


def splitmix64(seed: int, start: int, count: int) -> NDArray[np.uint64]:
    """Outputs `start` to `start + count` of splitmix64 from a seed, counted from 0."""
    first = np.uint64((seed + (start + 1) * _STEP) % 2**64)
    z = first + np.arange(count, dtype=np.uint64) * np.uint64(_STEP)
    z = (z ^ z >> np.uint64(30)) * _MIX_1
    z = (z ^ z >> np.uint64(27)) * _MIX_2
    return z ^ z >> np.uint64(31)


def draw_field(field: InputField, x: NDArray[np.uint64]) -> Array:
    """Elements of an input from outputs of the generator, in the input's dtype and the shape of `x` (astro_abi.h)."""
    if field.draw == "index":
        offsets = (x >> np.uint64(32)) * np.uint64(field.high - field.low) >> np.uint64(32)
        return (offsets.astype(np.int64) + field.low).astype(field.dtype)
    if field.draw == "spike":
        return (x >> np.uint64(64 - SPIKE_BITS) < np.uint64(field.draw_parameter)).astype(field.dtype)
    if field.draw == "values":
        values, bounds = drawn_values(field), np.array([below for _, below in field.values], np.uint64)
        assert values is not None, "the manifest was checked"
        return values[np.searchsorted(bounds, x >> np.uint64(64 - SPIKE_BITS), side="right")]
    bits = UNIFORM_BITS[field.dtype]
    centred = (x >> np.uint64(63 - bits)).astype(np.int64) - (1 << bits)
    return np.ldexp(centred.astype(np.float64), field.draw_parameter - bits).astype(field.dtype)


def draw_inputs(fields: Sequence[InputField], seed: int, first: int, ticks: int) -> dict[str, Array]:
    """The drawn inputs of `ticks` ticks, the first being tick `first` counted from 0; each (ticks, …).

    A tick draws its inputs in layout order, elements ascending.

    Raises InputError for more ticks than memory holds.
    """
    sizes = [int(np.prod(field.shape, dtype=np.int64)) for field in fields]
    try:
        numbers = splitmix64(seed, first * sum(sizes), ticks * sum(sizes)).reshape(ticks, sum(sizes))
    except (MemoryError, ValueError, OverflowError) as error:  # NumPy has ValueError for what no address reaches
        raise InputError(f"The inputs of {ticks:,} ticks do not fit into this machine's memory; take fewer.") from error
    ends = np.cumsum(sizes)
    return {
        field.name: draw_field(field, numbers[:, end - size : end]).reshape(ticks, *field.shape)
        for field, size, end in zip(fields, sizes, ends, strict=True)
    }


def trace(
    session: CompiledSession, seed: int, ticks: Sequence[int], layout: Layout | None = None
) -> Iterator[GoldenTick]:
    """Run a session on drawn inputs from a reset and yield the hashes at the given ticks, as they are reached.

    The session's own state is put back at the end, also when the iteration is given up. `layout` is that of the bundle
    whose hashes are wanted, by default the session's own: a probe build has the same states and gives more outputs.

    Raises InputError when the ticks are not ascending from 1.
    """
    if list(ticks) != sorted(set(ticks)) or (ticks and ticks[0] < 1):
        raise InputError(f"Golden ticks ascend from 1; got {list(ticks)}.")
    saved = session.snapshot()
    session.reset()
    try:
        done = 0
        for tick in ticks:
            _run_drawn(session, seed, done, tick - 1)
            inputs = draw_inputs(session.manifest.layout.inputs, seed, tick - 1, 1)
            session.step(**{name: array[0] for name, array in inputs.items()})
            done = tick
            outputs = session.output_bytes if layout is None else hashed_outputs(session, layout)
            yield GoldenTick(tick, _digest(session.state), _digest(outputs))
    finally:
        session.restore(saved)


def hashed_outputs(session: CompiledSession, layout: Layout) -> NDArray[np.uint8]:
    """A session's last outputs as the outputs buffer of a bundle with `layout` holds them, zeros between."""
    places = {item.name: item.offset for item in session.manifest.layout.outputs}
    buffer = np.zeros(layout.outputs_size, np.uint8)
    for item in layout.outputs:
        start = places[item.name]
        buffer[item.offset : item.offset + item.nbytes] = session.output_bytes[start : start + item.nbytes]
    return buffer


def replay(session: CompiledSession, golden: Golden | None = None) -> Replay:
    """Replay a golden trace, by default the bundle's own; the session's state is as before afterwards."""
    golden = golden or session.manifest.golden
    found = tuple(trace(session, golden.seed, [item.tick for item in golden.ticks]))
    return Replay(golden.ticks, found)


def _digest(buffer: NDArray[np.uint8]) -> str:
    return sha256(buffer.data).hexdigest()


def _run_drawn(session: CompiledSession, seed: int, first: int, end: int) -> None:
    """Run ticks `first` to `end`, in blocks that need little memory."""
    fields = session.manifest.layout.inputs
    if not fields:
        session.run(steps=end - first)
        return
    elements = sum(int(np.prod(field.shape, dtype=np.int64)) for field in fields)
    block = max(1, _BLOCK // max(elements, 1))
    while first < end:
        ticks = min(block, end - first)
        session.run(**draw_inputs(fields, seed, first, ticks))
        first += ticks

"""Fourier transforms of a fixed length as products with a stored matrix of cosines and sines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, refuse
from astroedge.targets.compiler.expand.forms import reshaped

LARGEST = 4096
"""The longest transform that is written as a matrix: of 2 · 4096 · 2 · 4096 numbers at most."""


def fourier(call: Call, builder: NodeBuilder) -> bool:
    """DFT along one axis, forwards or back, of real or complex numbers, of all frequencies or half of them."""
    shape, rank = call.shape(), len(call.shape())
    axis, stored = int(call.options.get("axis", 1)), call.constant(2)
    if call.opset >= 20:
        axis = -2 if not call.input(2) else int(_fixed(call, stored, "an axis"))
    axis %= rank
    inverse, half = bool(call.options.get("inverse", 0)), bool(call.options.get("onesided", 0))
    length = 2 * (shape[axis] - 1) if inverse and half else shape[axis]
    if call.input(1):
        length = int(_fixed(call, call.constant(1), "a dft_length"))
    matrix = _matrix(_checked(call, length), shape[axis], shape[-1], inverse, half)
    order = [*(place for place in range(rank - 1) if place != axis), axis, rank - 1]
    turned = builder.op("Transpose", [call.input(0)], perm=order)
    rows = [shape[place] for place in order[:-2]]
    joined = reshaped(builder, turned, (*rows, shape[axis] * shape[-1]))
    product = builder.op("MatMul", [joined, builder.constant(matrix, call.dtype(), "frequencies")])
    parts = 1 if inverse and half else 2
    apart = reshaped(builder, product, (*rows, matrix.shape[1] // parts, parts))
    builder.op("Transpose", [apart], call.output(0), perm=[order.index(place) for place in range(rank)])
    return True


def short_time_fourier(call: Call, builder: NodeBuilder) -> bool:
    """STFT: the transform of overlapping pieces of a signal, each times a window."""
    batch, samples, parts = (*call.shape(), 1)[:3]
    step = int(_fixed(call, call.constant(1), "a frame_step"))
    length = call.shape(2)[0] if call.input(2) else samples
    if call.input(3):
        length = int(_fixed(call, call.constant(3), "a frame_length"))
    starts = np.arange((samples - length) // step + 1) * step
    half = bool(call.options.get("onesided", 1))
    matrix = _matrix(_checked(call, length), length, parts, False, half)
    signal = reshaped(builder, call.input(0), (batch, samples, parts))
    places = builder.constant(starts[:, None] + np.arange(length), np.int64, "places")
    pieces = builder.op("Gather", [signal, places], axis=1)
    if call.input(2):
        pieces = builder.op("Mul", [pieces, reshaped(builder, call.input(2), (length, 1))])
    rows = reshaped(builder, pieces, (batch, len(starts), length * parts))
    product = builder.op("MatMul", [rows, builder.constant(matrix, call.dtype(), "frequencies")])
    reshaped(builder, product, (batch, len(starts), matrix.shape[1] // 2, 2), call.output(0))
    return True


def _fixed(call: Call, value: NDArray[np.generic] | None, what: str) -> NDArray[np.generic]:
    if value is None:
        refuse(call, f"{what} that is computed")
    return value.reshape(())


def _checked(call: Call, length: int) -> int:
    """The length, where its matrix is of a size to store."""
    if length > LARGEST:
        refuse(call, f"a length of {length}, and the longest is {LARGEST}")
    return length


def _matrix(length: int, given: int, parts: int, inverse: bool, half: bool) -> NDArray[np.float64]:
    """The matrix M[given · parts, frequencies · 2]: of x[n, part], the real and imaginary parts of every frequency.

    x is cut or filled up with zeros to `length`. Half of the frequencies back give `length` real numbers.
    """
    count = length // 2 + 1 if half else length
    rows, columns = (count, length) if inverse and half else (length, count)
    angles = 2 * np.pi * (np.outer(np.arange(rows), np.arange(columns)) % length) / length
    cosine, sine = np.cos(angles), np.sin(angles) * (-1 if inverse else 1)
    if inverse and half:
        twice = np.full((rows, 1), 2.0)
        twice[0] = 1
        if length % 2 == 0:
            twice[-1] = 1
        blocks = np.stack([cosine * twice, sine * twice], axis=1)[..., None]
    else:
        blocks = np.stack([np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)], axis=1)
    blocks = blocks[:given, :parts] / (length if inverse else 1)
    filled = np.zeros((given, parts, *blocks.shape[2:]))
    filled[: len(blocks)] = blocks
    return filled.reshape(given * parts, -1)


RULES: dict[str, Rule] = {"DFT": fourier, "STFT": short_time_fourier}

"""The reduction order of the design in NumPy float32, one rounding an operation: what every kernel must equal."""

from __future__ import annotations

import numpy as np

from astroedge.targets.precision.storage import FLOAT32
from astroedge.targets.precision.weight_format import StoredMatrix


def product(x: np.ndarray, weights: np.ndarray | StoredMatrix, bias: np.ndarray | None = None) -> np.ndarray:
    """x (rows,) by weights (rows, columns): blocks of 256 inputs ascending, block sums ascending, bias last.

    int8 sums are scaled before the bias; sums of groups (int4: 64 inputs) are scaled and added to +0.0, ascending.
    """
    stored = weights if isinstance(weights, StoredMatrix) else StoredMatrix(FLOAT32, weights, None)
    values = stored.values.astype(np.float32)
    total: np.ndarray | None = None
    if stored.storage.scaled_by_group:
        assert stored.scales is not None
        total = np.zeros(values.shape[1], np.float32)
        for group, start in enumerate(range(0, len(x), stored.storage.group)):
            total = total + stored.scales[group] * _block(x, values, start, stored.storage.group)
    else:
        for start in range(0, len(x), 256):
            block = _block(x, values, start, 256)
            total = block if total is None else total + block
        assert total is not None
        total = total if stored.scales is None else stored.scales[0] * total
    return total if bias is None else total + bias


def fixed_point(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x (rows,) as integers and the factor of each block of 256: 2^(e-29), 2^e being the largest power in the block."""
    integers, factors = [], []
    for start in range(0, len(x), 256):
        block = x[start : start + 256].astype(np.float64)
        peak = max(np.abs(block).max(), 2.0**-97)
        exponent = int(np.frexp(peak)[1]) - 1
        integers.append(np.rint(np.ldexp(block, 29 - exponent)).astype(np.int64))
        factors.append(np.ldexp(np.float32(1), exponent - 29))
    return np.concatenate(integers), np.array(factors, np.float32)


def fixed_product(x: np.ndarray, stored: StoredMatrix) -> np.ndarray:
    """x (rows,) in fixed point by integer weights: exact sums of 256 inputs (int4: 64), rounded once, scaled."""
    assert stored.scales is not None
    integers, factors = fixed_point(x.astype(np.float32))
    length, by_group = stored.storage.sum_block, stored.storage.scaled_by_group
    total: np.ndarray | None = np.zeros(stored.values.shape[1], np.float32) if by_group else None
    for index, start in enumerate(range(0, len(x), length)):
        exact = integers[start : start + length] @ stored.values[start : start + length].astype(np.int64)
        block = exact.astype(np.float32) * factors[start // 256]
        block = stored.scales[index] * block if by_group else block
        total = block if total is None else total + block
    assert total is not None
    return total if by_group else stored.scales[0] * total


def _block(x: np.ndarray, weights: np.ndarray, start: int, length: int) -> np.ndarray:
    total = np.zeros(weights.shape[1], np.float32)
    for k in range(start, min(start + length, len(x))):
        total = total + np.float32(x[k]) * weights[k]
    return total


def tree(values: np.ndarray, combine: np.ufunc = np.add, identity: float = 0.0) -> np.ndarray:
    """A vector reduced in 16 lanes and the fixed tree; a NumPy scalar of its dtype."""
    lanes = np.full(16, identity, values.dtype)
    whole = len(values) // 16 * 16
    for row in values[:whole].reshape(-1, 16):
        lanes = combine(lanes, row)
    rest = values[whole:]
    lanes[: len(rest)] = combine(lanes[: len(rest)], rest)
    for half in (8, 4, 2, 1):
        lanes = combine(lanes[:half], lanes[half : 2 * half])
    return lanes[0]


def layer_norm(x: np.ndarray, epsilon: float, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """One vector normalised in two passes."""
    difference = x - tree(x) / np.float32(len(x))
    variance = tree(difference * difference) / np.float32(len(x))
    return difference * (np.float32(1) / np.sqrt(variance + np.float32(epsilon))) * gamma + beta

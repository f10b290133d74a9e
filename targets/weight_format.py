"""How the weights of a matrix are stored: float32, float16, int8 by output column, int4 by groups of inputs.

Only weights are quantised; what a matrix reads stays as it is. A stored weight stands for the float32 number
`scale * q`, and that product is exact: scales have 16 significant bits and |q| needs 7. So the dequantised matrix *is*
the stored one, and a graph that holds it can be compared with the compiled step by the usual tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Precision = Literal["float32", "float16", "int8", "int4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

GROUP = 64
"""Inputs that share an int4 scale in each output column; it divides the blocks of 256 of the reduction order."""

LARGEST = {"int8": 127, "int4": 7}
"""The largest |q|. −128 is left out, so that 256 rows of int8 add up in an int16."""

_SHRINK = {"int8": (1.0,), "int4": tuple(1.0 - 0.02 * step for step in range(21))}
_SCALE_BITS = 16


@dataclass(frozen=True)
class StoredMatrix:
    """A weight matrix W[rows, columns] as stored.

    - `values`: [rows, columns] float32, float16, or the integers q as int8 (an int4 matrix holds −7 to 7);
    - `scales`: float32 [groups, columns] with `groups` = 1 for int8, ceil(rows / GROUP) for int4; None for floats.
    """

    precision: Precision
    values: NDArray[Any]
    scales: NDArray[np.float32] | None

    def dequantise(self) -> NDArray[np.float32]:
        """The float32 matrix that the stored one stands for, exactly."""
        if self.scales is None:
            return self.values.astype(np.float32)
        by_row = np.repeat(self.scales, group_rows(self.precision, len(self.values)), axis=0)[: len(self.values)]
        return self.values.astype(np.float32) * by_row


def group_rows(precision: Precision, rows: int) -> int:
    """How many consecutive inputs of a matrix of `rows` share a scale."""
    return GROUP if precision == "int4" else rows


def store(weights: NDArray[np.float32], precision: Precision) -> StoredMatrix:
    """W[rows, columns], finite float32, in the given precision; the nearest value, ties to even.

    int8 scales make the largest weight of a column 127; int4 scales are the best of 21 candidates by squared error.
    """
    if precision == "float32" or precision == "float16":
        return StoredMatrix(precision, weights.astype(precision), None)
    rows = len(weights)
    group = group_rows(precision, rows)
    starts = range(0, rows, group)
    scales = np.stack([_best_scale(weights[start : start + group], precision) for start in starts])
    by_row = np.repeat(scales, group, axis=0)[:rows]
    return StoredMatrix(precision, _round(weights, by_row, LARGEST[precision]), scales)


def _best_scale(weights: NDArray[np.float32], precision: Precision) -> NDArray[np.float32]:
    """The scale of each column of one group."""
    largest = LARGEST[precision]
    peak = np.abs(weights).max(axis=0)
    best: NDArray[np.float32] = np.ones_like(peak)
    lowest = np.full(peak.shape, np.inf)
    for shrink in _SHRINK[precision]:
        scale = _short(np.where(peak > 0, peak * np.float32(shrink) / np.float32(largest), np.float32(1)))
        error = weights.astype(np.float64) - _round(weights, scale, largest) * scale.astype(np.float64)
        squared = np.square(error).sum(axis=0)
        better = squared < lowest
        best, lowest = np.where(better, scale, best), np.where(better, squared, lowest)
    return best


def _round(weights: NDArray[np.float32], scale: NDArray[np.float32], largest: int) -> NDArray[np.int8]:
    quotient = np.rint(weights.astype(np.float64) / scale.astype(np.float64))
    rounded: NDArray[np.int8] = np.clip(quotient, -largest, largest).astype(np.int8)
    return rounded


def _short(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales rounded up to 16 significant bits, and kept normal numbers so that products with |q| stay exact."""
    mantissa, exponent = np.frexp(np.maximum(scale.astype(np.float64), 2.0**-126))
    short: NDArray[np.float32] = np.ldexp(np.ceil(np.ldexp(mantissa, _SCALE_BITS)), exponent - _SCALE_BITS).astype("f4")
    return short

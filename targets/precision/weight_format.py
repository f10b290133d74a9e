"""How the weights of a matrix are stored: float32, float16, int8 by output column, int4 by groups of inputs.

Only weights are quantised; what a matrix reads stays as it is. A stored weight stands for the float32 number
`scale * q`, and that product is exact: scales have 16 significant bits and |q| needs 7. So the dequantised matrix *is*
the stored one, and a graph that holds it can be compared with the compiled step by the usual tolerance.

Weights that lie on a grid already, as quantisation-aware training leaves them, keep it and lose nothing: their scale
has all the bits that it was trained with, and each weight is `scale * q` rounded once, as in the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.targets.precision.grids import grid_scales
from astroedge.targets.precision.storage import INT8, Storage

AT_A_TIME = 1 << 22  # weights that are quantised in one go: each takes tens of bytes meanwhile
SHORT = 127
"""The largest short scale, an int8 that a column's unit multiplies."""

_SCALE_BITS = 16
_UNIT_BITS = 9  # so that the product with a short scale has 16


@dataclass(frozen=True)
class StoredMatrix:
    """A weight matrix W[rows, columns] as stored.

    - `values`: [rows, columns] float32, float16, or the integers q as int8 (an int4 matrix holds −8 to 7);
    - `scales`: float32 [groups, columns] with `groups` = `storage.scale_rows(rows)`, negative ones among those of
      int4; None for floats.
    """

    storage: Storage
    values: NDArray[Any]
    scales: NDArray[np.float32] | None

    def dequantise(self) -> NDArray[np.float32]:
        """The float32 matrix that the stored one stands for, exactly."""
        if self.scales is None:
            return self.values.astype(np.float32)
        matrix = self.values.astype(np.float32)
        group = self.storage.group_rows(len(matrix))
        for place, scales in enumerate(self.scales):
            matrix[place * group : (place + 1) * group] *= scales
        return matrix

    @property
    def nbytes(self) -> int:
        """Bytes of the weights and scales, before kernels lay them out; `values` may be a stack of float32 matrices."""
        scales = 0 if self.scales is None else self.scales.nbytes
        return self.values.size * self.storage.bits // 8 + scales


def store(weights: NDArray[np.float32], storage: Storage) -> StoredMatrix:
    """W[rows, columns], finite float32, in the given precision; the nearest value, ties to even.

    The weights of a column (int4: of a group of inputs) that are all integer multiples of one scale stay as they are, but
    for single ones of an int4 column that has others.
    Otherwise int8 scales make the largest weight of a column ±127; int4 scales are the best of 42 by squared error:
    they make the largest weight of a group ±7, or −8 whatever its sign, or clip it for the sake of the others. Then they
    become multiples of a unit for each column (`short_scales`), which moves the larger ones by less than 1 %. Storing
    what a stored matrix stands for gives that matrix again.
    """
    if not storage.is_integer:
        return StoredMatrix(storage, weights.astype(storage.data_type, copy=False), None)
    rows, columns = weights.shape
    values, scales = np.empty(weights.shape, np.int8), np.empty((storage.scale_rows(rows), columns), np.float32)
    group, width = storage.group_rows(rows), max(1, AT_A_TIME // max(rows, 1))
    for start in range(0, columns, width):
        part = weights[:, start : start + width]
        groups = [part[first : first + group] for first in range(0, rows, group)]
        for place, scale in enumerate(_scales(groups, storage)):
            scales[place, start : start + width] = scale
            values[place * group : (place + 1) * group, start : start + width] = _round(groups[place], scale, storage)
    return StoredMatrix(storage, values, scales)


def short_scales(stored: StoredMatrix) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """The scales [groups, columns] as int8 and a unit for each column, whose products they are; None if they are not.

    Those of a group of zeros may be any.
    """
    if not stored.storage.scaled_by_group:
        return None
    assert stored.scales is not None
    group = stored.storage.group
    fires = np.stack(
        [stored.values[start : start + group].any(axis=0) for start in range(0, len(stored.values), group)]
    )
    scales = np.where(fires, stored.scales, np.float32(0))
    short, units = np.zeros(scales.shape, np.int8), np.ones(scales.shape[1], np.float32)
    open_columns = np.flatnonzero(fires.any(axis=0))
    for largest in range(SHORT, 0, -1):  # what the largest scale of a column is a multiple by
        wanted = scales[:, open_columns]
        tried = np.abs(wanted).max(axis=0) / np.float32(largest)
        multiples = np.rint(wanted / tried)
        exact = (multiples * tried == wanted).all(axis=0)
        units[open_columns[exact]] = tried[exact]
        short[:, open_columns[exact]] = multiples[:, exact].astype(np.int8)
        open_columns = open_columns[~exact]
        if not open_columns.size:
            return short, units
    return None


def store_integers(values: NDArray[np.int8]) -> StoredMatrix:
    """The weights of a product of integers, which have no scale."""
    return StoredMatrix(INT8, values, None)


def _scales(groups: list[NDArray[np.float32]], storage: Storage) -> list[NDArray[np.float32]]:
    """The scale of each column of every group: that of the grid it lies on, else the best, a short one beside others.

    A single weight lies on many grids, so it stays as it is only where the whole column does.
    """
    found = [grid_scales(group, storage.lowest, storage.largest) for group in groups]
    scales, on_grid = [scale for scale, _ in found], np.stack([fits for _, fits in found])
    several = np.stack([np.count_nonzero(group, axis=0) > 1 for group in groups])
    free = ~on_grid | (~several & ~on_grid.all(axis=0))
    best = np.zeros(free.shape, np.float32)
    for place, group in enumerate(groups):
        best[place, free[place]] = _best_scale(group[:, free[place]], storage, storage.shrinks)
    if storage.scaled_by_group:
        return list(np.where(free, _shorten(best, [group.any(axis=0) for group in groups]), scales))
    for scale, columns, group, chosen in zip(scales, free, groups, best, strict=True):
        others, chosen = group[:, columns], chosen[columns]
        # Of several scales that give the same weights always one: what is stored lies on a grid.
        scale[columns], _ = grid_scales(_round(others, chosen, storage) * chosen, storage.lowest, storage.largest)
    return scales


def _shorten(scales: NDArray[np.float32], fires: list[NDArray[np.bool_]]) -> NDArray[np.float32]:
    """Scales [groups, columns] as multiples −127 to 127, but not 0, of a unit for each column; 0 where there is none.

    `fires` says of each group which columns have other weights than zeros; the scales of zeros count for nothing.
    """
    counted = np.where(np.stack(fires), scales, 0)
    units = _short(np.abs(counted).max(axis=0).astype(np.float64) / SHORT, _UNIT_BITS)
    multiples = np.rint(scales.astype(np.float64) / units)
    multiples = np.where(scales != 0, np.clip(np.where(multiples == 0, np.sign(scales), multiples), -SHORT, SHORT), 0)
    shortened: NDArray[np.float32] = (multiples * units).astype(np.float32)
    return shortened


def _best_scale(weights: NDArray[np.float32], storage: Storage, shrinks: tuple[float, ...]) -> NDArray[np.float32]:
    """The scale of each column of one group: of those with the least squared error the first."""
    extreme = np.take_along_axis(weights, np.abs(weights).argmax(axis=0)[None], axis=0)[0].astype(np.float64)
    largest = [np.abs(extreme) / storage.largest]
    if storage.packs_nibbles:  # the lowest of 16 integers cannot be spared, that of 256 can
        largest.append(extreme / storage.lowest)
    best: NDArray[np.float32] = np.ones(extreme.shape, np.float32)
    lowest = np.full(extreme.shape, np.inf)
    for shrink in shrinks:
        for unclipped in largest:
            scale = _short(np.where(extreme != 0, unclipped * shrink, 1.0))
            error = weights.astype(np.float64) - _round(weights, scale, storage) * scale.astype(np.float64)
            squared = np.square(error).sum(axis=0)
            better = squared < lowest
            best, lowest = np.where(better, scale, best), np.where(better, squared, lowest)
    return best


def _round(weights: NDArray[np.float32], scale: NDArray[np.float32], storage: Storage) -> NDArray[np.int8]:
    quotient = np.rint(weights.astype(np.float64) / scale.astype(np.float64))
    rounded: NDArray[np.int8] = np.clip(quotient, storage.lowest, storage.largest).astype(np.int8)
    return rounded


def _short(scale: NDArray[np.float64], bits: int = _SCALE_BITS) -> NDArray[np.float32]:
    """Scales rounded away from 0 to so many significant bits, and kept normal so that products with |q| stay exact."""
    mantissa, exponent = np.frexp(np.maximum(np.abs(scale), 2.0**-126))
    size = np.ldexp(np.ceil(np.ldexp(mantissa, bits)), exponent - bits)
    short: NDArray[np.float32] = np.copysign(size, scale).astype(np.float32)
    return short

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

from astroedge.targets.precision.group_scales import group_scales, round_to
from astroedge.targets.precision.storage import INT8, Storage

AT_A_TIME = 1 << 22  # weights that are quantised in one go: each takes tens of bytes meanwhile
IN_CACHE = 1 << 17  # of those that are gone through for many scales


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

    The weights of a column (int4: of a group of inputs) that are all integer multiples of one scale stay as they are,
    but for single ones of an int4 column that has others. Otherwise int8 scales make the largest weight of a column
    ±127; int4 scales are the best of 42 by squared error: they make the largest weight of a group ±7, or −8 whatever
    its sign, or clip it for the sake of the others. Then they become multiples of a unit for each column
    (`short_scales`), which moves the larger ones by less than 1 %. Storing what a stored matrix stands for gives that
    matrix again.
    """
    if not storage.is_integer:
        return StoredMatrix(storage, weights.astype(storage.data_type, copy=False), None)
    rows, columns = weights.shape
    values, scales = np.empty(weights.shape, np.int8), np.empty((storage.scale_rows(rows), columns), np.float32)
    group = storage.group_rows(rows)
    width = max(1, (AT_A_TIME if len(storage.shrinks) == 1 else IN_CACHE) // max(group, 1))
    for start in range(0, columns, width):
        part = weights[:, start : start + width]
        groups = [part[first : first + group] for first in range(0, rows, group)]
        for place, scale in enumerate(group_scales(groups, storage)):
            scales[place, start : start + width] = scale
            values[place * group : (place + 1) * group, start : start + width] = round_to(groups[place], scale, storage)
    return StoredMatrix(storage, values, scales)


def store_integers(values: NDArray[np.int8]) -> StoredMatrix:
    """The weights of a product of integers, which have no scale."""
    return StoredMatrix(INT8, values, None)

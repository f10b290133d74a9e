"""Integers chosen by what a matrix reads: the error of each input's weights is made up for by the inputs after it.

Nearest integers are the best where the inputs of a matrix are independent and alike. They are not: with the second
moments H = Σ x xᵀ of what it reads, the error of its outputs is the trace of Dᵀ H D, where D = W − Ŵ. Inputs are gone
through in their order; each is rounded at the place that is best given the errors so far (Frantar et al., GPTQ, 2023,
arXiv 2210.17323). With H = Lᵀ L, L lower triangular, that is the sum of the squares of L D, whose row i depends on
the rows of D up to i alone, and the best place for row i is W_i + Σ_{j<i} L_ij D_j / L_ii: the same integers as
GPTQ's, which updates the later weights instead (Chen et al., 2025, arXiv 2507.18553), by one factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroedge.targets.precision.group_scales import best_scale, kept_scales, shorten
from astroedge.targets.precision.short_scales import short_scales
from astroedge.targets.precision.storage import Storage
from astroedge.targets.precision.weight_format import StoredMatrix

AT_A_TIME = 1 << 21  # weights that are rounded in one go, in float64


@dataclass(frozen=True)
class Feedback:
    """What rounding needs to know of the inputs of a matrix, whose damped moments are H = Lᵀ L.

    `factor` is L_ij / L_ii, lower triangular [rows, rows]; `importance` L_ii² [rows], by which the squared error of a
    row counts once the rows before it are rounded.
    """

    factor: NDArray[np.float64]
    importance: NDArray[np.float64]


def feedback_of(inputs: NDArray[np.float32]) -> Feedback | None:
    """What the inputs [examples, rows] of a matrix tell; None where they are silent or not finite.

    The fewer examples there are for each row, the less their moments are worth beside the mean of all: it is added to
    the moment of every input, a twentieth of it and a quarter for each row that an example stands for.
    """
    examples, rows = inputs.shape
    wide = inputs.astype(np.float64)
    moments = wide.T @ wide
    level = float(np.trace(moments)) / rows
    if not 0 < level < np.inf:
        return None
    moments.flat[:: rows + 1] += level * (0.05 + 0.25 * rows / examples)
    lower = np.array(np.linalg.cholesky(moments[::-1, ::-1])[::-1, ::-1].T, np.float64, order="C")
    diagonal = np.diagonal(lower).copy()
    lower /= diagonal[:, None]
    return Feedback(lower, np.square(diagonal))


def round_with_feedback(weights: NDArray[np.float32], feedback: Feedback, nearest: StoredMatrix) -> StoredMatrix:
    """W[rows, columns] as stored with `feedback` from what it reads; `nearest` is the same with the nearest integers.

    The scale of a group is the best for the places that the errors of the groups before give its weights, a short one
    (`short_scales`) where those of `nearest` are. Weights of a column that lie on a grid within a group stay as they
    are, and so do zeros: what was pruned stays pruned.
    """
    storage, (rows, columns) = nearest.storage, weights.shape
    values = np.empty(weights.shape, np.int8)
    scales = np.empty((storage.scale_rows(rows), columns), np.float32)
    short = short_scales(nearest)
    width = max(1, AT_A_TIME // rows)
    for start in range(0, columns, width):
        part = slice(start, start + width)
        rounding = _Rounding(weights[:, part], feedback, storage, None if short is None else short[1][part])
        for place in range(len(scales)):
            group = slice(place * storage.group, min((place + 1) * storage.group, rows))
            values[group, part], scales[place, part] = rounding.round_group(place, group)
    return StoredMatrix(storage, values, scales)


class _Rounding:
    """Some columns of a matrix, whose groups are rounded in turn; `errors` are those of the rows so far."""

    def __init__(
        self,
        weights: NDArray[np.float32],
        feedback: Feedback,
        storage: Storage,
        units: NDArray[np.float32] | None,
    ) -> None:
        self.weights, self.feedback, self.storage, self.units = weights, feedback, storage, units
        groups = [weights[first : first + storage.group] for first in range(0, len(weights), storage.group)]
        kept, on_grid = kept_scales(groups, storage)
        silent = np.stack([~group.any(axis=0) for group in groups])
        self.kept, self.on_grid = np.where(silent, np.float32(1), kept), on_grid | silent
        self.errors = np.zeros(weights.shape)

    def round_group(self, place: int, group: slice) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The integers and scales of the rows `group`."""
        own, factor, errors, storage = self.weights[group], self.feedback.factor, self.errors, self.storage
        kept, on_grid = self.kept[place], self.on_grid[place]
        places = own + factor[group, : group.start] @ errors[: group.start]
        best = best_scale(places.astype(np.float32), storage, self.feedback.importance[group])
        scale = np.where(on_grid, kept, best if self.units is None else shorten(best, self.units))
        wide, integers = scale.astype(np.float64), np.empty(own.shape)
        for row in range(len(own)):
            index = group.start + row
            wanted = places[row] + factor[index, group.start : index] @ errors[group.start : index]
            wanted = np.where(on_grid | (own[row] == 0), own[row], wanted)
            integers[row] = np.clip(np.rint(wanted / wide), storage.lowest, storage.largest)
            errors[index] = own[row] - integers[row] * wide
        errors[group] = np.where(on_grid, 0.0, errors[group])  # a kept scale has more bits than a product holds
        return integers.astype(np.int8), scale

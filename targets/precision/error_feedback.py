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

from astroedge.targets.precision.grids import grid_scales
from astroedge.targets.precision.group_scales import best_scale, round_to
from astroedge.targets.precision.storage import Storage

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


def round_with_feedback(
    weights: NDArray[np.float32], feedback: Feedback, storage: Storage
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The integers of W[rows, columns] and their scales [groups, columns], by `feedback` from what W reads.

    The scale of a group is the best for the places that the errors of the groups before give its weights. Weights of a
    column that lie on a grid within a group stay as they are.
    """
    rows, columns = weights.shape
    values = np.empty(weights.shape, np.int8)
    scales = np.empty((storage.scale_rows(rows), columns), np.float32)
    width = max(1, AT_A_TIME // rows)
    for start in range(0, columns, width):
        part = slice(start, start + width)
        errors = np.zeros(weights[:, part].shape)
        for place in range(len(scales)):
            group = slice(place * storage.group, min((place + 1) * storage.group, rows))
            stored = _round_group(weights[:, part], errors, feedback, group, storage)
            values[group, part], scales[place, part] = stored
    return values, scales


def _round_group(
    weights: NDArray[np.float32],
    errors: NDArray[np.float64],
    feedback: Feedback,
    group: slice,
    storage: Storage,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The integers and scales of one group of rows; their errors are noted in `errors`, which holds those before."""
    own, factor = weights[group], feedback.factor
    places = own + factor[group, : group.start] @ errors[: group.start]
    kept, on_grid = grid_scales(own, storage.lowest, storage.largest)
    scale = np.where(on_grid, kept, best_scale(places.astype(np.float32), storage, feedback.importance[group]))
    wide, integers = scale.astype(np.float64), np.empty(own.shape)
    for row in range(len(own)):
        index = group.start + row
        place = places[row] + factor[index, group.start : index] @ errors[group.start : index]
        place = np.where(on_grid, own[row], place)
        integers[row] = np.clip(np.rint(place / wide), storage.lowest, storage.largest)
        errors[index] = own[row] - integers[row] * wide
    rounded = integers.astype(np.float32) * scale
    errors[group] = np.where(on_grid, 0.0, errors[group])  # a kept scale has more bits than a product holds
    scale = np.where(on_grid, kept, grid_scales(rounded, storage.lowest, storage.largest)[0])
    return round_to(np.where(on_grid, own, rounded), scale, storage), scale

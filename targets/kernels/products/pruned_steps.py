"""Pruned weights as steps of vectors: which weights and inputs the lanes of `pruned_lanes` multiply together."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astroedge.targets.kernels.products.pruned_lists import fullest_first
from astroedge.targets.precision.storage import BLOCK, Storage
from astroedge.targets.precision.weight_format import StoredMatrix

if TYPE_CHECKING:
    from astroedge.targets.boards.board_file import Target

ABREAST = 4
"""Groups of columns whose sums are made at the same time: a sum waits for the one before it."""

_AT_ONCE = 16  # tiles that are packed together
_NOTHING = 2 * BLOCK  # the place of a column's next weight where none is left


def lanes_of(target: Target, rows: int, storage: Storage) -> int:
    """How many lanes are permuted at once; 0 where no instruction does it, or no window fits into the last block."""
    lanes = max((lanes for lanes in target.family.permute if lanes * 32 <= target.vector_bits), default=0)
    fits = rows % BLOCK == 0 or rows % BLOCK >= lanes
    return lanes if fits and not storage.is_integer else 0


@dataclass(frozen=True)
class LaneArrays:
    """What `pack_lanes` makes: tile of columns by tile, block of inputs by block, step by step, group by group.

    - `weights` [steps, lanes] and `places` [steps, lanes] uint8: which input of the window each meets;
    - `windows` [steps] uint8: where in the block the window begins;
    - `starts` int32 [tiles, blocks] and one more: which step each block begins with;
    - `order` int32 [columns]: which column comes first, second …; None where that is as they are.
    """

    weights: NDArray[np.generic]
    places: NDArray[np.uint8]
    windows: NDArray[np.uint8]
    starts: NDArray[np.int32]
    order: NDArray[np.int32] | None = None

    @property
    def in_order(self) -> tuple[NDArray[np.generic] | None, ...]:
        """The arrays in the order of the kernel's parameters, None for one that is not there."""
        return self.weights, self.places, self.windows, self.starts, self.order


def pack_lanes(stored: StoredMatrix, lanes: int, *, sort: bool = False) -> LaneArrays:
    """The steps of a stored matrix of floats, with the fullest columns first where `sort` says so."""
    order = fullest_first(stored.values) if sort else None
    values, width = stored.values if order is None else stored.values[:, order], _AT_ONCE * ABREAST * lanes
    pieces = [_pack(values[:, first : first + width], lanes) for first in range(0, values.shape[1], width)]
    begins = np.cumsum([0, *(piece.starts[-1] for piece in pieces)])
    starts = [piece.starts[:-1] + begin for piece, begin in zip(pieces, begins, strict=False)]
    return LaneArrays(
        np.concatenate([piece.weights for piece in pieces]),
        np.concatenate([piece.places for piece in pieces]),
        np.concatenate([piece.windows for piece in pieces]),
        np.concatenate([*starts, begins[-1:]]).astype(np.int32),
        None if order is None else order.astype(np.int32),
    )


def _pack(matrix: NDArray[np.generic], lanes: int) -> LaneArrays:
    """The steps of some of the columns."""
    rows, columns = matrix.shape
    blocks, groups = ceil(rows / BLOCK), ceil(columns / lanes)
    values = np.zeros((blocks * BLOCK, groups * lanes), matrix.dtype)
    values[:rows, :columns] = matrix
    by_column = values.reshape(blocks, BLOCK, groups, lanes).transpose(0, 2, 3, 1)  # [blocks, groups, lanes, inputs]
    inputs = np.where(by_column != 0, np.arange(BLOCK, dtype=np.int16), np.int16(_NOTHING))
    order = np.argsort(inputs, axis=-1, kind="stable")
    most = max(1, int((by_column != 0).sum(axis=-1).max()))
    listed = np.take_along_axis(inputs, order, -1)[..., :most]
    weights = np.take_along_axis(by_column, order, -1)[..., :most]
    last = np.minimum(BLOCK, rows - BLOCK * np.arange(blocks)) - lanes  # the last window of each block
    steps = _steps(listed, weights, last)
    return _in_tiles(*steps)


def _steps(
    listed: NDArray[np.int16], weights: NDArray[np.generic], last: NDArray[np.intp]
) -> tuple[NDArray[np.generic], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.intp]]:
    """Weights, places and windows of each step [steps, blocks, groups, …], and how many steps each group needs."""
    lanes, most = listed.shape[2:]
    taken = np.zeros(listed.shape[:3], np.intp)
    needed = np.zeros(listed.shape[:2], np.intp)
    made = []
    while True:
        at = np.minimum(taken, most - 1)[..., None]
        heads = np.where(taken < most, np.take_along_axis(listed, at, -1)[..., 0], _NOTHING)
        first = heads.min(axis=-1)
        if (first == _NOTHING).all():
            break
        needed += first < _NOTHING
        windows = np.minimum(np.where(first < _NOTHING, first, 0), last[:, None])
        places = heads - windows[..., None]
        found = places < lanes
        value = np.where(found, np.take_along_axis(weights, at, -1)[..., 0], weights.dtype.type(0))
        made.append((value, np.where(found, places, 0).astype(np.uint8), windows.astype(np.uint8)))
        taken += found
    if not made:
        shape = listed.shape[:3]
        made.append((np.zeros(shape, weights.dtype), np.zeros(shape, np.uint8), np.zeros(shape[:2], np.uint8)))
    value, place, window = (np.stack(arrays) for arrays in zip(*made, strict=True))
    return value, place, window, needed


def _in_tiles(
    weights: NDArray[np.generic], places: NDArray[np.uint8], windows: NDArray[np.uint8], needed: NDArray[np.intp]
) -> LaneArrays:
    """The steps in the order in which the kernel reads them: all groups of a tile take as many as the longest one."""
    blocks, groups = needed.shape
    pieces, counts = [], []
    for first in range(0, groups, ABREAST):
        tile = slice(first, first + ABREAST)
        for block in range(blocks):
            steps = max(1, int(needed[block, tile].max()))
            pieces.append([array[:steps, block, tile] for array in (weights, places, windows)])
            counts.append(pieces[-1][2].size)
    lanes = weights.shape[-1]
    value, place, window = (
        np.concatenate([array.reshape(-1, *shape) for array in arrays])
        for arrays, shape in zip(zip(*pieces, strict=True), ((lanes,), (lanes,), ()), strict=True)
    )
    return LaneArrays(value.ravel(), place.ravel(), window, np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))

"""Pruned weights as lists: the weights of each row that are not zero, each with how far it lies from the one before.

A row of a tile of columns is a list of (gap, weight) with ascending columns; the first gap counts from the beginning of
the tile. Gaps are bytes beside the weights; of int4 weights one byte holds both, the weight in its high nibble and the
gap in its low one. Where a gap is larger than that holds, weights of 0 stand between. So at 80 % zeros a matrix takes a
quarter of the bytes as float32, 0.3 as float16, 0.4 as int8 and 0.45 as int4.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from astroedge.targets.kernels.stored_weights import cast
from astroedge.targets.precision.storage import BLOCK, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.tir_builder import Buffer, Expression

TILE = 2048
"""Columns whose sums are made together, in the first cache; threads divide the tiles among them."""

_NEIGHBOURS = 64
_WORTH_SORTING = 0.85
_NIBBLE = 4
_SIGN_AND_NUMBER = ~0x70001FFF  # of a float16's bits in those of a float32: all but the copies of its sign


@dataclass(frozen=True)
class PrunedArrays:
    """What `pack_pruned` makes: flat arrays, of which int4 has no `gaps` and floats no `scales`.

    - `weights`: the entries of all lists, at least one, tile by tile and row by row;
    - `gaps`: uint8, one for each entry;
    - `starts`: int32 [tiles, rows + 1], where each list begins, and behind the last row of a tile where that ends;
    - `scales`: float32 [groups, columns] as the stored matrix has them.
    """

    weights: NDArray[np.generic]
    gaps: NDArray[np.uint8] | None
    starts: NDArray[np.int32]
    scales: NDArray[np.float32] | None

    @property
    def in_order(self) -> tuple[NDArray[Any] | None, ...]:
        """The arrays in the order of the kernel's parameters, None for one that is not there."""
        return self.weights, self.gaps, self.starts, self.scales


@dataclass(frozen=True)
class PrunedSize:
    """About how large a pruned matrix is: the entries of its lists, and the bytes of all of its arrays.

    `longest` is the share of weights that are not zero in the fullest of 64 neighbouring columns, in the mean of these
    and of the blocks of inputs: lanes that keep step wait for the longest column. `sorts` says that it is so with the
    fullest columns first, which is worth another order where some columns are far emptier than others.
    """

    entries: int
    nbytes: int
    longest: float
    sorts: bool = False

    @classmethod
    def of(cls, stored: StoredMatrix) -> PrunedSize | None:
        """The size of a stored matrix of finite weights at least half of which are 0; None for any other."""
        values, storage = stored.values, stored.storage
        nonzero = int(np.count_nonzero(values))
        if values.ndim != 2 or 2 * nonzero > values.size or not np.isfinite(values).all():
            return None
        rows, columns = values.shape
        far = (1 - nonzero / values.size) ** _widest_gap(storage)  # how many of gaps that are drawn need a filler
        entries = round(nonzero / (1 - far)) if nonzero else 1
        starts = 4 * ceil(columns / TILE) * (rows + 1)
        scales = 0 if stored.scales is None else stored.scales.nbytes
        nbytes = entries * (storage.bits + _gap_bits(storage)) // 8 + starts + scales
        as_given, sorted_ = _longest(values), _longest(values[:, fullest_first(values)])
        sorts = sorted_ < _WORTH_SORTING * as_given
        return cls(entries, nbytes, sorted_ if sorts else as_given, sorts)


def fullest_first(values: NDArray[np.generic]) -> NDArray[np.intp]:
    """The columns of a matrix, those with the most numbers that are not 0 first."""
    return np.argsort(-np.count_nonzero(values, axis=0), kind="stable")


def _longest(values: NDArray[np.generic]) -> float:
    """What `PrunedSize.longest` says."""
    counts = np.add.reduceat(values != 0, np.arange(0, len(values), BLOCK), axis=0, dtype=np.int64)
    return float(
        np.maximum.reduceat(counts, np.arange(0, values.shape[1], _NEIGHBOURS), axis=1).mean(axis=1).sum()
    ) / len(values)


def pack_pruned(stored: StoredMatrix, tile: int = TILE) -> PrunedArrays:
    """The lists of a stored matrix in tiles of so many columns."""
    rows, columns = stored.values.shape
    widest = _widest_gap(stored.storage)
    parts, starts, begin = [], np.zeros((-(-columns // tile), rows + 1), np.int32), 0
    for index, first in enumerate(range(0, columns, tile)):
        gaps, values, lengths = _lists(stored.values[:, first : first + tile], widest)
        starts[index] = begin + np.concatenate([[0], np.cumsum(lengths)])
        begin = int(starts[index, -1])
        parts.append((gaps, values))
    gaps, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if not begin:  # no array of a bundle is empty
        gaps, values = np.zeros(1, np.uint8), np.zeros(1, stored.values.dtype)
    scales = None if stored.scales is None else stored.scales.ravel()
    if stored.storage.packs_nibbles:
        entries = (values.astype(np.int8) << _NIBBLE | gaps.astype(np.int8)).astype(np.int8)
        return PrunedArrays(entries, None, starts.ravel(), scales)
    return PrunedArrays(values, gaps, starts.ravel(), scales)


def _lists(piece: NDArray[np.generic], widest: int) -> tuple[NDArray[np.uint8], NDArray[np.generic], NDArray[np.intp]]:
    """The gaps and weights of all rows of a tile, and how long each row's list is."""
    rows, places = np.nonzero(piece)
    begins = np.concatenate([[True], rows[1:] != rows[:-1]])[: len(rows)]
    gaps = np.diff(places, prepend=0)
    gaps[begins] = places[begins]
    fillers = np.maximum(gaps - 1, 0) // widest
    ends = np.cumsum(fillers + 1) - 1  # where the weights themselves stand, behind their fillers
    size = len(rows) + int(fillers.sum())
    spread = np.full(size, widest, np.uint8)
    spread[ends] = gaps - fillers * widest
    values = np.zeros(size, piece.dtype)
    values[ends] = piece[rows, places]
    return spread, values, np.bincount(rows, weights=fillers + 1, minlength=len(piece)).astype(np.intp)


@dataclass(frozen=True)
class PrunedWeights:
    """The lists as a kernel reads them."""

    weights: Buffer
    gaps: Buffer | None
    storage: Storage

    def gap(self, place: Expression) -> Expression:
        """The gap of an entry, an int32."""
        if self.gaps is not None:
            return tirx.Cast("int32", self.gaps[place])
        return tirx.bitwise_and(tirx.Cast("int32", self.weights[place]), tirx.const(_widest_gap(self.storage), "int32"))

    def weight(self, place: Expression, dtype: str) -> Expression:
        """The weight of an entry as a number of `dtype`."""
        entry = self.weights[place]
        if self.storage.is_half:
            return _widened(entry)
        if self.gaps is None:
            entry = tirx.shift_right(tirx.Cast("int32", entry), tirx.const(_NIBBLE, "int32"))
        return cast(entry, dtype, 1)


def _widened(half: Expression) -> Expression:
    """The float32 of a finite float16: its bits as those of a float32, 112 powers of two too small.

    x86 puts a single float16 into a register beside what was there, so each conversion would wait for the last sum.
    """
    bits = tirx.Cast("int32", tirx.reinterpret("int16", half)) << tirx.const(13, "int32")
    small = tirx.reinterpret("float32", tirx.bitwise_and(bits, tirx.const(_SIGN_AND_NUMBER, "int32")))
    return small * tirx.const(2.0**112, "float32")


def _gap_bits(storage: Storage) -> int:
    return _NIBBLE if storage.packs_nibbles else 8


def _widest_gap(storage: Storage) -> int:
    return (1 << _gap_bits(storage)) - 1


def entry_type(storage: Storage) -> str:
    """The dtype of the array `weights`: that of the numbers, or a byte for a nibble and its gap."""
    return "int8" if storage.packs_nibbles else storage.data_type

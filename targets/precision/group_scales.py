"""The scale of a group of weights: that of the grid it lies on, else the best of those that are tried.

Best is the least sum of squared errors in float64, the first of several. Float32 finds the few scales that can be it:
there a product scale * q is exact too, so an error is off by one rounding, and by 2^-20 of itself where a quotient
next to a half goes to the other integer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astroedge.targets.precision.grids import grid_scales
from astroedge.targets.precision.storage import Storage

SCALE_BITS, UNIT_BITS = 16, 3
"""Significant bits of a scale, and of the unit of a column, which an int8 multiplies: so few that float32 holds every
sum of most columns of ten thousand inputs, and kernels may add integers (`short_scales.sums_are_exact`)."""

LARGEST_SHORT = 127
RELATIVE, ABSOLUTE = 1 + 2.0**-12, 2.0**-100  # far above what float32 is off by, of errors whose largest weight is 1


Importance = NDArray[np.float64]
"""By what the squared error of each row counts."""


def group_scales(groups: Sequence[NDArray[np.float32]], storage: Storage) -> list[NDArray[np.float32]]:
    """The scale of each column of every group: that of the grid it lies on, else the best, for int4 a short one."""
    kept, on_grid = kept_scales(groups, storage)
    best = np.zeros(kept.shape, np.float32)
    for place, group in enumerate(groups):
        columns = ~on_grid[place]
        if columns.any():
            best[place, columns] = best_scale(group[:, columns], storage)
    if storage.scaled_by_group:
        fires = np.stack([group.any(axis=0) for group in groups])
        return list(np.where(on_grid, kept, shorten(best, units_of(np.where(fires, best, np.float32(0))))))
    for scale, columns, group, chosen in zip(kept, ~on_grid, groups, best, strict=True):
        others, chosen = group[:, columns], chosen[columns]
        # Of several scales that give the same weights always one: what is stored lies on a grid.
        scale[columns], _ = grid_scales(round_to(others, chosen, storage) * chosen, storage.lowest, storage.largest)
    return list(kept)


def kept_scales(
    groups: Sequence[NDArray[np.float32]], storage: Storage
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The scales [groups, columns] of the grids that weights lie on, and where they do.

    A single weight lies on many grids: it counts as lying on one only where all groups of its column do.
    """
    found = [grid_scales(group, storage.lowest, storage.largest) for group in groups]
    scales, on_grid = (np.stack(items) for items in zip(*found, strict=True))
    several = np.stack([np.count_nonzero(group, axis=0) > 1 for group in groups])
    return scales, on_grid & (several | on_grid.all(axis=0))


def units_of(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The unit for each column of scales [groups, columns]."""
    return _round_up(np.abs(scales).max(axis=0).astype(np.float64) / LARGEST_SHORT, UNIT_BITS)


def shorten(scales: NDArray[np.float32], units: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest multiples −127 to 127, but not 0, of the unit of each column, where a scale is not 0."""
    multiples = np.rint(scales.astype(np.float64) / units)
    multiples = np.clip(np.where(multiples == 0, np.sign(scales), multiples), -LARGEST_SHORT, LARGEST_SHORT)
    shortened: NDArray[np.float32] = (multiples * units).astype(np.float32)
    return shortened


def round_to(weights: NDArray[np.float32], scale: NDArray[np.float32], storage: Storage) -> NDArray[np.int8]:
    """The integers of the range that are nearest to the weights over their column's scale; ties to even."""
    quotient = weights.astype(np.float64)
    quotient /= scale
    np.rint(quotient, out=quotient)
    np.clip(quotient, storage.lowest, storage.largest, out=quotient)
    return quotient.astype(np.int8)


def best_scale(
    weights: NDArray[np.float32], storage: Storage, importance: Importance | None = None
) -> NDArray[np.float32]:
    """The scale of each column with the least squared error, of those with the same the first.

    Every row's error counts alike, or by its `importance`.
    """
    scales = _tried(weights, storage)
    if len(scales) == 1:
        return scales.reshape(-1)
    likely = _likely(weights, scales, storage, importance)
    best: NDArray[np.float32] = np.take_along_axis(scales, likely.argmax(axis=0)[None], axis=0)[0]
    several = np.flatnonzero(likely.sum(axis=0) > 1)
    lowest = np.full(several.size, np.inf)
    for scale, is_likely in zip(scales, likely, strict=True):
        places = np.flatnonzero(is_likely[several])
        columns = several[places]
        squared = _squared_error(weights[:, columns], scale[columns], storage, importance)
        better = squared < lowest[places]
        best[columns[better]], lowest[places[better]] = scale[columns[better]], squared[better]
    return best


def _tried(weights: NDArray[np.float32], storage: Storage) -> NDArray[np.float32]:
    """The scales to try [scales, columns], in their order: 1 for a column of zeros."""
    extreme = np.take_along_axis(weights, np.abs(weights).argmax(axis=0)[None], axis=0)[0].astype(np.float64)
    largest = [np.abs(extreme) / storage.largest]
    if storage.packs_nibbles:  # the lowest of 16 integers cannot be spared, that of 256 can
        largest.append(extreme / storage.lowest)
    tried = [unclipped * shrink for shrink in storage.shrinks for unclipped in largest]
    return np.stack([_round_up(np.where(extreme != 0, scale, 1.0), SCALE_BITS) for scale in tried])


def _likely(
    weights: NDArray[np.float32], scales: NDArray[np.float32], storage: Storage, importance: Importance | None
) -> NDArray[np.bool_]:
    """Which scales [scales, columns] can have the least error of their column, by float32."""
    share = np.ones(len(weights)) if importance is None else importance / importance.max()
    counts = share.astype(np.float32)
    _, exponents = np.frexp(np.abs(weights).max(axis=0))
    weights, scales = np.ldexp(weights, -exponents), np.ldexp(scales, -exponents)  # exact; squares stay in the range
    inverse = 1 / scales
    errors, squared = np.empty_like(weights), np.empty_like(scales)
    for place, scale in enumerate(scales):
        np.multiply(weights, inverse[place], out=errors)
        np.rint(errors, out=errors)
        np.clip(errors, storage.lowest, storage.largest, out=errors)
        errors *= scale
        errors -= weights
        np.square(errors, out=errors)
        np.matmul(counts, errors, out=squared[place])
    likely: NDArray[np.bool_] = squared <= squared.min(axis=0) * RELATIVE + ABSOLUTE
    return likely


def _squared_error(
    weights: NDArray[np.float32], scale: NDArray[np.float32], storage: Storage, importance: Importance | None
) -> NDArray[np.float64]:
    """The sum of squared errors of each column at its scale, in the order of the rows."""
    error = weights.astype(np.float64) - round_to(weights, scale, storage) * scale.astype(np.float64)
    squared: NDArray[np.float64] = np.square(error)
    if importance is not None:
        squared *= importance[:, None]
    if squared.shape[1] == 1:  # which NumPy would add in another order
        return np.array([sum(squared[:, 0].tolist())])
    return np.asarray(squared.sum(axis=0))


def _round_up(scale: NDArray[np.float64], bits: int) -> NDArray[np.float32]:
    """Scales rounded away from 0 to so many significant bits, and kept normal so that products with |q| stay exact."""
    mantissa, exponent = np.frexp(np.maximum(np.abs(scale), 2.0**-126))
    size = np.ldexp(np.ceil(np.ldexp(mantissa, bits)), exponent - bits)
    rounded: NDArray[np.float32] = np.copysign(size, scale).astype(np.float32)
    return rounded

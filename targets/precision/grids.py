"""Weights that are integer multiples of one scale: the grid that quantisation-aware training left them on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEW = 8  # rows in which almost every wrong scale shows itself


def grid_scales(
    weights: NDArray[np.float32], lowest: int, largest: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A scale s for each column of `weights` whose numbers are all s · q, and which columns have one.

    Each q is an integer from `lowest` to `largest`, and s · q is rounded once to float32; a column has the first such
    scale that makes its largest weight s · `largest`, then s · `lowest`, s · (`largest` − 1) and so on. Columns of
    zeros have the scale 1, as do those without a grid.
    """
    scales = np.ones(weights.shape[1], np.float32)
    places = np.abs(weights).argmax(axis=0)
    extreme = np.take_along_axis(weights, places[None], axis=0)[0]
    found = extreme == 0
    few = _telling_rows(weights, extreme)
    for peak in _peaks(lowest, largest):
        for step in (0, -1, 1):
            open_columns = np.flatnonzero(~found)
            if not open_columns.size:
                return scales, found
            tried = _scale_at(extreme[open_columns], peak, step)
            likely = fits(few[:, open_columns], tried, lowest, largest)
            candidates, tried = open_columns[likely], tried[likely]
            right = fits(weights[:, candidates], tried, lowest, largest)
            scales[candidates[right]] = tried[right]
            found[candidates[right]] = True
    return scales, found


def fits(weights: NDArray[np.float32], scale: NDArray[np.float32], lowest: int, largest: int) -> NDArray[np.bool_]:
    """Whether all numbers of each column are its scale times an integer of the range, rounded once."""
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = np.rint(weights / scale)
        same = (quotient * scale == weights) & (quotient >= lowest) & (quotient <= largest)
    fitting: NDArray[np.bool_] = same.all(axis=0)
    return fitting


def _peaks(lowest: int, largest: int) -> list[int]:
    """The integers that the largest weight of a column may be, those that use the range best first."""
    return [largest, lowest, *range(largest - 1, 0, -1)]


def _scale_at(extreme: NDArray[np.float32], peak: int, step: int) -> NDArray[np.float32]:
    """The float32 number nearest to extreme / peak, or its neighbour; a positive peak is the largest of either sign."""
    exact = (np.abs(extreme) if peak > 0 else extreme).astype(np.float64) / peak
    scale = np.where(exact == 0, 1.0, exact).astype(np.float32)
    scale = np.where(scale == 0, np.finfo(np.float32).smallest_subnormal, scale)
    return np.nextafter(scale, np.float32(np.inf * step), dtype=np.float32) if step else scale


def _telling_rows(weights: NDArray[np.float32], extreme: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first numbers of each column, and its largest."""
    return np.concatenate([weights[:FEW], extreme[None]])

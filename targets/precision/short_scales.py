"""Scales of groups as multiples of a unit for each column: a byte each, where float32 ones take as much as eight rows.

A kernel that reads the few active rows of a group from memory reads all scales of the group. An int8 times a unit of
few bits is a product that float32 holds, so that the short form stands for the very scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroedge.targets.precision.group_scales import LARGEST_SHORT
from astroedge.targets.precision.storage import EXACT
from astroedge.targets.precision.weight_format import StoredMatrix


def short_scales(stored: StoredMatrix) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """The scales [groups, columns] as int8 and a unit for each column, whose products they are; None if they are not.

    Those of a group of zeros may be any.
    """
    if not stored.storage.scaled_by_group:
        return None
    assert stored.scales is not None
    starts = range(0, len(stored.values), stored.storage.group)
    fires = np.stack([stored.values[start : start + stored.storage.group].any(axis=0) for start in starts])
    scales = np.where(fires, stored.scales, np.float32(0))
    short, units = np.zeros(scales.shape, np.int8), np.ones(scales.shape[1], np.float32)
    columns = np.flatnonzero(fires.any(axis=0))
    for largest in range(LARGEST_SHORT, 0, -1):  # what the largest scale of a column is a multiple by
        wanted = scales[:, columns]
        tried = np.abs(wanted).max(axis=0, initial=0) / np.float32(largest)
        multiples = np.rint(wanted / tried)
        exact = (multiples * tried.astype(np.float64) == wanted).all(axis=0)
        units[columns[exact]] = tried[exact]
        short[:, columns[exact]] = multiples[:, exact].astype(np.int8)
        columns = columns[~exact]
        if not columns.size:
            return short, units
    return None


def sums_are_exact(stored: StoredMatrix, short: NDArray[np.int8], units: NDArray[np.float32]) -> bool:
    """Whether float32 holds every number that comes up when the scaled sums of groups are added, whatever fires.

    Then each is an integer times the column's unit, and the integers may be added instead.
    """
    group = stored.storage.group
    largest = np.zeros(len(units))
    for place, scales in enumerate(short):
        values = stored.values[place * group : (place + 1) * group].astype(np.int32)
        most = np.maximum(np.maximum(values, 0).sum(axis=0), -np.minimum(values, 0).sum(axis=0))
        largest += most * np.abs(scales.astype(np.float64))
    mantissas = np.ldexp(np.frexp(units)[0], 24).astype(np.int64)
    odd = mantissas // (mantissas & -mantissas)
    normal = (units >= np.finfo(np.float32).tiny) & (largest * units <= np.finfo(np.float32).max)
    return bool((normal & (largest * odd <= EXACT)).all())

"""The table of an input that is drawn as its examples were: its numbers in the input's dtype, and their bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.limits import MOST_VALUES, SPIKE_BITS
from astroedge.bundle.manifest import InputField


def drawn_values(field: InputField) -> NDArray[np.generic] | None:
    """The values of `field`'s table in its dtype; None where one is no number that the dtype holds exactly."""
    try:
        numbers = np.array([float.fromhex(value) for value, _ in field.values], np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    with np.errstate(all="ignore"):
        values = numbers.astype(field.dtype)
    exact = np.isfinite(numbers).all() and np.array_equal(values.astype(np.float64), numbers)
    return values if exact else None


def value_bits(field: InputField) -> list[int]:
    """The bits of each of `drawn_values`, zero-extended, as in `astro_value`."""
    values = drawn_values(field)
    assert values is not None, f"the values of {field.name!r} do not fit {field.dtype}"
    return [int.from_bytes(value.tobytes(), "little") for value in values]


def table_is_right(field: InputField) -> bool:
    """Whether a table has values, not too many, all of the input's dtype, and bounds that ascend to 2⁵³."""
    bounds = [below for _, below in field.values]
    if not 0 < len(bounds) <= MOST_VALUES or any(type(below) is not int for below in bounds):
        return False
    ascending = bounds == sorted(bounds) and bounds[0] >= 0 and bounds[-1] == 2**SPIKE_BITS
    return ascending and field.dtype != "bool" and drawn_values(field) is not None

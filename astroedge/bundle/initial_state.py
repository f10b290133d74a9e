"""The state buffer before the first tick, as the manifest describes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.manifest import Layout, StateField
from astroedge.errors import BundleError


def fill_value(field: StateField) -> NDArray[np.generic]:
    """The 0-d array, in the field's dtype, that every element of a filled state starts as.

    Raises BundleError when the dtype cannot hold the fill: a fraction in an integer, or a value out of its range.
    """
    if field.fill is None:
        raise BundleError(f"State {field.name!r} starts from the weights, not from a fill; compile the graph again.")
    try:
        number = float.fromhex(field.fill)
    except (TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"State {field.name!r} starts as {field.fill!r}, which is no hexadecimal float.") from error
    with np.errstate(all="ignore"):
        value = np.asarray(number, dtype=np.float64).astype(field.dtype)
    exact = np.issubdtype(value.dtype, np.floating) or (np.isfinite(number) and float(value) == number)
    if not exact:
        raise BundleError(
            f"State {field.name!r} of dtype {field.dtype} cannot start as {number!r}; compile the graph again."
        )
    return value


def fill_bits(field: StateField) -> int:
    """The bits of `fill_value`, zero-extended, as `initial_bits` of the C interface."""
    return int.from_bytes(fill_value(field).tobytes(), "little")


def write_initial_state(layout: Layout, weights: NDArray[np.uint8], state: NDArray[np.uint8]) -> None:
    """Write the initial value of every state field, public and private, into the state buffer; padding becomes 0.

    `weights` and `state` are the flat buffers as bytes, of `layout.weights_size` and `layout.state_size`.
    """
    state[:] = 0
    for field in layout.state:
        target = state[field.offset : field.offset + field.nbytes]
        if field.fill is None:
            target[:] = weights[field.weights_offset : field.weights_offset + field.nbytes]
        else:
            target.view(field.dtype)[:] = fill_value(field)

"""Arrays as a step takes them: axes of 1 that a file has or lacks, and, where it is asked for, another dtype.

What is changed is said; a value that would change is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from astroedge.errors import InputError
from astroedge.step.spec import TensorSpec
from astroedge.workflows.inputs.numpy_files import Array

TIME = ("T",)


@dataclass(frozen=True)
class Fit:
    """How data is made to fit: whether its dtype may change (`cast`), and who is told of what was changed.

    `rate` is how many ticks a second a recording of events is cut into.
    """

    cast: bool = False
    note: Callable[[str], None] = lambda text: None
    rate: float | None = None


def fit_arrays(
    arrays: Mapping[str, Array], specs: Sequence[TensorSpec], source: str, fit: Fit, leading: Sequence[str] = TIME
) -> dict[str, Array]:
    """Every array with the axes `leading` in front of its input's shape, in its input's dtype.

    Axes of 1 may be missing or too many. With `fit.cast`, numbers become the input's dtype where that holds them:
    floats are rounded, but none becomes infinite; whole numbers and Booleans stay what they are.

    Raises InputError for another shape, another dtype without `fit.cast`, and for numbers that the dtype cannot hold.
    """
    return {spec.name: _fit(arrays[spec.name], spec, source, fit, tuple(leading)) for spec in specs}


def _fit(array: Array, spec: TensorSpec, source: str, fit: Fit, leading: tuple[str, ...]) -> Array:
    axes = len(leading)
    where = f"{spec.name!r} in {source}"
    if array.ndim < axes or _sizes(array.shape[axes:]) != _sizes(spec.shape):
        wanted = ", ".join((*leading, *map(str, spec.shape)))
        given = f"{array.dtype}{list(array.shape)}"
        raise InputError(f"{where} is {given} and must be {spec.dtype} ({wanted}); axes of 1 may be left out.")
    if array.shape[axes:] != spec.shape:
        shown = ", ".join((*leading, *map(str, spec.shape)))
        fit.note(f"{where} is {list(array.shape)} and taken as ({shown}).")
        array = array.reshape(*array.shape[:axes], *spec.shape)
    return array if array.dtype == spec.dtype else _cast(array, spec, where, fit)


def _sizes(shape: Sequence[int]) -> list[int]:
    """A shape without what says nothing."""
    return [size for size in shape if size != 1]


def _cast(array: Array, spec: TensorSpec, where: str, fit: Fit) -> Array:
    """The array in its input's dtype."""
    if not fit.cast:
        raise InputError(
            f"{where} is {array.dtype} and must be {spec.dtype}; convert it, or give --cast to have that done."
        )
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where} is {array.dtype}, which holds no numbers that could become {spec.dtype}.")
    with np.errstate(all="ignore"):
        cast = array.astype(spec.dtype)
    is_float = spec.dtype.startswith("float")
    held = np.isfinite(cast) | ~np.isfinite(array) if is_float else cast == array
    if not np.all(held):
        raise InputError(f"{where} holds {array[~held].flat[0]}, which {spec.dtype} does not; nothing was converted.")
    fit.note(f"{where} is {array.dtype} and taken as {spec.dtype}.")
    return cast

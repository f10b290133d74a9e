"""What a session's `step` and `run` are called with, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astroedge.errors import InputError
from astroedge.runtimes.session.given_values import as_array, plain
from astroedge.runtimes.session.input_slot import InputSlot
from astroedge.runtimes.session.session_errors import unknown_name, wrong_names
from astroedge.session import Array


def check_out(out: Mapping[str, Any], views: Mapping[str, Array]) -> tuple[tuple[Array, Array], ...]:
    """The arrays of `out`, without whatever a subclass does, each with the output that goes there.

    `views` are the outputs by name. Raises InputError unless they can be copied.
    """
    if not isinstance(out, Mapping):
        raise InputError(f"out= takes a dict of arrays by output name and got a {type(out).__name__}.")
    pairs = []
    for name, given in out.items():
        target = plain(given)
        view = views.get(name)
        if view is None:
            raise unknown_name("output", name, list(views))
        right = target is not None and target.dtype == view.dtype and target.shape == view.shape
        if target is None or not (right and target.flags.writeable):
            raise InputError(f"out[{name!r}] must be a writeable NumPy array {view.dtype} {view.shape}.")
        pairs.append((target, view))
    return tuple(pairs)


def as_arrays(slots: Mapping[str, InputSlot], inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The inputs of a run as plain arrays; InputError for wrong names and for what is none."""
    if inputs.keys() != slots.keys():
        raise wrong_names(inputs, list(slots))
    arrays = {}
    for name, value in inputs.items():
        array = as_array(value, slots[name].dtype)
        if array is None or array.ndim == 0:
            raise InputError(f"Input {name!r} of a run must be a NumPy array with a leading axis of ticks.")
        arrays[name] = array
    return arrays


def count_ticks(slots: Mapping[str, InputSlot], inputs: Mapping[str, Array], steps: Any) -> int:
    """How many ticks a run has: `steps` of a step without inputs, else the rows of every input.

    Raises InputError for wrong shapes and dtypes.
    """
    if not inputs:
        if type(steps) is not int or steps < 0:
            raise InputError("The step has no inputs: say how many ticks to run with steps=.")
        return steps
    if steps is not None:
        raise InputError("steps= is for a step without inputs; here the inputs' first axis is the number of ticks.")
    ticks = -1
    for name, array in inputs.items():
        ticks = array.shape[0] if ticks < 0 else ticks
        slots[name].check_array(array, (ticks, *slots[name].shape))
    return ticks

"""What a pool's `step` and `run` are called with, checked before anything is computed: which streams, their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from astroedge.errors import InputError
from astroedge.runtimes.session.given_values import as_array, describe
from astroedge.runtimes.session.input_slot import InputSlot
from astroedge.runtimes.session.session_errors import wrong_names
from astroedge.session import Array

MOST_STREAMS = 65_536


def check_streams(streams: object) -> int:
    """How many streams a pool is asked for; InputError for a number that no pool can have."""
    if type(streams) is not int or not 1 <= streams <= MOST_STREAMS:
        raise InputError(f"streams={streams!r} must be a whole number from 1 to {MOST_STREAMS:,}.")
    return streams


def check_number(number: object, count: int) -> int:
    """The number of one of `count` streams, counted from 0; InputError for anything else."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or not 0 <= int(number) < count:  # type: ignore[call-overload]  # whole
        raise InputError(f"The pool has no stream {number!r}; its streams are 0 to {count - 1}.")
    return int(number)  # type: ignore[call-overload,no-any-return]  # whole


def check_numbers(streams: Any, count: int) -> list[int]:
    """The numbers of some streams, each once; InputError for anything else."""
    try:
        given = list(streams)
    except TypeError:
        raise InputError(
            f"streams= takes the numbers of the streams to step, such as [0, 3], and got {describe(streams)}."
        ) from None
    numbers = [check_number(number, count) for number in given]
    if len(set(numbers)) != len(numbers):
        twice = next(number for place, number in enumerate(numbers) if number in numbers[:place])
        raise InputError(f"streams= names stream {twice} twice; a call takes each once, and run gives it more ticks.")
    return numbers


def stream_arrays(slots: Mapping[str, InputSlot], inputs: Mapping[str, Any], streams: int) -> dict[str, Array]:
    """The inputs of one tick of so many streams as arrays `(streams, …)`; InputError where they are none."""
    found = {}
    for name, slot in slots.items():
        value = inputs.get(name)
        if type(value) is not np.ndarray or value.dtype is not slot.dtype or value.shape != (streams, *slot.shape):
            arrays = _plain_arrays(slots, inputs, "(streams, …)")
            return {name: _shaped(slots[name], array, (streams,)) for name, array in arrays.items()}
        found[name] = value
    if len(inputs) != len(slots):
        raise wrong_names(inputs, list(slots))
    return found


def stream_runs(
    slots: Mapping[str, InputSlot], inputs: Mapping[str, Any], streams: int, steps: Any
) -> tuple[int, dict[str, Array]]:
    """The ticks of a run, and they as arrays `(streams, ticks, …)`; InputError where they are none.

    `steps` says how many ticks, of a step without inputs only.
    """
    if not slots and not inputs:
        if type(steps) is not int or steps < 0:
            raise InputError("The step has no inputs: say how many ticks to run with steps=.")
        return steps, {}
    arrays = _plain_arrays(slots, inputs, "(streams, ticks, …)")
    if steps is not None:
        raise InputError("steps= is for a step without inputs; here the inputs' second axis is the number of ticks.")
    ticks = next(array.shape[1] if array.ndim > 1 else 0 for array in arrays.values())
    return ticks, {name: _shaped(slots[name], array, (streams, ticks)) for name, array in arrays.items()}


def _plain_arrays(slots: Mapping[str, InputSlot], inputs: Mapping[str, Any], axes: str) -> dict[str, Array]:
    if inputs.keys() != slots.keys():
        raise wrong_names(inputs, list(slots))
    arrays = {}
    for name, value in inputs.items():
        array = as_array(value, slots[name].dtype)
        if array is None:
            raise InputError(f"Input {name!r} of a pool must be a NumPy array {axes} and is {describe(value)}.")
        arrays[name] = array
    return arrays


def _shaped(slot: InputSlot, array: Array, leading: tuple[int, ...]) -> Array:
    """The array with its leading axes; for an input of size 1, one number for each of them will do."""
    if slot.view.size == 1 and array.shape == leading and array.dtype == slot.dtype:
        return array.reshape(*leading, *slot.shape)
    if array.shape != (*leading, *slot.shape) or array.dtype != slot.dtype:
        raise InputError(
            f"Input {slot.field.name!r} of a pool takes a NumPy array {slot.dtype} {(*leading, *slot.shape)}, a row "
            f"for each of the {leading[0]:,} streams stepped, and got {array.dtype} {array.shape}; nothing is cast or "
            "reshaped silently."
        )
    return array

"""The errors a session raises: what was wrong with a call, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.layout import E_NAN, E_RANGE, AstroCall
from astroedge.bundle.manifest import Layout
from astroedge.errors import AstroEdgeError, InputError
from astroedge.nearest_name import did_you_mean
from astroedge.runtimes.session.input_slot import field_view


def wrong_names(given: Iterable[str], inputs: Sequence[str]) -> InputError:
    """Names that are not exactly those of the inputs: the first unknown one, else the first that is missing."""
    names = list(given)
    for name in names:
        if name not in inputs:
            return unknown_name("input", name, inputs)
    missing = next(name for name in inputs if name not in names)
    return InputError(f"Input {missing!r} is missing; every tick takes {', '.join(inputs)}.")


def without_name(method: str, inputs: Sequence[str]) -> InputError:
    """Inputs that were given by position."""
    call = ", ".join(f"{name}=…" for name in inputs)
    return InputError(f"Inputs are given by name: session.{method}({call}).")


def too_many_ticks(ticks: int, layout: Layout) -> InputError:
    """A run whose records no memory holds."""
    nbytes = ticks * (layout.inputs_size + layout.outputs_size)
    return InputError(f"A run of {ticks:,} ticks needs {nbytes:,} bytes, which this machine does not have; run pieces.")


def unknown_name(kind: str, name: str, known: Sequence[str]) -> InputError:
    """A name that stands for nothing; the nearest known one is suggested."""
    near = did_you_mean(name, known)
    hint = f"; {near}" if near else "."
    return InputError(f"The step has no {kind} {name!r}{hint} It has {', '.join(known) or 'none'}.")


def refused_by_step(
    status: int, call: AstroCall, layout: Layout, record: NDArray[np.uint8], tick: int | None
) -> AstroEdgeError:
    """What a negative status of the C interface means.

    `record` is the inputs record of the tick that was refused, `tick` its number in a run, None for a single step.
    """
    if status not in (E_NAN, E_RANGE):
        return AstroEdgeError(f"The compiled step failed with status {status}; please report this with the bundle.")
    field = layout.inputs[call.bad_input]
    element = tuple(int(index) for index in np.unravel_index(call.bad_element, field.shape))
    place = f"at {list(element)}" + ("" if tick is None else f" in tick {tick} of this run")
    if status == E_NAN:
        return InputError(f"Input {field.name!r} holds a NaN {place}; check what computes it.")
    value = field_view(record, field)[element]
    return InputError(f"Input {field.name!r} is {value} {place}; it must be from {field.low} to {field.high - 1}.")

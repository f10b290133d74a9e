"""Presentations: a session is reset and shown an input for many ticks, and its outputs are read out as one answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from astroedge.errors import InputError
from astroedge.readout import MOST_TICKS, Readout
from astroedge.runtimes.session.given_values import as_array
from astroedge.runtimes.session.input_slot import InputSlot
from astroedge.runtimes.session.session_errors import wrong_names
from astroedge.session import Array, InputValue

BLOCK_BYTES = 1 << 22  # of output records that are held at a time


class Presenter(ABC):
    """What a session offers for presentations."""

    _slots: Mapping[str, InputSlot]

    @abstractmethod
    def reset(self) -> None:
        """Go back to the initial state."""

    @abstractmethod
    def run(self, /, *unnamed: object, steps: Any = None, **inputs: Array) -> dict[str, Array]:
        """Many ticks."""

    @abstractmethod
    def snapshot(self) -> bytes:
        """The stream as it is."""

    @abstractmethod
    def restore(self, content: bytes) -> None:
        """The stream as it was."""

    @abstractmethod
    def _check_available(self) -> None:
        """Raise AstroEdgeError if nothing can be computed now."""

    @abstractmethod
    def _output_record(self) -> int:
        """Bytes of the outputs of a tick."""

    def present(self, ticks: int, /, *, readout: Any = "sum", **inputs: InputValue) -> dict[str, Array]:
        """Reset, compute `ticks` ticks of one input, and return what each output comes to, by name.

        An input is given as for `step`, and is then the same in every tick (it is not copied for each), or as for
        `run`, with a leading axis of `ticks`. `readout` is "sum", "rate" (the mean), "last" or "first-spike" (the tick
        of each element's first value that is not 0, from 0; `ticks` where there was none): see
        `astroedge.readout.Readout`. The class is the result's `argmax()`, of first spikes its `argmin()`; of equals
        both give the lowest index. (Where an input is itself called "readout", that name means the input.) The session
        is left in the state after the last tick, and after Ctrl-C in that of the ticks done.

        Raises InputError as `step` does, for less than one tick and for another readout; the state is then unchanged.
        """
        self._check_available()
        if "readout" in self._slots:
            inputs["readout"], readout = readout, "sum"
        if type(ticks) is not int or not 1 <= ticks <= MOST_TICKS:
            raise InputError(
                f"A presentation of {ticks!r} ticks is none; give a whole number from 1 to {MOST_TICKS:,}."
            )
        Readout(readout)
        given = self._every_tick(ticks, inputs)
        saved = self.snapshot()
        self.reset()
        try:
            return self._read_out(ticks, readout, given)
        except InputError:
            self.restore(saved)
            raise

    def _read_out(self, ticks: int, readout: str, given: Mapping[str, Array]) -> dict[str, Array]:
        found: dict[str, Readout] = {}
        block = max(1, BLOCK_BYTES // max(1, self._output_record()))
        for first in range(0, ticks, block):
            count = min(block, ticks - first)
            part = {name: array[first : first + count] for name, array in given.items()}
            for name, values in (self.run(**part) if part else self.run(steps=count)).items():
                found.setdefault(name, Readout(readout)).add(values)
        return {name: item.result() for name, item in found.items()}

    def _every_tick(self, ticks: int, inputs: Mapping[str, InputValue]) -> dict[str, Array]:
        """The inputs with a leading axis of ticks."""
        if inputs.keys() != self._slots.keys():
            raise wrong_names(inputs, list(self._slots))
        given = {}
        for name, slot in self._slots.items():
            array = as_array(inputs[name], self._slots[name].dtype)
            if array is not None and array.ndim == len(slot.shape) + 1:
                slot.check_array(array, (ticks, *slot.shape))
                given[name] = array
            else:
                slot.write(inputs[name])
                given[name] = np.broadcast_to(slot.view.copy(), (ticks, *slot.shape))
        return given

"""Session: one stream of ticks of a step, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroedge.step.spec import StepSpec

Array: TypeAlias = NDArray[Any]
# What an input takes: an array of its shape and dtype, a list of numbers, or for inputs of size 1 a number.
InputValue: TypeAlias = ArrayLike


@dataclass(frozen=True)
class SpikeCount:
    """How often a spike tensor fired: `active` elements were 1 out of `elements`, over `ticks` ticks."""

    active: int
    elements: int
    ticks: int

    @property
    def firing_rate(self) -> float:
        """The fraction of ones; 0 before the first tick."""
        return self.active / self.elements if self.elements else 0.0


class SteppedSession(Protocol):
    """A stream that goes tick by tick and can be put into any state: what comparing it with another asks of it."""

    @property
    def state(self) -> NDArray[np.uint8]:
        """The whole state as bytes, read only: on a GPU a copy, elsewhere a view that goes on with it."""
        ...

    def overwrite_state(self, content: NDArray[np.uint8]) -> None:
        """Put bytes into the state as they are, uint8 of its size: where another computation of this step stands.

        Raises InputError for another size or dtype.
        """
        ...

    @property
    def states(self) -> Mapping[str, Array]:
        """The public states by name, shaped, as read-only views of the present state (on a GPU, copies)."""
        ...

    def step(self, /, **inputs: InputValue) -> dict[str, Array]:
        """One tick; outputs by name."""
        ...

    def reset(self) -> None:
        """Go back to the initial state."""
        ...


class Session(SteppedSession, Protocol):
    """One stream: it takes inputs tick by tick, gives outputs and keeps the state in between.

    A session belongs to one stream and one thread. A refused input raises InputError and leaves the state as it was.
    """

    @property
    def spec(self) -> StepSpec:
        """What a tick takes, gives and carries over."""
        ...

    @property
    def ticks(self) -> int:
        """How many ticks the stream has gone through since its reset."""
        ...

    def snapshot(self) -> bytes:
        """The stream as bytes that say which step they are of, for `restore`, in this process or on another device."""
        ...

    def restore(self, content: bytes) -> None:
        """Go on with the stream in a snapshot; another step's is refused with InputError."""
        ...

    def run(self, /, **inputs: Array) -> dict[str, Array]:
        """Many ticks; inputs and outputs have a leading axis of ticks."""
        ...

    def present(self, ticks: int, /, *, readout: Any = "sum", **inputs: InputValue) -> dict[str, Array]:
        """Reset, compute `ticks` ticks of one input, and return what each output comes to (`astroedge.readout`)."""
        ...

    def close(self) -> None:
        """Free what the session holds; it cannot be used afterwards."""
        ...

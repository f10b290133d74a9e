"""A step written as a NumPy function, as a session with probes: what a compiled step of a graph might do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.session import Array
from astroedge.step.graph import StepGraph
from tests.support.numpy_lif import describe

Values = dict[str, Any]


class FunctionSession:
    """`function` maps a tick's inputs and states, by name, to outputs, `next.<state>`, `spike.…` and `margin.…`."""

    def __init__(self, graph: StepGraph, function: Callable[[Values], Values]) -> None:
        """Start at zeros."""
        self.function, self.manifest = function, describe(graph, probes=True)
        self._state = np.zeros(self.manifest.layout.state_size, np.uint8)
        self.states: Mapping[str, Array] = {
            item.name: self._state[item.offset : item.offset + item.nbytes].view(item.dtype).reshape(item.shape)
            for item in self.manifest.layout.state
        }

    @property
    def state(self) -> NDArray[np.uint8]:
        """The state buffer."""
        return self._state

    def overwrite_state(self, content: NDArray[np.uint8]) -> None:
        """Put bytes into the state buffer."""
        self._state[:] = content

    def reset(self) -> None:
        """Go back to zeros."""
        self._state[:] = 0

    def step(self, **inputs: Array) -> dict[str, Array]:
        """One tick."""
        with np.errstate(all="ignore"):
            values = self.function({**inputs, **{name: array.copy() for name, array in self.states.items()}})
        for name, array in self.states.items():
            array[...] = values.pop(f"next.{name}")
        kinds = {item.name: item.dtype for item in self.manifest.layout.outputs}
        return {name: np.asarray(value).astype(kinds[name]) for name, value in values.items()}

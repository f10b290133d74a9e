"""Where a stream lies between ticks: in this process's memory, or in a GPU's.

Both are read and set in the same words. What the first gives are views of the present, what the second gives copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of, aligned_zeros, huge_zeros
from astroedge.bundle.initial_state import write_initial_state
from astroedge.bundle.manifest import Manifest
from astroedge.runtimes.library.gpu import GpuStream
from astroedge.runtimes.session.input_slot import field_view
from astroedge.session import Array

COUNTER_BYTES = 8
_STATE_WORTH_HUGE_PAGES = 512 << 10  # bytes; of less, most of a huge page would be empty


class HostMemory:
    """State, weights and workspace as buffers of this process; `buffers` are what the members of `astro_call` take."""

    def __init__(self, manifest: Manifest, weights: NDArray[np.uint8]) -> None:
        """Allocate them, zeroed.

        Raises MemoryError or ValueError where there is not so much memory.
        """
        self._layout, self.weights = manifest.layout, weights
        self._state = _allocate_state(manifest.layout.state_size)
        self._workspace = aligned_zeros(manifest.layout.workspace_size)
        self._view = read_only(self._state.view())
        self._states = _public(manifest, self._state)
        self._counters = [
            self._workspace[item.offset : item.offset + COUNTER_BYTES].view(np.uint64) for item in manifest.activity
        ]

    @property
    def buffers(self) -> dict[str, int]:
        """Addresses by the names of members."""
        arrays = {"state": self._state, "weights": self.weights, "workspace": self._workspace}
        return {name: address_of(array) for name, array in arrays.items()}

    def state(self) -> NDArray[np.uint8]:
        """The state as bytes, read only."""
        return self._view

    def states(self) -> Mapping[str, Array]:
        """The public states by name, read only."""
        return self._states

    def write(self, content: NDArray[np.uint8]) -> None:
        """Replace the state."""
        self._state[:] = content

    def initial(self) -> NDArray[np.uint8]:
        """The state before the first tick, in an array of its own."""
        state = aligned_zeros(self._layout.state_size)
        write_initial_state(self._layout, self.weights, state)
        return state

    def reset(self) -> None:
        """Go back to the state before the first tick."""
        write_initial_state(self._layout, self.weights, self._state)

    def counts(self) -> list[int]:
        """The activity counters, in the manifest's order."""
        return [int(counter[0]) for counter in self._counters]

    def restart_counts(self) -> None:
        """Make the counters 0."""
        for counter in self._counters:
            counter[0] = 0

    def close(self) -> None:
        """Nothing: arrays free themselves."""


def _allocate_state(size: int) -> NDArray[np.uint8]:
    if size < _STATE_WORTH_HUGE_PAGES:
        return aligned_zeros(size)
    try:
        return huge_zeros(size)
    except (OSError, OverflowError) as error:
        raise MemoryError(str(error)) from error


class GpuMemory:
    """The same on a GPU. The weights are not kept here, but for the initial state that is among them."""

    def __init__(self, manifest: Manifest, stream: GpuStream, weights: NDArray[np.uint8]) -> None:
        """Take over an opened stream."""
        self.stream, self._manifest = stream, manifest
        self._initial = aligned_zeros(manifest.layout.state_size)
        write_initial_state(manifest.layout, weights, self._initial)
        offsets = [item.offset for item in manifest.activity]
        self._first = min(offsets, default=0)
        self._end = max(offsets, default=-COUNTER_BYTES) + COUNTER_BYTES
        self._start = [0] * len(offsets)  # what the counters were when counting began

    @property
    def buffers(self) -> dict[str, int]:
        """Addresses by the names of members."""
        return {"device": self.stream.address}

    def state(self) -> NDArray[np.uint8]:
        """A copy of the state as bytes, read only."""
        return read_only(self.stream.read_state())

    def states(self) -> Mapping[str, Array]:
        """Copies of the public states by name, read only."""
        return _public(self._manifest, self.stream.read_state())

    def write(self, content: NDArray[np.uint8]) -> None:
        """Replace the state; `content` may be anything that NumPy broadcasts to it."""
        state = np.empty(self._manifest.layout.state_size, np.uint8)
        state[:] = content
        self.stream.write_state(state)

    def initial(self) -> NDArray[np.uint8]:
        """The state before the first tick, in an array of its own."""
        return self._initial.copy()

    def reset(self) -> None:
        """Go back to the state before the first tick."""
        self.stream.write_state(self._initial)

    def counts(self) -> list[int]:
        """The activity counters, in the manifest's order."""
        return [now - start for now, start in zip(self._read_counters(), self._start, strict=True)]

    def restart_counts(self) -> None:
        """Count from here on."""
        self._start = self._read_counters()

    def close(self) -> None:
        """Free what is on the GPU."""
        self.stream.close()

    def _read_counters(self) -> list[int]:
        content = self.stream.read_workspace(self._first, self._end - self._first).tobytes()
        places = (item.offset - self._first for item in self._manifest.activity)
        return [int.from_bytes(content[place : place + COUNTER_BYTES], "little") for place in places]


StreamMemory = HostMemory | GpuMemory


def read_only(array: Array) -> Array:
    """The array itself, from now on for reading."""
    array.flags.writeable = False
    return array


def _public(manifest: Manifest, state: NDArray[np.uint8]) -> Mapping[str, Array]:
    fields = (item for item in manifest.layout.state if not item.private)
    return MappingProxyType({item.name: read_only(field_view(state, item)) for item in fields})

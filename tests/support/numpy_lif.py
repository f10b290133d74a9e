"""`recurrent_net` written again in NumPy, as a session with probes: a second implementation that tests can damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from astroedge.bundle.manifest import (
    BufferField,
    FileRecord,
    Golden,
    InputField,
    Layout,
    Manifest,
    StateField,
    TargetIdentity,
)
from astroedge.session import Array
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, TensorSpec

Flaw = Callable[[int, str, Array], Array]  # tick, name of a value, the value → what the damaged session has instead


def keep(tick: int, name: str, value: Array) -> Array:
    """No flaw."""
    return value


class NumpyLif:
    """Two recurrent LIF layers and a readout, summed in descending order of the inputs, unlike any BLAS.

    `flaw` sees, and may change, the values `layers.<n>.membrane`, `layers.<n>.fired` (Boolean), `next.layers.<n>.v`
    and `y`.
    """

    def __init__(self, graph: StepGraph, flaw: Flaw = keep, probes: bool = True) -> None:
        """Take the weights of `graph`, a `recurrent_net`."""
        self.constants = {item.name: numpy_helper.to_array(item) for item in graph.model.graph.initializer}
        self.graph, self.flaw, self.probes = graph, flaw, probes
        self.manifest = describe(graph, probes)
        self._state = np.zeros(self.manifest.layout.state_size, np.uint8)
        self.states = {
            item.name: self._state[item.offset : item.offset + item.nbytes].view(item.dtype).reshape(item.shape)
            for item in self.manifest.layout.state
        }
        self.reset()

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
        self.ticks = 0

    def step(self, x: Array) -> dict[str, Array]:
        """One tick."""
        values: dict[str, Array] = {}
        source = x
        for layer in (0, 1):
            source = self._layer(f"layers.{layer}", source, values)
        values["y"] = self.flaw(self.ticks, "y", descending_sum(source, self.constants["W_out"]))
        self.ticks += 1
        return values

    def _layer(self, prefix: str, source: Array, values: dict[str, Array]) -> Array:
        constants, states = self.constants, self.states
        current = descending_sum(source, constants[f"{prefix}.W"]) + constants[f"{prefix}.b"]
        membrane = states[f"{prefix}.v"] * constants["decay"] + current
        membrane += descending_sum(states[f"{prefix}.s"], constants[f"{prefix}.R"])
        membrane = self.flaw(self.ticks, f"{prefix}.membrane", membrane)
        margin = membrane - constants["threshold"]
        fired = self.flaw(self.ticks, f"{prefix}.fired", margin >= 0)
        if self.probes:
            values[f"spike.{prefix}.spike"], values[f"margin.{prefix}.spike"] = fired, margin
        spikes = fired.astype(np.float32)
        states[f"{prefix}.s"][...] = spikes
        states[f"{prefix}.v"][...] = self.flaw(self.ticks, f"next.{prefix}.v", membrane - spikes)
        return spikes


def describe(graph: StepGraph, probes: bool) -> Manifest:
    """What a bundle of `graph` would say of itself; nothing in it was compiled."""
    spec = graph.spec
    shown = [TensorSpec(f"spike.{spike.name}", spike.shape, "bool") for spike in spec.spikes]
    shown += [TensorSpec(f"margin.{spike.name}", spike.shape, "float32") for spike in spec.spikes]
    spec = replace(spec, outputs=(*spec.outputs, *shown)) if probes else spec
    inputs = tuple(InputField(*_place(spec.inputs, item), True, False, 0, 0, "spike", 2**51) for item in spec.inputs)
    outputs = tuple(BufferField(*_place(spec.outputs, item)) for item in spec.outputs)
    state = tuple(StateField(*_place(spec.states, item), False, (0.0).hex(), 0) for item in spec.states)
    sizes = [256 * len(fields) for fields in (inputs, outputs, state)]
    nothing = FileRecord("", 0, "")
    return Manifest(
        model=graph.name,
        graph_sha256=graph.digest,
        target=TargetIdentity("numpy", "", "", "", ()),
        step=spec,
        layout=Layout(sizes[0], inputs, sizes[1], outputs, sizes[2], state, 0, (), 0),
        activity=(),
        matrices=(),
        kernels=(),
        golden=Golden(1, (), {}),
        library=nothing,
        weights=nothing,
        assets=(),
        compiler={},
        probes=probes,
    )


def _place(
    items: Sequence[TensorSpec | StateSpec], item: TensorSpec | StateSpec
) -> tuple[str, tuple[int, ...], str, int, int]:
    """Name, shape, dtype, offset and size of a field in a buffer with 256 bytes for each."""
    return item.name, item.shape, item.dtype, 256 * items.index(item), prod(item.shape) * np.dtype(item.dtype).itemsize


def descending_sum(x: Array, weights: Array) -> Array:
    """`x (1, K)` times `weights (K, N)` in float32, the last input first."""
    total = np.zeros((1, weights.shape[1]), np.float32)
    for index in reversed(range(weights.shape[0])):
        total += x[:, index : index + 1] * weights[index]
    return total


def uneven(graph: StepGraph) -> StepGraph:
    """The same network with weights that no longer lie on a grid, so that the order of a sum shows in its last bits."""
    return _with_constants(graph, lambda name, array: array * np.float32(1.0123457) if array.ndim > 1 else array)


def undecayed(graph: StepGraph) -> StepGraph:
    """The same network whose membranes keep everything: they stay on the grid and often hit the threshold exactly."""
    return _with_constants(graph, lambda name, array: np.ones_like(array) if name == "decay" else array)


def _with_constants(graph: StepGraph, change: Callable[[str, Array], Array]) -> StepGraph:
    """The graph, taken over, with its constants changed."""
    for item in graph.model.graph.initializer:
        item.CopyFrom(numpy_helper.from_array(change(item.name, numpy_helper.to_array(item)), item.name))
    return StepGraph(graph.model, graph.spec)

"""ONNX Runtime as fast as it steps from Python: what the speed of a compiled step is compared with.

Inputs and outputs are bound once to aligned arrays, and the state goes back and forth between two sets of them, so
that a tick copies nothing and looks nothing up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astroedge.host_package import require
from astroedge.runtimes.checking.reference import aligned_array, runtime_session
from astroedge.session import Array

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph


class BoundReference:
    """A step graph in ONNX Runtime with bound buffers.

    Write a tick's inputs into `inputs`, call `tick`, read `outputs`; arrays by name, the same ones for every tick.
    """

    def __init__(self, graph: StepGraph, threads: int = 1) -> None:
        """Bind the buffers and start at the initial state; a tick may take `threads` threads."""
        spec = graph.spec
        self._runtime = runtime_session(graph.model, threads, repack=True)
        self.inputs = {item.name: aligned_array(item.shape, item.dtype) for item in spec.inputs}
        self.outputs = {item.name: aligned_array(item.shape, item.dtype) for item in spec.outputs}
        sides = [{state.name: aligned_array(state.shape, state.dtype) for state in spec.states} for _ in range(2)]
        for name, value in graph.initial_state().items():
            sides[0][name][...] = value
        taken = [{f"state.{name}": array for name, array in side.items()} for side in sides]
        given = [{f"next.{name}": array for name, array in side.items()} for side in sides]
        self._bindings = [self._bind(taken[side], given[1 - side]) for side in (0, 1)]
        self._ticks = 0

    def tick(self) -> None:
        """One tick from `inputs` to `outputs`."""
        self._runtime.run_with_iobinding(self._bindings[self._ticks & 1])
        self._ticks += 1

    def _bind(self, states: Mapping[str, Array], nexts: Mapping[str, Array]) -> Any:
        """A binding that reads `states` and writes `nexts`; on the CPU an OrtValue shares the array's memory."""
        share = require("onnxruntime", "running the reference").OrtValue.ortvalue_from_numpy
        binding = self._runtime.io_binding()
        for name, array in (*self.inputs.items(), *states.items()):
            binding.bind_ortvalue_input(name, share(array))
        for name, array in (*self.outputs.items(), *nexts.items()):
            binding.bind_ortvalue_output(name, share(array))
        return binding

"""ONNX Runtime in float32, bound once to fixed buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from astroedge.runtimes.checking.reference import aligned_array
from astroedge.step.graph import StepGraph
from astroedge.step.onnx_session import open_session
from benchmarks.peers.peer import Peer
from benchmarks.peers.work import Array, Tick, Work

PEER = Peer(
    name="onnxruntime",
    precision="fp32",
    recipe="All graph optimisations, weights packed at load, memory arena. Inputs, outputs and state are bound once "
    "(IOBinding) to aligned buffers; the state goes back and forth between two sets of them, so that a tick copies "
    "no state.",
    module=__name__,
    packages=("onnxruntime",),
)


def start(work: Work) -> Tick:
    """The step graph as exported."""
    return bound_tick(work, work.graph.model)


def bound_tick(work: Work, model: onnx.ModelProto) -> Tick:
    """A tick of `model`, which has the inputs and outputs of the step graph."""
    session = open_session(model, threads=work.threads, repack=True)
    spec = work.spec
    inputs = [aligned_array(item.shape, item.dtype) for item in spec.inputs]
    outputs = [aligned_array(item.shape, item.dtype) for item in spec.outputs]
    sides = [[aligned_array(state.shape, state.dtype) for state in spec.states] for _ in range(2)]
    for array, value in zip(sides[0], work.graph.initial_state().values(), strict=True):
        array[...] = value
    bindings = [_bind(session, work.graph, (inputs, sides[i]), (outputs, sides[1 - i])) for i in range(2)]
    run, result = session.run_with_iobinding, outputs[0]

    def tick(row: Sequence[Array]) -> Array:
        for given, value in zip(inputs, row, strict=True):
            given[...] = value
        run(bindings[0])
        bindings.reverse()
        return result

    return tick


def _bind(
    session: Any, graph: StepGraph, taken: tuple[list[Array], list[Array]], given: tuple[list[Array], list[Array]]
) -> Any:
    """A binding that reads the `taken` inputs and states and writes the `given` outputs and states.

    On the CPU an OrtValue shares the memory of its array.
    """
    import onnxruntime

    spec = graph.spec
    names_in = [item.name for item in spec.inputs] + [state.input_name for state in spec.states]
    names_out = [item.name for item in spec.outputs] + [state.output_name for state in spec.states]
    binding = session.io_binding()
    for name, array in zip(names_in, [*taken[0], *taken[1]], strict=True):
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    for name, array in zip(names_out, [*given[0], *given[1]], strict=True):
        binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    return binding

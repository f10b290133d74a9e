"""The runtimes that AstroEdge is timed against on a GPU, each stepping a network whose state stays on the GPU.

A tick takes the inputs from NumPy arrays and leaves the first output in one, as every tick of the CPU's peers does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from astroedge.step.onnx_session import CPU, open_session
from benchmarks.peers.work import Array, Tick, Work

DEVICE = "cuda"
WARM_UP_TICKS = 11


class NotHereError(RuntimeError):
    """A runtime has no form for this GPU, or is not installed."""


def eager(work: Work) -> Tick:
    """PyTorch without compilation."""
    return _module_tick(work, work.step.eval().to(DEVICE))


def compiled(work: Work) -> Tick:
    """PyTorch compiled by Inductor, whose reduce-overhead mode records CUDA graphs."""
    return _module_tick(work, torch.compile(work.step.eval().to(DEVICE), mode="reduce-overhead", fullgraph=True))


def graphs(work: Work) -> Tick:
    """PyTorch's kernels recorded once as a CUDA graph, which a tick replays: one launch."""
    step = work.step.eval().to(DEVICE)
    inputs = [torch.from_numpy(item).to(DEVICE) for item in work.zero_inputs()]
    state = [item.to(DEVICE).clone() for item in work.state]
    start = [item.clone() for item in state]

    def advance() -> Tensor:
        output, *rest = step(*inputs, *state)
        for old, new in zip(state, rest[len(rest) - len(state) :], strict=True):
            old.copy_(new)
        result: Tensor = output
        return result

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.inference_mode():
        for _ in range(WARM_UP_TICKS):
            advance()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        result = advance()
    for old, first in zip(state, start, strict=True):
        old.copy_(first)

    def tick(row: Sequence[Array]) -> Array:
        for place, value in zip(inputs, row, strict=True):
            place.copy_(torch.from_numpy(value))
        graph.replay()
        return _to_host(result)

    return tick


def onnx_runtime(work: Work) -> Tick:
    """ONNX Runtime's CUDA provider, with inputs, outputs and state in buffers on the GPU."""
    return _onnx_runtime(work, "CUDAExecutionProvider")


def tensorrt(work: Work) -> Tick:
    """TensorRT through ONNX Runtime."""
    return _onnx_runtime(work, "TensorrtExecutionProvider")


PEERS: dict[str, Callable[[Work], Tick]] = {
    "torch": eager,
    "torch, CUDA graph": graphs,
    "torch.compile": compiled,
    "onnxruntime CUDA": onnx_runtime,
    "TensorRT": tensorrt,
}


def _module_tick(work: Work, step: Callable[..., tuple[Tensor, ...]]) -> Tick:
    """A tick of `step` on the GPU."""
    state = [item.to(DEVICE) for item in work.state]

    @torch.inference_mode()
    def tick(row: Sequence[Array]) -> Array:
        output, *rest = step(*(torch.from_numpy(value).to(DEVICE) for value in row), *state)
        state[:] = [item.clone() for item in rest[len(rest) - len(state) :]]  # a graph's outputs are overwritten
        return _to_host(output)

    return tick


def _to_host(output: Tensor) -> Array:
    result: Array = output.cpu().numpy()
    return result


def _onnx_runtime(work: Work, provider: str) -> Tick:
    """A tick of the step graph, whose state goes back and forth between two sets of buffers."""
    import onnxruntime

    if provider not in onnxruntime.get_available_providers():
        raise NotHereError(f"this build of ONNX Runtime has no {provider}")
    session = open_session(work.graph.model, providers=(provider, CPU), repack=True)
    spec = work.spec
    sides = [[_on_gpu(value) for value in work.graph.initial_state().values()] for _ in range(2)]
    bindings = []
    for taken, given in (sides, sides[::-1]):
        binding = session.io_binding()
        for state, read, written in zip(spec.states, taken, given, strict=True):
            binding.bind_ortvalue_input(state.input_name, read)
            binding.bind_ortvalue_output(state.output_name, written)
        for output in spec.outputs:
            binding.bind_output(output.name, "cpu")
        bindings.append(binding)

    def tick(row: Sequence[Array]) -> Array:
        for item, value in zip(spec.inputs, row, strict=True):
            bindings[0].bind_cpu_input(item.name, value)
        session.run_with_iobinding(bindings[0])
        result: Array = bindings[0].copy_outputs_to_cpu()[len(spec.states)]
        bindings.reverse()
        return result

    return tick


def _on_gpu(value: Array) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(value, DEVICE, 0)

"""IREE: the step graph compiled ahead of time for this processor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from astroedge.step.onnx_file import whole
from benchmarks.peers.peer import Peer
from benchmarks.peers.work import Array, Tick, Work

FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    "--iree-opt-level=O3",
    "--iree-opt-data-tiling",
)

PEER = Peer(
    name="iree",
    precision="fp32",
    recipe="ONNX import, llvm-cpu for the host's processor, optimisation level O3, data tiling; the device local-sync "
    "on one thread, local-task on more. The state stays in device buffers: those that a tick gives back are what the "
    "next one takes.",
    module=__name__,
    packages=("iree-base-compiler", "iree-base-runtime"),
)


def start(work: Work) -> Tick:
    """The step graph, compiled once and kept."""
    import iree.runtime as runtime
    from iree.runtime.array_interop import map_dtype_to_element_type

    path = work.kept(".vmfb", [*PEER.versions().values(), *FLAGS], lambda path: _compile(work, path))
    if work.threads > 1:
        runtime.flags.parse_flags(f"--task_topology_max_group_count={work.threads}")
    config = runtime.Config("local-sync" if work.threads == 1 else "local-task")
    module = runtime.VmModule.mmap(config.vm_instance, str(path))
    context = runtime.SystemContext(vm_modules=[module], config=config).vm_context
    function = module.lookup_function(work.graph.name)
    states, output = len(work.spec.states), work.spec.outputs[0]
    skipped, dtype = len(work.spec.outputs), np.dtype(output.dtype)

    def device_buffer(array: Array) -> Any:
        return config.device.allocator.allocate_buffer_copy(
            memory_type=runtime.MemoryType.DEVICE_LOCAL,
            allowed_usage=runtime.BufferUsage.DEFAULT | runtime.BufferUsage.MAPPING,
            device=config.device,
            buffer=array,
            element_type=map_dtype_to_element_type(array.dtype),
        )

    state = [device_buffer(array) for array in work.graph.initial_state().values()]

    def tick(row: Sequence[Array]) -> Array:
        arguments = runtime.VmVariantList(len(row) + states)
        for value in row:
            arguments.push_ref(device_buffer(value))
        for buffer in state:
            arguments.push_ref(buffer)
        results = runtime.VmVariantList(skipped + states)
        context.invoke(function, arguments, results)
        state[:] = [results.get_as_object(skipped + index, runtime.HalBufferView) for index in range(states)]
        result: Array = results.get_as_object(0, runtime.HalBufferView).map().asarray(output.shape, dtype)
        return result

    return tick


def _compile(work: Work, path: Path) -> None:
    """Import the step graph and compile it to `path`. Raises RuntimeError with the compiler's first error."""
    source, imported = path.with_suffix(".onnx"), path.with_suffix(".mlir")
    onnx.save(whole(work.graph.model), source)
    programs = Path(sys.executable).parent
    try:
        _run([str(programs / "iree-import-onnx"), str(source), "-o", str(imported)])
        _run([str(programs / "iree-compile"), str(imported), "-o", str(path), *FLAGS])
    finally:
        source.unlink()
        imported.unlink(missing_ok=True)


def _run(command: list[str]) -> None:
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        lines = finished.stderr.splitlines()
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:]
        raise RuntimeError(f"{Path(command[0]).name}: {errors[0] if errors else finished.returncode}")

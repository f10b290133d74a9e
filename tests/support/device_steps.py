"""A step compiled for a GPU as far as its CUDA C, and that text run on the CPU by the emulator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.step.graph import StepGraph
from astroedge.targets import quantise
from astroedge.targets.boards.target import resolve_target, tvm_target
from astroedge.targets.compile_request import CompileRequest
from astroedge.targets.compiler.compilation import Compilation
from astroedge.targets.compiler.cuda.divide_calls import BLOCK_THREADS
from astroedge.targets.compiler.cuda.kernel_text import ENTRY
from astroedge.targets.compiler.device_passes import DEVICE_PASSES
from astroedge.targets.compiler.emit.make_manifest import pack_weights
from astroedge.targets.compiler.emit.native_kernels import NativeKernels
from astroedge.targets.pass_list import run_passes
from tests.cuda_emulator.kernels import load_source

WAITS = re.compile(r"ae_grid_sync\(control \+ \d\);|__syncthreads\(\);")
BOARD = "jetson-orin-nano-cuda"
Array = NDArray[Any]
Arrays = Mapping[str, Array]

UNTIL_TEXT = DEVICE_PASSES[: [item.name for item in DEVICE_PASSES].index("kernel_text") + 1]


@dataclass
class DeviceStep:
    """A step's state of compilation, with `text` filled in, and the graph whose weights it has."""

    graph: StepGraph
    made: Compilation

    @property
    def waits(self) -> int:
        """How often blocks or the threads of a block wait for each other in a tick; then blocks for the next tick."""
        return len(self._found())

    def without_wait(self, number: int) -> str:
        """The text without one of the waits; that between two ticks is the last."""
        found = self._found()[number]
        return f"{self.made.text[: found.start()]};{self.made.text[found.end() :]}"

    def _found(self) -> list[re.Match[str]]:
        start = self.made.text.index("static __device__ void astroedge_tick")
        return list(WAITS.finditer(self.made.text, start))

    def run(
        self, inputs: Arrays, *, grid: int = 2, seed: int = 0, races: bool = False, text: str | None = None
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, int]]:
        """All ticks of `inputs` in one launch: outputs, the states after it, and the activity counters."""
        plan, spec = self.made.plan, self.graph.spec
        ticks = len(next(iter(inputs.values())))
        given, outputs = _aligned(ticks * plan.sizes["inputs"]), _aligned(ticks * plan.sizes["outputs"])
        state, workspace, weights = (_aligned(plan.sizes[name]) for name in ("state", "workspace", "weights"))
        weights[:] = np.frombuffer(pack_weights(plan), np.uint8)
        for item, place in zip(spec.states, plan.states, strict=True):
            _view(state, place.offset, self.graph.initial_state()[item.name])
        rows = given.reshape(ticks, -1)
        for item, value in zip(spec.inputs, self.made.program.inputs, strict=True):
            bytes_of = np.ascontiguousarray(inputs[item.name]).reshape(ticks, -1).view(np.uint8)
            offset = plan.places[value].offset
            rows[:, offset : offset + bytes_of.shape[1]] = bytes_of
        strides = (plan.sizes["inputs"], plan.sizes["outputs"])
        kernels = load_source(text or self.made.text, races=races)
        arrays = (given, outputs, state, weights, workspace, np.zeros(32, np.uint32))
        kernels.launch(ENTRY, grid, BLOCK_THREADS, *arrays, ticks, *strides, seed=seed)
        shown = outputs.reshape(ticks, -1)
        results = {
            item.name: np.stack([_read(row, place.offset, item.shape, item.dtype) for row in shown])
            for item, place in zip(self.made.spec.outputs, plan.outputs, strict=True)
        }
        states = {
            item.name: _read(state, place.offset, item.shape, item.dtype)
            for item, place in zip(spec.states, plan.states, strict=True)
        }
        counters = workspace.view(np.uint64)
        places = {counter.name: plan.places[counter.value].offset // 8 for counter in self.made.choice.counters}
        return results, states, {name: int(counters[place]) for name, place in places.items()}


def device_step(graph: StepGraph, *, kernels: str = "auto", precision: str = "float32") -> DeviceStep:
    """The CUDA C of a step, and what the passes found on the way."""
    target = resolve_target(BOARD)
    native, stored = tvm_target(target), quantise(graph, precision)
    request = CompileRequest(stored.graph, target, "exact", kernels, False, stored.weights)
    made = Compilation(request, native, NativeKernels(native, request.math))
    with native:
        run_passes(UNTIL_TEXT, made)
    return DeviceStep(stored.graph, made)


def same_bits(given: Arrays, wanted: Arrays) -> list[str]:
    """The names of arrays that differ in a bit; any NaN is one, since processors disagree on its bits."""
    return [name for name, array in wanted.items() if not _same(np.asarray(given[name]), np.asarray(array))]


def _same(given: Array, wanted: Array) -> bool:
    if given.dtype != wanted.dtype or given.shape != wanted.shape:
        return False
    if given.dtype.kind != "f":
        return given.tobytes() == wanted.tobytes()
    equal = (given == wanted) & (np.signbit(given) == np.signbit(wanted))
    return bool((equal | (np.isnan(given) & np.isnan(wanted))).all())


def _aligned(nbytes: int) -> Array:
    raw = np.zeros(nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + nbytes]


def _view(buffer: Array, offset: int, array: Array) -> None:
    bytes_of = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    buffer[offset : offset + bytes_of.size] = bytes_of


def _read(buffer: Array, offset: int, shape: tuple[int, ...], dtype: str) -> Array:
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return buffer[offset : offset + nbytes].copy().view(dtype).reshape(shape)

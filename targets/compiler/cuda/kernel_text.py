"""The one kernel that is the step, as CUDA C: the tick as a row of calls, and the loop over the ticks of a launch.

    extern "C" __global__ void astroedge_run(
        unsigned char *inputs, unsigned char *outputs, unsigned char *state, unsigned char *weights,
        unsigned char *workspace, unsigned int *control, int steps, unsigned long long input_stride,
        unsigned long long output_stride)

All threads make every call, each does its part, and between two levels, and two ticks, all blocks wait for each other.
What each block makes for itself lies in its shared memory, `ae_own`, and is read once all threads of the block are done
with it. `control` is 128 bytes of zeros before the first launch, for the waits. Nothing ends a launch before its last
tick: the host asks for no more than it can wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tvm import tirx

from astroedge.targets import cuda
from astroedge.targets.compiler.cuda.divide_calls import BLOCK_THREADS, DeviceForm
from astroedge.targets.compiler.emit.lower_kernel import lower_to_loops
from astroedge.targets.compiler.program.equal_functions import EqualFunctions
from astroedge.targets.compiler.program.plan_memory import MemoryPlan
from astroedge.targets.compiler.program.step_program import OWN, KernelCall, Value
from astroedge.targets.cuda.device_arithmetic import C_TYPES
from astroedge.targets.cuda.device_functions import device_functions
from astroedge.targets.cuda.library_call import EACH_BLOCK, FIRST_BLOCK, LIBRARY_FUNCTION, LIBRARY_SIZES
from astroedge.targets.cuda.plain_storage import STORED
from astroedge.targets.kernels.cuda.library_text import library_text

ENTRY = "astroedge_run"
WAIT = "ae_grid_sync(control + {word});"
"""Waits that follow each other use different words, so that whoever wakes up late learns nothing of the next one."""

_WORDS = 3  # for the waits between the calls of a tick
_TICK_END = _WORDS  # for those between two ticks


_TICK = "static __device__ void astroedge_tick(unsigned char *inputs, unsigned char *outputs, unsigned char *state,"
_RUN = f"""
extern "C" __global__ void __launch_bounds__(AE_THREADS) {ENTRY}(
    unsigned char *inputs, unsigned char *outputs, unsigned char *state, unsigned char *weights,
    unsigned char *workspace, unsigned int *control, int steps, unsigned long long input_stride,
    unsigned long long output_stride) {{
    for (int step = 0; step < steps; step++) {{
        if (step > 0) {WAIT.format(word=_TICK_END)}
        astroedge_tick(
            inputs + step * input_stride, outputs + step * output_stride, state, weights, workspace, control);
    }}
}}
"""


@dataclass
class _Tick:
    """The calls of a tick under construction: lines of CUDA C, and the functions that they call."""

    plan: MemoryPlan
    lines: list[str] = field(default_factory=list)
    functions: dict[str, tirx.PrimFunc] = field(default_factory=dict)
    library: set[str] = field(default_factory=set)
    _known: EqualFunctions[str] = field(default_factory=EqualFunctions)
    waits: int = 0
    _first: int = 0
    _unseen: set[Value] = field(default_factory=set)

    def add(self, call: KernelCall, form: DeviceForm) -> None:
        """Append a call."""
        if not self._unseen.isdisjoint(call.reads):
            self.lines.append("__syncthreads();")
            self._unseen.clear()
        arguments = [self._address(value) for value in (*call.reads, *call.writes)]
        if form.function is None:
            self._call_library(call, form, arguments)
        else:
            self._call_function(call, form, arguments)
        if form.repeated:
            self._unseen.update(call.writes)
        else:
            self._first += -(-form.parts // BLOCK_THREADS) * BLOCK_THREADS

    def wait(self) -> None:
        """Append a wait of all blocks."""
        self.lines.append(WAIT.format(word=self.waits % _WORDS))
        self.waits += 1
        self._first = 0
        self._unseen.clear()

    def _call_library(self, call: KernelCall, form: DeviceForm, arguments: list[str]) -> None:
        name = str(call.function.attrs[LIBRARY_FUNCTION])
        self.library.add(name)
        first = "0" if form.in_turn else str(self._first // BLOCK_THREADS)
        first = EACH_BLOCK if form.repeated else first
        sizes = [first if size == FIRST_BLOCK else str(size) for size in call.function.attrs[LIBRARY_SIZES]]
        self.lines.append(f"{name}({', '.join([*arguments, *sizes])});")

    def _call_function(self, call: KernelCall, form: DeviceForm, arguments: list[str]) -> None:
        assert form.function is not None
        name = self._known.get(form.function, lambda: self._define(call, form))
        # What is in turn may be read in the same level by who counts on the same turns.
        thread = f"ae_turn(thread, threads, {self._first})" if self._first and not form.in_turn else "thread"
        thread, threads = ("(int)threadIdx.x", "AE_THREADS") if form.repeated else (thread, "threads")
        if form.divided:
            self.lines.append(f"{name}({', '.join([*arguments, thread, threads])});")
        else:
            self.lines.append(f"if ({thread} == 0) {name}({', '.join(arguments)});")

    def _define(self, call: KernelCall, form: DeviceForm) -> str:
        name = f"{call.kind.replace('-', '_')}_{len(self.functions)}"
        self.functions[name] = form.function
        return name

    def _address(self, value: Value) -> str:
        place = self.plan.places[value]
        kind = C_TYPES[STORED.get(value.dtype, value.dtype)]
        buffer = "(unsigned char *)ae_own" if place.buffer == OWN else place.buffer
        return f"({kind} *)({buffer} + {place.offset})"


def kernel_text(plan: MemoryPlan, forms: Sequence[DeviceForm], levels: Sequence[int]) -> str:
    """Write the CUDA C of the step of `plan`, whose calls are sorted by `levels` and made as `forms` say.

    Raises UnsupportedOpError for a function without an exact form.
    """
    tick = _Tick(plan)
    for call, form, level, before in zip(plan.calls, forms, levels, [0, *levels], strict=False):
        if level != before:
            tick.wait()
        tick.add(call, form)
    lowered = {name: lower_to_loops(function) for name, function in tick.functions.items()}
    calls = "\n    ".join(tick.lines)
    return "\n".join(
        [
            _HEADER.read_text(encoding="utf-8"),
            library_text(sorted(tick.library)) if tick.library else "",
            device_functions(lowered),
            f"__shared__ unsigned long long ae_own[{plan.sizes[OWN] // 8}];" if plan.sizes.get(OWN) else "",
            f"{_TICK}\n    unsigned char *weights, unsigned char *workspace, unsigned int *control) {{",
            "    const int thread = blockIdx.x * AE_THREADS + threadIdx.x, threads = gridDim.x * AE_THREADS;",
            f"    {calls}\n}}",
            _RUN,
        ]
    )


_HEADER = Path(cuda.__file__).with_name("device.cuh")

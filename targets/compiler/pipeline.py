"""The whole pipeline: step graph and target in, object file, weights and manifest out."""

from __future__ import annotations

from dataclasses import dataclass

import tvm_ffi

from astroedge.bundle.manifest import Manifest
from astroedge.errors import CompileError, UnsupportedOpError
from astroedge.step.graph import StepGraph
from astroedge.step.operators import uncompiled
from astroedge.targets.boards.board_file import Target
from astroedge.targets.boards.target import tvm_target
from astroedge.targets.compile_request import CompileRequest
from astroedge.targets.compiler.compilation import Compilation
from astroedge.targets.compiler.device_passes import passes_for
from astroedge.targets.compiler.emit.native_kernels import NativeKernels
from astroedge.targets.compiler.find_culprit import find_culprit
from astroedge.targets.cuda.device_code import DeviceCode
from astroedge.targets.pass_list import PassFailure, UnknownForm, run_passes
from astroedge.targets.precision.quantise_weights import StoredWeights

MATH_CHOICES = ("exact", "fast")

# An error that crosses TVM's C++ keeps a class that it knows.
for error_class in (CompileError, UnknownForm, UnsupportedOpError):
    tvm_ffi.register_error(error_class.__name__, error_class)


@dataclass(frozen=True)
class CompiledStep:
    """What code generation gives; a linker and a golden trace make a bundle of it.

    `team_code` is the object with the tick of a team of threads, None for a step that is too small to be divided.
    Both call functions of the objects `kernel_code`, which another build of the step may call as well: `kernels`.
    `device` is the code of a GPU that computes the step; there is no `code` then.
    """

    code: bytes
    team_code: bytes | None
    weights: memoryview
    manifest: Manifest
    device: DeviceCode | None = None
    kernel_code: tuple[bytes, ...] = ()
    kernels: NativeKernels | None = None


def compile_step(
    graph: StepGraph,
    target: Target,
    *,
    math: str,
    kernels: str,
    probes: bool,
    weights: StoredWeights | None = None,
    beside: CompiledStep | None = None,
) -> CompiledStep:
    """Compile `graph` for `target`; `weights` is the stored form of its weights where that is not float32.

    `beside` is another build of the step, for the same target with the same `math`, whose kernels are used again.

    Raises CompileError when a pass cannot carry the graph; UnsupportedOpError for an operator without importer or exact
    kernel; TargetError when LLVM does not know the processor; for a GPU MissingDependencyError without NVRTC.
    """
    if math not in MATH_CHOICES:
        raise CompileError(f"math={math!r} is not one of {', '.join(MATH_CHOICES)}.")
    if target.gpu and math != "exact":
        cure = "compile with --math exact (in Python math='exact')"
        raise CompileError(f"math={math!r} is for processors, and {target.name} is a GPU; {cure}.")
    for reason in uncompiled(graph.model.graph, fast=math == "fast"):
        cure = " or compile with --math fast (in Python math='fast')" if "exact kernel" in reason else ""
        raise UnsupportedOpError(
            f"{reason}; write it with other functions in the model{cure}. ONNX Runtime can run the graph as it is."
        )
    native = tvm_target(target)
    request = CompileRequest(graph, target, math, kernels, probes, weights or StoredWeights())
    known = beside.kernels if beside is not None else None
    state = Compilation(request, native, known or NativeKernels(native, math))
    with native:
        try:
            run_passes(passes_for(target), state)
        except UnknownForm as error:
            culprit = find_culprit(request, native)
            raise CompileError(culprit) if culprit else error from error
        except PassFailure as failure:
            raise CompileError(
                find_culprit(request, native)
                or f"Compiling the step graph {graph.name!r} for {target.name} {failure}; it usually means an operator "
                "form the pipeline does not know. Simplify that part of the model, or report it with the graph."
            ) from failure.cause
    if target.gpu:
        return CompiledStep(b"", None, state.packed, state.manifest, state.device)
    return CompiledStep(
        state.code,
        state.team_code,
        state.packed,
        state.manifest,
        kernel_code=state.kernel_code,
        kernels=state.kernels,
    )

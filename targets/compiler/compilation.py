"""The state that the passes of the compiler share: what was asked for, and what has been made of it so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import tvm
from tvm import relax

from astroedge.bundle.manifest import Manifest
from astroedge.step.sparsity import Sparsity
from astroedge.step.spec import StepSpec
from astroedge.targets.compile_request import CompileRequest
from astroedge.targets.compiler.cuda.divide_calls import DeviceForm
from astroedge.targets.compiler.cuda.repeat_calls import Repeats
from astroedge.targets.compiler.emit.native_kernels import NativeKernels
from astroedge.targets.compiler.lower.import_graph import ImportedStep
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Moments
from astroedge.targets.compiler.program.step_program import StepProgram, Value
from astroedge.targets.compiler.select.choose_kernels import KernelChoice
from astroedge.targets.compiler.threads.plan_team import TeamPlan
from astroedge.targets.cuda.device_code import DeviceCode
from astroedge.targets.families.gpu_costs import GpuCosts


@dataclass
class Compilation:
    """One compilation. A field that no pass has filled yet does not exist: reading it is an error that names it.

    `native` is TVM's form of the request's target; `kernels` may already hold those of other builds of the step. `team`
    to `kernel_code` are a processor's, `costs` to `device` a GPU's.
    """

    request: CompileRequest
    native: tvm.target.Target
    kernels: NativeKernels
    imported: ImportedStep = field(init=False)
    sparse: dict[relax.Var, Sparsity] = field(init=False)
    module: tvm.IRModule = field(init=False)
    products: list[Product | ConvolutionProduct] = field(init=False)
    program: StepProgram = field(init=False)
    spec: StepSpec = field(init=False)
    choice: KernelChoice = field(init=False)
    plan: MemoryPlan = field(init=False)
    team: TeamPlan | None = field(init=False)
    code: bytes = field(init=False)
    team_code: bytes | None = field(init=False)
    kernel_code: tuple[bytes, ...] = field(init=False)
    costs: GpuCosts = field(init=False)
    repeats: Repeats = field(init=False)
    moments: Moments = field(init=False)
    points: dict[Value, frozenset[Value]] = field(init=False)
    levels: list[int] = field(init=False)
    forms: list[DeviceForm] = field(init=False)
    text: str = field(init=False)
    device: DeviceCode = field(init=False)
    packed: memoryview = field(init=False)
    manifest: Manifest = field(init=False)

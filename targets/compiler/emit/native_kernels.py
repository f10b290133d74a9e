"""The kernels of a step → functions in object files, each compiled once for all builds of the step that call it.

    void astroedge_event_gemv_7(float *x, float *weights, …)

The tick of one thread, the tick of a team and the build that shows its spikes mostly call the same kernels, and a
network calls the same one at many places. So kernels are functions that ticks call by name, from other objects: LLVM,
which takes most of the time of a compilation, sees each of them once. In one object with a tick it would copy most
into every place that calls them.
"""

from __future__ import annotations

import tvm
from tvm import ir, tirx

from astroedge.scratch import scratch_folder
from astroedge.targets.compiler.emit.lower_kernel import lower_kernel
from astroedge.targets.compiler.emit.lower_module import lower_module
from astroedge.targets.compiler.program.equal_functions import EqualFunctions

RAW_C_CALL = -1  # calling_conv: the parameters as they are, no packed arguments


class NativeKernels:
    """The kernels of the builds of one step for one processor: named when a tick calls them, then compiled."""

    def __init__(self, target: tvm.target.Target, math: str) -> None:
        """`math` is "exact" or "fast", as `lower_kernel` takes it."""
        self.target = target
        self.math = math
        self._objects: tuple[bytes, ...] = ()
        self._named = 0
        self._waiting: dict[ir.GlobalVar, tirx.PrimFunc] = {}
        self._known: EqualFunctions[ir.GlobalVar] = EqualFunctions()

    def name(self, kind: str, function: tirx.PrimFunc) -> ir.GlobalVar:
        """The native function of a scheduled kernel of this kind; equal ones are one.

        Raises UnsupportedOpError for a function without an exact form.
        """

        def lower() -> ir.GlobalVar:
            named = ir.GlobalVar(f"astroedge_{kind.replace('-', '_')}_{self._named}")
            self._named += 1
            self._waiting[named] = _on_pointers(lower_kernel(function, self.target, self.math))
            return named

        return self._known.get(function, lower)

    def take(self) -> dict[ir.GlobalVar, tirx.PrimFunc]:
        """The kernels that were named and not compiled, for an object of which they are private functions."""
        taken, self._waiting = self._waiting, {}
        return taken

    def compile(self) -> tuple[bytes, ...]:
        """The object files of all kernels named so far: those of before, and one more for what has been named since."""
        if self._waiting:
            public = {named: public_function(function, named.name_hint) for named, function in self.take().items()}
            self._objects += (object_file(public, self.target, self.math),)
        return self._objects


def build_kernels(kernels: NativeKernels) -> tuple[bytes, ...]:
    """Compile the `kernels` that no other build of the step has called; returns the object files of all.

    Raises CompileError when code generation fails.
    """
    return kernels.compile()


def object_file(functions: dict[ir.GlobalVar, tirx.PrimFunc], target: tvm.target.Target, math: str) -> bytes:
    """Compile functions of raw pointers into an object file."""
    with tvm.transform.PassContext(opt_level=3):
        module = lower_module(tvm.IRModule(functions), target, math)
        native = tvm.get_global_func("target.build.llvm")(module, target)
    with scratch_folder("object") as folder:
        path = folder / "step.o"
        native.write_to_file(str(path), "o")
        return path.read_bytes()


def public_function(function: tirx.PrimFunc, symbol: str) -> tirx.PrimFunc:
    """The function with this name in C and its parameters, pointers and numbers, as they are."""
    return function.with_attrs({"global_symbol": symbol, "calling_conv": RAW_C_CALL, "s_tir": True})


def pointer(dtype: str) -> ir.PointerType:
    """The type of a raw pointer to numbers."""
    return ir.PointerType(ir.PrimType(dtype))


def _on_pointers(lowered: tirx.PrimFunc) -> tirx.PrimFunc:
    """A lowered kernel as a function of raw pointers, of which nothing says that they differ: some work in place."""
    arrays = [item for item in lowered.params if not isinstance(item.ty, ir.PrimType)]
    pointers = [tirx.Var(f"{array.name}_pointer", pointer(array.dtype)) for array in arrays]
    declared = [tirx.DeclBuffer(array, data=item) for array, item in zip(arrays, pointers, strict=True)]
    body = tirx.SeqStmt([*declared, lowered.body])
    return tirx.PrimFunc([*pointers, *lowered.params[len(arrays) :]], body).with_attr("s_tir", True)

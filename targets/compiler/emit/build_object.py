"""The planned calls → one native function in an object file.

    int32_t astroedge_tick(uint8_t *inputs, uint8_t *outputs, uint8_t *state, uint8_t *weights, uint8_t *workspace,
                           uint8_t *stamps)

It calls kernels (native_kernels.py) with addresses inside the five buffers, one after the other or, where there are
stamps, with a call of `shim/clock.c` before each. No TVM runtime is left in the object: nothing allocates, checks
shapes or starts threads.
"""

from __future__ import annotations

from tvm import ir, tirx
from tvm.script import tirx as T

from astroedge.targets.compiler.emit.native_kernels import NativeKernels, object_file, pointer, public_function
from astroedge.targets.compiler.program.plan_memory import MemoryPlan
from astroedge.targets.compiler.program.step_program import KernelCall
from astroedge.targets.compiler.threads.divide_loops import undivided
from astroedge.targets.tir_builder import Expression

BUFFERS = ("inputs", "outputs", "state", "weights", "workspace")
ENTRY = "astroedge_tick"
STAMP = "astroedge_stamp"
FEW_CALLS = 32  # up to so many, calling costs more than a hundredth of what some steps take


def build_object(plan: MemoryPlan, kernels: NativeKernels, apart: bool, timed: bool = True) -> bytes:
    """Compile what makes the calls of `plan` one after the other.

    The `kernels` that it calls lie in other objects where they are `apart` or the calls are many, else in this one.
    Without `timed` the tick ignores its stamps.

    Raises CompileError when code generation fails, UnsupportedOpError for a function without an exact kernel.
    """
    apart = apart or len(plan.calls) > FEW_CALLS
    stamps = tirx.Var("stamps", pointer("uint8"))
    inside = kernels if apart else NativeKernels(kernels.target, kernels.math)
    tick = Tick(plan, inside, ENTRY, (stamps,), apart=apart)
    plain = {function: undivided(function) for function in {call.function for call in plan.calls}}
    calls = [tick.call(call, plain[call.function]) for call in plan.calls]
    return tick.compile([_timed_or_not(calls, stamps)] if calls and timed else calls)


def _timed_or_not(calls: list[tirx.Stmt], stamps: tirx.Var) -> tirx.Stmt:
    """The calls, or the same with the time noted before each.

    LLVM is told which is rare: the plain tick is as fast as one that stands alone, and nothing is inlined twice.
    """
    timed: list[tirx.Stmt] = []
    for index, call in enumerate(calls):
        timed += [tirx.Evaluate(tirx.call_extern("void", STAMP, stamps, tirx.const(index, "int32"))), call]
    wanted = tirx.Not(tirx.call_intrin("bool", "tirx.isnullptr", stamps))
    rarely = tirx.call_llvm_pure_intrin("bool", "llvm.expect", wanted, tirx.const(False, "bool"))
    return tirx.IfThenElse(rarely, tirx.SeqStmt(timed), calls[0] if len(calls) == 1 else tirx.SeqStmt(calls))


class Tick:
    """A native function under construction, which calls kernels on addresses in the five buffers."""

    def __init__(
        self,
        plan: MemoryPlan,
        kernels: NativeKernels,
        symbol: str,
        further: tuple[tirx.Var, ...] = (),
        *,
        apart: bool = True,
    ) -> None:
        """`further` are the parameters behind the five buffers; kernels are `apart` in other objects, or in this."""
        self.plan = plan
        self.kernels = kernels
        self.symbol = symbol
        self.pointers = {name: tirx.Var(name, pointer("uint8")) for name in BUFFERS}
        self.further = further
        self._apart = apart
        self._buffers = {name: tirx.decl_buffer((plan.sizes[name],), "uint8", name=f"{name}_bytes") for name in BUFFERS}

    def call(self, call: KernelCall, function: tirx.PrimFunc, *further: Expression) -> tirx.Stmt:
        """The statement that makes `call` by the kernel `function`, which takes `further` after its arrays."""
        places = [self.plan.places[value] for value in (*call.reads, *call.writes)]
        addresses = [T.address_of(self._buffers[place.buffer][place.offset]) for place in places]
        kernel = self.kernels.name(call.kind, function)
        if self._apart:
            return tirx.Evaluate(tirx.call_extern("void", kernel.name_hint, *addresses, *further))
        return tirx.Evaluate(ir.Call(kernel, [*addresses, *further], ret_ty="void"))

    def compile(self, statements: list[tirx.Stmt]) -> bytes:
        """The object file in which the function consists of these statements and returns 0."""
        inside = {} if self._apart else self.kernels.take()
        entry = {ir.GlobalVar(self.symbol): self._entry(statements)}
        return object_file(inside | entry, self.kernels.target, self.kernels.math)

    def _entry(self, statements: list[tirx.Stmt]) -> tirx.PrimFunc:
        declared = [tirx.DeclBuffer(self._buffers[name], data=self.pointers[name]) for name in BUFFERS]
        result = tirx.stmt.Return(tirx.const(0, "int32"))
        zero, cpu = tirx.const(0, "int32"), tirx.const(1, "int32")
        body: tirx.Stmt = tirx.SeqStmt([*declared, *statements, result])
        body = tirx.AttrStmt(zero, "device_id", zero, tirx.AttrStmt(zero, "device_type", cpu, body))
        entry = tirx.PrimFunc([*self.pointers.values(), *self.further], body, ret_type=ir.PrimType("int32"))
        return public_function(entry, self.symbol)

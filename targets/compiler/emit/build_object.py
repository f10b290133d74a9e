"""The planned calls → one native function in an object file.

    int32_t astroedge_tick(uint8_t *inputs, uint8_t *outputs, uint8_t *state, uint8_t *weights, uint8_t *workspace,
                           uint8_t *stamps)

Each kernel becomes a private function of raw pointers; the entry calls them with addresses inside the five buffers, one
after the other or, where there are stamps, with a call of `shim/clock.c` before each. No TVM runtime is left in the
object: nothing allocates, checks shapes or starts threads.
"""

from __future__ import annotations

import tvm
from tvm import ir, tirx
from tvm.script import tirx as T

from astroedge.scratch import scratch_folder
from astroedge.targets.compiler.emit.lower_kernel import lower_kernel
from astroedge.targets.compiler.emit.lower_module import lower_module
from astroedge.targets.compiler.program.equal_functions import EqualFunctions
from astroedge.targets.compiler.program.plan_memory import MemoryPlan
from astroedge.targets.compiler.program.step_program import KernelCall
from astroedge.targets.compiler.threads.divide_loops import undivided

BUFFERS = ("inputs", "outputs", "state", "weights", "workspace")
ENTRY = "astroedge_tick"
STAMP = "astroedge_stamp"
RAW_C_CALL = -1  # calling_conv: the parameters as they are, no packed arguments


def build_object(plan: MemoryPlan, target: tvm.target.Target, math: str, timed: bool = True) -> bytes:
    """Compile the calls of `plan` for `target` and return the object file.

    `math` is "exact" or "fast": products are free to contract, and functions that have no exact form come from libm.
    (The others are faster than libm's, which take one number at a time.) Without `timed` the tick ignores its stamps.

    Raises CompileError when code generation fails, UnsupportedOpError for a function without an exact kernel.
    """
    stamps = tirx.Var("stamps", pointer("uint8"))
    tick = Tick(plan, target, math, ENTRY, (stamps,))
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
    """A native function under construction: private kernels, and what calls them on addresses in the five buffers."""

    def __init__(
        self, plan: MemoryPlan, target: tvm.target.Target, math: str, symbol: str, further: tuple[tirx.Var, ...] = ()
    ) -> None:
        """`further` are the parameters behind the five buffers."""
        self.plan = plan
        self.target = target
        self.math = math
        self.symbol = symbol
        self.pointers = {name: tirx.Var(name, pointer("uint8")) for name in BUFFERS}
        self.further = further
        self._buffers = {name: tirx.decl_buffer((plan.sizes[name],), "uint8", name=f"{name}_bytes") for name in BUFFERS}
        self._kernels: dict[ir.GlobalVar, tirx.PrimFunc] = {}
        self._known: dict[bool, EqualFunctions[ir.GlobalVar]] = {True: EqualFunctions(), False: EqualFunctions()}

    def call(self, call: KernelCall, function: tirx.PrimFunc, *further: tirx.Var) -> tirx.Stmt:
        """The statement that makes `call` by the kernel `function`, which takes `further` after its arrays."""
        places = [self.plan.places[value] for value in (*call.reads, *call.writes)]
        addresses = [T.address_of(self._buffers[place.buffer][place.offset]) for place in places]
        return tirx.Evaluate(ir.Call(self._kernel(call, function), [*addresses, *further], ret_ty="void"))

    def compile(self, statements: list[tirx.Stmt]) -> bytes:
        """The object file in which the function consists of these statements and returns 0."""
        module = tvm.IRModule(self._kernels | self._entry(statements))
        with tvm.transform.PassContext(opt_level=3):
            module = lower_module(module, self.target, self.math)
            native = tvm.get_global_func("target.build.llvm")(module, self.target)
        with scratch_folder("object") as folder:
            path = folder / "step.o"
            native.write_to_file(str(path), "o")
            return path.read_bytes()

    def _kernel(self, call: KernelCall, function: tirx.PrimFunc) -> ir.GlobalVar:
        """The private function for a call; equal kernels are one."""
        aliased = _writes_over_a_read(call, self.plan)

        def lower() -> ir.GlobalVar:
            global_var = ir.GlobalVar(f"{call.kind.replace('-', '_')}_{len(self._kernels)}")
            self._kernels[global_var] = _private(lower_kernel(function, self.target, self.math), aliased)
            return global_var

        return self._known[aliased].get(function, lower)

    def _entry(self, statements: list[tirx.Stmt]) -> dict[ir.GlobalVar, tirx.PrimFunc]:
        declared = [tirx.DeclBuffer(self._buffers[name], data=self.pointers[name]) for name in BUFFERS]
        result = tirx.stmt.Return(tirx.const(0, "int32"))
        zero, cpu = tirx.const(0, "int32"), tirx.const(1, "int32")
        body: tirx.Stmt = tirx.SeqStmt([*declared, *statements, result])
        body = tirx.AttrStmt(zero, "device_id", zero, tirx.AttrStmt(zero, "device_type", cpu, body))
        entry = tirx.PrimFunc([*self.pointers.values(), *self.further], body, ret_type=ir.PrimType("int32"))
        attributes = {"global_symbol": self.symbol, "calling_conv": RAW_C_CALL, "s_tir": True}
        return {ir.GlobalVar(self.symbol): entry.with_attrs(attributes)}


def _private(lowered: tirx.PrimFunc, aliased: bool) -> tirx.PrimFunc:
    """A lowered kernel as a private function of raw pointers."""
    arrays = [item for item in lowered.params if not isinstance(item.ty, ir.PrimType)]
    pointers = [tirx.Var(f"{array.name}_pointer", pointer(array.dtype)) for array in arrays]
    declared = [tirx.DeclBuffer(array, data=item) for array, item in zip(arrays, pointers, strict=True)]
    body = tirx.SeqStmt([*declared, lowered.body])
    parameters = [*pointers, *lowered.params[len(arrays) :]]
    return tirx.PrimFunc(parameters, body).with_attrs({"tirx.noalias": not aliased, "s_tir": True})


def pointer(dtype: str) -> ir.PointerType:
    """The type of a raw pointer to numbers."""
    return ir.PointerType(ir.PrimType(dtype))


def _writes_over_a_read(call: KernelCall, plan: MemoryPlan) -> bool:
    """True when the call works in place, so that its pointers may be equal."""
    read = {plan.places[value] for value in call.reads}
    return any(plan.places[value] in read for value in call.writes)

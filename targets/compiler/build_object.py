"""The planned calls → one native function in an object file.

    int32_t astroedge_tick(uint8_t *inputs, uint8_t *outputs, uint8_t *state, uint8_t *weights, uint8_t *workspace)

Each kernel becomes a private function of raw pointers; the entry calls them with addresses inside the five buffers. No
TVM runtime is left in the object: nothing allocates, checks shapes or starts threads.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import tvm
from tvm import ir, s_tir, tirx
from tvm.script import tirx as T
from tvm_ffi import structural_equal

from astroedge.targets.compiler.divide_loops import undivided
from astroedge.targets.compiler.exact_intrinsics import exact_intrinsics
from astroedge.targets.compiler.fence_products import FenceProducts
from astroedge.targets.compiler.guard_divisions import guard_divisions
from astroedge.targets.compiler.hoist_lets import hoist_lets
from astroedge.targets.compiler.plan_memory import MemoryPlan
from astroedge.targets.compiler.select_casts import select_casts
from astroedge.targets.compiler.step_program import Call, Value
from astroedge.targets.compiler.widen_halves import needs_widening, widen_halves

BUFFERS = ("inputs", "outputs", "state", "weights", "workspace")
ENTRY = "astroedge_tick"
RAW_C_CALL = -1  # calling_conv: the parameters as they are, no packed arguments


def build_object(plan: MemoryPlan, target: tvm.target.Target, math: str) -> bytes:
    """Compile the calls of `plan` for `target` and return the object file.

    `math` is "exact" or "fast": products are free to contract, and functions that have no exact form come from libm.
    (The others are faster than libm's, which take one number at a time.)

    Raises CompileError when code generation fails, UnsupportedOpError for a function without an exact kernel.
    """
    functions: dict[ir.GlobalVar, tirx.PrimFunc] = {}
    names: list[tuple[tirx.PrimFunc, bool, ir.GlobalVar]] = []
    calls = []
    for call in plan.calls:
        aliased = _writes_over_a_read(call, plan)
        global_var = _find(names, call.function, aliased)
        if global_var is None:
            global_var = ir.GlobalVar(f"{call.kind.replace('-', '_')}_{len(names)}")
            names.append((call.function, aliased, global_var))
            functions[global_var] = _private(call.function, math, aliased, needs_widening(target))
        calls.append((global_var, [*call.reads, *call.writes]))
    functions[ir.GlobalVar(ENTRY)] = _entry(calls, plan)
    module = tirx.transform.BindTarget(target)(tvm.IRModule(functions))
    with tvm.transform.PassContext(opt_level=3):
        module = _lower(math)(module)
        native = tvm.get_global_func("target.build.llvm")(module, target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.o"
        native.write_to_file(str(path), "o")
        return path.read_bytes()


def _lower(math: str) -> tvm.ir.transform.Pass:
    """TVM's CPU lowering without packed entries; products are fenced last, before intrinsics are chosen."""
    passes = [
        tirx.transform.FlattenBuffer(),
        tirx.transform.NarrowDataType(32),
        s_tir.transform.LoopPartition(),
        tirx.transform.VectorizeLoop(True),
        tirx.transform.StorageRewrite(),
        tirx.transform.UnrollLoop(),
        s_tir.transform.RenormalizeSplitPattern(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.CommonSubexprElim(),
        tirx.transform.VerifyMemory(),
        tirx.transform.AnnotateEntryFunc(),
        tirx.transform.SplitHostDevice(),
        tirx.transform.MakePackedAPI(),
        *([FenceProducts()] if math == "exact" else []),
        tirx.transform.LowerTVMBuiltin(),
        tirx.transform.LowerIntrin(),
    ]
    return tvm.ir.transform.Sequential(passes)


def _private(function: tirx.PrimFunc, math: str, aliased: bool, widen: bool) -> tirx.PrimFunc:
    """A scheduled kernel as a private function of raw pointers; `widen` replaces conversions from float16."""
    lowered = tvm.ir.transform.Sequential(
        [
            s_tir.transform.LowerInitBlock(),
            s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
            s_tir.transform.ConvertBlocksToOpaque(),
            s_tir.transform.CompactBufferAllocation(),
            s_tir.transform.LowerMatchBuffer(),
            s_tir.transform.StmtSimplify(),
            s_tir.transform.LowerOpaqueBlock(),
        ]
    )(tvm.IRModule({"kernel": undivided(function).without_attr("global_symbol")}))["kernel"]
    lowered = select_casts(guard_divisions(lowered))
    lowered = hoist_lets(exact_intrinsics(lowered, required=math == "exact"))
    if widen:
        lowered = widen_halves(lowered)
    pointers = [tirx.Var(f"{buffer.name}_pointer", _pointer(buffer.dtype)) for buffer in lowered.params]
    declared = [tirx.DeclBuffer(buffer, data=item) for buffer, item in zip(lowered.params, pointers, strict=True)]
    body = tirx.SeqStmt([*declared, lowered.body])
    return tirx.PrimFunc(pointers, body).with_attrs({"tirx.noalias": not aliased, "s_tir": True})


def _entry(calls: list[tuple[ir.GlobalVar, list[Value]]], plan: MemoryPlan) -> tirx.PrimFunc:
    """The tick: every kernel in order, on addresses inside the five buffers."""
    pointers = {name: tirx.Var(name, _pointer("uint8")) for name in BUFFERS}
    buffers = {name: tirx.decl_buffer((plan.sizes[name],), "uint8", name=f"{name}_bytes") for name in BUFFERS}
    statements: list[tirx.Stmt] = [tirx.DeclBuffer(buffers[name], data=pointers[name]) for name in BUFFERS]
    for global_var, values in calls:
        places = [plan.places[value] for value in values]
        addresses = [T.address_of(buffers[place.buffer][place.offset]) for place in places]
        statements.append(tirx.Evaluate(ir.Call(global_var, addresses, ret_ty="void")))
    statements.append(tirx.stmt.Return(tirx.const(0, "int32")))
    zero, cpu = tirx.const(0, "int32"), tirx.const(1, "int32")
    body = tirx.AttrStmt(zero, "device_id", zero, tirx.AttrStmt(zero, "device_type", cpu, tirx.SeqStmt(statements)))
    entry = tirx.PrimFunc(list(pointers.values()), body, ret_type=ir.PrimType("int32"))
    return entry.with_attrs({"global_symbol": ENTRY, "calling_conv": RAW_C_CALL, "s_tir": True})


def _pointer(dtype: str) -> ir.PointerType:
    return ir.PointerType(ir.PrimType(dtype))


def _find(
    names: list[tuple[tirx.PrimFunc, bool, ir.GlobalVar]], function: tirx.PrimFunc, aliased: bool
) -> ir.GlobalVar | None:
    """The kernel already made for an equal function."""
    for known, known_aliased, global_var in names:
        if known_aliased == aliased and (known is function or structural_equal(known, function)):
            return global_var
    return None


def _writes_over_a_read(call: Call, plan: MemoryPlan) -> bool:
    """True when the call works in place, so that its pointers may be equal."""
    read = {plan.places[value] for value in call.reads}
    return any(plan.places[value] in read for value in call.writes)

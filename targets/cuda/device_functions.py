"""Lowered kernels → CUDA C: a `__device__` function each, printed by TVM's generator, which needs no GPU.

    static __device__ __noinline__ void NAME(float *x_pointer, …, int thread, int threads)

No parameter is `__restrict__`: one launch runs many ticks, so nothing may be read through a cache that is not told of
other blocks' stores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import tvm
import tvm_ffi
from tvm import ir, s_tir, tirx

from astroedge.targets.cuda.device_arithmetic import c_integers, device_arithmetic
from astroedge.targets.cuda.plain_storage import plain_storage
from astroedge.targets.exact.exact_intrinsics import exact_intrinsics
from astroedge.targets.exact.hoist_lets import hoist_lets

INDEX_BITS = 32
_CHIP = "sm_87"  # names a target to TVM; the text is the same for all
_STARTS = re.compile(r'extern "C" __(?:global|device)__ void (?:__launch_bounds__\(\d+\) )?')


def device_functions(kernels: Mapping[str, tirx.PrimFunc]) -> str:
    """The CUDA C of kernels without blocks, by the names that their functions get.

    Raises UnsupportedOpError for a function without an exact form.
    """
    if not kernels:
        return ""
    target = tvm.target.Target({"kind": "cuda", "arch": _CHIP})
    module = tvm.IRModule({ir.GlobalVar(name): _of_pointers(item) for name, item in kernels.items()})
    with tvm.transform.PassContext(opt_level=3):
        module = _PLAIN(module)
        for rewrite in (exact_intrinsics, hoist_lets, plain_storage, device_arithmetic):
            module = _mapped(module, rewrite)
        module = _mapped(module, lambda function: function.with_attrs({"target": target}))
        module = tirx.transform.LowerIntrin()(module)
        module = _mapped(_mapped(module, c_integers), _local_arrays)
        named = {
            name: function.with_attr("global_symbol", name.name_hint) for name, function in module.functions.items()
        }
        source = tvm.get_global_func("target.build.cuda")(tvm.IRModule(named), target).inspect_source("")
    found = _STARTS.search(source)
    assert found is not None
    return _STARTS.sub("static __device__ __noinline__ void ", source[found.start() :])


_PLAIN = ir.transform.Sequential(
    [
        tirx.transform.FlattenBuffer(),
        tirx.transform.NarrowDataType(INDEX_BITS),
        s_tir.transform.LoopPartition(),
        tirx.transform.StorageRewrite(),
        tirx.transform.UnrollLoop(),
        s_tir.transform.RenormalizeSplitPattern(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.CommonSubexprElim(),
    ]
)
"""TVM's passes of `compiler/emit/lower_module.py` that plain loops need, in their order; exact functions come after."""


def _mapped(module: tvm.IRModule, rewrite: Callable[[tirx.PrimFunc], tirx.PrimFunc]) -> tvm.IRModule:
    return tvm.IRModule({name: rewrite(function) for name, function in module.functions.items()})


def _of_pointers(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The kernel as a function of raw pointers, which may be equal, and the numbers behind them."""
    arrays = [item for item in function.params if not isinstance(item.ty, ir.PrimType)]
    pointers = [tirx.Var(f"{item.name}_pointer", ir.PointerType(ir.PrimType(str(item.ty.dtype)))) for item in arrays]
    declared = [tirx.DeclBuffer(item, data=pointer) for item, pointer in zip(arrays, pointers, strict=True)]
    body = tirx.SeqStmt([*declared, function.body])
    parameters = [*pointers, *function.params[len(arrays) :]]
    return tirx.PrimFunc(parameters, body).with_attrs({"tirx.noalias": False, "s_tir": True})


def _local_arrays(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The kernel's own arrays, on the stack of a CPU, as those of a thread."""
    names: dict[tirx.Var, tirx.Var] = {}

    def note(statement: tirx.AllocBuffer) -> None:
        array = statement.buffer
        names[array] = tirx.decl_buffer(array.ty.shape, array.ty.dtype, array.name, scope="local")

    tvm_ffi.structural_walk(function.body, (tirx.AllocBuffer, note))
    if not names:
        return function
    return function.with_body(tvm_ffi.structural_map(function.body, (tirx.Var, lambda var: names.get(var, var))))

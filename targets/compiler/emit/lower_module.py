"""All kernels and the function that calls them → what LLVM's back end takes: the passes over the module.

TVM's lowering for CPUs in TVM's order, without what only GPUs need and with passes of our own. Fencing products is
the last thing that happens to arithmetic: a pass that simplified it afterwards would look for products and not find
them, and `LowerIntrin` may only see products that are fenced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import tvm
from tvm import s_tir, tirx

from astroedge.targets.compiler.emit.shuffle_strides import ShuffleStrides, shuffle_strides
from astroedge.targets.compiler.emit.store_floats import StoreFloats, store_floats
from astroedge.targets.exact.fence_products import FenceProducts, fence_products
from astroedge.targets.exact.widen_halves import WidenFences, fences_halves, widen_fences
from astroedge.targets.pass_list import Pass, run_passes

INDEX_BITS = 32


@dataclass
class LoweredModule:
    """A module on its way: `module` begins with lowered kernels (lower_kernel.py) and the function that calls them."""

    module: tvm.IRModule
    target: tvm.target.Target
    math: str


MODULE_FACTS = {
    "module.bound": "every function knows the processor it is for",
    "module.flat": "arrays have one axis",
    "module.narrow": f"indices are integers of {INDEX_BITS} bits wherever they fit",
    "module.partitioned": "loops that were marked for it have no condition inside that only their ends need",
    "module.vectors": "vectorised loops are vectors",
    "module.shared": "arrays that are never needed at once share memory",
    "module.unrolled": "loops marked to be unrolled are",
    "module.renormalised": "quotients and remainders of indices have the form that the simplifier knows",
    "module.simplified": "the simplifier has been through all statements",
    "module.shuffled": "every other element of memory is read as two vectors and a choice of their lanes; nothing is "
    "read outside the first and the last of them",
    "module.minimal": "no statement without effect is left",
    "module.safe": "a selection reads no memory on the side that is not chosen",
    "module.distinct": "what is computed twice is computed once and named",
    "module.verified": "no function for the CPU touches a GPU's memory",
    "module.host": "every function is one for the CPU",
    "module.callable": "every function has the parameters it has in C",
    "module.fenced": "every float product and quotient is the direct operand of a fence, so that nothing contracts it; "
    "with fast math products are free",
    "module.widened": "no fence is around a float16 where LLVM takes none",
    "module.native": "of TVM's intrinsics only what LLVM has is left",
    "module.stored": "no float has a name: what would have one is an array of one element",
}
"""What each fact says of a module."""


def _tvm(
    make: Callable[[], tvm.ir.transform.Pass],
    what: str,
    *,
    requires: tuple[str, ...] = (),
    ensures: tuple[str, ...] = (),
    name: str = "",
) -> Pass[LoweredModule]:
    """A pass of TVM's; `name` where `make` has none."""

    def run(state: LoweredModule) -> None:
        state.module = make()(state.module)

    return Pass(name or make.__name__, "TVM", what, requires, ensures, run)


def _bind(state: LoweredModule) -> None:
    state.module = tirx.transform.BindTarget(state.target)(state.module)


def _shuffle(state: LoweredModule) -> None:
    state.module = ShuffleStrides()(state.module)


def _fence(state: LoweredModule) -> None:
    if state.math == "exact":
        state.module = FenceProducts()(state.module)


def _widen(state: LoweredModule) -> None:
    if not fences_halves(state.target):
        state.module = WidenFences()(state.module)


def _store(state: LoweredModule) -> None:
    state.module = StoreFloats()(state.module)


MODULE_PASSES: tuple[Pass[LoweredModule], ...] = (
    Pass("BindTarget", "TVM", "Write the processor into every function.", (), ("module.bound",), _bind),
    _tvm(tirx.transform.FlattenBuffer, "Turn several indices into one.", ensures=("module.flat",)),
    _tvm(
        partial(tirx.transform.NarrowDataType, INDEX_BITS),
        "Compute indices in fewer bits where they fit.",
        requires=("module.flat",),
        ensures=("module.narrow",),
        name="NarrowDataType",
    ),
    _tvm(
        s_tir.transform.LoopPartition,
        "Cut loops where a condition inside them changes.",
        requires=("module.narrow",),
        ensures=("module.partitioned",),
    ),
    _tvm(
        partial(tirx.transform.VectorizeLoop, True),
        "Write vectorised loops as vectors.",
        requires=("module.flat", "module.partitioned"),
        ensures=("module.vectors",),
        name="VectorizeLoop",
    ),
    _tvm(
        tirx.transform.StorageRewrite,
        "Give arrays whose uses do not overlap the same memory.",
        requires=("module.flat", "module.vectors"),
        ensures=("module.shared",),
    ),
    _tvm(
        tirx.transform.UnrollLoop,
        "Repeat the body of a marked loop instead of running it.",
        requires=("module.vectors",),
        ensures=("module.unrolled",),
    ),
    _tvm(
        s_tir.transform.RenormalizeSplitPattern,
        "Write the remainder of a quotient as the quotient of a remainder.",
        requires=("module.narrow",),
        ensures=("module.renormalised",),
    ),
    _tvm(
        tirx.transform.StmtSimplify,
        "Simplify expressions, conditions and indices.",
        requires=("module.vectors", "module.unrolled", "module.renormalised"),
        ensures=("module.simplified",),
    ),
    Pass.of(
        shuffle_strides,
        requires=("module.flat", "module.vectors", "module.simplified"),
        ensures=("module.shuffled",),
        run=_shuffle,
    ),
    _tvm(
        tirx.transform.RemoveNoOp,
        "Remove statements without effect.",
        requires=("module.simplified",),
        ensures=("module.minimal",),
    ),
    _tvm(
        s_tir.transform.RewriteUnsafeSelect,
        "Make a selection that reads memory a branch.",
        requires=("module.simplified",),
        ensures=("module.safe",),
    ),
    _tvm(
        tirx.transform.CommonSubexprElim,
        "Name what is computed twice.",
        requires=("module.simplified", "module.shuffled"),
        ensures=("module.distinct",),
    ),
    _tvm(
        tirx.transform.VerifyMemory,
        "Look for memory that is not the CPU's.",
        requires=("module.bound",),
        ensures=("module.verified",),
    ),
    _tvm(tirx.transform.AnnotateEntryFunc, "Mark the function of a module that has only one."),
    _tvm(
        tirx.transform.SplitHostDevice,
        "Separate what runs on a GPU: nothing.",
        requires=("module.bound",),
        ensures=("module.host",),
    ),
    _tvm(
        tirx.transform.MakePackedAPI,
        "Give functions the parameters of their calling convention: here the ones they have.",
        requires=("module.bound", "module.host"),
        ensures=("module.callable",),
    ),
    Pass.of(
        fence_products,
        requires=(
            "module.simplified", "module.shuffled", "module.minimal", "module.safe", "module.distinct",
            "module.callable",
        ),
        ensures=("module.fenced",),
        run=_fence,
    ),
    Pass.of(widen_fences, requires=("module.bound", "module.fenced"), ensures=("module.widened",), run=_widen),
    _tvm(
        tirx.transform.LowerTVMBuiltin,
        "Leave small arrays on the stack and lower TVM's own builtins.",
        requires=("module.callable",),
    ),
    _tvm(
        tirx.transform.LowerIntrin,
        "Write what is left of TVM's intrinsics for the processor.",
        requires=("module.bound", "module.fenced", "module.widened"),
        ensures=("module.native",),
    ),
    Pass.of(store_floats, requires=("module.distinct", "module.native"), ensures=("module.stored",), run=_store),
)  # fmt: skip
"""All that is done to the module, in this order."""


def lower_module(module: tvm.IRModule, target: tvm.target.Target, math: str) -> tvm.IRModule:
    """Lower a module of kernels and the function that calls them."""
    state = LoweredModule(module, target, math)
    run_passes(MODULE_PASSES, state)
    return state.module

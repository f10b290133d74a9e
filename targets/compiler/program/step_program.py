"""The step as a straight line of kernel calls on named values: what the last passes work on.

After fusion nothing of a Relax module is needed but its order: each call reads values and writes values. A value is an
input, a state, a weight or something a call computes; where it lives is decided later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from math import prod

import numpy as np
import tvm
from tvm import relax, tirx

from astroedge.abi.layout import DTYPES
from astroedge.errors import CompileError
from astroedge.step.spec import StepSpec
from astroedge.targets.compiler.lower.legalize import PRODUCT_ATTRIBUTE
from astroedge.targets.compiler.lower.lowerings.relax_calls import numbers_of
from astroedge.targets.compiler.program.blocks import is_reshape
from astroedge.targets.kernels.products.row_form import RowForm
from astroedge.targets.pass_list import UnknownForm
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE

PART = "part"
"""The kind of what lies inside another value, which one call writes whole."""

OWN = "own"
"""The kind of what each block of threads of a GPU computes for itself, in memory of its own."""


@dataclass(eq=False)
class Value:
    """An array of the step: `kind` is "input", "state", "weight", "computed", `PART` or `OWN`.

    `data` are the numbers of a weight; a part is the bytes of the computed value `whole` from `offset` on.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str
    data: np.ndarray | None = None
    whole: Value | None = None
    offset: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the dense array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class CallCost:
    """What is known of a call of a product's kernels beyond its operands, for `astroedge profile --kernels`.

    `module` is the product's name. `spikes` names the counter of the active inputs that it works on, None where it
    works on all; of each it reads `row` bytes, and `nbytes` whatever is active. `cycles` is the estimate of one call at
    the firing rates `astroedge.bundle.manifest.COST_RATES`, or one number where none counts; empty without an estimate.
    """

    module: str
    nbytes: int
    spikes: str | None = None
    row: int = 0
    cycles: tuple[int, ...] = ()


@dataclass(frozen=True)
class KernelCall:
    """One kernel call. The function takes pointers to `reads`, then to `writes`.

    `product` is the index of the matrix product a placeholder stands for, None for a real kernel. `kind` names the
    kernel for reports, `operators` what was fused into it. `touched` is about how many bytes it reads and writes in a
    tick where its operands do not tell (an event-driven product reads few of its weights). `cost` is a product's.
    `divided` is what a team of threads divides, where that is another function of the same parameters. `rows` is what
    the call is, if it is a product by long rows of weights. `held` is what a team may still read while it runs.
    """

    function: tirx.PrimFunc
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    kind: str
    operators: tuple[str, ...]
    product: int | None = None
    touched: int | None = None
    cost: CallCost | None = None
    divided: tirx.PrimFunc | None = None
    rows: RowForm | None = None
    held: tuple[Value, ...] = ()


@dataclass(frozen=True)
class StepProgram:
    """The calls in order, and which value each input, output, next state, spike tensor and margin is."""

    inputs: list[Value]
    states: list[Value]
    outputs: list[Value]
    nexts: list[Value]
    spikes: list[Value]
    margins: list[Value]
    calls: list[KernelCall] = field(default_factory=list)


def fuse(module: tvm.IRModule) -> tvm.IRModule:
    """Fuse element-wise chains; what is left of `main` is calls and views."""
    passes = [
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.DeadCodeElimination(),
        relax.transform.CanonicalizeBindings(),
    ]
    return tvm.ir.transform.Sequential(passes)(module)


def build_program(module: tvm.IRModule, spec: StepSpec) -> StepProgram:
    """Read the fused module into a `StepProgram`.

    Raises CompileError for anything but calls of TIR functions with static shapes.
    """
    main = module["main"]
    values: dict[relax.Var, Value] = {}
    described = [(item.name, item.shape, item.dtype, "input") for item in spec.inputs]
    described += [(item.name, item.shape, item.dtype, "state") for item in spec.states]
    for var, (name, shape, dtype, kind) in zip(main.params, described, strict=True):
        values[var] = Value(name, shape, dtype, kind)
    reader = _Reader(module, values)
    result: list[Value] = []
    for block in main.body.blocks:
        for binding in block.bindings:
            if isinstance(binding.value, relax.Tuple):
                result = [reader.value_of(item) for item in binding.value.fields]
            else:
                reader.read_binding(binding)
    parameters = list(values.values())
    counts = (len(spec.outputs), len(spec.states), len(spec.spikes))
    bounds = np.cumsum(counts)
    return StepProgram(
        inputs=parameters[: len(spec.inputs)],
        states=parameters[len(spec.inputs) : len(main.params)],
        outputs=result[: bounds[0]],
        nexts=result[bounds[0] : bounds[1]],
        spikes=result[bounds[1] : bounds[2]],
        margins=result[bounds[2] :],
        calls=reader.calls,
    )


class _Reader:
    """Turns bindings into calls; constants that are equal become one weight."""

    def __init__(self, module: tvm.IRModule, values: dict[relax.Var, Value]) -> None:
        self.module = module
        self.values = values
        self.tuples: dict[relax.Var, tuple[Value, ...]] = {}
        self.weights: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self.calls: list[KernelCall] = []

    def value_of(self, expression: relax.Expr) -> Value:
        """The value an argument stands for."""
        if isinstance(expression, tvm.ir.GenericConst):
            return self._weight(numbers_of(expression))
        if isinstance(expression, relax.Var) and expression in self.values:
            return self.values[expression]
        raise UnknownForm(f"The compiled step has an argument that is no tensor ({expression}); simplify the model.")

    def read_binding(self, binding: relax.VarBinding) -> None:
        """Add the call a binding makes, or remember that its variable is a view of another value."""
        value = binding.value
        if isinstance(value, relax.Var | tvm.ir.GenericConst):
            self.values[binding.var] = self.value_of(value)
            return
        if isinstance(value, relax.TupleGetItem):
            self.values[binding.var] = self.tuples[value.tuple_value][value.index]
            return
        operator = value.op.name if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) else ""
        if operator != "relax.call_tir":
            raise UnknownForm(f"The compiled step holds {operator or value}, which has no kernel; simplify the model.")
        function = self.module[value.args[0]]
        if is_reshape(function):
            self.values[binding.var] = self.value_of(value.args[1].fields[0])
            return
        results = _new_values(binding.var)
        self.tuples[binding.var] = results
        if len(results) == 1:
            self.values[binding.var] = results[0]
        self.calls.append(self._call(value, function, results))

    def _call(self, call: relax.Call, function: tirx.PrimFunc, results: tuple[Value, ...]) -> KernelCall:
        name = call.args[0].name_hint
        product = function.attrs.get(PRODUCT_ATTRIBUTE) if function.attrs else None
        kernel = function.attrs.get(KERNEL_ATTRIBUTE) if function.attrs else None
        return KernelCall(
            function=function,
            reads=tuple(self.value_of(argument) for argument in call.args[1].fields),
            writes=results,
            kind=str(kernel) if kernel is not None else "element-wise",
            operators=operators_of(name),
            product=None if product is None else int(product),
        )

    def _weight(self, data: np.ndarray) -> Value:
        contiguous = np.ascontiguousarray(data)
        digest = sha256(contiguous.reshape(-1).view(np.uint8).data).digest()
        key = (str(contiguous.dtype), contiguous.shape, digest)
        if key not in self.weights:
            name = f"weight_{len(self.weights)}"
            self.weights[key] = Value(name, contiguous.shape, _dtype(str(contiguous.dtype)), "weight", contiguous)
        return self.weights[key]


def operators_of(name: str) -> tuple[str, ...]:
    """The operators in the name that TVM gives a function, such as `fused_add1_greater_equal_tir_exp`."""
    words = [word for word in re.sub(r"\d+(?=_|$)", "", name.removeprefix("fused_")).split("_") if word]
    found: list[str] = []
    while words:
        count = next((n for n in range(len(words), 1, -1) if "_".join(words[:n]) in _long_names()), 1)
        found.append("_".join(words[:count]))
        del words[:count]
    return tuple(item for item in found if item != "tir")


@cache
def _long_names() -> frozenset[str]:
    """The operators of Relax whose names have several words."""
    names = (str(name).rpartition(".")[2] for name in tvm.ir.Op.list_op_names() if str(name).startswith("relax."))
    return frozenset(name for name in names if "_" in name)


def _new_values(var: relax.Var) -> tuple[Value, ...]:
    """The value a call makes, or all of them where it makes a tuple."""
    types = list(var.ty.fields) if isinstance(var.ty, relax.TupleType) else [var.ty]
    return tuple(
        Value(str(var.name), tuple(int(extent) for extent in item.shape), _dtype(str(item.dtype)), "computed")
        for item in types
    )


def _dtype(name: str) -> str:
    """The dtype in a buffer; the formats have no others."""
    if name not in DTYPES:
        raise CompileError(f"The step computes with {name}; only {', '.join(DTYPES)} are supported. Cast in the model.")
    return name

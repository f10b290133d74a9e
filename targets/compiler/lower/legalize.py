"""Relax operators → TIR functions, one per operator; matrix products become placeholders with a description.

What has a kernel of its own (products, layer norm, softmax, reductions over one vector) becomes a `call_tir` of an
opaque function, which fusion leaves alone. Everything else takes TVM's own lowering and is fused and scheduled later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
import tvm
from tvm import relax, te
from tvm.relax.expr_functor import PyExprMutator, mutator

from astroedge.errors import CompileError
from astroedge.step.operators import relax_operators
from astroedge.targets.compiler.lower.import_graph import ImportedStep
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct, read_convolution
from astroedge.targets.compiler.lower.sparsity import Sparsity
from astroedge.targets.kernels.arg_reduce import arg_reduce
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.products.embedding import embedding_row, pack_embedding
from astroedge.targets.kernels.reduce import layer_norm, reduce_last, softmax
from astroedge.targets.precision.quantise_weights import StoredWeights
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE

OPAQUE = 8  # TVM's OpPatternKind.kOpaque: never fused with a neighbour
PRODUCT_ATTRIBUTE = "astroedge.product"
WEIGHT_ATTRIBUTE = "astroedge.weight"  # the key of the stored matrix whose transpose an embedding kernel reads
EMBEDDING = "embedding"
REDUCTIONS = relax_operators(lambda row: row.kind == "reduction")
ARG_REDUCTIONS = relax_operators(lambda row: row.kind == "arg reduction")


@dataclass(frozen=True)
class Product:
    """A matrix product as the graph has it: `batch` products of (rows_out × rows) by (rows × columns).

    `constant` is True when the right operand is a weight (then `batch` is 1 and `rows_out` counts streams).
    """

    name: str
    batch: int
    rows_out: int
    rows: int
    columns: int
    constant: bool
    sparsity: Sparsity | None


def legalize(
    step: ImportedStep, sparse: dict[relax.Var, Sparsity], weights: StoredWeights
) -> tuple[tvm.IRModule, list[Product | ConvolutionProduct]]:
    """Lower every operator of `step` to TIR; returns the module and the products its placeholders stand for.

    Rows of tables that `weights` does not keep in float32 are read by a kernel of their own. A placeholder function
    carries its index into that list as the attribute `astroedge.product`.

    Raises CompileError for a product whose form no kernel covers.
    """
    rewriter = _PlaceProducts(step, sparse)
    main = rewriter.visit_expr(step.module["main"])
    rewriter.builder_.update_func(step.module.get_global_var("main"), main)
    module = rewriter.builder_.get()
    custom = dict.fromkeys(REDUCTIONS, _lower_reduction)
    custom |= dict.fromkeys(ARG_REDUCTIONS, _lower_arg_reduction)
    custom |= {"relax.nn.layer_norm": _lower_layer_norm, "relax.nn.softmax": _lower_softmax}
    custom["relax.take"] = partial(_lower_take, weights)
    module = relax.transform.LegalizeOps(custom)(module)
    _refuse_leftovers(module)
    return _isolate_reductions(module), rewriter.products


@mutator
class _PlaceProducts(PyExprMutator):
    """Replace matrix products by calls of placeholder functions."""

    def __init__(self, step: ImportedStep, sparse: dict[relax.Var, Sparsity]) -> None:
        super().__init__(step.module)
        self.names = step.products
        self.sparse = sparse
        self.products: list[Product | ConvolutionProduct] = []
        self.current: relax.Var | None = None

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Remember which variable is being bound, to name its product."""
        self.current = binding.var
        super().visit_var_binding_(binding)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Lower products and convolutions; leave other calls as they are."""
        visited = self.visit_expr_post_order(call)
        convolution = read_convolution(visited)
        if convolution is not None:
            return self._convolution(convolution, visited, self._sparsity(call.args[0]))
        if not isinstance(call.op, tvm.ir.Op) or call.op.name != "relax.matmul":
            return visited
        name = self.names.get(self.current, f"product_{len(self.products)}")
        dtype = _float_dtype(f"The matrix product {name!r}", visited.args)
        left, right = (_as_dtype(self.builder_, operand, "float32") for operand in visited.args)
        shape = _shape(visited)
        if _is_constant(left) and not _is_constant(right) and len(_shape(right)) == 1 and len(_shape(left)) == 2:
            left, right = right, relax.const(left.value.numpy().T.copy())
            sparsity = self._sparsity(call.args[1])
        else:
            sparsity = self._sparsity(call.args[0])
        if len(_shape(left)) == 1:
            left = _reshape(self.builder_, left, (1, *_shape(left)))
        if len(_shape(right)) == 1:
            right = _reshape(self.builder_, right, (*_shape(right), 1))
        if _is_constant(right) and len(_shape(right)) == 2:
            rows, columns = _shape(right)
            product = Product(name, 1, prod(_shape(left)) // rows, rows, columns, True, sparsity)
        else:
            left, right, product = self._batched(name, left, right, sparsity)
        return _as_dtype(self.builder_, self._call_placeholder(product, left, right, shape), dtype)

    def _convolution(self, shape: Convolution, call: relax.Call, sparsity: Sparsity | None) -> relax.Expr:
        """A convolution with its weights as a matrix W[taps, outputs]; with a single window it is a matrix product."""
        images, kernel = (_as_dtype(self.builder_, operand, "float32") for operand in call.args)
        weights = relax.const(kernel.value.numpy().reshape(shape.outputs, shape.taps).T.copy())
        name = self.names.get(self.current, f"product_{len(self.products)}")
        product: Product | ConvolutionProduct = ConvolutionProduct(name, shape, sparsity)
        if shape.is_matrix_product:
            images = _reshape(self.builder_, images, (shape.batch, shape.taps))
            product = Product(name, 1, shape.batch, shape.taps, shape.outputs, True, sparsity)
        result = self._call_placeholder(product, images, weights, _shape(call))
        return _as_dtype(self.builder_, result, str(call.ty.dtype.dtype))

    def _sparsity(self, operand: relax.Expr) -> Sparsity | None:
        return self.sparse.get(operand) if isinstance(operand, relax.Var) else None

    def _batched(
        self, name: str, left: relax.Expr, right: relax.Expr, sparsity: Sparsity | None
    ) -> tuple[relax.Expr, relax.Expr, Product]:
        """A product of two computed tensors: broadcast the batch so that one kernel serves."""
        left_shape, right_shape = _shape(left), _shape(right)
        batch = np.broadcast_shapes(left_shape[:-2], right_shape[:-2])
        if left_shape[:-2] != batch:
            left = self.builder_.emit(relax.op.broadcast_to(left, (*batch, *left_shape[-2:])))
        if right_shape[:-2] != batch:
            right = self.builder_.emit(relax.op.broadcast_to(right, (*batch, *right_shape[-2:])))
        product = Product(name, prod(batch), left_shape[-2], left_shape[-1], right_shape[-1], False, sparsity)
        return left, right, product

    def _call_placeholder(
        self, product: Product | ConvolutionProduct, left: relax.Expr, right: relax.Expr, shape: tuple[int, ...]
    ) -> relax.Expr:
        """Emit a call whose function only says which product it stands for."""
        operands = [
            te.placeholder(_shape(item), item.ty.dtype, label) for item, label in ((left, "left"), (right, "right"))
        ]
        result = te.compute(shape, lambda *index: operands[0](*[0] * len(_shape(left))), "product")
        function = te.create_prim_func([*operands, result]).without_attr("global_symbol")
        function = function.with_attrs({"op_pattern": OPAQUE, PRODUCT_ATTRIBUTE: len(self.products)})
        global_var = self.builder_.add_func(function, f"product_{len(self.products)}")
        self.products.append(product)
        return relax.call_tir(global_var, [left, right], out_ty=relax.TensorType(shape, "float32"))


def _lower_layer_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """nn.layer_norm over the last axes."""
    shape = _shape(call.args[0])
    axes = sorted(int(axis) % len(shape) for axis in call.attrs.axes)
    if axes != list(range(axes[0], len(shape))):
        raise CompileError(f"A layer norm over the axes {axes} of {shape} has no kernel; normalise over the last axes.")
    width = prod(shape[axes[0] :])
    dtype = _float_dtype("A layer norm", call.args)
    operands = [_as_dtype(builder, operand, "float32") for operand in call.args]
    function = layer_norm(prod(shape) // width, width, float(call.attrs.epsilon))
    return _as_dtype(builder, _call_kernel(builder, function, "layer_norm", operands, shape, "float32"), dtype)


def _lower_softmax(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """nn.softmax over the last axis."""
    shape = _shape(call.args[0])
    if int(call.attrs.axis) % len(shape) != len(shape) - 1:
        raise CompileError(f"A softmax over axis {call.attrs.axis} of {shape} has no kernel; use the last axis.")
    dtype = _float_dtype("A softmax", call.args)
    operand = _as_dtype(builder, call.args[0], "float32")
    function = softmax(prod(shape[:-1]), shape[-1])
    return _as_dtype(builder, _call_kernel(builder, function, "softmax", [operand], shape, "float32"), dtype)


def _lower_reduction(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """sum, mean, max and min over the last axes; other axes are moved last first."""
    operand = call.args[0]
    shape = _shape(operand)
    axes = range(len(shape)) if call.attrs.axis is None else sorted(int(axis) % len(shape) for axis in call.attrs.axis)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    order = [*kept, *axes]
    if order != list(range(len(shape))):
        operand = builder.emit(relax.op.permute_dims(operand, order))
    width = prod(shape[axis] for axis in axes)
    kind = call.op.name.removeprefix("relax.")
    function = reduce_last(kind, prod(shape) // width, width, str(operand.ty.dtype))
    out = tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))
    if not call.attrs.keepdims:
        out = tuple(shape[axis] for axis in kept)
    return _call_kernel(builder, function, kind, [operand], out, str(operand.ty.dtype))


def _lower_arg_reduction(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """argmax and argmin over one axis, which is moved last first, or over all elements."""
    operand = call.args[0]
    if call.attrs.axis is None:
        operand = _reshape(builder, operand, (prod(_shape(operand)),))
    shape = _shape(operand)
    axis = (len(shape) - 1 if call.attrs.axis is None else int(call.attrs.axis)) % len(shape)
    if axis != len(shape) - 1:
        order = [*(other for other in range(len(shape)) if other != axis), axis]
        operand = builder.emit(relax.op.permute_dims(operand, order))
    kind = call.op.name.removeprefix("relax.")
    function = arg_reduce(kind, prod(shape) // shape[axis], shape[axis], str(operand.ty.dtype.dtype))
    return _call_kernel(builder, function, kind, [operand], _shape(call), "int64")


def _lower_take(weights: StoredWeights, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Rows of a stored table; anything else is left to TVM's own lowering."""
    table, indices = call.args
    found = None
    if _is_constant(table) and len(_shape(table)) == 2 and call.attrs.axis == 0 and str(table.ty.dtype) == "float32":
        found = weights.find(table.value.numpy().T)
    if found is None or call.attrs.mode != "clip":
        return call.op.get_attr("FLegalize")(builder, call)
    key, stored = found
    entries, width = _shape(table)
    operands = [indices, *(relax.const(array) for array in pack_embedding(stored) if array is not None)]
    function = embedding_row(
        prod(_shape(indices)), entries, width, storage=stored.storage, index_dtype=str(indices.ty.dtype)
    )
    return _call_kernel(
        builder, function.with_attr(WEIGHT_ATTRIBUTE, key), EMBEDDING, operands, _shape(call), "float32"
    )


def _call_kernel(
    builder: relax.BlockBuilder,
    function: tvm.tirx.PrimFunc,
    name: str,
    operands: list[relax.Expr],
    shape: tuple[int, ...],
    dtype: str,
) -> relax.Expr:
    """Call a finished kernel; fusion must not open it."""
    function = function.without_attr("global_symbol").with_attrs({"op_pattern": OPAQUE, KERNEL_ATTRIBUTE: name})
    return relax.call_tir(builder.add_func(function, name), operands, out_ty=relax.TensorType(shape, dtype))


def _isolate_reductions(module: tvm.IRModule) -> tvm.IRModule:
    """Mark TVM's own lowered reductions (pooling, convolution, …) opaque: their loops are scheduled alone."""
    annotated = relax.transform.AnnotateTIROpPattern()(module)
    for global_var, function in annotated.functions.items():
        if isinstance(function, tvm.tirx.PrimFunc) and int(function.attrs.get("op_pattern", OPAQUE)) in (3, 4):
            annotated.update_func(global_var, function.with_attr("op_pattern", OPAQUE))
    return annotated


def _refuse_leftovers(module: tvm.IRModule) -> None:
    """Every operator must have become a TIR call."""
    allowed = {"relax.call_tir", "relax.reshape"}
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            call = binding.value
            if isinstance(call, relax.Call) and isinstance(call.op, tvm.ir.Op) and call.op.name not in allowed:
                raise CompileError(
                    f"The operator {call.op.name.removeprefix('relax.')} has no lowering with static shapes; "
                    "write that part of the model with simpler operators."
                )


def _float_dtype(what: str, operands: list[relax.Expr]) -> str:
    """The dtype of the operands of a kernel that computes in float32, rounding a float16 result once.

    Raises CompileError for any but these two.
    """
    dtypes = {str(operand.ty.dtype.dtype) for operand in operands}
    if dtypes not in ({"float32"}, {"float16"}):
        raise CompileError(
            f"{what} takes {' and '.join(sorted(dtypes))}, and there are kernels for float32 and float16 only. "
            "Cast its operands in the model."
        )
    return dtypes.pop()


def _as_dtype(builder: relax.BlockBuilder, value: relax.Expr, dtype: str) -> relax.Expr:
    """A value in another dtype; constants are converted here."""
    if _is_constant(value):
        return value if str(value.ty.dtype.dtype) == dtype else relax.const(value.value.numpy().astype(dtype))
    emitted = value if isinstance(value, relax.Var) else builder.emit(value)
    return emitted if str(emitted.ty.dtype.dtype) == dtype else builder.emit(relax.op.astype(emitted, dtype))


def _reshape(builder: relax.BlockBuilder, value: relax.Expr, shape: tuple[int, ...]) -> relax.Expr:
    """The same elements in another shape."""
    if _is_constant(value):
        return relax.const(value.value.numpy().reshape(shape))
    return builder.emit(relax.op.reshape(value, shape))


def _is_constant(expression: relax.Expr) -> bool:
    return isinstance(expression, tvm.ir.GenericConst)


def _shape(expression: relax.Expr) -> tuple[int, ...]:
    """The static shape of an expression."""
    return tuple(int(extent) for extent in expression.ty.shape)

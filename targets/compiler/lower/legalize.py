"""Relax operators → TIR functions, one per operator; matrix products become placeholders with a description.

What has a kernel of its own (products, layer norm, softmax, reductions over one vector) becomes a `call_tir` of an
opaque function, which fusion leaves alone. Everything else takes TVM's own lowering and is fused and scheduled later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np
import tvm
from tvm import relax, te
from tvm.relax.expr_functor import PyExprMutator, mutator

from astroedge.step.sparsity import Sparsity
from astroedge.targets.compiler.lower.cut_rows import cut_rows
from astroedge.targets.compiler.lower.import_graph import ImportedStep
from astroedge.targets.compiler.lower.lowerings import norms, orders, pooling, powers, reductions, scatters
from astroedge.targets.compiler.lower.lowerings.integers import (
    INTEGERS,
    integer_range,
    split_weights,
    stored_integers,
    whole_bytes,
)
from astroedge.targets.compiler.lower.lowerings.relax_calls import (
    OPAQUE,
    as_dtype,
    float_dtype,
    is_constant,
    numbers_of,
    reshape,
    shape_of,
    stored,
)
from astroedge.targets.compiler.lower.lowerings.tables import lower_take
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct, read_convolution
from astroedge.targets.compiler.lower.repeated_calls import lower_once
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.pass_list import UnknownForm
from astroedge.targets.precision.quantise_weights import StoredWeights

BYTES = ("int8", "uint8")
PRODUCT_ATTRIBUTE = "astroedge.product"


@dataclass(frozen=True)
class Product:
    """A matrix product as the graph has it: `batch` products of (rows_out × rows) by (rows × columns).

    `constant` is True when the right operand is a weight (then `batch` is 1 and `rows_out` counts streams). `sparsity`
    is what is known of the left operand, `other` of a right one that is computed. `dtype` is that of the result: of
    integers, a constant right operand is int8 and the left one fits an int16.
    """

    name: str
    batch: int
    rows_out: int
    rows: int
    columns: int
    constant: bool
    sparsity: Sparsity | None
    other: Sparsity | None = None
    dtype: str = "float32"

    @property
    def is_matrix_vector(self) -> bool:
        """Whether it is a computed matrix times a vector, of float32 numbers."""
        return not self.constant and self.columns == 1 and self.rows_out > 1 and self.dtype == "float32"


def legalize(
    step: ImportedStep, sparse: dict[relax.Var, Sparsity], weights: StoredWeights
) -> tuple[tvm.IRModule, list[Product | ConvolutionProduct]]:
    """Lower every operator of `step` to TIR; returns the module and the products its placeholders stand for.

    Rows of tables that `weights` does not keep in float32 are read by a kernel of their own. A placeholder function
    carries its index into that list as the attribute `astroedge.product`.

    Raises CompileError for a product whose form no kernel covers.
    """
    rewriter = _PlaceProducts(step, sparse, weights)
    main = rewriter.visit_expr(step.module["main"])
    rewriter.builder_.update_func(step.module.get_global_var("main"), main)
    module = cut_rows(rewriter.builder_.get())
    custom = {
        **reductions.LOWERINGS,
        **norms.LOWERINGS,
        **orders.LOWERINGS,
        **powers.LOWERINGS,
        **pooling.LOWERINGS,
        **scatters.LOWERINGS,
        "relax.take": partial(lower_take, weights),
    }
    module = relax.transform.LegalizeOps({**lower_once(module, custom), **custom})(module)
    _refuse_leftovers(module)
    return _isolate_stored(_isolate_reductions(module)), rewriter.products


@mutator
class _PlaceProducts(PyExprMutator):
    """Replace matrix products by calls of placeholder functions."""

    def __init__(self, step: ImportedStep, sparse: dict[relax.Var, Sparsity], weights: StoredWeights) -> None:
        super().__init__(step.module)
        self.names = step.products
        self.sparse = sparse
        self.weights = weights
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
        if str(visited.ty.dtype.dtype) in INTEGERS:
            return self._integer_product(name, visited)
        dtype = float_dtype(f"The matrix product {name!r}", visited.args)
        left, right = (_matrix(as_dtype(self.builder_, operand, "float32")) for operand in visited.args)
        shape = shape_of(visited)
        if is_constant(left) and not is_constant(right) and len(shape_of(left)) == 2:
            found = self._weights_first(name, left, right, shape, self._sparsity(call.args[1]))
            return as_dtype(self.builder_, found, dtype)
        sparsity = self._sparsity(call.args[0])
        left, right = self._as_matrices(left, right)
        if is_constant(right) and len(shape_of(right)) == 2:
            rows, columns = shape_of(right)
            product = Product(name, 1, prod(shape_of(left)) // rows, rows, columns, True, sparsity)
        else:
            left, right, product = self._batched(name, left, right, sparsity)
            product = replace(product, other=self._sparsity(call.args[1]))
        return as_dtype(self.builder_, self._call_placeholder(product, left, right, shape), dtype)

    def _weights_first(
        self, name: str, weights: relax.Expr, right: relax.Expr, shape: tuple[int, ...], sparsity: Sparsity | None
    ) -> relax.Expr:
        """A product W x of a weight matrix and a vector, or the columns of matrices, as xᵀ Wᵀ."""
        vector = len(shape_of(right)) == 1
        columns = reshape(self.builder_, right, (1, *shape_of(right))) if vector else self._transposed(right)
        weights = stored(numbers_of(weights).T)
        rows, outputs = shape_of(weights)
        product = Product(name, 1, prod(shape_of(columns)) // rows, rows, outputs, True, sparsity)
        result = shape if vector else (*shape_of(columns)[:-1], outputs)
        found = self._call_placeholder(product, columns, weights, result)
        return found if vector else reshape(self.builder_, self._transposed(found), shape)

    def _transposed(self, value: relax.Expr) -> relax.Expr:
        """The last two axes exchanged."""
        value = value if isinstance(value, relax.Var) else self.builder_.emit(value)
        shape = shape_of(value)
        if 1 in shape[-2:]:
            return reshape(self.builder_, value, (*shape[:-2], shape[-1], shape[-2]))
        order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        return self.builder_.emit(relax.op.permute_dims(value, order))

    def _integer_product(self, name: str, call: relax.Call) -> relax.Expr:
        """A product of integers: by int8 weights where these and the range of the left operand allow that."""
        left, right = call.args
        dtype, shape = str(call.ty.dtype.dtype), shape_of(call)
        numbers = stored_integers(self.builder_, right) if dtype == "int32" else None
        split = None if numbers is None else split_weights(numbers, integer_range(self.builder_, left))
        if split is None:
            left, right = self._as_matrices(left, right)
            left, right, product = self._batched(name, left, right, None)
            return self._call_placeholder(replace(product, dtype=dtype), left, right, shape)
        weights, offsets = split
        rows, columns = weights.shape
        flat = reshape(self.builder_, left, (prod(shape_of(left)) // rows, rows))
        product = Product(name, 1, shape_of(flat)[0], rows, columns, True, None, dtype=dtype)
        sums = self._call_placeholder(product, flat, stored(weights), (product.rows_out, columns))
        if offsets.any():
            total = self.builder_.emit(relax.op.sum(flat, axis=-1, keepdims=True))
            moved = self.builder_.emit(relax.op.multiply(total, relax.const(offsets)))
            sums = relax.op.add(self.builder_.emit(sums), moved)
        return reshape(self.builder_, self.builder_.emit(sums), shape)

    def _as_matrices(self, left: relax.Expr, right: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        """A row and a column of vectors; other operands as they are."""
        if len(shape_of(left)) == 1:
            left = reshape(self.builder_, left, (1, *shape_of(left)))
        if len(shape_of(right)) == 1:
            right = reshape(self.builder_, right, (*shape_of(right), 1))
        return left, right

    def _convolution(self, shape: Convolution, call: relax.Call, sparsity: Sparsity | None) -> relax.Expr:
        """A convolution with its weights as a matrix W[taps, outputs]; with a single window it is a matrix product.

        Weights that are whole numbers take a byte each, which changes no bit: kernels widen them.
        """
        images, kernel = (as_dtype(self.builder_, operand, "float32") for operand in call.args)
        matrix = numbers_of(kernel).reshape(shape.outputs, shape.taps).T
        whole = None if shape.is_matrix_product or self.weights.find(matrix) else whole_bytes(matrix)
        weights = stored(matrix if whole is None else whole)
        name = self.names.get(self.current, f"product_{len(self.products)}")
        product: Product | ConvolutionProduct = ConvolutionProduct(name, shape, sparsity)
        if shape.is_matrix_product:
            images = reshape(self.builder_, images, (shape.batch, shape.taps))
            product = Product(name, 1, shape.batch, shape.taps, shape.outputs, True, sparsity)
        result = self._call_placeholder(product, images, weights, shape_of(call))
        return as_dtype(self.builder_, result, str(call.ty.dtype.dtype))

    def _sparsity(self, operand: relax.Expr) -> Sparsity | None:
        return self.sparse.get(operand) if isinstance(operand, relax.Var) else None

    def _batched(
        self, name: str, left: relax.Expr, right: relax.Expr, sparsity: Sparsity | None
    ) -> tuple[relax.Expr, relax.Expr, Product]:
        """A product of two computed tensors: broadcast the batch so that one kernel serves."""
        left_shape, right_shape = shape_of(left), shape_of(right)
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
        dtype = product.dtype if isinstance(product, Product) else "float32"
        operands = [
            te.placeholder(shape_of(item), item.ty.dtype, label) for item, label in ((left, "left"), (right, "right"))
        ]
        result = te.compute(shape, lambda *index: operands[0](*[0] * len(shape_of(left))), "product")
        function = te.create_prim_func([*operands, result]).without_attr("global_symbol")
        function = function.with_attrs({"op_pattern": OPAQUE, PRODUCT_ATTRIBUTE: len(self.products)})
        global_var = self.builder_.add_func(function, f"product_{len(self.products)}")
        self.products.append(product)
        return relax.call_tir(global_var, [left, right], out_ty=relax.TensorType(shape, dtype))


def _isolate_reductions(module: tvm.IRModule) -> tvm.IRModule:
    """Mark TVM's own lowered reductions (pooling, convolution, …) opaque: their loops are scheduled alone."""
    annotated = relax.transform.AnnotateTIROpPattern()(module)
    for global_var, function in annotated.functions.items():
        if isinstance(function, tvm.tirx.PrimFunc) and int(function.attrs.get("op_pattern", OPAQUE)) in (3, 4):
            annotated.update_func(global_var, function.with_attr("op_pattern", OPAQUE))
    return annotated


def _isolate_stored(module: tvm.IRModule) -> tvm.IRModule:
    """Mark functions opaque whose results shall be stored: numbers that larger tensors read, and floats made 8 bits.

    Fused, a number such as a scale would be computed anew for every element, with all that it is made of. Layers of a
    quantised network would end up inside each other, and each has its value several times where it is kept in a range.
    """
    calls = [(binding.var, binding.value) for block in module["main"].body.blocks for binding in block.bindings]
    calls = [(var, call) for var, call in calls if _is_tir_call(call)]
    larger: set[relax.Expr] = set()
    for _, call in calls:
        if prod(shape_of(call)) > 1:
            larger.update(operand for operand in call.args[1].fields if isinstance(operand, relax.Var))
    for var, call in calls:
        operands = [str(operand.ty.dtype.dtype) for operand in call.args[1].fields]
        number = var in larger and prod(shape_of(call)) == 1
        if number or (str(call.ty.dtype.dtype) in BYTES and any("float" in dtype for dtype in operands)):
            module.update_func(call.args[0], module[call.args[0]].with_attr("op_pattern", OPAQUE))
    return module


def _is_tir_call(value: relax.Expr) -> bool:
    """Whether the value is one call of a TIR function with one result."""
    called = isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) and value.op.name == "relax.call_tir"
    return called and isinstance(value.ty, relax.TensorType)


def _refuse_leftovers(module: tvm.IRModule) -> None:
    """Every operator must have become a TIR call."""
    allowed = {"relax.call_tir", "relax.reshape"}
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            call = binding.value
            if isinstance(call, relax.Call) and isinstance(call.op, tvm.ir.Op) and call.op.name not in allowed:
                raise UnknownForm(
                    f"The operator {call.op.name.removeprefix('relax.')} has no lowering with static shapes; "
                    "write that part of the model with simpler operators."
                )


def _matrix(value: relax.Expr) -> relax.Expr:
    """A stored matrix without the leading axes of 1 that the importer gives it; any other value as it is."""
    shape = shape_of(value)
    if not is_constant(value) or len(shape) < 3 or prod(shape[:-2]) != 1:
        return value
    return stored(numbers_of(value).reshape(shape[-2:]))

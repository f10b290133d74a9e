"""ONNX step graph → Relax, keeping track of which value is which.

TVM's importer renames values, so nothing here goes by name: every ONNX value that later passes must find again is made
an extra graph output, and outputs keep their position through import, folding and simplification.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import GraphIndex, infer_types
from astroedge.step.operators import operators, relax_operators
from astroedge.step.spec import NEXT_PREFIX, STATE_PREFIX
from astroedge.step.spike_margin import float_comparisons, margin_nodes
from astroedge.targets.compiler.expand.empty_values import drop_empty
from astroedge.targets.compiler.expand.expand_operators import expand_operators
from astroedge.targets.compiler.lower.checked_importer import checked_import
from astroedge.targets.compiler.lower.fold_constants import fold_constants

if TYPE_CHECKING:
    from astroedge.step.spec import SpikeSpec

PRODUCTS = operators(lambda row: row.kind == "product")
RELAX_PRODUCTS = relax_operators(lambda row: row.kind == "product")
EXTREMES = {"relax.max": relax.op.maximum, "relax.min": relax.op.minimum}
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


@dataclass(frozen=True)
class ImportedStep:
    """A Relax module whose `main` returns a tuple: data outputs, next states, spikes, then margins when probing.

    `margins` names the spike tensors that the margins belong to. `spikes` and `products` map the Relax variable of a
    spike tensor, or of a matrix product's result, to its name. `operands` has the variables that products read, each
    with the ONNX value that it is; one variable may be several.
    """

    module: tvm.IRModule
    spikes: dict[relax.Var, str]
    products: dict[relax.Var, str]
    operands: list[tuple[relax.Var, str]]
    margins: tuple[str, ...]


def import_graph(graph: StepGraph, probes: bool) -> ImportedStep:
    """Import, decompose and fold `graph`; its spike tensors become outputs, and their margins too when `probes`.

    A spike tensor goes on as the numbers that it is first cast to. A margin says how far a neuron is from its threshold
    (astroedge/step/spike_margin.py).

    Raises UnsupportedOpError for an operator that TVM cannot import or gets wrong, UnknownForm for a form that it
    does not know.
    """
    model = deepcopy(graph.model)
    expand_operators(model)
    types = infer_types(model)
    if drop_empty(model, types):
        types = infer_types(model)
    casts = {node.input[0]: str(node.output[0]) for node in reversed(model.graph.node) if node.op_type == "Cast"}
    markers = [casts.get(spike.tensor, spike.tensor) for spike in graph.spec.spikes]
    margins = _add_margins(model, graph.spec.spikes) if probes else []
    matrices = {item.name for item in model.graph.initializer if len(item.dims) > 1}
    products = {node.output[0]: _product_name(matrices, node) for node in model.graph.node if node.op_type in PRODUCTS}
    first_spike = len(model.graph.output)
    kept = first_spike + len(markers) + len(margins)
    operands = _operands(model)
    for name in (*markers, *(f"margin.{name}" for name in margins), *products, *operands):
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    module = _simplify(checked_import(model, types))
    outputs = _output_vars(module["main"])
    spike_names = [spike.name for spike in graph.spec.spikes]
    return ImportedStep(
        module=_keep_outputs(module, kept),
        spikes=dict(zip(outputs[first_spike : first_spike + len(markers)], spike_names, strict=True)),
        margins=tuple(margins),
        products=_product_vars(module["main"], outputs[kept : kept + len(products)], list(products.values())),
        operands=list(zip(outputs[kept + len(products) :], operands, strict=True)),
    )


def _simplify(module: tvm.IRModule) -> tvm.IRModule:
    """Exact rewrites only: gathers clipped, splits cut, inference forms, constants folded, equal expressions merged."""
    rewriter = _RewriteCalls(module)
    rewriter.builder_.update_func(module.get_global_var("main"), rewriter.visit_expr(module["main"]))
    passes = [
        relax.transform.DecomposeOpsForInference(),
        relax.transform.CanonicalizeBindings(),
        relax.transform.EliminateCommonSubexpr(),
        tvm.transform.module_pass(lambda module, _: fold_constants(module), opt_level=0),
        relax.transform.EliminateCommonSubexpr(),
        relax.transform.CanonicalizeBindings(),
    ]
    return tvm.ir.transform.Sequential(passes)(rewriter.builder_.get())


@mutator
class _RewriteCalls(PyExprMutator):
    """Clip what a gather reads, write a Split as slices, and a Max or Min of several tensors element by element."""

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Rewrite gathers, relax.split and reductions of a stack; leave other calls as they are."""
        visited = self.visit_expr_post_order(call)
        operator = call.op.name if isinstance(call.op, tvm.ir.Op) else ""
        if operator == "relax.take" and call.attrs.mode == "fast":
            # Inputs are checked before the step, but an index may also be computed inside it.
            return relax.op.take(*visited.args, axis=visited.attrs.axis, mode="clip")
        if operator in ("relax.gather_elements", "relax.gather_nd"):
            return self._clip(visited)
        if operator in EXTREMES and isinstance(visited.args[0], relax.Var):
            stack = self.lookup_binding(visited.args[0])
            return self._extreme(visited, stack) if _calls(stack, "relax.stack") else visited
        if operator == "relax.split" and not isinstance(call.ty, relax.TupleType):
            return visited.args[0]  # into one piece
        if operator == "relax.split":
            return self._slices(visited.args[0], int(call.attrs.axis), call.ty.fields)
        if operator in ("relax.scatter_nd", "relax.scatter_elements") and visited.attrs.reduction in ("update", "none"):
            return self._select(visited)
        return visited

    def _clip(self, call: relax.Call) -> relax.Call:
        """A gather of single elements or of slices, with every index inside its axis."""
        data, indices = call.args
        extents = [int(extent) for extent in data.ty.shape]
        if call.op.name == "relax.gather_elements":
            last = np.array(extents[int(call.attrs.axis)] - 1)
        else:
            first = int(call.attrs.batch_dims)
            last = np.array(extents[first : first + int(indices.ty.shape[-1])]) - 1
        dtype = indices.ty.dtype.dtype
        clipped = relax.op.maximum(relax.op.minimum(indices, relax.const(last, dtype)), relax.const(0, dtype))
        return relax.Call(call.op, [data, clipped], call.attrs)

    def _select(self, call: relax.Call) -> relax.Call:
        """A write of one slice, as into a ring buffer, as a choice between the slice and what was there before.

        A choice is one of the operators that are fused and scheduled; a write at several places stays what it is, and
        is refused later. An index outside the axis writes nothing.
        """
        data, indices, updates = call.args
        shape, dtype = [int(extent) for extent in data.ty.shape], indices.ty.dtype.dtype
        if call.op.name == "relax.scatter_nd":
            axis, one = 0, [int(extent) for extent in indices.ty.shape] == [1, 1]
            indices = relax.op.reshape(indices, [1] * len(shape)) if one else indices
        else:
            axis = int(call.attrs.axis) % len(shape)
            one = [int(extent) for extent in indices.ty.shape] == [*shape[:axis], 1, *shape[axis + 1 :]]
        if not one:
            return call
        places = np.arange(shape[axis]).reshape([-1 if place == axis else 1 for place in range(len(shape))])
        wanted = self.builder_.emit(indices)
        from_end = relax.op.equal(wanted, relax.const(places - shape[axis], dtype))
        chosen = relax.op.logical_or(relax.op.equal(wanted, relax.const(places, dtype)), from_end)
        return relax.op.where(chosen, updates, data)

    def _extreme(self, call: relax.Call, stack: relax.Call) -> relax.Expr:
        """The importer stacks the operands of Max and Min and reduces the stack, which takes many times as long.

        It broadcasts them first; of a stored bound that would make a matrix, so they are taken as they were.
        """
        if [int(axis) for axis in call.attrs.axis or []] != [int(stack.attrs.axis)] or call.attrs.keepdims:
            return call
        return reduce(EXTREMES[call.op.name], map(self._before_broadcast, stack.args[0].fields))

    def _before_broadcast(self, value: relax.Expr) -> relax.Expr:
        made = self.lookup_binding(value) if isinstance(value, relax.Var) else None
        return made.args[0] if _calls(made, "relax.broadcast_to") else value

    def _slices(self, operand: relax.Expr, axis: int, pieces: Sequence[relax.TensorType]) -> relax.Tuple:
        """The pieces of a Split one by one: a kernel writes one array, and a slice joins the kernel that reads it."""
        extents = [int(piece.shape[axis]) for piece in pieces]
        ends = list(accumulate(extents))
        return relax.Tuple(
            [
                self.builder_.emit(relax.op.strided_slice(operand, [axis], [end - extent], [end]))
                for extent, end in zip(extents, ends, strict=True)
            ]
        )


def _calls(value: relax.Expr | None, name: str) -> TypeGuard[relax.Call]:
    return isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) and value.op.name == name


def _operands(model: onnx.ModelProto) -> list[str]:
    """What the products read but for what is stored."""
    stored = GraphIndex(model.graph).stored
    read = (name for node in model.graph.node if node.op_type in PRODUCTS for name in node.input[:2])
    return [name for name in dict.fromkeys(read) if name not in stored]


def _add_margins(model: onnx.ModelProto, spikes: tuple[SpikeSpec, ...]) -> list[str]:
    """Append the margins of the spike tensors that have one and return the names of these spike tensors."""
    elements, makers = infer_types(model).elements, GraphIndex(model.graph).makers
    named = []
    for spike in spikes:
        comparisons = float_comparisons(spike.tensor, makers, lambda name: elements.get(name) in FLOATS)
        if comparisons:
            model.graph.node.extend(margin_nodes(spike, comparisons))
            named.append(spike.name)
    return named


def _product_name(matrices: set[str], node: onnx.NodeProto) -> str:
    """A readable name for a product: that of its weight among `matrices`, of the state it reads, or its result's."""
    weight = next((name for name in node.input if name in matrices), None)
    if weight is not None:
        return str(weight).removesuffix(".weight")
    state = next((name for name in node.input if name.startswith((STATE_PREFIX, NEXT_PREFIX))), None)
    if state is not None:
        return str(state.partition(".")[2])
    return str(node.output[0])


def _output_vars(main: relax.Function) -> list[relax.Var]:
    """The expressions `main` returns, position by position; a value bound elsewhere is looked up."""
    bound = {binding.var: binding.value for block in main.body.blocks for binding in block.bindings}
    result = main.body.body
    while isinstance(result, relax.Var) and result in bound and isinstance(bound[result], relax.Var | relax.Tuple):
        result = bound[result]
    return list(result.fields) if isinstance(result, relax.Tuple) else [result]


def _product_vars(main: relax.Function, outputs: list[relax.Var], names: list[str]) -> dict[relax.Var, str]:
    """Map each product's own variable to its name, looking through a bias that import added after it."""
    bound = {binding.var: binding.value for block in main.body.blocks for binding in block.bindings}
    found: dict[relax.Var, str] = {}
    for output, name in zip(outputs, names, strict=True):
        current = output
        while current in bound and isinstance(bound[current], relax.Call):
            call = bound[current]
            if call.op.name in RELAX_PRODUCTS:
                found.setdefault(current, name)
                break
            current = call.args[0]
    return found


def _keep_outputs(module: tvm.IRModule, count: int) -> tvm.IRModule:
    """Drop the outputs that only marked values, and what only they needed."""
    main = module["main"]
    outputs = _output_vars(main)[:count]
    *blocks, last = main.body.blocks or [relax.DataflowBlock([])]  # a step that only passes values on binds nothing
    bindings = list(last.bindings)
    if bindings and bindings[-1].var.same_as(main.body.body) and isinstance(bindings[-1].value, relax.Tuple):
        bindings.pop()
    result_type = relax.TupleType([output.ty for output in outputs])
    result = relax.Var("result", result_type)
    block = relax.DataflowBlock([*bindings, relax.VarBinding(result, relax.Tuple(outputs))])
    body = relax.SeqExpr([*blocks, block], result)
    function = relax.Function(main.params, body, ret_ty=result_type, is_pure=True, attrs=main.attrs)
    functions = {**module.functions, module.get_global_var("main"): function}
    trimmed = tvm.IRModule(functions)
    return relax.transform.DeadCodeElimination()(relax.transform.Normalize()(trimmed))

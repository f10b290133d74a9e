"""ONNX step graph → Relax, keeping track of which value is which.

TVM's importer renames values, so nothing here goes by name: every ONNX value that later passes must find again is made
an extra graph output, and outputs keep their position through import, folding and simplification.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.relax.frontend.onnx import from_onnx

from astroedge.errors import CompileError, UnsupportedOpError
from astroedge.step_graph import StepGraph
from astroedge.step_spec import NEXT_PREFIX, STATE_PREFIX

if TYPE_CHECKING:
    from astroedge.step_spec import SpikeSpec

PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose")
COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")


@dataclass(frozen=True)
class ImportedStep:
    """A Relax module whose `main` returns a tuple: data outputs, next states, spikes, then margins when probing.

    `spikes` and `products` map the Relax variable of a spike tensor, or of a matrix product's result, to its name.
    """

    module: tvm.IRModule
    spikes: dict[relax.Var, str]
    products: dict[relax.Var, str]


def import_graph(graph: StepGraph, probes: bool) -> ImportedStep:
    """Import, decompose and fold `graph`; its spike tensors become outputs, and their margins too when `probes`.

    A margin is the difference of the two operands whose comparison makes the spike: membrane minus threshold.

    Raises UnsupportedOpError for an operator TVM cannot import, CompileError for a shape that is not static.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    markers = [_spike_marker(model, spike) for spike in graph.spec.spikes]
    margins = [_add_margin(model, spike) for spike in graph.spec.spikes] if probes else []
    products = {node.output[0]: _product_name(model, node) for node in model.graph.node if node.op_type in PRODUCTS}
    kept = len(model.graph.output) + len(markers) + len(margins)
    for name in (*markers, *margins, *products):
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    module = _simplify(_import_quietly(model))
    outputs = _output_vars(module["main"])
    first_spike = len(outputs) - len(products) - len(margins) - len(markers)
    spike_names = [spike.name for spike in graph.spec.spikes]
    return ImportedStep(
        module=_keep_outputs(module, kept),
        spikes=dict(zip(outputs[first_spike : first_spike + len(markers)], spike_names, strict=True)),
        products=_product_vars(module["main"], outputs[kept:], list(products.values())),
    )


def _import_quietly(model: onnx.ModelProto) -> tvm.IRModule:
    """Run TVM's importer without its prints; translate its errors."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return from_onnx(model, keep_params_in_input=False)
    except tvm.error.OpNotImplemented as error:
        missing = str(error).split("ONNX:")[-1].strip()
        raise UnsupportedOpError(
            f"TVM has no importer for the ONNX operator {missing}; the step cannot be compiled. "
            "Replace the operator in the model by simpler ones, or run the step graph in ONNX Runtime."
        ) from error
    except Exception as error:
        raise CompileError(
            f"TVM could not import the step graph ({str(error).strip().splitlines()[-1]}); it usually meets an "
            "operator form it does not know. Check the graph in ONNX Runtime and simplify the part the message names."
        ) from error


def _simplify(module: tvm.IRModule) -> tvm.IRModule:
    """Exact rewrites only: gathers clipped, inference forms, constants folded, equal expressions merged."""
    clipper = _ClipTakes(module)
    clipper.builder_.update_func(module.get_global_var("main"), clipper.visit_expr(module["main"]))
    passes = [
        relax.transform.DecomposeOpsForInference(),
        relax.transform.CanonicalizeBindings(),
        relax.transform.FoldConstant(),
        relax.transform.EliminateCommonSubexpr(),
        relax.transform.CanonicalizeBindings(),
    ]
    return tvm.ir.transform.Sequential(passes)(clipper.builder_.get())


@mutator
class _ClipTakes(PyExprMutator):
    """Clip what a Gather takes: inputs are checked before the step, but an index may also be computed inside it."""

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Change the mode of relax.take; leave other calls as they are."""
        visited = self.visit_expr_post_order(call)
        if isinstance(call.op, tvm.ir.Op) and call.op.name == "relax.take" and call.attrs.mode == "fast":
            return relax.op.take(*visited.args, axis=visited.attrs.axis, mode="clip")
        return visited


def _spike_marker(model: onnx.ModelProto, spike: SpikeSpec) -> str:
    """The value that carries the spikes on: the numeric cast of the comparison when there is one."""
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] == spike.tensor:
            return str(node.output[0])
    return str(spike.tensor)


def _add_margin(model: onnx.ModelProto, spike: SpikeSpec) -> str:
    """Append `left - right` of the comparison that makes the spike and return its name."""
    for node in model.graph.node:
        if spike.tensor in node.output and node.op_type in COMPARISONS:
            name = f"margin.{spike.name}"
            model.graph.node.append(onnx.helper.make_node("Sub", list(node.input), [name]))
            return name
    raise CompileError(f"The spike tensor {spike.name!r} is not made by a comparison; export the model again.")


def _product_name(model: onnx.ModelProto, node: onnx.NodeProto) -> str:
    """A readable name for a product: its weight's name, the state it reads, or the value it makes."""
    matrices = {item.name for item in model.graph.initializer if len(item.dims) > 1}
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
            if call.op.name in ("relax.matmul", "relax.nn.conv1d", "relax.nn.conv2d"):
                found.setdefault(current, name)
                break
            current = call.args[0]
    return found


def _keep_outputs(module: tvm.IRModule, count: int) -> tvm.IRModule:
    """Drop the outputs that only marked values, and what only they needed."""
    main = module["main"]
    outputs = _output_vars(main)[:count]
    *blocks, last = main.body.blocks
    bindings = list(last.bindings)
    if bindings and bindings[-1].var.same_as(main.body.body):
        bindings.pop()
    result_type = relax.TupleType([output.ty for output in outputs])
    result = relax.Var("result", result_type)
    block = relax.DataflowBlock([*bindings, relax.VarBinding(result, relax.Tuple(outputs))])
    body = relax.SeqExpr([*blocks, block], result)
    function = relax.Function(main.params, body, ret_ty=result_type, is_pure=True, attrs=main.attrs)
    functions = {**module.functions, module.get_global_var("main"): function}
    trimmed = tvm.IRModule(functions)
    return relax.transform.DeadCodeElimination()(relax.transform.Normalize()(trimmed))

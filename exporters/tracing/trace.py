"""From a step module to ONNX: the only calls of `torch.export` and `torch.onnx.export`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import onnx
import onnx_ir
import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from astroedge.errors import ExportError
from astroedge.exporters.shared.labels import unique
from astroedge.exporters.shared.randomness import draws_random, refuse_control_flow, refuse_random
from astroedge.exporters.tracing.dry_run import DryRun
from astroedge.exporters.tracing.fold_constants import fold_constants
from astroedge.exporters.tracing.trace_errors import operator, where, why_not_traced, why_not_translated
from astroedge.exporters.tracing.unread_parameters import unread_parameters
from astroedge.step import onnx_file
from astroedge.step.tensor_data import SMALL_TENSOR, HeldArray, Source

OPSET = 18
# What NumPy shows of a tensor without a copy.
VIEWED = (torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
INPUT, OUTPUT = "astroedge.input.", "astroedge.output."


def trace(
    module: nn.Module, arguments: Sequence[Tensor], input_names: list[str], output_names: list[str], seen: DryRun
) -> tuple[onnx.ModelProto, tuple[Source, ...]]:
    """Trace one tick of `module` on example `arguments` into an ONNX model with these input and output names.

    The large weights of a large model are references (`tensor_data`) to the module's own memory; what they lead to is
    returned beside the model. `seen` is what a dry run of the tick saw, for the words of errors; the parameters that no
    tick reads are added.

    Raises ExportError when the model can't be traced and UnsupportedOpError for an operator that has no place in a
    step.
    """
    with _quiet(), torch.no_grad():
        try:
            program = torch.export.export(module, tuple(arguments), strict=False).run_decompositions()
        except Exception as error:
            raise ExportError(why_not_traced(error, seen)) from error
        seen.unread = unread_parameters(program)
        _refuse_operators(program.graph)
        _expand_copies(program)
        fold_constants(program)
        try:
            model, sources = _to_onnx(program)
        except Exception as error:
            raise why_not_translated(error, program.graph) from error
    name_values(model.graph, input_names, output_names)
    return model, sources


@lru_cache(maxsize=1)
def warm_up() -> None:
    """Trace something trivial in this process, once.

    The first trace imports hundreds of modules; a forked child inherits them, so that every later export is faster.
    """

    class AddOne(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    with _quiet():
        program = torch.export.export(AddOne(), (torch.zeros(1),), strict=False).run_decompositions()
        _to_onnx(program)


def _to_onnx(program: ExportedProgram) -> tuple[onnx.ModelProto, tuple[Source, ...]]:
    """Translate a program of ATen operators to ONNX.

    Inputs and outputs get names here that nothing else has: PyTorch does not notice when a name that a user gives is
    also that of a value inside.
    """
    specs = program.graph_signature.input_specs
    inputs = [f"{INPUT}{number}" for number in range(sum(spec.kind == InputKind.USER_INPUT for spec in specs))]
    outputs = [f"{OUTPUT}{number}" for number in range(len(program.graph_signature.output_specs))]
    translated = torch.onnx.export(
        program, (), dynamo=True, opset_version=OPSET, input_names=inputs, output_names=outputs, verbose=False
    )
    assert translated is not None
    sources = _refer_to_memory(translated.model.graph)
    return translated.model_proto, sources


def _refer_to_memory(graph: onnx_ir.Graph) -> tuple[Source, ...]:
    """Put references to where the weights lie in the place of the large initialisers of a large graph, in place."""
    stored = {name: value.const_value for name, value in graph.initializers.items() if value.const_value is not None}
    if sum(tensor.nbytes for tensor in stored.values()) <= onnx_file.EXTERNAL_LIMIT:
        return ()
    held = []
    for name, tensor in stored.items():
        raw = getattr(tensor, "raw", None)
        if tensor.nbytes <= SMALL_TENSOR or not isinstance(raw, Tensor) or raw.dtype not in VIEWED:
            continue
        held.append(HeldArray(raw.detach().numpy()))
        graph.initializers[name].const_value = onnx_ir.ExternalTensor(
            held[-1].word, 0, tensor.nbytes, tensor.dtype, shape=onnx_ir.Shape(raw.shape), name=name
        )
    return tuple(held)


def name_values(graph: onnx.GraphProto, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give the graph's inputs and outputs their names; a value inside that has one of these names gets another."""
    taken = {*inputs, *outputs}
    renamed = dict(zip([value.name for value in (*graph.input, *graph.output)], (*inputs, *outputs), strict=True))
    inner = [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]
    for name in inner:
        if name not in renamed and name in taken:
            renamed[name] = unique(name, taken | set(inner) | set(renamed.values()))
    for item in (*graph.input, *graph.output, *graph.initializer):
        item.name = renamed.get(item.name, item.name)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings and log lines that tracing prints."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _expand_copies(program: ExportedProgram) -> None:
    """Give what is copied into a slice the shape of the slice, which PyTorch's translation of a copy leaves out."""
    for node in list(program.graph.nodes):
        if node.op != "call_function" or node.target is not torch.ops.aten.copy.default:
            continue
        source, shape = node.args[1], node.meta["val"].shape
        if source.meta["val"].shape != shape:
            with program.graph.inserting_before(node):
                expanded = program.graph.call_function(torch.ops.aten.expand.default, (source, list(shape)))
            expanded.meta = {**node.meta, "val": source.meta["val"].expand(shape)}
            node.args = (node.args[0], expanded)
    program.graph_module.recompile()


def _refuse_operators(graph: fx.Graph) -> None:
    """No randomness and no control flow inside a step."""
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        if draws_random(node.target, node.args, node.kwargs):
            refuse_random(where(node), operator(node))
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            refuse_control_flow(where(node), operator(node))

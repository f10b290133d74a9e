"""Which node of a step graph it is that cannot be compiled, found by compiling each alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import tvm
from onnx import helper

from astroedge.errors import AstroEdgeError, GraphError
from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import GraphIndex, ValueTypes, infer_types
from astroedge.step.operators import made_by, operator
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target, tvm_target
from astroedge.targets.compile_request import CompileRequest
from astroedge.targets.compiler.compilation import Compilation
from astroedge.targets.compiler.device_passes import passes_for
from astroedge.targets.compiler.emit.native_kernels import NativeKernels
from astroedge.targets.pass_list import PassFailure, UnknownForm, run_passes

LOOPS = "schedule_calls"  # the pass that gives every call its loops on a processor
DEVICE_STEPS = (
    "divide_calls",
    "build_device",
)  # on a GPU; a node alone goes as far as the second if it passes the first


def find_culprit(request: CompileRequest, native: tvm.target.Target) -> str | None:
    """What to say of the first node that the passes up to the schedules do not carry alone; None if they carry all.

    For a GPU, what its processor carries is refused with that as the cure, and then the code is built, too.
    """
    if not request.target.gpu:
        return _first(request, native, LOOPS)
    return next(filter(None, (_first(request, native, step) for step in DEVICE_STEPS)), None)


def _first(request: CompileRequest, native: tvm.target.Target, last: str) -> str | None:
    """The same for the passes up to one."""
    model = request.graph.model
    types, stored = infer_types(model), GraphIndex(model.graph).stored
    seen: set[bytes] = set()
    for node in model.graph.node:
        form = _form(node, types, stored)
        if form in seen:
            continue
        seen.add(form)
        try:
            graph = _alone(node, request.graph, types, stored)
        except (GraphError, KeyError):
            continue
        alone = replace(request, graph=graph, probes=False)
        reason = _failure(alone, native, last)
        if reason is not None:
            return _refusal(node, reason, alone)
    return None


def _refusal(node: onnx.NodeProto, reason: str, alone: CompileRequest) -> str:
    """What to say of a node; `alone` is the compilation of it that fails for `reason`."""
    uses = f"{made_by([node])} uses {node.op_type}"
    if alone.target.gpu:
        processor = resolve_target(alone.target.processor)
        if _failure(replace(alone, target=processor), tvm_target(processor), LOOPS) is None:
            return (
                f"{uses} in a form that a GPU does not carry ({reason}): use the board's CPU target: {processor.name}."
            )
    limits = operator(node.op_type).limits
    compiled = f"; what is compiled of it: {limits}" if limits else ""
    return (
        f"{uses} in a form that has no kernel ({reason}){compiled}. Write it with other functions in the model; ONNX "
        "Runtime can run the graph as it is."
    )


def _failure(alone: CompileRequest, native: tvm.target.Target, last: str) -> str | None:
    """Why the passes up to `last` do not compile a node alone; None if they do."""
    passes = passes_for(alone.target)
    until = passes[: [item.name for item in passes].index(last) + 1]
    try:
        with native:
            run_passes(until, Compilation(alone, native, NativeKernels(native, alone.math)))
    except PassFailure as failure:
        return _line(failure.cause)
    except UnknownForm as error:
        return _line(error.__cause__ or error)
    except AstroEdgeError:
        return None  # an error that speaks for itself, and of another kind
    return None


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].split(";")[0].rstrip(".")[:160]


def _alone(node: onnx.NodeProto, graph: StepGraph, types: ValueTypes, stored: dict[str, onnx.TensorProto]) -> StepGraph:
    """A step of one node that reads what the node reads; KeyError where a size is not known."""
    fed = list(dict.fromkeys(name for name in node.input if name and name not in stored))
    made = [name for name in node.output if name]
    inputs, outputs = (tuple(_spec(name, types) for name in names) for names in (fed, made))
    constants = []
    for name in dict.fromkeys(name for name in node.input if name in stored):
        constant = onnx.TensorProto()
        constant.CopyFrom(stored[name])
        constant.name = name
        constants.append(constant)
    reads, gives = ([_value(item) for item in items] for items in (inputs, outputs))
    body = helper.make_graph([node], graph.name, reads, gives, constants)
    model = helper.make_model(body, opset_imports=graph.model.opset_import, ir_version=graph.model.ir_version)
    return StepGraph(model, StepSpec(inputs=inputs, outputs=outputs, states=()))


def _spec(name: str, types: ValueTypes) -> TensorSpec:
    return TensorSpec(name, types.shapes[name], str(helper.tensor_dtype_to_np_dtype(types.elements[name])))


def _value(item: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(item.name, helper.np_dtype_to_tensor_dtype(np.dtype(item.dtype)), item.shape)


def _form(node: onnx.NodeProto, types: ValueTypes, stored: dict[str, onnx.TensorProto]) -> bytes:
    """What makes two nodes the same to the compiler, but for large constants, of which the shape does."""
    operands: Iterator[object] = (
        stored[name].raw_data[:256] if name in stored else None for name in node.input if name
    )
    shapes = [(types.elements.get(name), types.shapes.get(name)) for name in (*node.input, *node.output)]
    attributes = [item.SerializeToString(deterministic=True) for item in node.attribute]
    return repr((node.op_type, attributes, shapes, list(operands))).encode()

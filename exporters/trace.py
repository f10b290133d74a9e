"""From a step module to ONNX: the only calls of `torch.export` and `torch.onnx.export`.

Whatever depends on parameters and constants alone is computed here by PyTorch itself, so that a decay derived from a
parameter has in the graph exactly the bits it has in the model.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Sequence
from itertools import count
from typing import Any

import onnx
import torch
from torch import Tensor, fx
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument

from astroedge.errors import AstroEdgeError, ExportError, UnsupportedOpError
from astroedge.exporters.step_module import StepModule

OPSET = 18
WRAPPER = "model"  # attribute of StepModule that holds the user's model; its name is cut from every path
LAYOUT_OPERATORS = (
    "permute",
    "view",
    "reshape",
    "clone",
    "unsqueeze",
    "squeeze",
    "expand",
    "t",
    "transpose",
    "_to_copy",
)
SMALL_CONSTANT = 4096  # elements; a larger constant is only made if no copy of its source stays behind


def trace(
    module: StepModule, arguments: Sequence[Tensor], input_names: list[str], output_names: list[str]
) -> onnx.ModelProto:
    """Trace one tick of `module` on example `arguments` into an ONNX model with these input and output names.

    Raises ExportError when the model cannot be traced and UnsupportedOpError for an operator that has no place in a step.
    """
    logging.disable(logging.WARNING)  # this runs in a child process of its own
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = _export(module, arguments)
        _refuse_operators(program.graph)
        _fold_constants(program)
        return _to_onnx(program, input_names, output_names)


def _export(module: StepModule, arguments: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """The step as a program of ATen operators, decomposed to the core ones."""
    try:
        program = torch.export.export(module, tuple(arguments), strict=False)
        _refuse_operators(program.graph)
        return program.run_decompositions()
    except AstroEdgeError:
        raise
    except Exception as error:
        raise ExportError(_why_not_traced(error)) from error


def _to_onnx(program: torch.export.ExportedProgram, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    """Translate the program to ONNX."""
    try:
        translated = torch.onnx.export(
            program, (), dynamo=True, opset_version=OPSET, input_names=inputs, output_names=outputs, verbose=False
        )
    except Exception as error:
        raise UnsupportedOpError(_why_not_translated(error, program.graph)) from error
    assert translated is not None
    return translated.model_proto


def _refuse_operators(graph: fx.Graph) -> None:
    """No randomness and no control flow inside a step."""
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        tags = getattr(node.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags:
            raise UnsupportedOpError(
                f"{_where(node)} draws random numbers ({_operator(node)}), so no two runs of the step would agree; call "
                "model.eval() if it is dropout, else pass the noise in as an input."
            )
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            raise UnsupportedOpError(
                f"{_where(node)} uses control flow inside the step ({_operator(node)}); write it with torch.where or unroll it."
            )


def _where(node: fx.Node) -> str:
    """The module that made a node, as `path (Class)`."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "The model"
    path, kind = stack[-1]
    name = getattr(kind, "__name__", str(kind).rpartition(".")[2])
    short = ".".join(part for part in str(path).split(".") if part not in ("", WRAPPER))
    return f"Module {short!r} ({name})" if short else f"The model ({name})"


def _operator(node: fx.Node) -> str:
    name = str(node.target)
    return name.removesuffix(".default")


def _why_not_traced(error: Exception) -> str:
    """One line for what `torch.export` raised."""
    kind, text = type(error).__name__, str(error)
    if "data-dependent" in text or kind in ("GuardOnDataDependentSymNode", "UserError"):
        place = _user_line(error)
        return (
            f"The model decides in Python on the value of a tensor{place}, which a step graph cannot do: a value read with "
            "item(), int() or `if` is fixed when tracing; use torch.where, or make it a Python constant."
        )
    reason = next((line.strip() for line in text.splitlines() if line.strip()), kind)[:300]
    return f"The model cannot be traced ({kind}: {reason}){_user_line(error)}; use torch functions on tensors of fixed shape only."


def _user_line(error: BaseException) -> str:
    """` at FILE:LINE` of the innermost frame outside PyTorch and this package, or nothing."""
    found = ""
    trace_back = error.__traceback__
    while trace_back is not None:
        code = trace_back.tb_frame.f_code
        if not any(part in code.co_filename for part in ("/torch/", "exporters/", "<frozen", "<string>")):
            found = f" at {code.co_filename.rpartition('/')[2]}:{trace_back.tb_lineno}"
        trace_back = trace_back.tb_next
    return found


def _why_not_translated(error: BaseException, graph: fx.Graph) -> str:
    """One line for what `torch.onnx.export` raised; names the operator and the module it came from."""
    text = ""
    cause: BaseException | None = error
    while cause is not None:
        text += f"{cause}\n"
        cause = cause.__cause__
    for node in graph.nodes:
        if node.op == "call_function" and f"'{node.target!s}'".replace("'", "") in text.replace("'", ""):
            if "No ONNX function" in text or "No decomposition" in text or "not found" in text:
                return f"{_where(node)} uses {_operator(node)}, which has no ONNX form; write it with other torch functions."
    reason = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)[:300]
    return f"The step cannot be written as ONNX ({reason}); write the failing operation with other torch functions."


def _fold_constants(program: torch.export.ExportedProgram) -> None:
    """Replace every value that depends on parameters and constants alone by that value, named after its source."""
    graph, signature = program.graph, program.graph_signature
    stored = {**program.state_dict, **program.constants}
    known: dict[fx.Node, Tensor] = {}
    names: dict[fx.Node, str] = {}
    for spec, node in zip(signature.input_specs, graph.nodes, strict=False):
        if spec.kind != InputKind.USER_INPUT and isinstance(stored.get(spec.target), Tensor):
            known[node], names[node] = stored[spec.target], str(spec.target)
    for node in graph.nodes:
        if node.op == "call_function" and _foldable(node, known):
            value = node.target(*fx.map_arg(node.args, known.__getitem__), **fx.map_arg(node.kwargs, known.__getitem__))
            known[node] = value.detach().clone().contiguous()
            names[node] = _constant_name(node, names)
    folded = [node for node in known if node.op == "call_function" and any(user not in known for user in node.users)]
    constants = [_hoist(program, node) for node in folded]
    graph.eliminate_dead_code()
    _drop_unused(program)
    taken = {str(spec.target) for spec in signature.input_specs}
    for spec, node in zip(constants, folded, strict=True):
        name = unique(names[node], taken)
        taken.add(name)
        spec.target = name
        program.constants[name] = known[node]
    program.graph_module.recompile()


def _foldable(node: fx.Node, known: dict[fx.Node, Tensor]) -> bool:
    """Whether a node's value is constant and worth keeping in place of its sources."""
    sources = node.all_input_nodes
    value: Any = node.meta.get("val")
    if not sources or not isinstance(value, Tensor) or any(source not in known for source in sources):
        return False
    if value.numel() <= SMALL_CONSTANT:
        return True
    grows = value.numel() > sum(source.meta["val"].numel() for source in sources)
    return not grows and all(len(source.users) == 1 for source in sources)


def _constant_name(node: fx.Node, names: dict[fx.Node, str]) -> str:
    """A folded value's name: its source's, with the operator added unless it only rearranges it."""
    source = names[node.all_input_nodes[0]]
    operator = str(node.target).removeprefix("aten.").partition(".")[0]
    return source if operator in LAYOUT_OPERATORS else f"{source}.{operator}"


def _hoist(program: torch.export.ExportedProgram, node: fx.Node) -> InputSpec:
    """Let a new constant input of the graph stand for `node`; its signature entry, still without a name."""
    graph = program.graph
    with graph.inserting_before(next(iter(graph.nodes))):
        constant = graph.placeholder(f"folded_{node.name}")
    constant.meta = dict(node.meta)
    node.replace_all_uses_with(constant)
    spec = InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(name=constant.name), target=None)
    program.graph_signature.input_specs.insert(0, spec)
    return spec


def _drop_unused(program: torch.export.ExportedProgram) -> None:
    """Remove parameters and constants that nothing reads any more."""
    specs = program.graph_signature.input_specs
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    for spec, node in zip(list(specs), placeholders, strict=True):
        if spec.kind != InputKind.USER_INPUT and not node.users:
            specs.remove(spec)
            program.graph.erase_node(node)


def unique(name: str, taken: Collection[str]) -> str:
    """`name`, or `name_1`, `name_2`, … if it is taken."""
    candidates = (f"{name}_{number}" if number else name for number in count())
    return next(candidate for candidate in candidates if candidate not in taken)

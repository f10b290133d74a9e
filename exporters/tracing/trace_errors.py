"""One line for what PyTorch raises, often in pages, when it can't trace a model or write it as ONNX."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from torch import fx, nn

from astroedge.errors import ExportError, UnsupportedOpError
from astroedge.exporters.shared.library_code import is_library_file
from astroedge.exporters.tracing.dry_run import DryRun, Sighting

WRAPPER = "model"  # attribute of StepModule that holds the user's model; its name is cut from every path
LONGEST_REASON = 300


def why_not_traced(error: Exception, seen: DryRun) -> str:
    """One line for what `torch.export` raised, with the module that was seen to do what PyTorch cannot trace."""
    text = _text(error)
    place = _user_line(error)
    who = _user_module(error)
    if "data-dependent" in text or "Could not guard" in text:
        who, how, where = _sighted(seen.values, who, place)
        return (
            f"{who} decides in Python on the value of a tensor{how}{where}, which a step graph can't do: a value read "
            "with item(), int(), `if` or as the place of a write would be fixed; use torch.where, an index of "
            "shape [1] to write to, or a Python constant."
        )
    if "fake tensor" in text or ".numpy()" in text:
        who, how, where = _sighted(seen.escapes, who, place)
        return (
            f"{who} leaves what PyTorch can trace{how}{where}: it uses `.data` or NumPy in forward, or keeps tensors "
            "outside its modules; use detach() and torch functions, and hold state in buffers."
        )
    return f"{who} cannot be traced{place} ({_reason(error)}); use torch functions on tensors of fixed shape only."


def _sighted(sightings: Sequence[Sighting], who: str, place: str) -> tuple[str, str, str]:
    """Who did something, how, and where: as seen at `place`, else as seen first, else what the error itself says."""
    found = next((item for item in sightings if item.where and item.where in place), None)
    found = found or next(iter(sightings), None)
    if found is None:
        return who, "", place
    return found.who, f" with {found.what}", f" at {found.where}" if found.where else place


def why_not_translated(error: Exception, graph: fx.Graph) -> ExportError:
    """What `torch.onnx.export` raised, in one line that names the operator and the module it came from."""
    missing = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", _text(error))
    if missing is None:
        return ExportError(
            f"The step cannot be written as ONNX ({_reason(error)}); the model probably keeps tensors outside its "
            "modules: hold all state in buffers or pass it explicitly."
        )
    name = missing[1]
    short = name.rpartition(".")[2]
    makers = [node for node in graph.nodes if node.op == "call_function" and _plain(short) in _plain(str(node.target))]
    maker = where(makers[0]) if makers else "The model"
    cure = "write torch.sparse.mm(a, b) as a @ b" if "sparse" in name else "write it with other torch functions"
    return UnsupportedOpError(f"{maker} uses {name}, which has no ONNX form; {cure}.")


def where(node: fx.Node) -> str:
    """The module that made a node, as `Module 'path' (Class)`."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "The model"
    path, kind = stack[-1]
    name = getattr(kind, "__name__", str(kind).rpartition(".")[2])
    short = ".".join(part for part in str(path).split(".") if part not in ("", WRAPPER))
    return f"Module {short!r} ({name})" if short else f"The model ({name})"


def _plain(name: str) -> str:
    """An operator's name as all of PyTorch's layers write it: `prims.erf_inv` is `aten.erfinv`."""
    return name.replace("_", "")


def operator(node: fx.Node) -> str:
    """The operator's name, such as `aten.mul.Tensor`."""
    return str(node.target).removesuffix(".default")


def _text(error: BaseException | None) -> str:
    """The messages of an exception and its causes."""
    text = ""
    while error is not None:
        text += f"{type(error).__name__}: {error}\n"
        error = error.__cause__
    return text


def _reason(error: BaseException) -> str:
    """Class and first line of the innermost cause, without terminal colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:LONGEST_REASON]


def _user_module(error: BaseException) -> str:
    """The module whose method is the innermost frame outside PyTorch and this package, in words."""
    found = "The model"
    trace_back = error.__traceback__
    while trace_back is not None:
        frame = trace_back.tb_frame
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and not is_library_file(frame.f_code.co_filename):
            found = f"A module of class {type(owner).__name__}"
        trace_back = trace_back.tb_next
    return found


def _user_line(error: BaseException) -> str:
    """` at FILE:LINE` of the innermost frame outside PyTorch and this package, or nothing."""
    found = ""
    trace_back = error.__traceback__
    while trace_back is not None:
        code = trace_back.tb_frame.f_code
        if not is_library_file(code.co_filename):
            found = f" at {os.path.basename(code.co_filename)}:{trace_back.tb_lineno}"
        trace_back = trace_back.tb_next
    return found

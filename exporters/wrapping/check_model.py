"""What is checked before anything is traced: the model's mode, device and dtypes, and the example data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from astroedge.errors import AstroEdgeError, ExportError
from astroedge.exporters import frameworks
from astroedge.exporters.shared.labels import label
from astroedge.exporters.state.locations import memory, stray_modules
from astroedge.step.spec import DTYPES

Example = Tensor | Sequence[Tensor]
"""The inputs of one tick as a user gives them."""
Inputs = tuple[Tensor, ...]
TRAINING_ONLY = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RReLU)


def check_model(model: nn.Module) -> None:
    """Refuse a model in training mode, off the CPU, in dtypes that a step doesn't carry or set to more than a tick."""
    _refuse_scripts(model)
    _refuse_training(model)
    _refuse_strays(model)
    remembered = [(place.name, place.module, value) for place, value in memory(model) if isinstance(value, Tensor)]
    parameters = [(name, name.rpartition(".")[0], tensor) for name, tensor in model.named_parameters()]
    for name, path, tensor in (*parameters, *remembered):
        if tensor.device.type != "cpu":
            raise ExportError(
                f"{label(path, model.get_submodule(path))} keeps {name!r}, which lies on {tensor.device}; export runs "
                "on the CPU: call model.cpu() before, and .cpu() on tensors in plain attributes."
            )
    for name, path, tensor in parameters:
        if tensor.dtype == torch.float16:
            raise ExportError(
                f"{label(path, model.get_submodule(path))} has its parameter {name!r} in float16, in which two "
                "runtimes agree to three digits at best, too few to compare spikes by; call model.float(), and keep "
                "weights small with compile's precision, float16 or int8."
            )
    frameworks.refuse(model)
    buffers = [(name, name.rpartition(".")[0], tensor) for name, tensor in model.named_buffers()]
    for name, path, tensor in (*parameters, *buffers):
        if tensor.is_floating_point():
            dtype_name(name, tensor, label(path, model.get_submodule(path)))


def _refuse_scripts(model: nn.Module) -> None:
    """Refuse what `torch.jit` has compiled: neither its memory nor its calls can be watched."""
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ExportError(
                f"{label(path, module)} is compiled by torch.jit, so its memory cannot be seen; export the module that "
                "it was made from."
            )


def _refuse_training(model: nn.Module) -> None:
    """Refuse a module in training mode, first of all one that then computes something else than when it is used."""
    training = [(path, module) for path, module in model.named_modules() if module.training]
    culprits = [item for item in training if isinstance(item[1], TRAINING_ONLY)]
    for path, module in culprits or training:
        raise ExportError(
            f"{label(path, module)} is in training mode; call model.eval() before export: for the command line, before "
            "the factory returns the model."
        )


def _refuse_strays(model: nn.Module) -> None:
    """Refuse modules in a plain list, dict or object: PyTorch does not find them, so their state would not be found."""
    for place, stray in stray_modules(model):
        if any(True for _ in stray.parameters()) or any(isinstance(value, Tensor) for _, value in memory(stray)):
            raise ExportError(
                f"{label(place.module, model.get_submodule(place.module))} keeps a {type(stray).__name__} at "
                f"{place.name!r}, where PyTorch does not find modules, nor their state; use nn.ModuleList or "
                "nn.ModuleDict in place of a plain list or dict."
            )


def example_ticks(inputs: Inputs, examples: Iterable[Example] | None) -> list[Inputs]:
    """The example data as ticks of the shapes and dtypes of `inputs`; `inputs` alone if there is none."""
    ticks: list[Inputs] = []
    given_ticks: Iterable[Example] = [inputs] if examples is None else examples
    for number, given in enumerate(given_ticks):
        tick = (given,) if isinstance(given, Tensor) else tuple(given)
        wanted = [(tuple(tensor.shape), tensor.dtype) for tensor in inputs]
        if [(tuple(tensor.shape), tensor.dtype) for tensor in tick] != wanted:
            raise ExportError(f"Tick {number} of the examples differs from the inputs in number, shape or dtype.")
        if not all(tensor.isfinite().all() for tensor in tick):
            raise ExportError(
                f"Tick {number} of the examples holds NaN or infinity, and rates and ranges are measured on them; "
                "give inputs as the model meets them."
            )
        ticks.append(tuple(tensor.detach().cpu().clone() for tensor in tick))
    if not ticks:
        raise ExportError("examples is empty; give the inputs of at least one tick, or leave it out.")
    return ticks


def dtype_name(name: str, tensor: Tensor, owner: str | None = None) -> str:
    """The dtype of the tensor called `name`, as a step carries it; `owner` is the module that has it, in words."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise ExportError(
            f"{f'{owner} keeps {name!r}, which' if owner else repr(name)} has dtype {dtype}; a step carries "
            f"{', '.join(DTYPES)}: call .float() on the model and data."
        )
    return dtype


@contextmanager
def blame_model(name: str, model: nn.Module | None = None) -> Iterator[None]:
    """Turn whatever the user's own code raises into an ExportError with its name and the part of `model` at fault."""
    try:
        yield
    except AstroEdgeError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise ExportError(
            f"{name} fails on the example{_inside(error, model)} ({type(error).__name__}: {reason}); check "
            "the shapes, dtypes and devices of inputs and states, and reset the model if it still holds the state of "
            "another batch."
        ) from error


def _inside(error: BaseException, model: nn.Module | None) -> str:
    """` in Module 'path' (Class)`, the innermost part of `model` that was running; nothing for the model itself."""
    parts = [] if model is None else [(path, module) for path, module in model.named_modules() if path]
    labels = {id(module): f" in {label(path, module)}" for path, module in parts}
    found, trace_back = "", error.__traceback__
    while trace_back is not None:
        found = labels.get(id(trace_back.tb_frame.f_locals.get("self")), found)
        trace_back = trace_back.tb_next
    return found

"""What is checked before anything is traced: the model's mode, device and dtypes, and the example data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters import frameworks
from astroedge.exporters.shared.labels import label
from astroedge.exporters.state.locations import memory, stray_modules
from astroedge.exporters.step_call.examples import dtype_name
from astroedge.exporters.wrapping.fake_quantise import refuse_quantised

TRAINING_ONLY = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RReLU)


def check_model(model: nn.Module) -> None:
    """Refuse a model in training mode, off the CPU, in dtypes that a step doesn't carry or set to more than a tick."""
    _refuse_scripts(model)
    _refuse_training(model)
    _refuse_strays(model)
    remembered = [
        (location.name, location.module, value) for location, value in memory(model) if isinstance(value, Tensor)
    ]
    parameters = [(name, name.rpartition(".")[0], tensor) for name, tensor in model.named_parameters()]
    for name, path, tensor in (*parameters, *remembered):
        if tensor.layout != torch.strided:
            raise ExportError(
                f"{label(path, model.get_submodule(path))} keeps {name!r} as a sparse tensor, which has no ONNX form; "
                "call .to_dense() on it and write torch.sparse.mm(a, b) as a @ b."
            )
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
    refuse_quantised(model)
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
    for location, stray in stray_modules(model):
        if any(True for _ in stray.parameters()) or any(isinstance(value, Tensor) for _, value in memory(stray)):
            raise ExportError(
                f"{label(location.module, model.get_submodule(location.module))} keeps a {type(stray).__name__} at "
                f"{location.name!r}, where PyTorch does not find modules, nor their state; use nn.ModuleList or "
                "nn.ModuleDict in place of a plain list or dict."
            )

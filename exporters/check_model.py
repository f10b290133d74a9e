"""What is checked before anything is traced: the model's mode, device and dtypes, and the example data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from astroedge.errors import AstroEdgeError, ExportError
from astroedge.exporters import frameworks
from astroedge.exporters.frameworks.labels import label
from astroedge.exporters.slots import memory
from astroedge.step_spec import DTYPES

Example = Tensor | Sequence[Tensor]
"""The inputs of one tick as a user gives them."""
Inputs = tuple[Tensor, ...]
TRAINING_ONLY = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RReLU)


def check_model(model: nn.Module) -> None:
    """Refuse a model in training mode, off the CPU, in dtypes that a step doesn't carry or set to more than a tick."""
    _refuse_training(model)
    remembered = [(place.name, value) for place, value in memory(model) if isinstance(value, Tensor)]
    for name, tensor in (*model.named_parameters(), *remembered):
        if tensor.device.type != "cpu":
            raise ExportError(f"{name!r} lies on {tensor.device}; export runs on the CPU: call model.cpu() first.")
    frameworks.refuse(model)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point():
            dtype_name(name, tensor)


def _refuse_training(model: nn.Module) -> None:
    """Refuse a module in training mode, first of all one that then computes something else than when it is used."""
    training = [(path, module) for path, module in model.named_modules() if module.training]
    culprits = [item for item in training if isinstance(item[1], TRAINING_ONLY)]
    for path, module in culprits or training:
        raise ExportError(
            f"{label(path, module)} is in training mode; call model.eval() before export: for the command line, before "
            "the factory returns the model."
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


def dtype_name(name: str, tensor: Tensor) -> str:
    """The dtype of the tensor called `name`, as a step carries it."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise ExportError(
            f"{name!r} has dtype {dtype}; a step carries {', '.join(DTYPES)}: call .float() on the model and data."
        )
    return dtype


@contextmanager
def blame_model(label: str) -> Iterator[None]:
    """Turn whatever the user's own code raises into an ExportError that names it."""
    try:
        yield
    except AstroEdgeError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise ExportError(
            f"{label} fails on the example ({type(error).__name__}: {reason}); check the shapes and dtypes of inputs "
            "and states, and reset the model if it still holds the state of another batch."
        ) from error

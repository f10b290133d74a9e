"""The example data of `export`: the inputs of one tick or of several, in dtypes that a step carries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from astroedge.abi.layout import DTYPES
from astroedge.errors import ExportError
from astroedge.exporters.step_call.signature import StepCall, flat_inputs, plain

Example = Any
"""The inputs of one tick as a user gives them: a tensor, or tensors in a tuple, list or dict, nested or not."""

Inputs = tuple[Tensor, ...]

# A step can hold float64, but its products and functions have no kernels in it: a model in it is better refused here.
CARRIED = tuple(name for name in DTYPES if name != "float64")


def example_ticks(call: StepCall, examples: Iterable[Example] | None) -> list[Inputs]:
    """The example data as ticks of the shapes and dtypes of the inputs of `call`; these alone if there is none."""
    inputs, ticks = call.inputs, list[Inputs]()
    given_ticks = [inputs] if examples is None else (flat_inputs(call.function, given) for given in examples)
    for number, tick in enumerate(given_ticks):
        wanted = [(tuple(tensor.shape), tensor.dtype) for tensor in inputs]
        if [(tuple(tensor.shape), tensor.dtype) for tensor in tick] != wanted:
            raise ExportError(f"Tick {number} of the examples differs from the inputs in number, shape or dtype.")
        if not all(tensor.isfinite().all() for tensor in tick):
            raise ExportError(
                f"Tick {number} of the examples holds NaN or infinity, and rates and ranges are measured on them; "
                "give inputs as the model meets them."
            )
        ticks.append(tuple(plain(tensor.cpu()) for tensor in tick))
    if not ticks:
        raise ExportError("examples is empty; give the inputs of at least one tick, or leave it out.")
    return ticks


def dtype_name(name: str, tensor: Tensor, owner: str | None = None) -> str:
    """The dtype of the tensor called `name`, as a step carries it; `owner` is the module that has it, in words."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_complex():
        raise ExportError(
            f"{f'{owner} keeps {name!r}, which' if owner else repr(name)} has dtype {dtype}, which a step does not "
            "carry; keep real and imaginary part in a last axis of 2, as torch.view_as_real(z) gives them."
        )
    if dtype not in CARRIED:
        raise ExportError(
            f"{f'{owner} keeps {name!r}, which' if owner else repr(name)} has dtype {dtype}; a step carries "
            f"{', '.join(CARRIED)}: call .float() on the model and data."
        )
    return dtype

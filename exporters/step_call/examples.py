"""The example data of `export`: the inputs of one tick or of several, in dtypes that a step carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from astroedge.abi.layout import DTYPES
from astroedge.errors import ExportError

Example = Tensor | Sequence[Tensor]
"""The inputs of one tick as a user gives them."""


Inputs = tuple[Tensor, ...]

# A step can hold float64, but its products and functions have no kernels in it: a model in it is better refused here.
CARRIED = tuple(name for name in DTYPES if name != "float64")


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
    if dtype not in CARRIED:
        raise ExportError(
            f"{f'{owner} keeps {name!r}, which' if owner else repr(name)} has dtype {dtype}; a step carries "
            f"{', '.join(CARRIED)}: call .float() on the model and data."
        )
    return dtype

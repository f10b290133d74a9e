"""Trained networks of the package `astroedge-zoo`, as models with the inputs that they were looked at with.

A network is the class that its record names, made with the record's arguments, and the tensors of a safetensors file
beside the record. In that file `example.NAME` are ticks of real inputs, time first: of the only input of a tick
whatever its NAME, or of each argument of `forward` by its own. All other tensors are the state dict, in 16 or 32 bits.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.build_model import build_model
from astroedge.zoo_record import ZooRecord, find_record, zoo_folder

EXAMPLE = "example."


@dataclass(frozen=True)
class Trained:
    """A trained network: its record, the model in evaluation mode, and real inputs of successive ticks, one stream."""

    record: ZooRecord
    model: nn.Module
    examples: list[tuple[Tensor, ...]]


def load_trained(name: str, folder: Path | None = None) -> Trained:
    """The trained network of this name, with float32 weights, from a folder or from the installed `astroedge-zoo`.

    `Trained.model.initial_state(1)` is the state before the first of `Trained.examples`.

    Raises InputError for a name that there is not, with the nearest, and for a network that is damaged or
    has no weights;
    MissingDependencyError where the package is not installed; OSError for weights that cannot be read.
    """
    place = folder or zoo_folder()
    record = find_record(name, place)
    path = place / f"{name}.safetensors"
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}, its weights, is missing; astroedge-zoo is damaged: install it again.") from error
    try:
        tensors = {key: _checked(key, tensor) for key, tensor in safetensors.torch.load(content).items()}
        model = build_model(record.model, record.arguments)
        model.load_state_dict({key: tensor for key, tensor in tensors.items() if not key.startswith(EXAMPLE)})
        return Trained(record, model.eval(), _examples(record, model, tensors))
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError, InputError) as error:
        # PyTorch's first line says only that a state dict does not fit; what does not comes after it, name by name.
        reason = shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise InputError(
            f"{path} holds no network that this version can make ({reason}); astroedge-zoo is damaged or of another "
            "version: install it again."
        ) from error


def _checked(name: str, tensor: Tensor) -> Tensor:
    """The tensor, in float32 where it holds fractions; raises ValueError for what is not finite."""
    if not tensor.is_floating_point():
        return tensor
    if not tensor.isfinite().all():
        raise ValueError(f"{name} is not finite")
    return tensor.float()


def _arguments(model: nn.Module) -> list[str]:
    return list(inspect.signature(model.forward).parameters)


def _examples(record: ZooRecord, model: nn.Module, tensors: Mapping[str, Tensor]) -> list[tuple[Tensor, ...]]:
    """The ticks of the example, in the order of `forward`'s arguments; raises ValueError where they are not right."""
    given = {key.removeprefix(EXAMPLE): tensor for key, tensor in tensors.items() if key.startswith(EXAMPLE)}
    names = list(given) if len(given) == 1 else [name for name in _arguments(model) if name in given]
    shapes = {name: tuple(tensor.shape) for name, tensor in given.items()}
    lengths = {shape[:1] for shape in shapes.values()}
    if shapes != dict(record.example) or len(names) != len(given) or len(lengths) != 1:
        raise ValueError(f"its example has shapes {shapes}, its record {dict(record.example)}")
    return [tuple(given[name][tick, None] for name in names) for tick in range(len(given[names[0]]))]

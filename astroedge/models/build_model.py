"""A reference model from its name and JSON arguments, as records of trained models have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from astroedge import models
from astroedge.errors import InputError

# Models that take a configuration, or whose step is a module of its own.
_SPECIAL: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "AstroSNN": lambda given: models.AstroSNNStep(models.AstroSNN(models.AstroSNNConfig(**given))),
    "BDH": lambda given: models.BDH(models.BDHConfig(**given)),
    "RWKV4": lambda given: models.RWKV4(models.RWKV4Config(**given)),
    "SpikeGPT": lambda given: models.SpikeGPT(models.RWKV4Config(**given)),
}


def build_model(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The step of the model `name` of `astroedge.models`, with fresh weights: `forward(*inputs, *state)`.

    `arguments` are those of its constructor, or the fields of its configuration.

    Raises InputError for a model that is not there, and for arguments that it does not take.
    """
    if name not in models.__all__ or not isinstance(getattr(models, name), type):
        raise InputError(f"There is no model {name!r} in astroedge.models; was the record made by a later version?")
    kind: Callable[..., nn.Module] = getattr(models, name)
    try:
        model = _SPECIAL[name](arguments) if name in _SPECIAL else kind(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"The model {name} does not take the arguments {dict(arguments)} ({error}).") from error
    return model

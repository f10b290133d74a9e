"""What has no place in a step: random numbers, and branches that are chosen inside it."""

from __future__ import annotations

import pickle
import random
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from astroedge.errors import UnsupportedOpError

GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)


def refuse_random(who: str, source: str) -> NoReturn:
    """Raise the error for a module that draws random numbers from `source`."""
    raise UnsupportedOpError(
        f"{who} draws random numbers ({source}), so no two runs of the step would agree; call model.eval() if it is "
        "dropout, else pass the noise in as an input."
    )


def draws_random(operator: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
    """Whether a call of an operator draws random numbers: attention is marked as one that may, for its dropout."""
    if torch.Tag.nondeterministic_seeded not in getattr(operator, "tags", ()):
        return False
    given = dict(zip((item.name for item in operator._schema.arguments), arguments, strict=False)) | dict(keywords)
    return "dropout_p" not in (item.name for item in operator._schema.arguments) or bool(given.get("dropout_p", 0.0))


def refuse_control_flow(who: str, operator: str) -> NoReturn:
    """Raise the error for a module that decides inside the step which of its parts run."""
    raise UnsupportedOpError(
        f"{who} uses control flow inside the step ({operator}); write it with torch.where or unroll it."
    )


def shared_generators() -> dict[str, Any]:
    """The states of the generators that Python and NumPy share among all callers, by name."""
    return {"Python's random": random.getstate(), "numpy.random": pickle.dumps(np.random.get_state())}


def generator_state(generator: Any) -> bytes:
    """What tells whether one of `GENERATORS` has drawn anything since."""
    if isinstance(generator, random.Random):
        return pickle.dumps(generator.getstate())
    if isinstance(generator, np.random.Generator):
        return pickle.dumps(generator.bit_generator.state)
    state = generator.get_state()
    return pickle.dumps(state.tolist() if isinstance(state, Tensor) else state)

"""All that a model remembers at one moment, and what is another at a later one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, repeat
from operator import length_hint
from types import GeneratorType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astroedge.exporters.shared.randomness import GENERATORS, generator_state
from astroedge.exporters.state.external_state import external_memory
from astroedge.exporters.state.locations import Location, memory
from astroedge.exporters.step_call.signature import StepCall

LARGE = 1 << 18  # elements; the value of a larger parameter is not copied to be compared


@dataclass(frozen=True)
class Note:
    """A tensor, which this keeps alive so that its id stays its own, its version, and a copy of its value.

    The value is compared too, because writing through `.data` makes no new version.
    """

    tensor: Tensor
    version: int
    value: Tensor

    @staticmethod
    def of(tensor: Tensor) -> Note:
        """Note a tensor as it is now."""
        return Note(tensor, 0 if tensor.is_inference() else tensor._version, tensor.detach().clone())

    def differs(self, later: Note) -> bool:
        """Whether the tensor was replaced, written to or has another value."""
        written = self.tensor is not later.tensor or self.version != later.version
        return written or not same_value(self.value, later.value)


@dataclass(frozen=True)
class Advance:
    """How far an iterator or a generator of random numbers has come: what it is, and something that then differs."""

    kind: str
    state: Any


@dataclass(frozen=True)
class Snapshot:
    """What a model remembers: tensors and other things by place, parameters by name, what is outside by description."""

    tensors: dict[Location, Note]
    others: dict[Location, Any]
    parameters: dict[str, tuple[Tensor, int]]
    external: dict[str, Any]

    @staticmethod
    def of(call: StepCall) -> Snapshot:
        """Note everything that the model of `call`, and the code around it, remembers now."""
        found = Snapshot({}, {}, {name: (item, item._version) for name, item in call.model.named_parameters()}, {})
        for location, value in memory(call.model):
            if isinstance(value, Tensor):
                found.tensors[location] = Note.of(value)
            else:
                found.others[location] = _still(value)
        found.external.update((where, _still(value)) for where, value in external_memory(call))
        return found


Kept = Tensor | str
"""The value of a tensor at a moment: a copy, or of a large one a digest."""


def keep_value(tensor: Tensor) -> Kept:
    """What `has_value` compares a tensor with later."""
    if tensor.numel() < LARGE or not tensor.is_contiguous():
        return tensor.detach().clone()
    return hashlib.sha256(tensor.detach().reshape(-1).view(torch.uint8).numpy().data).hexdigest()


def has_value(tensor: Tensor, kept: Kept) -> bool:
    """Whether a tensor has the value that was kept of it."""
    now = keep_value(tensor) if isinstance(kept, str) else tensor.detach()
    return now == kept if isinstance(now, str) or isinstance(kept, str) else same_value(kept, now)


def same_value(one: Tensor, other: Tensor) -> bool:
    """Equal in dtype, shape and every element; NaN equals NaN."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.is_floating_point():
        return bool(torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True))
    return one.equal(other)


def equal(one: Any, other: Any) -> bool:
    """Equal values of one type, tensors by their elements, whether or not they are one object; NaN equals NaN."""
    tensors = isinstance(one, Tensor) and isinstance(other, Tensor)
    return same_value(one, other) if tensors else _same(one, other)


def changed(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Key, old and new value of everything that is there both times and is not the same."""
    for key, value in after.items():
        old = before.get(key, value)
        if not _same(old, value):
            yield key, old, value


def _same(one: Any, other: Any) -> bool:
    """Equal values; tensors also need to be one object that was not written to."""
    if isinstance(one, Note) and isinstance(other, Note):
        return not one.differs(other)
    if isinstance(one, (int, float, complex, np.ndarray, np.generic)) and type(one) is type(other):
        inexact = np.asarray(one).dtype.kind in "fc"
        return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=inexact)
    return type(one) is type(other) and bool(one == other)


def _still(value: Any) -> Any:
    """A value that stays as it is, and tells whether the original has changed."""
    if isinstance(value, Tensor):
        return Note.of(value)
    if isinstance(value, (np.ndarray, set, bytearray)):
        return value.copy()
    if isinstance(value, GENERATORS):
        return Advance("generator of random numbers", generator_state(value))
    if isinstance(value, GeneratorType):
        return Advance("generator", -1 if value.gi_frame is None else value.gi_frame.f_lasti)
    if isinstance(value, Iterator):
        return Advance(
            f"Python {type(value).__name__}",
            repr(value) if isinstance(value, (count, repeat)) else length_hint(value, -1),
        )
    return value

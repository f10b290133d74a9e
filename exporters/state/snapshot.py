"""All that a model remembers at one moment, and what may not change in it from one moment to a later one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, repeat
from operator import length_hint
from types import GeneratorType
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.shared.labels import label
from astroedge.exporters.shared.randomness import GENERATORS, generator_state, refuse_random
from astroedge.exporters.state.external_state import OF_A_MODULE, outside_memory
from astroedge.exporters.state.locations import Place, memory
from astroedge.exporters.step_call.signature import Call

CURE = "make it a tensor (register_buffer) or an input, or remove it if it only counts"


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
class Memory:
    """What a model remembers: tensors and other things by place, parameters by name, what is outside by description."""

    tensors: dict[Place, Note]
    others: dict[Place, Any]
    parameters: dict[str, tuple[Tensor, int]]
    outside: dict[str, Any]

    @staticmethod
    def of(call: Call) -> Memory:
        """Note everything that the model of `call`, and the code around it, remembers now."""
        found = Memory({}, {}, {name: (item, item._version) for name, item in call.model.named_parameters()}, {})
        for place, value in memory(call.model):
            if isinstance(value, Tensor):
                found.tensors[place] = Note.of(value)
            else:
                found.others[place] = _still(value)
        found.outside.update((where, _still(value)) for where, value in outside_memory(call))
        return found


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


def refuse_changes(model: nn.Module, before: Memory, after: Memory) -> None:
    """In the modules, nothing but tensors of fixed shapes may change from one tick to the next.

    Raises ExportError for a changing Python value or parameter, and for memory that grows or comes and goes.
    """
    for place, old, new in _changed(before.others, after.others):
        if isinstance(new, Advance) and isinstance(new.state, bytes):
            refuse_random(_owner(model, place), f"the generator {place.name!r}")
        kind = new.kind if isinstance(new, Advance) else f"Python {type(new).__name__}"
        raise ExportError(
            f"{_owner(model, place)} keeps a {kind} that changes every tick, {place.name!r} "
            f"({_shown(old)} → {_shown(new)}), which a graph would freeze; {CURE}."
        )
    for name, (tensor, version) in after.parameters.items():
        old, old_version = before.parameters.get(name, (tensor, version))
        if old is not tensor or old_version != version:
            _refuse_parameter(model, name)
    refuse_growth(model, before, after)
    for place, note in after.tensors.items():
        refuse_change(_owner(model, place), place.name, before.tensors[place].value, note.value)


def refuse_written_parameters(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Refuse parameters that are not what they were a tick ago: writing through `.data` makes no new version."""
    for name, parameter in model.named_parameters():
        if name in values and not same_value(values[name], parameter.detach()):
            _refuse_parameter(model, name)


def _refuse_parameter(model: nn.Module, name: str) -> NoReturn:
    path = name.rpartition(".")[0]
    raise ExportError(
        f"{label(path, model.get_submodule(path))} changes its parameter {name!r} in every step, and "
        "parameters are constants of a step; make it a buffer (register_buffer) if it is state."
    )


def refuse_first_parameters(model: nn.Module, cold: Memory, later: Memory) -> None:
    """Refuse parameters that the first ticks make or set: the user's own model lacks them."""
    for name, (tensor, version) in later.parameters.items():
        old, old_version = cold.parameters.get(name, (None, 0))
        if old is not tensor or old_version != version:
            path = name.rpartition(".")[0]
            raise ExportError(
                f"{label(path, model.get_submodule(path))} sets its parameter {name!r} when it is first called, and "
                "export would keep what the example or chance makes of it; call the model once before, then reset it."
            )


def refuse_outside(before: Memory, after: Memory, kind: type[ExportError]) -> None:
    """Nothing outside the modules may change from one tick to the next; raises `kind`."""
    new = before.outside.keys() ^ after.outside.keys()
    for where in (*new, *(where for where, _, _ in _changed(before.outside, after.outside))):
        cure = "hold it in a buffer (register_buffer), pass it with states=, or remove it if it only records"
        if OF_A_MODULE in where:
            cure = "give export the module itself, or a method of a module that holds it"
        raise kind(
            f"State is kept outside the modules: {where} changes every tick, and no graph can carry that; {cure}."
        )


def refuse_late_changes(model: nn.Module, before: Memory, after: Memory, states: set[Place], ticks: int) -> None:
    """What is no state may not have changed over many ticks, even if a tick here and there left it alone."""
    tensors = [
        (place, note.value, after.tensors[place].value)
        for place, note in before.tensors.items()
        if place not in states and place in after.tensors and not same_value(note.value, after.tensors[place].value)
    ]
    for place, old, new in (*tensors, *_changed(before.others, after.others)):
        raise ExportError(
            f"{_owner(model, place)} changes {place.name!r} now and then ({_shown(old)} → {_shown(new)} within {ticks} "
            "ticks, but not in the first ones), and a graph would freeze it; make it a tensor that every tick writes, "
            "with torch.where in place of `if`."
        )
    for where, old, new in _changed(before.outside, after.outside):
        raise ExportError(
            f"State is kept outside the modules: {where} changes now and then ({_shown(old)} → {_shown(new)} within "
            f"{ticks} ticks), and no graph can carry that; hold it in a buffer that every tick writes."
        )


def refuse_change(who: str, name: str, old: Tensor, new: Tensor) -> None:
    """A state keeps its shape and dtype; `who` is the module or function that it belongs to."""
    if new.numel() > old.numel() == 0:
        raise ExportError(
            f"{who} is given its state {name!r} empty, as {_kind(old)}, and makes it {_kind(new)} in one tick, and a "
            f"state keeps its shape: give zeros of the shape it has after a tick, torch.zeros({_sizes(new)})."
        )
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        raise ExportError(
            f"{who} changes its state {name!r} from {_kind(old)} to {_kind(new)} in one tick, and a state keeps its "
            "shape and dtype: use torch.roll on a tensor of fixed length instead of one that grows, and return "
            "explicit states last, in the order of the arguments."
        )


def refuse_growth(model: nn.Module, before: Memory, after: Memory) -> None:
    """Memory keeps its structure."""
    for one, other in ((before, after), (after, before)):
        for place in (*(other.tensors.keys() - one.tensors.keys()), *(other.others.keys() - one.others.keys())):
            raise ExportError(
                f"{_owner(model, place)} grows or changes its structure: {place.name!r} comes or goes from one tick to "
                "the next, and a state keeps its shape; hold a fixed number of tensors, there from the start, and "
                "turn off what records every tick (such as `store_v_seq`)."
            )


def _changed(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
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


def _owner(model: nn.Module, place: Place) -> str:
    """The module that keeps something at a place, in words."""
    return label(place.module, model.get_submodule(place.module))


def _shown(value: Any) -> str:
    """A value on one short line."""
    if isinstance(value, Note):
        value = value.value
    if isinstance(value, Advance):
        return str(value.state) if not isinstance(value.state, bytes) else "…"
    plain = value.flatten().tolist() if isinstance(value, (Tensor, np.ndarray)) else value
    text = " ".join(repr(plain).split())
    return text if len(text) <= 40 else f"{text[:37]}…"


def _sizes(tensor: Tensor) -> str:
    """The arguments of `torch.zeros` for a tensor of this shape and dtype."""
    sizes = ", ".join(map(str, tensor.shape)) or "()"
    return sizes if tensor.dtype == torch.float32 else f"{sizes}, dtype={tensor.dtype}"


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"

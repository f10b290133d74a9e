"""Find the state that a model hides: what changes while it steps.

The model runs two ticks to settle, then one more. Every tensor that is another object, another version or another value
after that tick is state. A Python number that changes cannot be carried by a graph, and neither can a container that
grows: both are errors, because leaving them out would give a step that is silently wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.call import Call
from astroedge.exporters.slots import MemorySlot, Place, memory


@dataclass(frozen=True)
class HiddenState:
    """A slot, its value before the first tick, and how that value was found."""

    slot: MemorySlot
    initial: Tensor


@dataclass(frozen=True)
class _Memory:
    """All a model remembers at one moment; it keeps the tensors alive so that their ids stay theirs."""

    tensors: dict[Place, tuple[Tensor, int, Tensor]]
    numbers: dict[Place, Any]
    parameters: dict[str, tuple[Tensor, int]]


def find_hidden_state(call: Call, examples: Sequence[tuple[Tensor, ...]]) -> list[HiddenState]:
    """Step the model and return its hidden states, in the order in which its modules were made; maybe none.

    `call.model` must not have stepped since its last reset; it is left as it is after the third tick. Raises
    ExportError for a changing Python number or parameter, and for memory that grows or comes and goes.
    """
    cold = _remember(call.model)
    ticks = _ticks(call, examples)
    next(ticks)
    first = _remember(call.model)
    next(ticks)
    before = _remember(call.model)
    next(ticks)
    after = _remember(call.model)
    _refuse_numbers(before, after)
    _refuse_parameters(before, after)
    _refuse_growth(first, before)
    _refuse_growth(before, after)
    for place, (tensor, _, _) in after.tensors.items():
        _refuse_change(place.name, before.tensors[place][2], tensor)
    changed = [place for place in after.tensors if _differs(before.tensors[place], after.tensors[place])]
    states = [HiddenState(MemorySlot((place,)), _initial(cold, place, after.tensors[place][0])) for place in changed]
    return _merged(states, before, after)


def _ticks(call: Call, examples: Sequence[tuple[Tensor, ...]]) -> Iterator[None]:
    """Step the model over the examples, again and again, carrying its explicit states."""
    states = call.state_leaves
    for inputs in cycle(examples):
        with torch.no_grad():
            _, following = call(inputs, [tensor.clone() for tensor in states])
        for name, old, new in zip(call.state_paths(), states, following, strict=True):
            _refuse_change(name, old, new)
        states = following
        yield


def _remember(model: nn.Module) -> _Memory:
    """Note every tensor, number and parameter of `model`."""
    found = _Memory({}, {}, {name: (tensor, tensor._version) for name, tensor in model.named_parameters()})
    for place, value in memory(model):
        if isinstance(value, Tensor):
            found.tensors[place] = _note(value)
        else:
            found.numbers[place] = value.copy() if isinstance(value, np.ndarray) else value
    return found


def _note(tensor: Tensor) -> tuple[Tensor, int, Tensor]:
    """A tensor, its version, and a copy of its value (writing through `.data` doesn't count as a new version)."""
    return tensor, 0 if tensor.is_inference() else tensor._version, tensor.detach().clone()


def _differs(before: tuple[Tensor, int, Tensor], after: tuple[Tensor, int, Tensor]) -> bool:
    """Whether a tensor was replaced, written to or has another value."""
    return before[0] is not after[0] or before[1] != after[1] or not _same_value(before[2], after[2])


def _same_value(one: Tensor, other: Tensor) -> bool:
    """Equal in dtype, shape and every element; NaN equals NaN."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return (
        bool(torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True))
        if one.is_floating_point()
        else one.equal(other)
    )


def _refuse_numbers(before: _Memory, after: _Memory) -> None:
    """No number may change from tick to tick."""
    for place, value in after.numbers.items():
        old = before.numbers.get(place, value)
        if not np.array_equal(np.asarray(old), np.asarray(value), equal_nan=isinstance(value, float)):
            raise ExportError(
                f"{place.name!r} is a Python {type(value).__name__} that changes every tick ({old} → {value}), which "
                "a graph would freeze; make it a tensor (register_buffer), or remove it if it only counts."
            )


def _refuse_parameters(before: _Memory, after: _Memory) -> None:
    """No parameter may change from tick to tick."""
    for name, (tensor, version) in after.parameters.items():
        old, old_version = before.parameters.get(name, (tensor, version))
        if old is not tensor or old_version != version:
            raise ExportError(
                f"Parameter {name!r} changes in every step; make it a buffer (register_buffer) if it is state."
            )


def _refuse_growth(before: _Memory, after: _Memory) -> None:
    """Memory keeps its structure."""
    for place in [*after.tensors, *before.tensors]:
        if place not in before.tensors or place not in after.tensors:
            raise ExportError(
                f"{place.name!r} comes or goes from one tick to the next, so the model's memory grows or changes its "
                "structure; keep a fixed number of tensors (turn off what records every tick, such as `store_v_seq`)."
            )


def _refuse_change(name: str, old: Tensor, new: Tensor) -> None:
    """A state keeps its shape and dtype."""
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        raise ExportError(
            f"State {name!r} changes from {_kind(old)} to {_kind(new)} in one tick; a state keeps its shape and "
            "dtype: use torch.roll on a tensor of fixed length instead of one that grows, and return explicit states "
            "last, in the order of the arguments."
        )


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _initial(cold: _Memory, place: Place, steady: Tensor) -> Tensor:
    """The value before the first tick, in the shape the state has later.

    What the cold model holds there if that broadcasts to the shape, be it a tensor or a number; else zeros, for
    memory that the model makes in its first tick. Export compares the first tick too, so a wrong guess does not pass.
    """
    value: Any = cold.tensors[place][2] if place in cold.tensors else cold.numbers.get(place)
    if value is not None:
        start = torch.as_tensor(value).to(steady.dtype)
        try:
            return start.broadcast_to(steady.shape).clone()
        except RuntimeError:
            pass
    return torch.zeros_like(steady)


def _merged(states: list[HiddenState], before: _Memory, after: _Memory) -> list[HiddenState]:
    """Join states whose places hold one tensor object at every tick and start alike: writing to one writes to all."""
    groups: dict[tuple[int, int], list[HiddenState]] = {}
    for state in states:
        place = state.slot.places[0]
        key = (id(before.tensors[place][0]), id(after.tensors[place][0]))
        groups.setdefault(key, []).append(state)
    merged = []
    for members in groups.values():
        if all(_same_value(members[0].initial, member.initial) for member in members):
            places = tuple(member.slot.places[0] for member in members)
            merged.append(HiddenState(MemorySlot(places), members[0].initial))
        else:
            merged += members
    return merged
